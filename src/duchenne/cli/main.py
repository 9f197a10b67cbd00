"""The `duchenne` command: finds the command's module, runs it, and turns errors into one sentence."""

from __future__ import annotations

import errno
import os
import signal
import sys
from importlib import import_module
from typing import Final

from duchenne.cli.streams import three_streams
from duchenne.errors import DuchenneError, OutputError, UsageError, did_you_mean, lacks_training, starved
from duchenne.plain import flush_output
from duchenne.plain import tell as print

COMMANDS: Final[dict[str, str]] = {
    "demo": "synthetic data -> pretrain -> linear protocol -> detect -> report.html",
    "synth": "make synthetic faces with exact action units",
    "prepare": "find, align and store the faces of videos or of a data set",
    "pretrain": "learn a representation from prepared data",
    "convert": "released weights of FAb-Net, TCAE or temporal ranking as an encoder",
    "evaluate": "score representations under one protocol",
    "compare": "put the models of several evaluations into one table",
    "reproduce": "make a published table anew from its recipes",
    "embed": "write the features of every prepared face to a table",
    "retrieve": "find the prepared faces nearest to those of a picture",
    "fit": "train a detector of your own from coded faces",
    "detect": "action units of images and videos, as a table",
    "export": "write a detector or an encoder as an ONNX file",
    "summarize": "summarise tables of `detect` per person, episode, combination and trial",
    "agree": "measure how far tables and codes agree: coders, tools, coder and tool",
    "review": "look, code, compare and fit in a local page beside the recording",
    "info": "versions, device, methods, data sets, model files",
}
"""Every command, in the order of a study."""

_ROOMS: Final = {
    "preparing": ("synth", "prepare"),
    "learning": ("pretrain", "convert", "evaluate", "compare", "reproduce", "embed", "retrieve"),
    "detecting": ("fit", "detect", "export", "summarize", "agree", "review"),
}
"""Where commands lie; those named in no room lie in `duchenne.cli` itself."""

_GO_ON: Final = ("demo", "synth", "prepare", "evaluate", "reproduce")
"""Commands that find what an interrupted call finished; the others start over or say themselves how to go on."""

_SIZED: Final = ("synth", "prepare")
"""Commands whose flag `--size` is the field `size_px`, which messages name."""

_LONGEST_WORD: Final = 4096
"""Characters of an argument: no path can be longer on Linux, and nothing else that is given is as long as a path."""
_SHOWN: Final = 80
"""Characters shown of what is too long."""


def main(arguments: list[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: the words after `duchenne`; those of the process by default.

    Returns:
        0 all done, 1 an input failed (the rest is complete), 2 bad use, 130 interrupted (state saved).
    """
    if arguments is None:
        three_streams()
    try:
        status = _run(sys.argv[1:] if arguments is None else arguments)
        if arguments is None:  # nothing but leaving is left to interrupt
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:  # after the command's last line, which has said that all is done
        return 130
    return status


def _run(words: list[str]) -> int:
    try:
        status = _command(words)
        flush_output()
    except DuchenneError as error:
        command = " ".join(["duchenne", *words[:1]])[:_SHOWN]
        said = error.on_command_line()
        if words and words[0] in _SIZED:
            said = said.replace("--size-px", "--size")
        print(f"{command}: {said}", file=sys.stderr)
        if isinstance(error, OutputError):
            _discard_output()
        return error.exit_status
    except BrokenPipeError:  # whoever read the output has had enough (`| head`)
        _discard_output()
        return 1
    return status


def _discard_output() -> None:
    """Lets flushing at exit not complain once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _command(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return 0 if words else 2
    if words[0] == "--version":
        from duchenne._version import __version__

        print(__version__)
        return 0
    long = next((word for word in words if len(word) > _LONGEST_WORD), None)
    if long is not None:
        raise UsageError(f"{long[:_SHOWN]}...: has {len(long)} characters, more than any argument; check it.")
    if words[0] not in COMMANDS:
        hint = did_you_mean(words[0], COMMANDS, "`duchenne --help` lists them.")
        print(f"duchenne: there is no command `{words[0]}`; {hint}", file=sys.stderr)
        return 2
    try:
        status: int = import_module(command_module(words[0])).main(words[1:])
    except DuchenneError:
        raise
    except Exception as error:  # what ran out is told by libraries in errors of their own
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            name = str(error.filename)[:_SHOWN]
            raise UsageError(f"{name}...: is too long for the name of a file; check it.") from error
        short = starved(error) or lacks_training(error)
        if short is None:
            raise
        raise short from error
    except KeyboardInterrupt:
        then = "to go on" if words[0] in _GO_ON else "(it starts over; nothing half-written was left)"
        print(f"duchenne {words[0]}: interrupted; run the same command again {then}.", file=sys.stderr)
        return 130
    return status


def command_module(name: str) -> str:
    """The module that holds a command's `main(arguments) -> exit status`."""
    rooms = [room for room, names in _ROOMS.items() if name in names]
    return ".".join(["duchenne.cli", *rooms, name])


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            "usage: duchenne COMMAND [arguments]   (duchenne COMMAND --help for one command's)",
            "",
            "Facial action units: learn representations, evaluate them, detect them in your own videos.",
            "",
            *lines,
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
