"""Whole recipes against the papers: steps, pictures, people held out, what validation costs, starts, augmentation."""

import math
import re
from pathlib import Path

import pytest
import torch
from tests.methods.made import small_method
from tests.training.made import moving_squares

import duchenne
from duchenne.augment.views import VIEWS
from duchenne.config import from_mapping
from duchenne.errors import UsageError
from duchenne.methods.cl_ile.method import _planned as planned
from duchenne.methods.registry import config_class, method_class
from duchenne.training.config import method_run_config
from duchenne.training.pretrain import stage_steps
from duchenne.training.recipes import load_recipe, recipe_names
from duchenne.types import ClipBatch

PAPERS = [name for name in recipe_names() if name.split("/")[0] not in ("cpu", "smoke")]
BP4D_PLUS = {"frame": 1_400_000, "clip": 1_400, "video": 1_400}
VOXCELEB2 = {"clip": 1_092_009, "video": 150_480}
VOXCELEB2_OF_8 = {"clip": 8 * 5_994}
AFFECTNET = {"frame": 283_901}
BP4D = {"frame": 146_847 * 2 // 3}
DATA = {"bp4d_plus": BP4D_PLUS, "affectnet": AFFECTNET}
"""Units of an epoch in the data sets that the papers train on, by the number that each is counted in."""


def resolved(name):
    method = name.split("/")[0]
    return method, from_mapping(method_run_config(method), load_recipe(name, method), where=name)


def data_of(name):
    method = name.split("/")[0]
    if method in ("cl_ile", "supervised"):
        return BP4D
    if method in ("temporal_ranking", "triplet", "n_pair"):
        return VOXCELEB2
    return {"knowledge_driven": BP4D_PLUS, "emoco": AFFECTNET, "clp": VOXCELEB2_OF_8}.get(
        method, next((units for key, units in DATA.items() if key in name), VOXCELEB2_OF_8)
    )


def whole(name):
    """(pictures that pass an encoder in the training, steps, pictures of one validation, validations)."""
    method, config = resolved(name)
    kind = method_class(method)
    units = data_of(name)[config.epoch_of]
    trained = round((1 - config.validation_share) * units)
    bare = object.__new__(kind)  # nothing is built
    bare.__dict__["config"] = config
    stages = planned(config) if method == "cl_ile" else kind.stages(bare)
    steps = [stage_steps(stage, config, trained) for stage in stages]
    frames = kind.sampler(config).frames
    looked_at = frames + config.separate_frames if method == "clp" and config.terms != "tcl" else frames
    if method in ("simclr", "moco", "simsiam", "cvc", "knowledge_driven", "emoco"):
        looked_at = 2  # views
    every = config.validate_every or math.ceil(trained / config.batch_size)
    held = units - trained if config.validation_clips is None else min(units - trained, config.validation_clips)
    return (
        sum(steps) * config.batch_size * looked_at,
        sum(steps),
        held * looked_at,
        sum(step // every + (step % every > 0) for step in steps),
    )


@pytest.mark.parametrize("name", ["simclr/bp4d_plus", "moco/bp4d_plus", "moco/bp4d_plus_v2"])
def test_baselines_of_the_knowledge_driven_method_see_as_much_and_hold_out_the_same_people(name):
    like = "knowledge_driven/bp4d_plus"
    pictures, steps, *_ = whole(name)
    assert (pictures, steps) == whole(like)[:2]
    assert steps == pytest.approx(229_688, abs=1)
    own, theirs = resolved(name)[1], resolved(like)[1]
    for field in ("validation_share", "validation_by", "seed", "weights", "backbone", "size_px", "batch_size"):
        assert getattr(own, field) == getattr(theirs, field)


@pytest.mark.parametrize("name", ["simclr/voxceleb2", "moco/voxceleb2", "simsiam/voxceleb2", "cvc/voxceleb2"])
def test_baselines_of_clp_see_as_much_as_it(name):
    assert whole(name)[:2] == pytest.approx(whole("clp/voxceleb2")[:2], rel=1e-4)


def test_temporal_ranking_takes_as_many_steps_as_in_its_paper():
    for name in ("temporal_ranking/voxceleb2_k1", "triplet/voxceleb2", "n_pair/voxceleb2"):
        assert whole(name)[1] == pytest.approx(125_400)


@pytest.mark.parametrize("name", PAPERS)
def test_validation_costs_little(name):
    """A picture without gradient costs about a third of one with; a validation is made at most once an epoch."""
    _, config = resolved(name)
    if not config.validation_share:
        return
    pictures, steps, per_validation, validations = whole(name)
    assert config.validate_every is None
    assert per_validation * validations / 3 < 0.06 * pictures
    assert steps > validations


def hub_folders(name):
    """The names that a recipe's header gives for folders of weights."""
    text = (Path(duchenne.__file__).parent / "recipes" / f"{name}.yaml").read_text()
    return re.findall(r"[\w-]+/([\w.-]+)", " ".join(line for line in text.splitlines() if line.startswith("#")))


@pytest.mark.parametrize("name", PAPERS)
def test_starts_are_the_papers(name):
    method = name.split("/")[0]
    from_imagenet = method in ("temporal_ranking", "triplet", "n_pair", "cl_ile", "supervised", "knowledge_driven")
    config = resolved(name)[1]
    backbone = getattr(config, "backbone", "")  # the flow methods have their own
    if backbone.startswith("transformers:"):  # the folder brings ImageNet's weights
        assert (config.weights, backbone.removeprefix("transformers:") in hub_folders(name)) == ("none", True)
        return
    assert config.weights == ("imagenet" if from_imagenet or "bp4d_plus" in name else "none")


def test_augmentation_is_that_of_the_moco_which_the_papers_refer_to():
    assert config_class("emoco")().views == "moco_v1"
    for name in (name for name in PAPERS if name.split("/")[0] == "emoco"):
        assert resolved(name)[1].views == ("moco_v2" if name.endswith("_moco_v2") else "moco_v1")
    for name in (name for name in PAPERS if name.split("/")[0] == "moco"):
        config = resolved(name)[1]
        assert config.views == ("moco_v2" if name.endswith("_v2") else "moco_v1")
        if not name.startswith("moco/affectnet"):  # there it shares EmoCo's head and temperature
            assert (config.head, config.temperature) == (("mlp", 0.2) if name.endswith("_v2") else ("linear", 0.07))
    assert VIEWS["moco_v1"].blur_share == 0


def test_the_head_of_the_first_moco_is_linear():
    linear, deep = small_method("moco", head="linear"), small_method("moco", head="mlp")
    assert [tuple(p.shape) for p in linear.head.parameters()] == [(128, 512), (128,)]
    assert len(list(deep.head.parameters())) == 4


def test_recipes_of_cl_ile_that_quote_the_paper_use_its_optimiser():
    for name in (name for name in PAPERS if name.startswith("cl_ile/")):
        method, config = resolved(name)
        groups = method_class(method)(config).parameter_groups()
        assert config.literal_sgd
        assert all("optimiser" not in group for group in groups)


def test_batch_statistics_as_on_the_four_gpus_of_clp():
    assert all(resolved(name)[1].bn_splits == 4 for name in PAPERS if name.startswith("clp/"))
    assert resolved("moco/voxceleb2")[1].bn_splits == resolved("cvc/voxceleb2")[1].bn_splits == 4


def test_keys_that_differ_in_colour_alone():
    """With `key_view colour` a key is its frame, moved nowhere: grey pictures stay as they are but for brightness."""
    method = small_method("clp", key_view="colour", colour=0.4)
    ramp = torch.linspace(60, 120, 32).to(torch.uint8).expand(4, 6, 3, 32, 32).clone()
    numbers = torch.arange(4)
    batch = ClipBatch(ramp, torch.arange(24).view(4, 6), numbers, numbers)
    torch.manual_seed(0)
    keys = method.augment(batch).images[:, -2:].flatten(0, 1)
    assert torch.allclose(keys[..., :1, :].expand_as(keys), keys, atol=1e-5)  # a horizontal ramp stays one
    steps = keys[:, 0, 0].diff(dim=1)
    assert (steps >= -1e-6).all()  # not mirrored
    assert steps.gt(0).sum(1).min() > 20  # nor cropped: it still has all its steps
    whole = small_method("clp", key_view="full", rotation=10.0)
    torch.manual_seed(0)
    moved = whole.augment(batch).images[:, -2:].flatten(0, 1)
    assert not torch.allclose(moved[..., :1, :].expand_as(moved), moved, atol=1e-3)
    with pytest.raises(ValueError, match="key_view colour needs colour"):
        config_class("clp")(key_view="colour", colour=0.0)


@pytest.mark.slow
def test_contrastive_baselines_are_validated_by_their_loss(tmp_path):
    """The same people held out as the knowledge-driven method's: their pictures are never trained on."""
    moving_squares(tmp_path / "squares")
    fields = {"size_px": 32, "batch_size": 8, "max_steps": 2, "device": "cpu", "backbone": "resnet18", "quiet": True}
    held = {"validation_share": 0.4, "validation_by": "subject", "epoch_of": "frame"}
    for name in ("simclr", "moco"):
        method = small_method(name, bn_splits=1)
        method.eval()
        batch = ClipBatch(
            torch.randint(0, 256, (4, 1, 3, 32, 32), dtype=torch.uint8),
            torch.arange(4)[:, None],
            torch.arange(4),
            torch.arange(4),
        )
        with torch.no_grad():
            scores = [float(method.validation_score(batch)) for _ in range(2)]
        assert scores[0] == scores[1] < 0
        extra = {"memory": 16, "bn_splits": 1} if name == "moco" else {}
        out = tmp_path / name
        duchenne.pretrain(name, data=tmp_path / "squares", out=out, **fields, **held, **extra)
        assert (out / "encoder_best.safetensors").is_file()
    with pytest.raises(UsageError, match="has no validation score"):
        duchenne.pretrain("simsiam", data=tmp_path / "squares", out=tmp_path / "no", **fields, **held)
