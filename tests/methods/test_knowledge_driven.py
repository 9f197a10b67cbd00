"""The knowledge-driven method: predictors, views and boxes, what it needs of the data, the other areas of a user."""

import json
import shutil
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tests.augment.made import face
from tests.methods.made import random_batch, small_method

import duchenne
from duchenne.config import from_mapping
from duchenne.errors import InputError, UsageError
from duchenne.methods.knowledge_driven.config import KnowledgeDrivenConfig
from duchenne.methods.knowledge_driven.method import KnowledgeDriven
from duchenne.methods.knowledge_driven.predictors import Predictors
from duchenne.training.recipes import load_recipe, recipe_names

NAME = "knowledge_driven"


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    out = tmp_path_factory.mktemp("areas") / "faces"
    duchenne.synth(out, subjects=4, clips=2, frames=6, size_px=32, quiet=True)
    return out


def without_landmarks(faces, out, rows):
    """A copy of prepared data of which some rows have no landmarks."""
    shutil.copytree(faces, out)
    table = pq.read_table(out / "frames.parquet").to_pandas()
    table["landmarks"] = [None if place in rows else value for place, value in enumerate(table["landmarks"])]
    schema = pq.read_schema(out / "frames.parquet")
    pq.write_table(pa.Table.from_pandas(table, schema=schema, preserve_index=False), out / "frames.parquet")
    return out


def test_widths_are_those_of_the_paper():
    method = KnowledgeDriven(KnowledgeDrivenConfig())
    assert method.projector[0].in_features == 4096
    assert method.projector[2].out_features == 128
    assert len(method.predictors.sources) == 26
    assert (method.predictors.mean > 0).sum(1).tolist() == [2, 4, 4, 4, 4, 4, 3, 1]
    assert method.predictors.weight_in.shape == (26, 128, 1024)
    assert not any("layer4" in key for key in method.state_dict())


def test_predictors_are_separate_networks_averaged_per_area():
    torch.manual_seed(0)
    edges = [(0, 1), (2, 1), (1, 0), (0, 2)]
    predictors = Predictors(edges, 4, 6)
    x = torch.randn(5, 3, 4)
    expected = torch.zeros(5, 3, 4)
    for number, (source, target) in enumerate(edges):
        hidden = torch.relu(x[:, source] @ predictors.weight_in[number] + predictors.bias_in[number])
        into = sum(other == target for _, other in edges)
        expected[:, target] += (hidden @ predictors.weight_out[number] + predictors.bias_out[number]) / into
    assert torch.allclose(predictors(x), expected, atol=1e-6)
    assert predictors.weight_in.abs().max() <= 0.5
    assert predictors.weight_out.abs().max() <= 6**-0.5


def test_views_differ_in_colour_alone():
    method = small_method(NAME)
    batch = random_batch(method, 3)
    views = method.augment(batch)
    assert views.images.shape == (3, 2, 3, 32, 32)
    assert views.labels["boxes"].shape == (3, 2, 8, 4)
    assert torch.equal(views.labels["boxes"][:, 0], views.labels["boxes"][:, 1])
    assert not torch.allclose(views.images[:, 0], views.images[:, 1])
    plain = small_method(NAME, colour=0.0, hue=0.0).augment(batch)
    assert torch.allclose(plain.images, (batch.images / 255).expand(-1, 2, -1, -1, -1), atol=1e-5)
    sides = views.labels["boxes"][..., 2:] - views.labels["boxes"][..., :2]
    assert sides.min() >= 4.0 - 1e-4


def test_boxes_follow_geometric_views():
    """A gradient in x and y painted on the picture says where each point came from."""
    method = small_method(NAME, colour=0.0, hue=0.0, crop_min=0.7, flip=True, smallest_area_px=1e-3)
    batch = random_batch(method, 6)
    ramp = torch.arange(32, dtype=torch.uint8) * 8
    batch.images[:] = torch.stack([ramp.expand(32, 32), ramp[:, None].expand(32, 32), torch.zeros(32, 32).byte()])
    batch.labels["landmarks"][:] = 12 + 8 * torch.rand(6, 1, 68, 2, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(3)
    views = method.augment(batch)
    plain = small_method(NAME, colour=0.0, hue=0.0, smallest_area_px=1e-3).augment(batch).labels["boxes"]
    seen_mirrored = set()
    for image in range(6):
        for view in range(2):
            picture = views.images[image, view]
            mirrored = bool(picture[0, 16, 8] > picture[0, 16, 24])
            seen_mirrored.add(mirrored)
            order = list(method.symmetric) if mirrored else list(range(8))
            for area in (1, 4, 6):
                box = views.labels["boxes"][image, view, area]
                x, y = ((box[:2] + box[2:]) / 2).tolist()
                source = plain[image, view, order[area]]
                wanted = (source[:2] + source[2:]) / 2
                column, row = min(int(x), 31), min(int(y), 31)
                found = picture[:2, row, column] * 255 / 8 + 0.5
                assert found.tolist() == pytest.approx(wanted.tolist(), abs=1.5)
    assert seen_mirrored == {False, True}


def test_stop_gradient_is_an_option():
    torch.manual_seed(0)
    for stop, expected in ((False, True), (True, False)):
        method = small_method(NAME, predict_stop_grad=stop, contrast_weight=0.0)
        batch = method.augment(random_batch(method, 2))
        for parameter in method.predictors.parameters():
            torch.nn.init.zeros_(parameter)
        torch.nn.init.ones_(method.predictors.bias_out)
        method.training_step(batch).loss.backward()
        assert bool(method.projector[0].weight.grad.abs().max() > 0) is expected


def test_validation_is_the_loss_with_fixed_colours():
    method = small_method(NAME).eval()
    batch = random_batch(method, 4)
    torch.manual_seed(1)
    first = method.validation_score(batch)
    drawn = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(1))  # the generator is left as it was
    assert torch.equal(first, method.validation_score(batch))
    assert float(first.detach()) < 0


