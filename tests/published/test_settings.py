"""What a training differs in from its paper: said from one place, before the first step."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from tests.training.made import moving_squares

from duchenne.config import from_mapping
from duchenne.published.settings import compare_settings, setup_of
from duchenne.published.setup import IN_FORCE
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
    assert not found.others
    fields = {field.name for field in dataclasses.fields(config)}
    setup = setup_of(name)
    assert setup is not None
    named = [*setup.stated, *setup.open, *(item.field for item in setup.deviations if item.field)]
    assert set(named) <= fields
    assert not set(setup.stated) & set(setup.open)
    assert set(setup.in_force) - set(IN_FORCE) <= set(setup.open)
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


@pytest.mark.parametrize("name", PAPERS)
def test_no_field_that_changes_a_training_is_silent(name: str) -> None:
    config, values = resolved(name)
    found = compare_settings(name, config, values)
    assert found is not None
    before = found.sentences()
    silent = set()
    for field in dataclasses.fields(config):
        here = getattr(config, field.name)
        other: Any = "other" if isinstance(here, str) else ("1-2",) if isinstance(here, tuple) else 7.5
        changed = dataclasses.replace(config)
        object.__setattr__(changed, field.name, not here if isinstance(here, bool) else other)
        again = compare_settings(name, changed, values)
        assert again is not None
        silent |= {field.name} if again.sentences() == before else set()
    same = {"seed", "device", "devices", "num_nodes", "loader_threads", "log_every", "save_every"}  # of any training
    assert silent <= {*same, "precision", "channels_last", "memory_dtype"}


def test_fields_that_no_paper_names_are_held_to_the_recipe() -> None:
    for name, fields, said in (
        ("emoco/affectnet", {"emotions": ("happiness", "sadness")}, "emotions happiness sadness; there: not set."),
        ("clp/voxceleb2", {"interval_unit": 0.2}, "interval_unit 0.2; there: not set."),
        ("twin_cycle/voxceleb2", {"pose_degree": 3}, "pose_degree 3; there: not set."),
        ("knowledge_driven/bp4d_plus", {"symmetric_areas": ()}, "symmetric_areas not set; there: 2-3 5-6."),
        ("cvc/voxceleb2", {"key_momentum": 0.5}, "key_momentum 0.5; there: 0.999."),
        ("cl_ile/bp4d", {"eps": 0.9}, "eps 0.9; there: 0.0001."),
    ):
        found = compare_settings(name, *resolved(name, **fields))
        assert found is not None
        assert f"Differs from the recipe: {said}" in found.sentences()


def test_what_an_ablation_leaves_out_is_not_said_of_it() -> None:
    def said(name: str, **fields: Any) -> str:
        found = compare_settings(name, *resolved(name, **fields))
        assert found is not None
        return " ".join(found.sentences())

    identity, eps, zero = "the identity-label loss is the inverse of Eq. 1", "eps is added", "adds 0 to Eq. 5"
    keys, chosen = "keys are normalised in other parts", "temperature 0.07 (as CVC)"
    ranking, stop = "the temporal contrast is a mean over the batch", "detach_prototypes"
    for name, fields, there, absent in (
        ("cl_ile/bp4d", {}, [identity, eps, zero], []),
        ("cl_ile/a1_contrast", {}, [zero], [identity, eps]),
        ("cl_ile/a2_orthogonality", {}, [eps], [identity, zero]),
        ("cl_ile/a3_orthogonality_contrast", {}, [eps, zero], [identity]),
        ("cl_ile/a4_identity_orthogonality", {}, [identity, eps], [zero]),
        ("clp/voxceleb2", {}, [keys, chosen, ranking], []),
        ("clp/ablation_tcl_uniform", {}, [ranking], [keys, chosen, "key_view", "mask_negatives"]),
        ("clp/ablation_cir", {}, [keys, chosen], [ranking, "offset", "augment_per"]),
        ("clp/voxceleb2", {"bn_splits": 1}, [chosen], [keys]),
        ("clp/voxceleb2", {"bn_splits": 1, "devices": 2}, [keys], []),
        ("emoco/affectnet", {}, [keys, stop, "synchronized BatchNorm"], []),
        ("emoco/emotion_only", {}, ["synchronized BatchNorm"], [keys, stop]),
        ("emoco/l2", {}, [keys], [stop]),
        ("emoco/affectnet", {"bn_splits": 1}, [], [keys, "synchronized BatchNorm"]),
        ("clp/voxceleb2", {"optimiser": "adam"}, [], ["momentum 0.9"]),
        ("cl_ile/bp4d", {"schedule": "constant"}, [], ["plateau_patience"]),
        ("cl_ile/bp4d", {"weighting": "none"}, [], ["absent_weight", "selective learning weighs"]),
        ("supervised/clp_baseline", {}, ["lr 0.0001 (as CL-ILE)"], ["absent_weight"]),
        ("supervised/emoco_baseline", {}, ["weighting none (not said)"], ["absent_weight"]),
        ("supervised/emoco_baseline", {"weighting": "selective"}, ["absent_weight"], []),
        ("knowledge_driven/bp4d_plus", {"prediction_weight": 0.0}, ["area_boxes"], ["related_areas", "stop_grad"]),
        ("temporal_ranking/voxceleb2_k1", {"augment_per": "clip"}, [], ["drawn for every frame"]),
    ):
        sentences = said(name, **fields)
        assert all(part in sentences for part in there), (name, fields)
        assert not any(part in sentences for part in absent), (name, fields, sentences)


def test_what_is_said() -> None:
    config, values = resolved("clp/voxceleb2", lr=0.5)
    found = compare_settings("clp/voxceleb2", config, values, data=["synth"], alignment="eyes")
    assert found is not None
    sentences = found.sentences()
    assert sentences[0] == "Differs from Li & Shan, IEEE TIP 2023: lr 0.5; the paper: 0.001."
    assert "Differs from Li & Shan, IEEE TIP 2023: the data are synth; the paper's: voxceleb2." in sentences
    assert any(
        "the temporal contrast is a mean over the batch; Eq. 1 prints a sum" in sentence for sentence in sentences
    )
    assert any(sentence.endswith("alignment of the faces: eyes; the paper's: SeetaFace.") for sentence in sentences)
    assert "temperature 0.07 (as CVC)" in sentences[-1]
    literal, _ = resolved("clp/voxceleb2", tcl_reduction="sum")
    again = compare_settings("clp/voxceleb2", literal, values)
    assert again is not None
    assert not any("mean over the batch" in sentence for sentence in again.sentences())


def test_a_value_of_the_users_own_is_not_given_our_reason() -> None:
    config, values = resolved("clp/voxceleb2", temperature=0.5)
    found = compare_settings("clp/voxceleb2", config, values)
    assert found is not None
    assert "temperature 0.5 (not as in the recipe)" in found.sentences()[-1]
    assert "weight_decay 0.0001 (as MoCo)" in found.sentences()[-1]


def test_faces_of_voxceleb2_as_it_has_cut_them_are_temporal_rankings() -> None:
    name = "temporal_ranking/voxceleb2_k1"
    for alignment, differs in (("as given", False), ("similarity from eye corners and nose, per frame", True)):
        found = compare_settings(name, *resolved(name), alignment=alignment)
        assert found is not None
        assert any("alignment of the faces" in sentence for sentence in found.sentences()) is differs


def test_steps_in_place_of_epochs_are_said() -> None:
    for name, fields, said in (
        ("clp/voxceleb2", {"max_steps": 7}, "max_steps 7; the paper: 200 epochs."),
        ("temporal_ranking/voxceleb2_k1", {"max_steps": 7}, "max_steps 7; its authors' code: 50 epochs."),
        ("cl_ile/bp4d", {"backbone_steps": 9}, "backbone_steps 9; the paper: 300 epochs."),
        ("knowledge_driven/bp4d_plus", {"max_steps": 7}, "max_steps 7 (not as in the recipe)"),
    ):
        config, values = resolved(name, **fields)
        found = compare_settings(name, config, values)
        assert found is not None
        assert any(said in sentence for sentence in found.sentences()), found.sentences()


def test_what_only_the_authors_code_states_is_not_called_the_papers() -> None:
    """The text of temporal ranking's paper has neither batch nor epochs; its rate and its start it has."""
    name = "temporal_ranking/voxceleb2_k1"
    config, values = resolved(name, batch_size=4, epochs=1, lr=0.5, weights="none")
    found = compare_settings(name, config, values)
    assert found is not None
    said = [sentence.split(": ", 1)[1] for sentence in found.sentences()[:4]]
    assert sorted(said) == [
        "batch_size 4; its authors' code: 48.", "epochs 1; its authors' code: 50.", "lr 0.5; the paper: 0.001.",
        "weights none; the paper: imagenet.",
    ]  # fmt: skip
    for setup in SETUPS.values():
        assert setup.by_code <= set(setup.stated)


