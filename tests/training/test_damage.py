"""A damaged run is refused in one sentence and never resumes, or embeds, as something else."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import duchenne
from duchenne.config import from_mapping, ranges_of
from duchenne.errors import DuchenneError, InputError, UsageError
from duchenne.methods.registry import METHODS
from duchenne.modules.encoder import Encoder, EncoderSpec
from duchenne.training.checkpoints import load_checkpoint, save_checkpoint
from duchenne.training.config import TrainingConfig, method_run_config
from duchenne.training.runs import EncoderRecord, load_encoder, save_encoder
from duchenne.training.weights import read_state

FAST: dict[str, Any] = {
    "backbone": "compact", "size_px": 64, "batch_size": 4, "max_steps": 4, "lr": 0.01, "log_every": 1, "save_every": 2,
    "validation_share": 0.0, "quiet": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    duchenne.pretrain("temporal_ranking", data=squares, out=out, **FAST)
    return out


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Iterator[Path]:
    yield Path(shutil.copytree(whole, tmp_path / "run"))
    shutil.rmtree(tmp_path / "run")  # pytest would keep hundreds of megabytes of each test


def resume(run: Path, squares: Path, **changes: Any) -> Any:
    return duchenne.pretrain("temporal_ranking", data=squares, out=run, resume=True, **{**FAST, **changes})


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_a_flipped_bit_in_weights_is_noticed(run: Path, squares: Path) -> None:
    flip(run / "encoder.safetensors", -400)
    with pytest.raises(InputError, match=r"encoder\.safetensors: is not the file that encoder\.json belongs to"):
        load_encoder(run)
    flip(run / "checkpoint.pt", 100_000)
    with pytest.raises(InputError, match=r"checkpoint\.pt: is not the file that checkpoint\.json belongs to"):
        resume(run, squares)


@pytest.mark.parametrize(("key", "value"), [("size_px", 96), ("trained_on", []), ("steps", 5)])
def test_a_changed_record_is_noticed(run: Path, key: str, value: object) -> None:
    """Who was seen in training keeps scores honest; it does not change by itself."""
    record = json.loads((run / "encoder.json").read_text())
    (run / "encoder.json").write_text(json.dumps({**record, key: value}))
    with pytest.raises(InputError, match=r"encoder\.json: was changed since the training"):
        load_encoder(run)


def test_encoders_of_earlier_versions_have_no_checksum(run: Path) -> None:
    record = json.loads((run / "encoder.json").read_text())
    del record["weights_sha256"]
    (run / "encoder.json").write_text(json.dumps(record))
    save_file(load_file(run / "encoder.safetensors"), run / "encoder.safetensors")
    assert load_encoder(run).record.weights_sha256 == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trained_on": None}, "`trained_on` must be a list"),
        ({"trained_on": [3]}, "`trained_on` must be a mapping"),
        ({"spec": False}, "`spec` must be a mapping"),
        ({"spec": {"embedding_dim": 10_000_000}}, "embedding_dim must be at least 1 and at most 65536"),
        ({"spec": {"embedding_dim": 60_000}}, "does not fit its encoder.json"),
        ({"spec": {"token_layers": 1_000_000}}, "token_layers must be at least 0 and at most 64"),
        ({"spec": {"token_layers": 60, "token_hidden": 60_000}}, "token_layers is 60, the file has 0"),
        ({"size_px": 4096}, "size_px must be at least 1 and at most 1024"),
        ({"size_px": 0}, "size_px must be at least 1"),
        ({"size_px": -1}, "size_px must be at least 1"),
        ({"size_px": "large"}, "`size_px` must be a whole number"),
        ({"steps": -5}, "steps must be at least 0"),
        ({"validation": 1e300}, "validation must be at least"),
        ({"format_version": 2}, "is not an encoder record of format version 1"),
    ],
)
def test_impossible_records_are_refused(run: Path, change: dict[str, Any], message: str) -> None:
    record = json.loads((run / "encoder.json").read_text())
    if isinstance(change.get("spec"), dict):
        change = {"spec": {**record["spec"], **change["spec"]}}
    (run / "encoder.json").write_text(json.dumps({**record, **change}))
    save_file(load_file(run / "encoder.safetensors"), run / "encoder.safetensors")  # without the record's checksum
    record = json.loads((run / "encoder.json").read_text()) | {"weights_sha256": ""}
    (run / "encoder.json").write_text(json.dumps(record))
    with pytest.raises(InputError) as caught:
        load_encoder(run)
    assert message in str(caught.value)


@pytest.mark.parametrize("content", ["[" * 100_000, '{"steps": ' + "9" * 5000 + "}", "", "null", "{", "\0"])
def test_a_record_that_is_no_json_is_one_sentence(run: Path, content: str) -> None:
    (run / "encoder.json").write_text(content)
    with pytest.raises(InputError, match=r"encoder\.json: is"):
        load_encoder(run)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_neither_saved_nor_loaded(run: Path, squares: Path, value: float) -> None:
    """BatchNorm's statistics and the optimiser's memory, too: no loss shows them."""
    encoder = Encoder(EncoderSpec(backbone="compact"))
    encoder.backbone.layer1[1].running_mean[3] = value  # type: ignore[union-attr, index]
    record = EncoderRecord(
        method="moco", spec=encoder.spec, size_px=32, alignment="", weights="none", steps=1, duchenne="0"
    )
    with pytest.raises(DuchenneError, match=r"backbone\.layer1\.1\.running_mean holds NaN or infinite"):
        save_encoder(run, encoder, record, name="other")
    assert not list(run.glob("*other*"))
    tensors = load_file(run / "encoder.safetensors")
    tensors["backbone.layer1.1.running_var"][0] = value
    save_file(tensors, run / "encoder.safetensors")
    record_values = json.loads((run / "encoder.json").read_text()) | {"weights_sha256": ""}
    (run / "encoder.json").write_text(json.dumps(record_values))
    with pytest.raises(InputError, match=r"backbone\.layer1\.1\.running_var holds NaN or infinite"):
        load_encoder(run)
    state = load_checkpoint(run / "checkpoint.pt")
    state["optimisers"][0]["state"][0]["momentum_buffer"][0] = value
    with pytest.raises(DuchenneError, match="momentum_buffer holds NaN or infinite"):
        save_checkpoint(run / "checkpoint.pt", state)
    torch.save(state, run / "checkpoint.pt")
    (run / "checkpoint.json").unlink()
    with pytest.raises(InputError, match="momentum_buffer holds NaN or infinite"):
        resume(run, squares)


def put(*path: object, value: object) -> Callable[[dict[str, Any]], None]:
    def change(state: dict[str, Any]) -> None:
        inner: Any = state
        for key in path[:-1]:
            inner = inner[key]
        if value is None:
            del inner[path[-1]]
        else:
            inner[path[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        put("step", value=-5),
        put("step", value=10**9),
        put("step", value=float("inf")),
        put("step", value=True),
        put("stage", value=-1),
        put("stage", value=1),
        put("ends", value=[]),
        put("threads", value=1_000_000),
        put("threads", value=0),
        put("plateau", value={"best": "high"}),
        put("plateau", "factor", value=7.0),
        put("method", "encoder.embedding.weight", value=torch.zeros(3, 3)),
        put("method", "encoder.embedding.weight", value=None),
        put("optimisers", value=[]),
        put("optimisers", 0, "state", 0, "momentum_buffer", value=torch.zeros(3)),
        put("optimisers", 0, "state", 99_999, value={}),
        put("optimisers", 0, "param_groups", 0, "momentum", value=None),
        put("optimisers", 0, "param_groups", 0, "weight_decay", value=7.0),
        put("optimisers", 0, "param_groups", 0, "lr", value="fast"),
    ],
)
def test_impossible_checkpoints_are_refused(run: Path, squares: Path, change: Callable[[dict[str, Any]], None]) -> None:
    state = load_checkpoint(run / "checkpoint.pt")
    change(state)
    save_checkpoint(run / "checkpoint.pt", state)
    with pytest.raises(InputError, match=r"checkpoint\.pt: is not of this run"):
        resume(run, squares, max_steps=6)


def test_a_kill_between_checkpoint_and_checksum_loses_neither(run: Path, squares: Path) -> None:
    """The checksums are written first, with that of the checkpoint which is still there."""
    old = (run / "checkpoint.pt").read_bytes()
    resume(run, squares, max_steps=6)
    (run / "checkpoint.pt").write_bytes(old)  # as if killed before the last renaming
    sums = json.loads((run / "checkpoint.json").read_text())["sha256"]
    assert len(sums) == 2
    assert load_checkpoint(run / "checkpoint.pt")["step"] in (4, 6)


def test_damaged_lines_of_the_log_are_dropped_and_told(run: Path, squares: Path) -> None:
    damaged = ["{}", "[]", "nonsense", '{"step": null}', '{"step": "4"}', '{"step": 1e9}', "[" * 50_000, "\0\x85", "{"]
    log = run / "log.jsonl"
    before = log.read_text().splitlines()
    log.write_text("\n".join([before[0], *damaged, *before[1:]]) + "\n")
    result = resume(run, squares, max_steps=6)
    assert result.finished
    assert f"{len(damaged)} lines of {log} could not be read and were dropped." in result.notes
    steps = [json.loads(text)["step"] for text in log.read_text().splitlines()]
    assert steps == [1, 2, 3, 4, 5, 6]


def test_every_number_of_a_configuration_has_a_range() -> None:
    for name in METHODS:
        without = [field for field, span in ranges_of(method_run_config(name)).items() if span is None]
        assert without == [], name
    assert len(ranges_of(TrainingConfig)) > 15


@pytest.mark.parametrize(
    "values",
    [
        {"lr": 1e308}, {"lr": 10**30}, {"lr": 10**400}, {"lr": float("nan")}, {"lr": float("inf")}, {"lr": "1e308"},
        {"epochs": 10**30}, {"embedding_dim": 10**7}, {"batch_size": 10**12}, {"size_px": 4096}, {"size_px": -1},
        {"loader_threads": 10**6}, {"seed": 2**64}, {"margin": float("nan")}, {"crop_min": 0.0}, {"triplets": 10**9},
    ],
)  # fmt: skip
def test_impossible_numbers_of_a_recipe_are_one_sentence(values: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"my\.yaml: `?\w+`? must be") as caught:
        from_mapping(method_run_config("temporal_ranking"), values, where="my.yaml")
    assert len(str(caught.value)) < 200


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    """torch and safetensors raise errors of their own there; a limit on the size of files has the same effect."""
    code = """