def test_a_run_holds_people_out(faces, tmp_path):
    out = tmp_path / "run"
    result = duchenne.pretrain(
        NAME, data=faces, out=out, recipe="smoke/knowledge_driven", validation_share=0.34, quiet=True
    )
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert result.steps == 3
    scores = [line["validation"] for line in lines if "validation" in line]
    assert scores
    assert max(scores) < 0
    assert (out / "encoder_best.safetensors").exists()
    assert json.loads((out / "encoder.json").read_text())["spec"]["last_stage"] == "layer3"


def test_frames_without_landmarks_are_left_out_and_counted(faces, tmp_path):
    data = without_landmarks(faces, tmp_path / "faces", set(range(0, 36, 3)))
    result = duchenne.pretrain(NAME, data=data, out=tmp_path / "run", recipe="smoke/knowledge_driven", quiet=True)
    assert any(note.startswith("12 of 36 frames lack landmarks") for note in result.notes)


def test_data_without_landmarks_is_an_error_before_the_first_step(faces, tmp_path):
    data = without_landmarks(faces, tmp_path / "faces", set(range(48)))
    with pytest.raises(InputError, match=r"knowledge_driven finds the areas .* column `landmarks`"):
        duchenne.pretrain(NAME, data=data, out=tmp_path / "run", recipe="smoke/knowledge_driven", quiet=True)
    assert not (tmp_path / "run").exists()
    table = pq.read_table(data / "frames.parquet")
    pq.write_table(table.drop_columns("landmarks"), data / "frames.parquet")
    with pytest.raises(InputError, match=r"knowledge_driven finds the areas .* column `landmarks`"):
        duchenne.pretrain(NAME, data=data, out=tmp_path / "run", recipe="smoke/knowledge_driven", quiet=True)


def test_areas_outside_the_crop_are_cut_kept_inside_and_counted():
    """Faces moved up until forehead and eyes lie outside: their boxes are small ones at the border."""
    method = small_method(NAME)
    batch = random_batch(method, 3)
    batch.labels["landmarks"][:] = face(size=32)
    assert float(method.training_step(method.augment(batch)).logs["cut"]) == 0
    batch.labels["landmarks"][..., 1] -= 20
    views = method.augment(batch)
    boxes, seen = views.labels["boxes"], views.labels["seen"]
    smallest = method.config.smallest_area_px
    assert (boxes >= -1e-4).all()
    assert (boxes <= 32 + 1e-4).all()
    assert (seen[..., 0] == 0).all()
    assert torch.allclose(boxes[..., 0, [1, 3]], torch.tensor([0.0, smallest]), atol=1e-4)
    output = method.training_step(views)
    assert torch.isfinite(output.loss)
    cut = float((seen < 0.5).float().mean())
    assert cut >= 1 / 8
    assert float(output.logs["cut"]) == pytest.approx(cut)


def test_areas_of_a_user():
    method = small_method(
        NAME,
        area_boxes=("17; min 17-26 -0.9; 26; min 17-26", "48 -0.2; 33; 54 +0.2; 57 +0.15", "48; 57; 54; 8"),
        symmetric_areas=(),
        related_areas=("1-2", "2-3"),
    )
    views = method.augment(random_batch(method, 2))
    assert views.labels["boxes"].shape == (2, 2, 3, 4)
    assert torch.isfinite(method.training_step(views).loss)


def test_recipes_of_the_sweeps_change_one_weight():
    fields = {"lambda": "intra_weight", "alpha": "contrast_weight"}
    swept = {name: set() for name in fields}
    for name in (name for name in recipe_names() if name.startswith(f"{NAME}/")):
        values = load_recipe(name, NAME)
        del values["weights"]
        config = from_mapping(KnowledgeDrivenConfig, values, where=name)
        which, _, value = name.removeprefix(f"{NAME}/").partition("_")
        if which in fields:
            assert config == replace(KnowledgeDrivenConfig(), **{fields[which]: float(value)}), name
            swept[which].add(float(value))
        else:
            assert config == KnowledgeDrivenConfig()
    assert swept == {"lambda": {0, 0.001, 0.01, 0.1, 1}, "alpha": {0, 0.001, 0.01, 0.1, 1}}


@pytest.mark.parametrize("fields, why", [
    ({"related_areas": ["1-2"]}, "area 3 is related to none"),
    ({"symmetric_areas": ["2-3", "3-4"]}, "more than one counterpart"),
    ({"area_boxes": ["1; 2; 3"]}, "3 edges"),
    ({"temperature": 0.0}, "temperature must be above 0"),
    ({"hue": 0.6}, "hue must be at least 0 and at most 0.5"),
    ({"smallest_area_px": 0.0}, "smallest_area_px"),
    ({"predictor_hidden": 0}, "at least 1"),
])  # fmt: skip
def test_wrong_settings(fields, why):
    with pytest.raises(UsageError, match=why):
        from_mapping(KnowledgeDrivenConfig, fields, where="recipe")
