"""What is measured of a training, loggers of other programs, the page of curves, and the warning of a collapse."""

from __future__ import annotations

import csv
import json
import math
import re
import struct
import sys
from pathlib import Path

import cv2
import pytest
import torch
from lightning_fabric.loggers import tensorboard
from tests.project.own_method import Brightness
from tests.training.made import moving_squares
from torch import nn

import duchenne
from duchenne.cli.main import main
from duchenne.data.prepared import Prepared
from duchenne.errors import InputError, UsageError
from duchenne.methods import registry
from duchenne.training.watching.curves import write_curves
from duchenne.training.watching.loggers import Mirror
from duchenne.training.watching.measures import Seen, gradient_norm, watched
from duchenne.training.watching.views import write_views

HOW = {"size_px": 32, "batch_size": 4, "log_every": 2, "quiet": True, "device": "cpu"}


class Flat(Brightness):
    """Gives every face the same embedding."""

    def __init__(self, config):
        super().__init__(config)
        nn.init.zeros_(self.encoder.embedding.weight)
        nn.init.ones_(self.encoder.embedding.bias)


@pytest.fixture(scope="module")
def squares(tmp_path_factory) -> Prepared:
    return moving_squares(tmp_path_factory.mktemp("data") / "squares", clips=6, frames=8)


@pytest.fixture(autouse=True)
def own_methods():
    before = dict(registry._OWN)
    yield
    registry._OWN.clear()
    registry._OWN.update(before)


