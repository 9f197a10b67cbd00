"""The protocols on areas of the face: who sees what, for any encoder, and what they refuse."""

import base64
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from matplotlib.patches import Rectangle
from tests.augment.made import face

import duchenne
from duchenne.data.prepared import Prepared
from duchenne.errors import InputError, UsageError
from duchenne.evaluation.protocols import areas
from duchenne.evaluation.protocols.areas import AreaClassifiers, count_fitted, item_groups, load_areas, read_areas
from duchenne.evaluation.report.area_figure import area_figure, boxes_of, typical_face
from duchenne.faces.areas import AreaTable
from duchenne.facs import AREA_EDGES, AU_SETS, au_column
from duchenne.modules.encoder import Encoder, EncoderSpec

BUILDERS = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.convolution = torch.nn.Conv2d(3, 4, 4, stride=4)
    def feature_map(self, x, stage):
        assert stage == "layer3"
        return self.convolution(x).relu()
    def forward(self, x):
        return self.feature_map(x, "layer3").mean((2, 3))

def build():
    return Net()

class Deep(Net):
    def feature_map(self, x, stage):
        raise ValueError(f"no stage {stage}")

class Tokens(Net):
    def feature_map(self, x, stage):
        return self.convolution(x).flatten(2).mT

class Picky(Net):
    def forward(self, x):
        raise AssertionError("not such a picture")

def without():
    return torch.nn.Sequential(torch.nn.AvgPool2d(16), torch.nn.Flatten())
"""


@pytest.fixture(scope="module")
def located(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawn faces with landmarks where their features are."""
    out = tmp_path_factory.mktemp("located") / "faces"
    shutil.copytree(faces, out)
    schema = pq.read_schema(out / "frames.parquet")
    table = pq.read_table(out / "frames.parquet").to_pandas()
    points = face(size=48)[0].reshape(-1).numpy()
    table["landmarks"] = [points] * len(table)
    pq.write_table(pa.Table.from_pandas(table, schema=schema, preserve_index=False), out / "frames.parquet")
    return out


@pytest.fixture
def builders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "area_builders.py").write_text(BUILDERS)
    monkeypatch.chdir(tmp_path)


def evaluate(located, out, protocol="areas", model="area_builders:build", **fields):
    fields = {"folds": 2, "baselines": False, "sample_faces": 0, "quiet": True, "device": "cpu", **fields}
    return duchenne.evaluate(protocol, model=model, data=located, out=out, **fields)


@pytest.mark.parametrize("name, sizes", [("bp4d", [3, 2, 2, 3, 2]), ("disfa", [3, 1, 2, 2])])
def test_groups_are_those_of_table_2(name, sizes):
    items = [au_column(au) for au in AU_SETS[name]]
    groups = item_groups(AreaTable(), items)
    assert [len(own) for _, own in groups] == sizes  # DISFA has none of the group {7}
    assert sorted(place for _, own in groups for place in own) == list(range(len(items)))
    assert groups[0][0] == (0, 1, 2, 3)
    assert [items[place] for place in groups[0][1]] == ["AU01", "AU02", "AU04"]


def test_classifiers_see_the_areas_of_their_group_alone():
    items = ["AU25", "AU01", "AU12"]
    classifiers = AreaClassifiers(item_groups(AreaTable(), items), 5).eval()
    x = torch.randn(3, 8, 5, requires_grad=True)
    for place, own in enumerate(({6, 7}, {0, 1, 2, 3}, {3, 4, 5, 6})):
        gradient = torch.autograd.grad(classifiers(x)[:, place].sum(), x)[0]
        assert set(gradient.abs().sum((0, 2)).nonzero()[:, 0].tolist()) == own
    widths = [[layer.out_features for layer in head[1] if hasattr(layer, "out_features")] for head in classifiers.heads]
    assert widths == [[1024, 128, 1]] * 3


def test_areas_that_do_not_fit_are_counted():
    whole, over, narrow, out = [10, 10, 60, 60], [-20, 10, 60, 60], [10, 10, 20, 60], [230, 10, 260, 60]
    edge = [0, 0, 224.01, 224]  # a rounded landmark
    sliver = [-40, 10, 8, 60]  # cut, and then too narrow
    boxes = torch.tensor([[whole, over, narrow], [out, edge, sliver]], dtype=torch.float32)
    assert count_fitted(boxes, 224) == {"read": 6, "cut": 3, "outside": 1, "widened": 3}


def test_width_of_the_paper():
    encoder = Encoder(EncoderSpec(backbone="resnet50")).eval()
    with torch.no_grad():
        read = read_areas(encoder, torch.rand(1, 3, 64, 64), torch.tensor([[[0.0, 0.0, 32.0, 32.0]] * 8]))
    assert read.shape == (1, 8, 4096)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["areas", "areas+finetune"])
