"""The smoke recipes run in seconds; the recipes of one comparison spend the same on it."""

import json
import math

import pytest
from tests.training.made import moving_squares

import duchenne
from duchenne.config import from_mapping
from duchenne.methods.registry import method_class
from duchenne.training.config import method_run_config
from duchenne.training.recipes import load_recipe, recipe_names

UNLABELLED = (
    "clp", "cvc", "fab_net", "moco", "n_pair", "simclr", "simsiam", "temporal_ranking", "triplet", "twin_cycle",
)  # fmt: skip
COMPARED = ("cvc", "moco", "simclr", "simsiam")


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "squares"
    moving_squares(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", UNLABELLED)
def test_smoke_recipes_run(name, squares, tmp_path):
    duchenne.pretrain(name, data=squares, out=tmp_path / "run", recipe=f"smoke/{name}", quiet=True)
    line = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1])
    assert line["step"] == 3
    assert math.isfinite(line["loss"])


def resolved(name):
    folder, own = name.split("/")
    method = own if folder == "cpu" else folder
    return method, from_mapping(method_run_config(method), load_recipe(name, method), where=name)


def pictures(method, config):
    """Pictures that go through an encoder in one step, those of momentum encoders included."""
    frames = method_class(method).sampler(config).frames
    if method == "twin_cycle":  # both frames, and the three pictures that are made of them
        return 5 * config.batch_size
    return config.batch_size * (frames + config.separate_frames if method == "clp" else max(frames, 2))


@pytest.mark.parametrize("name", COMPARED)
def test_methods_that_are_compared_see_as_many_pictures_on_the_same_network(name):
    (clp, whole), (_, other) = resolved("clp/voxceleb2"), resolved(f"{name}/voxceleb2")
    assert pictures(name, other) == pictures(clp, whole) == 832
    assert other.epochs / other.batch_size == whole.epochs / whole.batch_size  # steps, on the same clips
    assert (other.backbone, other.size_px) == (whole.backbone, whole.size_px)


@pytest.mark.parametrize(
    ("name", "like"),
    [
        ("moco/affectnet", "emoco/affectnet"),
        ("moco/bp4d_plus", "knowledge_driven/bp4d_plus"),
        ("simclr/bp4d_plus", "knowledge_driven/bp4d_plus"),
    ],
)
def test_methods_that_others_retrained_start_and_step_like_theirs(name, like):
    (method, own), (other, theirs) = resolved(name), resolved(like)
    assert pictures(method, own) == pictures(other, theirs)
    for field in ("backbone", "weights", "size_px"):
        assert getattr(own, field) == getattr(theirs, field)
    if like == "emoco/affectnet":  # an epoch is every picture for both
        assert (own.epochs, own.lr, own.schedule) == (theirs.epochs, theirs.lr, theirs.schedule)


@pytest.mark.parametrize("name", [*COMPARED, "clp", "fab_net", "twin_cycle"])
def test_cpu_recipes_see_as_many_pictures_as_temporal_ranking(name):
    method, config = resolved(f"cpu/{name}")
    whole = resolved("cpu/temporal_ranking")[1]
    expected = whole.max_steps * whole.batch_size * (whole.triplets + 2)
    assert pictures(method, config) * config.max_steps == pytest.approx(expected, rel=0.01)


def test_every_row_of_the_ablation_and_of_the_length_study_is_a_recipe():
    found = {tuple(sorted(load_recipe(name, "clp").items())) for name in recipe_names() if name.startswith("clp/abl")}
    assert len(found) == 9  # Table IV has nine rows
    lengths = [resolved(name)[1].length for name in recipe_names() if name.startswith("clp/length")]
    assert sorted(lengths) == [7, 9, 11, 13, 15]