import resource, signal, sys
import torch
from duchenne.errors import InputError
from duchenne.modules.encoder import Encoder, EncoderSpec
from duchenne.training.checkpoints import save_checkpoint
from duchenne.training.runs import EncoderRecord, save_encoder
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
encoder = Encoder(EncoderSpec())
named = {"method": "moco", "alignment": "", "weights": "none", "duchenne": "0"}
record = EncoderRecord(spec=encoder.spec, size_px=32, steps=1, **named)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for write in (lambda: save_checkpoint(sys.argv[1] + "/checkpoint.pt", {"step": 1, "method": encoder.state_dict()}),
              lambda: save_encoder(sys.argv[1], encoder, record)):
    try:
        write()
    except InputError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stderr
    assert "checkpoint.pt: cannot be written (" in lines[0]
    assert "encoder.safetensors: cannot be written (" in lines[1]
    assert list(tmp_path.iterdir()) == []


def test_weights_lie_anywhere_and_are_for_whom_the_folder_is_for(tmp_path: Path) -> None:
    """Their own library opens no path that is no UTF-8, and writes files that their owner alone can read."""
    folder = tmp_path / os.fsdecode(b"M\xfcller")
    folder.mkdir()
    encoder = Encoder(EncoderSpec(backbone="strided8", embedding_dim=8)).eval()
    record = EncoderRecord(
        method="moco", spec=encoder.spec, size_px=32, alignment="", weights="none", steps=1, duchenne="0"
    )
    before = os.umask(0o022)
    try:
        save_encoder(folder, encoder, record)
    finally:
        os.umask(before)
    assert (folder / "encoder.safetensors").stat().st_mode & 0o777 == 0o644
    loaded = load_encoder(folder).encoder.state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in encoder.state_dict().items())
    assert read_state(folder / "encoder.safetensors").keys() == loaded.keys()
    save_checkpoint(folder / "checkpoint.pt", {"step": 1})
    assert load_checkpoint(folder / "checkpoint.pt") == {"step": 1}
