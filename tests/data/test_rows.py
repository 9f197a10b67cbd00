"""Rows of prepared data: whatever chooses some chooses the same everywhere, as numpy would, or is refused."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.data import prepared_job as job
from tests.training.made import changed

import duchenne
from duchenne.data.prepared import Prepared
from duchenne.data.stored.rows import Rows, chosen, numbered
from duchenne.data.writing import write_prepared
from duchenne.errors import InputError, UsageError

SIDE_PX = 8
MASK = np.array([False, True, False, False, True, True])


def two_folders(out: Path) -> list[Path]:
    """Two folders of three faces, and in the second one another data set with a time stamp for each."""
    write_prepared(out / "a", job.dataset(), [(0, 3, 0.0)], job.produce, workers=1, quiet=True)
    write_prepared(out / "plain", job.dataset(name="other"), [(0, 3, 0.0)], job.produce, workers=1, quiet=True)
    return [out / "a", changed(out / "plain", out / "b", lambda frames: frames.assign(time_s=[2.0, 3.0, 4.0])).paths[0]]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return two_folders(tmp_path_factory.mktemp("rows"))


def all_of(data: Prepared, rows: Rows) -> dict[str, np.ndarray[Any, Any]]:
    """What every method that takes rows gives of some."""
    return {
        "occurrence": data.occurrence(rows=rows), "intensity": data.intensity([12], rows), "times": data.times(rows),
        "datasets": data.datasets(rows), "subjects": data.subject_ids(rows), "clips": data.clip_ids(rows),
        "in_clips": data.in_clips(rows), "landmarks": data.landmarks(rows), "blendshapes": data.blendshapes(rows),
        "images": data.images(rows, SIDE_PX), "codes": data.codes("split", rows)[0],
        "names": data.subject_names(rows).fillna("?").to_numpy(), "index": data.column("frame", rows).index.to_numpy(),
        "source": data.column("source", rows).fillna("?").to_numpy(), "time_s": data.column("time_s", rows).to_numpy(),
    }  # fmt: skip


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(
    "rows",
    [
        slice(None), slice(1, 3), slice(None, None, 2), slice(None, None, -1), slice(-1, 0, -2), slice(4, 2), [],
        MASK, MASK.tolist(), ~np.ones(6, dtype=bool), [2, 0, 0], [-1, 1, -3], np.array([2, 1], dtype=np.uint8),
        range(2, -1, -1),
    ],
    ids=str,
)  # fmt: skip
def test_rows_are_what_numpy_would_choose(folders: list[Path], count: int, rows: Any) -> None:
    data = Prepared(folders[:count])
    rows = rows[: len(data)] if count == 1 and len(np.shape(rows)) and np.asarray(rows).dtype == np.bool_ else rows
    wanted = np.arange(len(data))[rows if isinstance(rows, slice) or len(rows) else slice(0, 0)]
    everything = all_of(data, None)
    for name, found in all_of(data, rows).items():
        np.testing.assert_array_equal(found, everything[name][wanted], name)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (MASK[:5], "the mask has 5 values for 6 rows"), ([0.0, 1.7], "must be whole numbers or a mask, not float64"),
        ([0, 6], "there is no row 6 among 6; give numbers from 0 to 5"), ([-7], "no row -7 among 6"),
        ([[0, 1]], r"not of shape \(1, 2\)"), (["1"], "must be whole numbers or a mask"), (2, r"not of shape \(\)"),
    ],
)  # fmt: skip
def test_what_is_no_rows_is_refused_everywhere(folders: list[Path], rows: Any, said: str) -> None:
    data = Prepared(folders)
    for read in (
        lambda: data.occurrence(rows=rows), lambda: data.times(rows), lambda: data.landmarks(rows),
        lambda: data.datasets(rows), lambda: data.images(rows, SIDE_PX), lambda: data.subject_names(rows),
        lambda: data.column("source", rows), lambda: duchenne.FaceDataset(data, rows=rows),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=f"^rows: .*{said}"):
            read()


def test_a_range_is_not_written_out() -> None:
    assert chosen(None, 10**12) == slice(0, 10**12)
    assert chosen(slice(-5, None), 10**12) == slice(10**12 - 5, 10**12)
    assert numbered(slice(3, 5), 9).tolist() == [3, 4]


@pytest.mark.parametrize("rows", [None, MASK, [5, 0], slice(None, None, 3)], ids=str)
def test_faces_are_those_of_their_rows(folders: list[Path], rows: Any) -> None:
    data = Prepared(folders)
    faces = duchenne.FaceDataset(data, rows=rows, size_px=SIDE_PX)
    own = numbered(rows, len(data))
    assert [int(face["row"]) for face in faces] == own.tolist()  # type: ignore[attr-defined]
    batch = next(iter(torch.utils.data.DataLoader(faces, batch_size=len(own))))
    np.testing.assert_array_equal(batch["image"].permute(0, 2, 3, 1).numpy() * 255, data.images(own, SIDE_PX))
    np.testing.assert_array_equal(batch["aus"].numpy(), data.occurrence()[own])
    np.testing.assert_array_equal(batch["subject"].numpy(), data.subject_ids()[own])
    assert torch.equal(batch["aus"][-1:], faces[-1]["aus"][None]) or batch["aus"][-1].isnan().any()
    with pytest.raises(IndexError):
        faces[len(own)]


def test_faces_hold_nothing_for_each_row(folders: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels and people are read with the pictures, and one reading serves a whole batch."""
    data, read = Prepared(folders), []
    presence = Prepared.presence

    def counting(self: Prepared, aus: Any, rows: Rows = None) -> Any:
        read.append(0 if rows is None else len(numbered(rows, len(self))))
        return presence(self, aus, rows)

    monkeypatch.setattr(Prepared, "presence", counting)
    faces = duchenne.FaceDataset(data, size_px=SIDE_PX)
    assert len(pickle.dumps(faces)) - len(pickle.dumps(data)) < 500
    next(iter(torch.utils.data.DataLoader(faces, batch_size=4)))
    assert read == [0, 4]