def test_encoders_trained_on_crops_see_the_centre_here_too(located, tmp_path, monkeypatch, protocol):
    """Half of a face of 48 px: pixels 12 to 36, shown at twice the size; boxes move along and are cut to it."""
    (tmp_path / "centre_builders.py").write_text(
        "from duchenne.modules.encoder import Encoder, EncoderSpec\n"
        "def build():\n    return Encoder(EncoderSpec(backbone='strided4', view=0.5))\n"
    )
    monkeypatch.chdir(tmp_path)
    shown, boxes, original = [], [], areas.read_areas
    monkeypatch.setattr(areas, "read_areas", lambda *inputs: boxes.append(inputs[2]) or original(*inputs))
    whole = Encoder.feature_map
    monkeypatch.setattr(Encoder, "feature_map", lambda self, x, stage: shown.append(x) or whole(self, x, stage))
    evaluate(located, tmp_path / "out", protocol, "centre_builders:build")
    data = Prepared([located])
    example = next(n for n, x in enumerate(shown) if x.any())  # not the blank one that tells the width
    picture = torch.from_numpy(data.images(np.arange(len(data.frames)), 48)).permute(0, 3, 1, 2) / 255
    centres = torch.nn.functional.interpolate(picture[..., 12:36, 12:36], (48, 48), mode="bilinear")
    assert (centres - shown[example][0].cpu()).abs().amax((1, 2, 3)).min() < 1e-6
    expected = (torch.from_numpy(boxes_of(data, 0, AreaTable(), 48)) - 12) * 2
    inside = ((expected >= 0) & (expected <= 48)).all(1) & ((expected[:, 2:] - expected[:, :2]).amin(1) > 48 * 16 / 224)
    assert inside.any()
    torch.testing.assert_close(boxes[example][0].double()[inside], expected[inside], atol=1e-3, rtol=0)
    assert (boxes[example] >= 0).all()
    assert (boxes[example] <= 48).all()


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["areas", "areas+finetune"])
def test_any_encoder_with_a_feature_map(located, builders, tmp_path, protocol):
    table = evaluate(located, tmp_path / "out", protocol)
    assert len(table) == 3 * 2
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    facts = summary["models"]["area_builders:build"]
    assert facts["features"] == 8 * 16
    assert ("encoder_learning_rate" in facts["training"]) == (protocol == "areas+finetune")
    assert facts["areas"]["read"] == 8 * summary["protocol"]["frames"]
    assert not (tmp_path / "out" / "unfinished").exists()
    page = (tmp_path / "out" / "report.html").read_text()
    assert f"; of {facts['areas']['read']:,} areas {facts['areas']['cut']:,} cut at the border" in page
    assert "<image" not in page.split("Areas of the face</h2>")[1].split("</section>")[0]  # sample_faces=0
    found = re.search(r'download="areas.csv" href="data:text/csv;base64,([^"]+)"', page)
    boxes = pd.read_csv(io.BytesIO(base64.b64decode(found[1])))
    expected = boxes_of(Prepared([located]), int(boxes["row"][0]), AreaTable(), 48)
    np.testing.assert_allclose(boxes[["left", "top", "right", "bottom"]], expected, atol=0.01)
    again = evaluate(located, tmp_path / "again", protocol)
    pd.testing.assert_frame_equal(table, again)


def test_what_an_area_shows_is_learned(located, builders, tmp_path):
    """Open lips are seen by the group of mouth and chin; a table that shows it the forehead alone does not."""
    found = evaluate(located, tmp_path / "out").groupby("item")["auc"].mean()
    (tmp_path / "areas.yaml").write_text('area_groups: ["1: 1 12 25"]\n')
    blind = evaluate(located, tmp_path / "blind", areas=tmp_path / "areas.yaml").groupby("item")["auc"].mean()
    assert found["AU25"] > 0.7
    assert found["AU25"] > blind["AU25"] + 0.1


def test_areas_are_read_once_for_all_shares_of_the_labels(located, builders, tmp_path, monkeypatch):
    read, original = [], areas.read_areas

    def reading(encoder, pictures, boxes):
        read.append(len(pictures) if pictures.any() else 0)  # a black one is a trial of the network
        return original(encoder, pictures, boxes)

    monkeypatch.setattr(areas, "read_areas", reading)
    evaluate(located, tmp_path / "out", label_share=[0.5])
    assert sum(read) == 168
    assert (tmp_path / "out" / "label_efficiency.csv").exists()