def log_of(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def events(folder: Path) -> dict[int, dict[str, float]]:
    """Scalars of TensorBoard's event files: records of length, check sum, protocol buffer, check sum."""
    from tensorboardX.proto.event_pb2 import Event

    found: dict[int, dict[str, float]] = {}
    for path in folder.iterdir():
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event, data = Event.FromString(data[12 : 12 + length]), data[16 + length :]
            for value in event.summary.value:
                assert value.tag not in found.get(event.step, {}), "a value is there twice"
                found.setdefault(event.step, {})[value.tag] = value.simple_value
    return found


def of_wandb(folder: Path) -> dict[int, dict[str, float]]:
    """Numbers of the one run of Weights & Biases: a log as LevelDB writes it, whose records are protocol buffers."""
    from wandb.proto import wandb_internal_pb2

    (path,) = folder.glob("offline-run-*/*.wandb")
    data, place, parts, found = path.read_bytes(), 7, b"", {}
    while place < len(data):
        left = 32768 - place % 32768
        if left < 7:  # a record's head does not go over the end of a block
            place += left
            continue
        length, kind = struct.unpack("<HB", data[place + 4 : place + 7])
        parts, place = parts + data[place + 7 : place + 7 + length], place + 7 + length
        if kind in (1, 4):  # whole, or its last part
            record, parts = wandb_internal_pb2.Record.FromString(parts), b""
            if record.WhichOneof("record_type") == "history":
                items = {
                    ".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item
                }
                found[items["_step"]] = {key: value for key, value in items.items() if not key.startswith("_")}
    return found


def of_mlflow(folder: Path) -> dict[int, dict[str, float]]:
    """Numbers of the one run of MLflow, as its own client gives them."""
    from mlflow import MlflowClient

    client, found = MlflowClient(tracking_uri=folder.absolute().as_uri()), {}
    experiment = client.get_experiment_by_name("duchenne")
    (one,) = client.search_runs([experiment.experiment_id])
    assert one.data.params["max_steps"] == "8"
    assert one.info.status == "FINISHED"
    for key in one.data.metrics:
        for metric in client.get_metric_history(one.info.run_id, key):
            found.setdefault(metric.step, {})[key] = metric.value
    return found


def test_norm_of_a_gradient():
    module = nn.Linear(2, 1, bias=True)
    assert gradient_norm(module) == 0
    module.weight.grad, module.bias.grad = torch.tensor([[2.0, 3.0]]), torch.tensor([6.0])
    assert gradient_norm(module) == pytest.approx(7)  # 4 + 9 + 36 = 49
    module.bias.grad = None
    assert gradient_norm(module) == pytest.approx(math.sqrt(13))


def test_spread_is_that_of_directions():
    seen = Seen()
    assert seen.spread is None
    seen.rows["backbone"] = torch.tensor([[3.0, 0.0], [0.0, 0.5]])
    assert seen.spread == pytest.approx(math.sqrt(0.5))  # unit rows lie sqrt(1/2) from their mean (1/2, 1/2)
    seen.rows["encoder"] = torch.tensor([[1.0, 1.0], [5.0, 5.0]])
    assert seen.spread == pytest.approx(0, abs=1e-6)
    seen.rows["head"] = torch.tensor([[1.0, 0.0], [-2.0, 0.0]])
    assert seen.spread == pytest.approx(1)


def test_hooks_are_gone_afterwards():
    method = Brightness(Brightness.Config())
    with watched(method, wanted=True) as seen:
        method.encoder(torch.rand(2, 3, 32, 32))
    assert seen.rows["encoder"].shape == (2, 4)
    assert not method.encoder._forward_hooks
    with watched(method, wanted=False) as seen:
        method.encoder(torch.rand(2, 3, 32, 32))
    assert seen.rows == {}


@pytest.mark.slow
@pytest.mark.parametrize("logger", ["csv", "tensorboard", "wandb", "mlflow"])
def test_loggers_hold_what_the_log_holds_and_resuming_leaves_no_trace(logger, squares, tmp_path):
    if logger in ("wandb", "mlflow"):
        pytest.importorskip(logger)
    run = tmp_path / "run"
    how = {**HOW, "data": squares, "out": run, "logger": logger}
    duchenne.pretrain(Brightness, max_steps=4, **how)
    with (run / "log.jsonl").open("a") as log:
        log.write('{"step": 6, "loss": 99.0}\n')  # of a run that was killed after its checkpoint
    duchenne.pretrain(Brightness, max_steps=8, resume=True, **how)
    lines = log_of(run)
    assert [line["step"] for line in lines] == [2, 4, 6, 8]
    assert all(
        {"loss", "lr", "images_per_s", "waiting", "gradient_norm", "embedding_spread"} <= {*line} for line in lines
    )
    if logger == "csv":
        with (run / "csv" / "metrics.csv").open() as file:
            found = {
                int(row["step"]): {k: float(v) for k, v in row.items() if k != "step"} for row in csv.DictReader(file)
            }
    else:
        found = {"tensorboard": events, "wandb": of_wandb, "mlflow": of_mlflow}[logger](run / logger)
    assert found.keys() == {2, 4, 6, 8}
    for line in lines:
        assert found[line.pop("step")] == pytest.approx(line, rel=1e-6)


def test_a_logger_changes_nothing_of_the_training(squares, tmp_path):
    for name in ("csv", None):
        duchenne.pretrain(Brightness, max_steps=3, data=squares, out=tmp_path / str(name), logger=name, **HOW)
    first, second = (tmp_path / name / "encoder.safetensors" for name in ("csv", "None"))
    assert first.read_bytes() == second.read_bytes()
    assert not (tmp_path / "None" / "csv").exists()


def test_nobody_elses_files_are_removed(squares, tmp_path):
    run = tmp_path / "run"
    (run / "csv").mkdir(parents=True)
    (run / "csv" / "mine.csv").write_text("a")
    with pytest.raises(UsageError, match="in use by something else"):
        duchenne.pretrain(Brightness, max_steps=2, data=squares, out=run, logger="csv", **HOW)
    (run / "csv" / "mine.csv").rename(tmp_path / "mine.csv")
    (run / "csv" / "metrics.csv").write_text("of a run that was interrupted before its first checkpoint")
    (run / "curves.html").write_text("likewise")
    duchenne.pretrain(Brightness, max_steps=2, data=squares, out=run, logger="csv", **HOW)
    (tmp_path / "mine.csv").rename(run / "csv" / "mine.csv")
    duchenne.pretrain(Brightness, max_steps=4, data=squares, out=run, logger="csv", resume=True, **HOW)
    assert (run / "csv" / "mine.csv").read_text() == "a"
    assert not (run / "curves.html").exists()
    rows = list(csv.DictReader((run / "csv" / "metrics.csv").open()))
    assert [row["step"] for row in rows] == ["2", "4"]


def test_validations_and_stages_are_mirrored(tmp_path):
    mirror = Mirror("csv", tmp_path, [{"step": 1, "loss": 0.5, "stage": "first"}])
    mirror.write({"step": 2, "validation": 0.25})
    mirror.close()
    rows = list(csv.DictReader((tmp_path / "csv" / "metrics.csv").open()))
    assert [(row["step"], row["loss"], row["validation"]) for row in rows] == [("1", "0.5", ""), ("2", "", "0.25")]
    assert [row["stage"] for row in rows] == ["first", ""]


@pytest.mark.parametrize("logger", ["tensorboard", "wandb", "mlflow"])
def test_loggers_of_numbers_number_the_stages(logger, tmp_path):
    if logger != "tensorboard":
        pytest.importorskip(logger)
    before = [{"step": 1, "stage": "identity", "loss": 0.5}, {"step": 2, "stage": "general", "loss": 0.25}]
    mirror = Mirror(logger, tmp_path, before, {"max_steps": 8})  # of a run that is resumed
    mirror.write({"step": 3, "stage": "general", "validation": 0.75})
    mirror.close()
    found = {"tensorboard": events, "wandb": of_wandb, "mlflow": of_mlflow}[logger](tmp_path / logger)
    assert [found[step]["stage"] for step in (1, 2, 3)] == [1, 2, 2]
    assert found[3]["validation"] == 0.75


def test_a_logger_that_is_not_installed_or_cannot_write(squares, tmp_path, monkeypatch):
    monkeypatch.setattr(tensorboard, "_TENSORBOARD_AVAILABLE", False)
    monkeypatch.setattr(tensorboard, "_TENSORBOARDX_AVAILABLE", False)
    with pytest.raises(UsageError, match=r"logger tensorboard: .*pip install .duchenne\[tensorboard\]"):
        Mirror("tensorboard", tmp_path)
    (tmp_path / "csv").write_text("a file in the way")
    with pytest.raises(InputError, match="csv: cannot be written"):
        Mirror("csv", tmp_path)
    with pytest.raises(UsageError, match="logger neptune: there are tensorboard, csv, wandb, mlflow"):
        duchenne.pretrain(Brightness, max_steps=1, data=squares, out=tmp_path / "run", logger="neptune", **HOW)
    assert not (tmp_path / "run").exists()


def test_a_collapse_is_told_once(squares, tmp_path):
    said: list[str] = []
    done = duchenne.pretrain(Flat, max_steps=6, lr=1e-9, data=squares, out=tmp_path / "flat", tell=said.append, **HOW)
    assert [note for note in said if "collapsed" in note] == [note for note in done.notes if "collapsed" in note]
    (note,) = (note for note in said if "collapsed" in note)
    assert note.startswith("Step 2: the embedding has collapsed")
    assert all(line["embedding_spread"] < 1e-3 for line in log_of(tmp_path / "flat"))
    assert "The embedding collapsed" in write_curves(tmp_path / "flat").read_text()
    healthy = duchenne.pretrain(Brightness, max_steps=2, data=squares, out=tmp_path / "fine", **HOW)
    assert not any("collapsed" in note for note in healthy.notes)
    assert "The embedding collapsed" not in write_curves(tmp_path / "fine").read_text()


def test_curves_are_a_page(tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(InputError, match=r"run: holds no log\.jsonl"):
        write_curves(run)
    (run / "log.jsonl").write_text("nothing\n")
    with pytest.raises(InputError, match="no line that can be read"):
        write_curves(run)
    lines = [
        {"step": 10 * n, "stage": "one" if n < 3 else "two", "loss": 1 / n, "<odd>": n, "lr": 0.1} for n in range(1, 6)
    ]
    text = [*map(json.dumps, lines), '{"step": 50, "validation": 0.75}', "{broken"]
    (run / "log.jsonl").write_text("\n".join(text))
    assert main(["info", "--run", str(run)]) == 0
    assert capsys.readouterr().out.strip() == str(run / "curves.html")
    page = (run / "curves.html").read_text()
    titles = [part.split("<small")[0].strip() for part in page.split("<h2>")[1:]]
    assert titles == ["loss", "validation", "&lt;odd&gt;", "lr"]
    assert "last 0.2<" in page
    assert "last 0.75<" in page
    assert "1 line of the log cannot be read" in page
    assert page.count("<svg") == 4
    assert not re.findall(r"(?:src|href|url\()\W*https?:", page), "the page needs no network"
    assert main(["info", "--run", str(run), "--model", "pixels"]) == 2
    assert main(["info", "--run", str(tmp_path / "none")]) == 1


@pytest.mark.slow
def test_views_are_what_the_network_saw(squares, tmp_path):
    images = torch.zeros(7, 2, 3, 4, 4)
    images[1, 1, 0] = 2.0  # red, and brighter than there is
    images[2, 0] = 0.2
    write_views(images, tmp_path / "views.png")
    picture = cv2.imread(str(tmp_path / "views.png"))
    assert picture.shape == (6 * 4, 2 * 4, 3)
    assert (picture[4:8, 4:] == (0, 0, 255)).all()
    assert (picture[8:12, :4] == 51).all()
    assert (picture[12:] == 0).all()
    run = tmp_path / "run"
    duchenne.pretrain(Brightness, max_steps=2, data=squares, out=run, logger="csv", **HOW)
    assert cv2.imread(str(run / "views.png")).shape == (4 * 32, 32, 3)
    assert 'src="data:image/png;base64,' in write_curves(run).read_text()
    duchenne.pretrain(Brightness, max_steps=2, data=squares, out=tmp_path / "other", **HOW)
    assert not (tmp_path / "other" / "views.png").exists(), "pictures of people only where watching was asked for"


@pytest.mark.parametrize(("logger", "package"), [("wandb", r'"duchenne\[wandb\]"'), ("mlflow", "mlflow-skinny")])
def test_a_missing_service_is_named(logger, package, squares, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, logger, None)
    with pytest.raises(UsageError, match=f"logger {logger}: needs a package that is not here; pip install {package}"):
        duchenne.pretrain(Brightness, max_steps=2, data=squares, out=tmp_path / "run", logger=logger, **HOW)
