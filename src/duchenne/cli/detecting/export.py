"""`duchenne export --model RUN|DETECTOR --out FILE.onnx`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from duchenne.cli.parsing import parse
from duchenne.plain import tell as print


@dataclass(frozen=True, kw_only=True)
class ExportArguments:
    """Writes a detector or an encoder as one ONNX file, with everything `detect` needs to know inside."""

    model: str
    """`duchenne`, a detector made by `fit`, a run, or an encoder.safetensors."""
    out: Path
    """File to write, FILE.onnx."""


def main(arguments: list[str]) -> int:
    """Parses the arguments, writes the file, and names it."""
    parsed = parse(ExportArguments, args=arguments, prog="duchenne export")

    from duchenne.detectors.export import export  # heavy; not needed for --help

    print(export(**asdict(parsed)))
    return 0
