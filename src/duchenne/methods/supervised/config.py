"""Configuration of the supervised baseline. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from duchenne.methods.families.labelled_config import LabelledConfig


@dataclass(frozen=True, kw_only=True)
class SupervisedConfig(LabelledConfig):
    """A network trained on action unit labels; phase 0 of CL-ILE (Lian et al., BMVC 2023, ablation A0)."""