def test_how_the_data_were_prepared_is_compared() -> None:
    """All frames of BP4D+ (not only coded ones), eight videos of a speaker: said where the data are the paper's."""
    for name, reader, option, there, flag in (
        ("knowledge_driven/bp4d_plus", "bp4d_plus", "frames", "all", "--frames coded"),
        ("simclr/bp4d_plus", "bp4d_plus", "frames", "all", "--frames coded"),
        ("clp/voxceleb2", "voxceleb2", "per_subject", 8, "--per-subject coded"),
    ):
        config, values = resolved(name)
        for value, expected in (("coded", True), (there, False)):
            settings = {"reader": reader, option: value}
            found = compare_settings(name, config, values, data=(reader,), prepared=[settings])
            assert found is not None
            assert any(f"{flag}; the paper's: {there}." in sentence for sentence in found.sentences()) is expected
        other = compare_settings(name, config, values, data=("synth",), prepared=[{"reader": "synth"}])
        assert other is not None
        assert not other.prepared  # that they are other data is said instead
    for name in ("temporal_ranking/voxceleb2_k1", "triplet/voxceleb2", "n_pair/voxceleb2"):
        for settings, said in (
            ({}, None), ({"per_subject": 8}, "with --per-subject 8"), ({"fps": 1.0}, "with --fps 1"),
        ):  # fmt: skip
            here = [{"reader": "voxceleb2", **settings}]
            found = compare_settings(name, *resolved(name), data=("voxceleb2",), prepared=here)
            assert found is not None
            lines = [line for line in found.sentences() if "were prepared" in line]
            assert [f"{said}; the paper's: without it." in line for line in lines] == [True] * (said is not None)
    config, values = resolved("clp/voxceleb2")
    found = compare_settings("clp/voxceleb2", config, values, data=("voxceleb2",), prepared=[{"reader": "voxceleb2"}])
    assert found is not None
    assert found.prepared == (("per_subject", None, 8),)
    assert any("the data were prepared without --per-subject; the paper's: 8." in line for line in found.sentences())