def test_action_units_of_some_folders_are_taken_where_they_are_named(tmp_path: Path) -> None:
    write_prepared(tmp_path / "a", job.dataset(), [(0, 3, 0.0)], job.produce, workers=1, quiet=True)
    other = job.dataset(name="other", aus=(12,))
    write_prepared(tmp_path / "b", other, [(0, 3, 0.0)], job.produce, workers=1, quiet=True)
    data = Prepared([tmp_path / "a", tmp_path / "b"])
    coded = sorted({au for info in data.infos for au in info.aus})
    assert (data.aus, coded) == ((12,), [1, 12])
    assert duchenne.FaceDataset(data).aus == data.aus
    labels = torch.stack([face["aus"] for face in duchenne.FaceDataset(data, aus=coded)])  # type: ignore[attr-defined]
    assert labels[3:, 0].isnan().all()
    np.testing.assert_array_equal(labels.numpy(), data.occurrence(coded))
    with pytest.raises(InputError, match="has no labels for AU06"):
        duchenne.FaceDataset(data, aus=[6])
    for one in (12, np.int64(12), [np.int64(12)], np.array([12]), {12}):
        assert duchenne.FaceDataset(data, aus=one).aus == (12,)  # type: ignore[arg-type]


def test_what_is_no_action_unit_or_side_is_refused(folders: list[Path]) -> None:
    for aus, said in ((["AU12"], "'AU12'"), ("AU12", "'AU12'"), ([12, 3], "3"), ([1.5], "1.5")):
        with pytest.raises(UsageError, match=f"^aus {said}: is no action unit; give FACS numbers"):
            duchenne.FaceDataset(folders, aus=aus)  # type: ignore[arg-type]
    for side, said in (
        (0, "size_px 0: must be at least 1"),
        (5000, "at most 4096"),
        ("x", "not 'x'"),
        (1.5, "not 1.5"),
    ):
        with pytest.raises(UsageError, match=said):
            duchenne.FaceDataset(folders, size_px=side)  # type: ignore[arg-type]