def test_weightings_are_two_tables(located, builders, tmp_path):
    balanced = evaluate(located, tmp_path / "balanced")
    plain = evaluate(located, tmp_path / "plain", weighting="none")
    assert balanced["recall"].mean() > plain["recall"].mean()


def test_models_that_are_no_pictures_show_all_their_values(located, tmp_path):
    table = evaluate(located, tmp_path / "out", model=["landmarks", "pixels"])
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert {name: facts["features"] for name, facts in summary["models"].items()} == {"landmarks": 136, "pixels": 1024}
    assert np.isfinite(table["auc"]).all()


@pytest.mark.parametrize("fields, why", [
    ({"model": "area_builders:without"}, "has no feature_map"),
    ({"model": "area_builders:Deep"}, r"gives no maps of stage layer3 at 48 px \(ValueError: no stage layer3\); use"),
    ({"model": "area_builders:Tokens"}, "gives no maps of stage layer3 at 48 px"),
    ({"model": "area_builders:Picky", "protocol": "linear"}, "cannot look at pictures of 48 px .*not such a picture"),
    ({"model": "area_builders:build+pixels"}, "are several"),
    ({"target": "emotion"}, "areas judge action units"),
    ({"l2": 0.1}, "l2: is for `evaluate linear`, `evaluate semi`"),
    ({"protocol": "linear", "areas": "areas.yaml"}, "areas: is for `evaluate areas`, `evaluate areas.finetune`, not"),
])  # fmt: skip
def test_refusals(located, builders, tmp_path, fields, why):
    with pytest.raises(UsageError, match=why):
        evaluate(located, tmp_path / "out", **fields)


def test_faces_without_landmarks_are_named(located, builders, tmp_path):
    data = tmp_path / "faces"
    shutil.copytree(located, data)
    schema = pq.read_schema(data / "frames.parquet")
    table = pq.read_table(data / "frames.parquet").to_pandas()
    table.loc[[3, 7], "landmarks"] = None
    pq.write_table(pa.Table.from_pandas(table, schema=schema, preserve_index=False), data / "frames.parquet")
    with pytest.raises(InputError, match="2 of 168 labelled faces have no landmarks"):
        evaluate(data, tmp_path / "out")


@pytest.mark.parametrize("text, why", [
    ('area_groups: ["1: 1 12"]', "no group of areas judges AU25"), ('area_groups: ["9: 1 12 25"]', "is not a group"),
    ('area_groups: ["1: 1", "2: 1"]', "more than one group"), ("groups: []", "unknown key `groups`"),
])  # fmt: skip
def test_wrong_areas(located, builders, tmp_path, text, why):
    (tmp_path / "areas.yaml").write_text(text + "\n")
    with pytest.raises(UsageError, match=why):
        evaluate(located, tmp_path / "out", areas=tmp_path / "areas.yaml")


def test_the_picture_of_areas_has_every_box_and_arrow(located):
    data = Prepared([located])
    row = typical_face(data, np.arange(len(data)))
    face, graph = area_figure(data, row).axes
    points = data.landmarks()[row] * 256 / 48
    unit = np.linalg.norm(points[[36, 39]].mean(0) - points[[42, 45]].mean(0))
    rectangles = [patch for patch in face.patches if isinstance(patch, Rectangle)]
    assert len(rectangles) == 8
    assert rectangles[7].get_x() == pytest.approx(points[48, 0], abs=1e-3)  # the chin: 48; 57; 54; 8
    assert rectangles[7].get_height() == pytest.approx(points[8, 1] - points[57, 1], abs=1e-3)
    assert rectangles[6].get_width() == pytest.approx(points[54, 0] - points[48, 0] + 0.4 * unit, rel=1e-4)
    assert len(graph.patches) == len(AREA_EDGES) == 26
    shown = [text.get_text() for text in graph.texts]
    assert all(str(area) in shown for area in range(1, 9))
    assert shown.count("10 12") == 2
    assert "15 17 25 26" in shown
    own = AreaTable(area_boxes=("48; 33; 54; 8", "17; 19; 26; 29"), area_groups=("1: 12 25", "2: 1"))
    face, listed = area_figure(data, row, own, picture=False).axes
    assert (len(face.patches), len(face.images)) == (2, 0)
    assert listed.texts[0].get_text() == "1:  AU 12 25\n2:  AU 1"


def test_the_typical_face_is_the_median_one(faces):
    data = Prepared([faces])
    points = data.landmarks()
    rows = np.arange(20)
    apart = [np.abs(points[row] - np.median(points[:20], axis=0)).sum() for row in rows]
    assert typical_face(data, rows) == int(np.argmin(apart))


def test_default_areas():
    assert load_areas(None) == AreaTable()