def test_simclr_is_not_said_to_have_its_authors_optimiser() -> None:
    """Theirs is LARS; ours is MoCo's, and MoCo's first version lowers the rate in steps, not by a cosine."""
    for name in ("simclr/voxceleb2", "simclr/bp4d_plus"):
        config, values = resolved(name)
        found = compare_settings(name, config, values)
        assert found is not None
        assert "optimiser sgd (as MoCo; the authors' is LARS)" in found.sentences()[-1]
    config, values = resolved("moco/voxceleb2")
    found = compare_settings("moco/voxceleb2", config, values)
    assert found is not None
    assert "schedule cosine (as MoCo v2; v1 lowers the rate in two steps)" in found.sentences()[-1]


def test_a_run_says_it_before_its_first_step_and_keeps_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from duchenne.cli.main import main

    moving_squares(tmp_path / "squares")
    out = tmp_path / "run"
    words = ["pretrain", "temporal_ranking", "--recipe", "temporal_ranking/voxceleb2_k1", "--data",
             str(tmp_path / "squares"), "--out", str(out), "--weights", "none", "--size-px", "32", "--batch-size", "4",
             "--max-steps", "1", "--quiet"]  # fmt: skip
    assert main(words) == 0
    said = capsys.readouterr().err
    for part in ("weights none; the paper: imagenet.", "size_px 32; the paper: 256.",
                 "batch_size 4; its authors' code: 48.", "the data are squares; the paper's: voxceleb2.",
                 "distances are squared"):  # fmt: skip
        assert part in said

    assert "weights none; the paper: imagenet." in " ".join((out / "methods.txt").read_text().split())
    words[words.index("--recipe") + 1] = "smoke/temporal_ranking"
    words[words.index(str(out))] = str(tmp_path / "smoke")
    assert main(words) == 0
    assert "Differs from" not in capsys.readouterr().err
    words[1], words[words.index("--size-px") + 1] = "supervised", "16"
    words[words.index("--recipe") + 1] = "supervised/cl_ile_backbone"
    words[words.index(str(tmp_path / "smoke"))] = str(tmp_path / "supervised")
    assert main(words) == 0
    assert "Differs from the recipe" not in capsys.readouterr().err, "what is filled in from the data is not asked"
