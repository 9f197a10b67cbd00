"""The detector's folder: what is in it, what is refused, and that it is never half there."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tests.evaluation.conftest import make

import duchenne
from duchenne.cli.main import main
from duchenne.detectors import files as detector_files
from duchenne.detectors.files import load_detector
from duchenne.detectors.opening import load_model
from duchenne.errors import InputError, UsageError


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fit")
    source = make(folder / "drawn", subjects=2)
    duchenne.fit(model="random+pixels", data=source, out=folder / "detector", quiet=True)
    return folder / "detector"


@pytest.fixture
def detector(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "detector"))


def change(detector: Path, **values: object) -> None:
    """As an earlier version might have written it: without a checksum of the record."""
    record = json.loads((detector / "detector.json").read_text())
    save_file(load_file(detector / "detector.safetensors"), detector / "detector.safetensors")
    record["weights_sha256"] = hashlib.sha256((detector / "detector.safetensors").read_bytes()).hexdigest()
    (detector / "detector.json").write_text(json.dumps(record | values))


def change_au(detector: Path, **values: object) -> None:
    aus = json.loads((detector / "detector.json").read_text())["aus"]
    aus["AU12"] |= values
    change(detector, aus=aus)


def change_weights(detector: Path, name: str, values: np.ndarray | None) -> None:
    tensors = load_file(detector / "detector.safetensors")
    if values is None:
        del tensors[name]
    else:
        tensors[name] = values
    save_file(tensors, detector / "detector.safetensors")
    change(detector)


def test_the_folder_holds_three_files(detector: Path) -> None:
    assert {path.name for path in detector.iterdir()} == {"detector.json", "detector.safetensors", "model_card.md"}
    loaded = load_detector(detector)
    assert [part.to_spec()["kind"] for part in loaded.source.members] == ["encoder", "pixels"]
    assert loaded.record.model == "random+pixels"
    assert loaded.heads.head.weight.shape == (512 + 1024, len(loaded.record.aus))


DAMAGE: list[tuple[Callable[[Path], object], str]] = [
    (lambda d: (d / "detector.json").unlink(), "is no detector"),
    (lambda d: (d / "detector.json").write_text("{"), "detector.json: is not valid JSON"),
    (lambda d: (d / "detector.json").write_text("[]"), "is no detector of format version 1"),
    (lambda d: change(d, format_version=2), "is no detector of format version 1"),
    (lambda d: change(d, colour="red"), "unknown key `colour`"),
    (lambda d: change(d, aus={}), "names no action unit"),
    (lambda d: change(d, aus={"AU99": {}}), "`AU99`, which is no action unit"),
    (lambda d: change_au(d, prior=1.0), "`prior` is 1.0"),
    (lambda d: change_au(d, slope=float("nan")), "slope must be at least"),
    (lambda d: change_au(d, offset=1e300), "offset must be at least"),
    (lambda d: change_au(d, threshold=1.5), "threshold must be at least 0 and at most 1"),
    (lambda d: change(d, l2=float("inf")), "l2 must be at least 0"),
    (lambda d: change(d, crop_px=10**9), "crop_px must be at least 1"),
    (lambda d: change_au(d, threshold="high"), "`threshold` must be"),
    (lambda d: change(d, crop_px=None), "has no crop_px"),
    (lambda d: change(d, parts=[{"kind": "spell"}]), "unknown kind `spell`"),
    (lambda d: change(d, parts=[{"kind": "encoder", "input_px": 48, "spec": {"backbone": "x"}}]), "cannot be built"),
    (lambda d: (d / "detector.safetensors").unlink(), "detector.safetensors: cannot be read"),
    (lambda d: (d / "detector.safetensors").write_bytes(b"half"), "is not the file that detector.json belongs to"),
    (lambda d: change_weights(d, "head.bias", None), "has no 'head.bias'"),
    (lambda d: change_weights(d, "head.bias", np.array([1.0], np.float32)), "`head.bias` does not fit"),
    (lambda d: change_weights(d, "head.low", np.full(1536, np.nan, np.float32)), "`head.low` does not fit"),
    (lambda d: change_weights(d, "parts.0.mean", None), "does not fit its weights"),
]


@pytest.mark.parametrize("key", ["threshold", "slope", "offset", "prior"])
def test_a_number_that_differs_since_the_fit_is_refused(detector: Path, key: str) -> None:
    """Within its range, so that only the checksum can tell."""
    path = detector / "detector.json"
    record = json.loads(path.read_text())
    record["aus"]["AU12"][key] *= 0.999
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"detector\.json: was changed since the detector was fitted"):
        load_detector(detector)


def test_a_detector_without_a_checksum_of_its_record_is_read(detector: Path) -> None:
    before = load_detector(detector)
    change(detector)
    change_au(detector, threshold=0.25)
    after = load_detector(detector)
    assert after.record.aus["AU12"].threshold == 0.25
    np.testing.assert_array_equal(after.heads.head.weight, before.heads.head.weight)


@pytest.mark.parametrize(("damage", "message"), DAMAGE, ids=[message for _, message in DAMAGE])
def test_damage_is_one_sentence(
    damage: Callable[[Path], object], message: str, detector: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(detector)
    assert main(["detect", "nothing.mp4", "--model", str(detector)]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert str(detector) in said
    assert said.count("\n") == 1
    assert "Traceback" not in said


def test_a_run_is_no_detector(tmp_path: Path) -> None:
    (tmp_path / "encoder.json").write_text("{}")
    with pytest.raises(InputError, match="make one from this run: `duchenne fit --model"):
        load_model(str(tmp_path))


def test_an_unknown_model_names_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="use model duchenne or blendshapes, a folder made by `duchenne fit`, or"):
        load_model(str(tmp_path / "none"))


def test_a_detector_has_no_sides(detector: Path) -> None:
    with pytest.raises(UsageError, match="does not tell left from right"):
        load_model(str(detector), sides=True)


def test_an_earlier_detector_is_replaced_and_nothing_else(original: Path, detector: Path, tmp_path: Path) -> None:
    source = original.parent / "drawn"
    duchenne.fit(model="pixels", data=source, out=detector, quiet=True)
    assert load_detector(detector).record.model == "pixels"
    assert [path.name for path in tmp_path.iterdir()] == ["detector"]
    (detector / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="is not empty and no earlier detector"):
        duchenne.fit(model="pixels", data=source, out=detector, quiet=True)
    assert (detector / "thesis.txt").exists()


def test_the_working_folder_itself_is_refused(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="name a new folder"):
        duchenne.fit(model="pixels", data=original.parent / "drawn", out=".", quiet=True)


def test_a_full_disk_leaves_the_earlier_detector(
    original: Path, detector: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, text: str, **how: object) -> int:
        raise OSError(28, "No space left on device", str(self))

    before = {path.name: path.read_bytes() for path in detector.iterdir()}
    monkeypatch.setattr(detector_files.Path, "write_text", full)
    with pytest.raises(InputError, match="cannot be written \\(No space left on device\\)"):
        duchenne.fit(model="pixels", data=original.parent / "drawn", out=detector, quiet=True)
    assert {path.name: path.read_bytes() for path in detector.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["detector"]


def test_an_interruption_between_the_two_folders_leaves_the_earlier_detector(
    detector: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_detector(detector)
    before = {path.name: path.read_bytes() for path in detector.iterdir()}
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if self.name.endswith(".part"):  # the earlier one has made way, the new one is not there yet
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        detector_files.save_detector(detector, loaded.record, loaded.heads, loaded.source, "another card")
    assert {path.name: path.read_bytes() for path in detector.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["detector"]
