"""What a training differs in from its paper: said from one place, before the first step."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from tests.training.made import moving_squares

from duchenne.config import from_mapping
from duchenne.published.settings import compare_settings, setup_of
from duchenne.published.stated import OURS, ROWS, SETUPS
from duchenne.training.config import method_run_config
from duchenne.training.recipes import load_recipe, recipe_names

PAPERS = [name for name in recipe_names() if name.split("/")[0] not in ("cpu", "smoke")]
NOT_THE_PAPERS = {
    "emoco/affectnet_moco_v2": {"views"},
    "moco/affectnet_v2": {"views"},
    "moco/bp4d_plus_v2": {"views", "temperature", "head"},
    "moco/voxceleb2_v2": {"views", "temperature", "head"},
    **{name: {"beta"} for name in ("clp/sweep_beta_0.01", "clp/sweep_beta_1.0")},
    **{name: {"margin"} for name in ("clp/sweep_margin_0.01", "clp/sweep_margin_0.1")},
    **{f"clp/sweep_memory_{size}": {"memory", "support"} for size in (8192, 16384, 32768)},
}
"""Recipes that are no row of a paper, and what they set otherwise."""


def resolved(name: str, **fields: Any) -> tuple[Any, dict[str, Any]]:
    method = name.split("/")[0]
    values = load_recipe(name, method)
    return from_mapping(method_run_config(method), {**values, **fields}, where=name), values


@pytest.mark.parametrize("name", PAPERS)
def test_every_recipe_of_a_paper_has_the_papers_settings(name: str) -> None:
    config, values = resolved(name)
    found = compare_settings(name, config, values)
    assert found is not None, f"{name}: say in published/stated.py which training it is after"
    assert {field for field, *_ in found.changed} == NOT_THE_PAPERS.get(name, set())
    fields = {field.name for field in dataclasses.fields(config)}
    setup = setup_of(name)
    assert setup is not None
    named = [*setup.stated, *setup.open, *(item.field for item in setup.deviations if item.field)]
    assert set(named) <= fields
    assert not set(setup.stated) & set(setup.open)
    assert all(not sentence.endswith("..") and sentence.endswith(".") for sentence in found.sentences())


def test_nothing_in_the_list_is_for_no_recipe() -> None:
    for prefix in (*SETUPS, *ROWS, *OURS):
        assert any(name.startswith(prefix) for name in PAPERS), prefix
    assert setup_of("cpu/clp") is None


@pytest.mark.parametrize("name", ["clp/voxceleb2", "emoco/affectnet", "cl_ile/disfa", "temporal_ranking/voxceleb2_k2",
                                  "knowledge_driven/bp4d_plus"])  # fmt: skip
def test_every_field_that_the_paper_states_is_watched(name: str) -> None:
    config, values = resolved(name)
    setup = setup_of(name)
    assert setup is not None
    for field in setup.stated:
        before = getattr(config, field)
        other: Any = "other" if isinstance(before, str) else (not before if isinstance(before, bool) else before + 1)
        changed = dataclasses.replace(config)
        object.__setattr__(changed, field, other)
        found = compare_settings(name, changed, values)
        assert found is not None
        assert found.changed == ((field, other, before),)


def test_what_is_said() -> None:
    config, values = resolved("clp/voxceleb2", lr=0.5)
    found = compare_settings("clp/voxceleb2", config, values, data=["synth"], alignment="eyes")
    assert found is not None
    sentences = found.sentences()
    assert sentences[0] == "Differs from Li & Shan, IEEE TIP 2023: lr 0.5; the paper: 0.001."
    assert "Differs from Li & Shan, IEEE TIP 2023: the data are synth; the paper's: voxceleb2." in sentences
    assert any("both losses are means over the batch; Eq. 1 prints a sum" in sentence for sentence in sentences)
    assert any(sentence.endswith("faces are aligned by eyes; the paper's: SeetaFace.") for sentence in sentences)
    assert "temperature 0.07 (as CVC)" in sentences[-1]
    literal, _ = resolved("clp/voxceleb2", tcl_reduction="sum")
    again = compare_settings("clp/voxceleb2", literal, values)
    assert again is not None
    assert not any("means over the batch" in sentence for sentence in again.sentences())


def test_a_run_says_it_before_its_first_step_and_keeps_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from duchenne.cli.main import main

    moving_squares(tmp_path / "squares")
    out = tmp_path / "run"
    words = ["pretrain", "temporal_ranking", "--recipe", "temporal_ranking/voxceleb2_k1", "--data",
             str(tmp_path / "squares"), "--out", str(out), "--weights", "none", "--size-px", "32", "--batch-size", "4",
             "--max-steps", "1", "--quiet"]  # fmt: skip
    assert main(words) == 0
    said = capsys.readouterr().err
    for part in ("weights none; the paper: imagenet.", "size_px 32; the paper: 256.", "batch_size 4; the paper: 48.",
                 "the data are squares; the paper's: voxceleb2.", "distances are squared"):  # fmt: skip
        assert part in said

    assert "weights none; the paper: imagenet." in " ".join((out / "methods.txt").read_text().split())
    words[words.index("--recipe") + 1] = "smoke/temporal_ranking"
    words[words.index(str(out))] = str(tmp_path / "smoke")
    assert main(words) == 0
    assert "Differs from" not in capsys.readouterr().err
