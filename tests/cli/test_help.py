"""What --help shows: every command, protocol, reader and method, as a user reads it; and words that nobody knows."""

import re

import pytest

from duchenne.cli.main import COMMANDS, main
from duchenne.errors import did_you_mean, nearest
from duchenne.evaluation.protocols.registry import PROTOCOLS
from duchenne.methods.registry import METHODS
from duchenne.preparing.arguments import READERS

ALL = [
    *([name] for name in COMMANDS),
    *(["evaluate", name] for name in PROTOCOLS),
    *(["prepare", name] for name in READERS),
    *(["pretrain", name] for name in METHODS),
]


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_help_speaks_to_users(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status: object = main([*words, "--help"])
    except SystemExit as left:
        status = left.code
    assert status == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "--" in shown
    assert re.findall(r"\(default: ?(?:None|False|True)?\)|\{None[},]|NoneType", shown) == []


def test_defaults_that_say_something_stay(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["detect", "--help"])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "--every INT read only every Nth frame: 0, N, 2N ... (default: 1)" in shown
    assert "--end-s FLOAT leave out frames from this time on --smooth-s" in shown
    with pytest.raises(SystemExit):
        main(["pretrain", "moco", "--help"])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "--max-steps INT" in shown
    assert "processors and GPUs. (default: on)" in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["detect", "a.mp4", "--end-s", "soon"], "Error parsing --end-s: could not convert string to float: 'soon'"),
        (["pretrain", "moco", "--data", "a", "--out", "b", "--max-steps", "many"], "invalid literal for int"),
        (["pretrain", "moco", "--logger", "paper"], "invalid choice 'paper'"),
    ],
)
def test_a_value_that_cannot_be_is_one_complaint(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2
    shown = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert said in shown
    assert "NoneType" not in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["detect", "none.mp4", "--end-s", "None"], "none.mp4: there is no such file"),
        (
            ["detect", "none.mp4", "--end-s", "2.5", "--start-s", "3"],
            "duchenne detect: --end-s is 2.5; it must be after --start-s (3.0).\n",
        ),
    ],
)
def test_what_may_be_none_is_read(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) in (1, 2)
    assert said in capsys.readouterr().err


def test_only_what_is_near_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gui"]) == 2
    assert capsys.readouterr().err == "duchenne: there is no command `gui`; `duchenne --help` lists them.\n"
    assert nearest("summarise", COMMANDS) == "summarize"
    assert nearest("gui", COMMANDS) is None
    assert did_you_mean("xyz", ["one", "two"]) == "there are one, two."
    assert did_you_mean("tow", ["one", "two"]) == "did you mean `two`?"
    assert did_you_mean("x", []) == "there are none."
    assert did_you_mean("x", map("name{}".format, range(30))).endswith("name18, name19 ...")
