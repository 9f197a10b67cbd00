"""Prepared data: what is written is read back, any number of workers and any interruption gives the same bytes."""

import csv
import hashlib
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import joblib
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data import prepared_job as job
from tests.training.made import changed, moving_squares

from duchenne.config import load_mapping, save_mapping
from duchenne.data.prepared import DatasetInfo, Prepared
from duchenne.data.shards import PartWriter, encode_jpeg, frames_schema
from duchenne.data.writing import write_prepared
from duchenne.errors import InputError, UsageError
from duchenne.facs import ACTION_UNITS, au_column, intensity_column

ROOT = Path(__file__).parents[2]


def digests(folder: Path) -> dict[str, str]:
    """Every file of a folder with the SHA-256 of its bytes; not the index, which says when a file was written."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and folder / "index" not in path.parents]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


shares = st.floats(0, 1, width=32)
points = st.floats(-150, 150, width=32)  # in and around a crop of 12 px
texts = st.text("ab#.é/", min_size=1, max_size=5)
names = st.none() | texts
splits = st.none() | st.sampled_from(["train", "validation", "test"])


@st.composite
def datasets(draw: st.DrawFn) -> tuple[DatasetInfo, list[list[tuple[dict[str, Any], bytes]]]]:
    """A data set and the crops of each of its parts."""
    kind = draw(st.sampled_from(["none", "occurrence", "intensity"]))
    aus = draw(st.lists(st.sampled_from(sorted(ACTION_UNITS)), unique=True, max_size=3)) if kind != "none" else []
    info = job.dataset(aus=tuple(sorted(aus)), label_kind=kind, positive_from=draw(st.sampled_from([1.0, 2.0])))
    columns: dict[str, Any] = {
        "subject": names, "clip": texts, "frame": st.integers(0, 2**40), "time_s": st.floats(0, 1e5), "split": splits,
        "emotion": names, "score": st.none() | shares, "source": names,
        "landmarks": st.none() | st.lists(points, min_size=136, max_size=136),
        "blendshapes": st.none() | st.lists(shares, min_size=52, max_size=52),
    }  # fmt: skip
    for au in info.aus:
        if kind == "intensity":
            columns[intensity_column(au)] = st.none() | st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0])
        else:
            columns[au_column(au)] = st.none() | st.sampled_from([0, 1])
    crops = st.tuples(st.fixed_dictionaries(columns), st.binary(min_size=1, max_size=1500))
    return info, draw(st.lists(st.lists(crops, max_size=3), max_size=4))


@given(made=datasets())
@settings(max_examples=40)
def test_round_trip(made: tuple[DatasetInfo, list[list[tuple[dict[str, Any], bytes]]]]) -> None:
    info, content = made

    def produce(writer: PartWriter, crops: list[tuple[dict[str, Any], bytes]]) -> None:
        for values, data in crops:
            writer.add(values, data)

    with tempfile.TemporaryDirectory() as folder:
        opened = write_prepared(Path(folder) / "out", info, content, produce, workers=1, quiet=True)
        rows = [values for crops in content for values, _ in crops]
        assert (opened is None) == (not rows)
        if opened is None:
            with pytest.raises(InputError, match="holds no face crops"):
                Prepared([Path(folder) / "out"])
            return
        assert opened.infos[0].counts == {"crops": len(rows), "failures": 0}
        assert opened.aus == info.aus
        assert [opened.jpeg(number) for number in range(len(opened))] == [
            data for crops in content for _, data in crops
        ]
        for name in ("subject", "clip", "frame", "time_s", "split", "emotion", "score", "source"):
            assert [None if pd.isna(value) else value for value in opened.frames[name]] == [item[name] for item in rows]
        for name, values in (("landmarks", opened.landmarks()), ("blendshapes", opened.blendshapes())):
            expected = [np.full(values[0].size, np.nan) if item[name] is None else item[name] for item in rows]
            np.testing.assert_array_equal(values.reshape(len(rows), -1), np.asarray(expected, dtype=np.float32))
        for place, au in enumerate(info.aus):
            if info.label_kind == "intensity":
                given_values = [item[intensity_column(au)] for item in rows]
                expected = [np.nan if value is None else float(value >= info.positive_from) for value in given_values]
            else:
                expected = [np.nan if item[au_column(au)] is None else item[au_column(au)] for item in rows]
            np.testing.assert_array_equal(opened.occurrence()[:, place], expected)


def test_the_shards_are_plain_tar_files(tmp_path: Path) -> None:
    opened = job.write(tmp_path / "out", 3)
    members = []
    for path in sorted((tmp_path / "out" / "shards").iterdir()):
        with tarfile.open(path) as shard:
            members += [shard.extractfile(member).read() for member in shard]  # type: ignore[union-attr]
    assert members == [opened.jpeg(number) for number in range(len(opened))]
    assert [opened.frames["offset"].iat[0] % 512, len(members)] == [0, 6]


def test_pictures_come_back_in_rgb(tmp_path: Path) -> None:
    opened = job.write(tmp_path / "out", 3)
    rows = opened.frames["frame"].tolist()
    assert rows == [0, 10, 11, 20, 21, 22]
    for place, number in enumerate(rows):
        difference = np.abs(opened.image(place).astype(int) - job.picture(number))
        assert difference.mean() < 3
    batch = opened.images([4, 0], 6)
    assert batch.shape == (2, 6, 6, 3)
    np.testing.assert_array_equal(batch[0], opened.image(4, 6))


def test_occurrence_follows_from_intensity(tmp_path: Path) -> None:
    opened = job.write(tmp_path / "out", 3)
    intensity = opened.frames["AU01_i"].to_numpy()
    np.testing.assert_array_equal(opened.occurrence([1])[:, 0], intensity >= 2)
    assert np.isnan(opened.occurrence([12])[[2, 4], 0]).all()
    assert opened.frames["AU12"].dtype == pd.Int8Dtype()
    with pytest.raises(InputError, match="has no labels for AU04"):
        opened.occurrence([4])


def test_failures_and_counts_are_kept(tmp_path: Path) -> None:
    opened = job.write(tmp_path / "out", 3)
    assert opened.infos[0].counts == {"crops": 6, "failures": 1, "frames": 12}
    with (tmp_path / "out" / "failures.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["source", "reason"], ["broken.mp4", "not a video, or: damaged"]]


@pytest.mark.slow
def test_any_number_of_workers_writes_the_same_bytes(tmp_path: Path) -> None:
    job.write(tmp_path / "one", 5)
    job.write(tmp_path / "two", 5, workers=2)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    shards = {f"shards/0000{number}.tar" for number in range(5)}
    assert set(digests(tmp_path / "one")) == {"dataset.yaml", "failures.csv", "frames.parquet", "job.yaml"} | shards


@pytest.mark.slow
def test_a_killed_job_is_not_whole_and_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen([sys.executable, job.__file__, str(out), "8"], stderr=subprocess.DEVNULL)
    try:
        patience = time.monotonic() + 60
        while len(list(out.glob("parts/*.parquet"))) < 2 or not list(out.glob("shards/.*")):
            assert time.monotonic() < patience
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with pytest.raises(InputError, match=r"is not complete .* run the command that made it again"):
        Prepared([out])
    kept = {path: path.stat().st_mtime_ns for path in out.glob("shards/[0-9]*.tar")}
    assert 2 <= len(kept) < 8
    write_prepared(out, job.dataset(), job.parts(8, 0.15), job.produce, workers=1, quiet=True)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    job.write(tmp_path / "whole", 8, wait_s=0.15)
    assert digests(out) == digests(tmp_path / "whole")


def test_a_finished_job_is_not_done_again(tmp_path: Path) -> None:
    job.write(tmp_path / "out", 2)
    before = digests(tmp_path / "out")
    (tmp_path / "out" / "parts").mkdir()
    (tmp_path / "out" / "parts" / "00000.parquet").touch()

    def never(writer: PartWriter, part: Any) -> None:
        raise AssertionError

    again = write_prepared(tmp_path / "out", job.dataset(), job.parts(2), never, workers=1, quiet=True)
    assert again is not None
    assert digests(tmp_path / "out") == before


def test_an_error_in_a_part_leaves_nothing_of_it(tmp_path: Path) -> None:
    def fails_in_the_second(writer: PartWriter, part: tuple[int, int, float]) -> None:
        job.produce(writer, part)
        if part[0] == 10:
            raise InputError("no memory")

    with pytest.raises(InputError, match="no memory"):
        write_prepared(tmp_path / "out", job.dataset(), job.parts(3), fails_in_the_second, workers=1, quiet=True)
    assert [path.name for path in (tmp_path / "out" / "shards").iterdir()] == ["00000.tar"]
    job.write(tmp_path / "out", 3)
    job.write(tmp_path / "whole", 3)
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")


def test_a_killed_worker_is_one_sentence(tmp_path: Path) -> None:
    def dies(writer: PartWriter, part: tuple[int, int, float]) -> None:
        if part[0] == 20:
            os.kill(os.getpid(), signal.SIGKILL)
        job.produce(writer, part)

    with pytest.raises(InputError, match=r"a worker process was ended, .* fewer workers"):
        write_prepared(tmp_path / "out", job.dataset(), job.parts(4), dies, workers=2, quiet=True)
    job.write(tmp_path / "out", 4)
    job.write(tmp_path / "whole", 4)
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    code = """
import resource, sys
from pathlib import Path
from duchenne.errors import InputError
from tests.data import prepared_job as job
from tests.training.made import moving_squares
resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))
try:
    job.write(Path(sys.argv[1]), 3)
except InputError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "out")], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.startswith(f"{tmp_path / 'out' / 'shards' / '00000.tar'}: cannot be written (File too large)")
    assert not list((tmp_path / "out" / "shards").iterdir())


def test_another_job_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    job.write(out, 2)
    before = digests(out)
    with pytest.raises(UsageError, match=r"holds the data of another job \(size_px differ\)"):
        write_prepared(out, job.dataset(size_px=64), job.parts(2), job.produce, quiet=True)
    with pytest.raises(UsageError, match=r"another job \(parts differ\)"):
        write_prepared(out, job.dataset(), job.parts(3), job.produce, quiet=True)
    assert digests(out) == before


def test_a_place_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for place, message in ((tmp_path, "is not empty and not prepared data"), (tmp_path / "notes.txt", "is a file")):
        with pytest.raises(UsageError, match=message):
            write_prepared(place, job.dataset(), job.parts(1), job.produce, quiet=True)
    assert os.listdir(tmp_path) == ["notes.txt"]


def test_folders_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such folder; make it with"):
        Prepared([tmp_path / "none"])
    with pytest.raises(InputError, match=r"is not prepared data .* prepare it first"):
        Prepared([tmp_path])
    with pytest.raises(InputError, match="no prepared data was given"):
        Prepared([])
    out = tmp_path / "out"
    job.write(out, 1)
    info = load_mapping(out / "dataset.yaml")
    save_mapping(out / "dataset.yaml", {**info, "format_version": 99})
    with pytest.raises(InputError, match="has format version 99, this version of duchenne reads 1"):
        Prepared([out])
    save_mapping(out / "dataset.yaml", {**info, "licens": "?"})
    with pytest.raises(UsageError, match="unknown key `licens`; did you mean `licence`"):
        Prepared([out])
    save_mapping(out / "dataset.yaml", info)
    (out / "frames.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(InputError, match=r"frames\.parquet: cannot be read"):
        Prepared([out])
    (out / "frames.parquet").unlink()
    with pytest.raises(InputError, match=r"frames\.parquet: cannot be read"):
        Prepared([out])


@pytest.mark.parametrize("kept_bytes", [0, 100, 512, 600, 1200])
def test_a_truncated_shard_is_one_sentence(tmp_path: Path, kept_bytes: int) -> None:
    opened = job.write(tmp_path / "out", 2)
    shard = tmp_path / "out" / "shards" / "00001.tar"
    shard.write_bytes(shard.read_bytes()[:kept_bytes])
    with pytest.raises(InputError, match=r"00001\.tar.*prepare the data again"):
        opened.image(2)
    assert opened.image(0).shape == (12, 12, 3)
    with pytest.raises(InputError, match=r"00001\.tar.*prepare the data again"):
        opened.images([0, 2], 12)


def test_a_missing_shard_is_one_sentence(tmp_path: Path) -> None:
    opened = job.write(tmp_path / "out", 2)
    (tmp_path / "out" / "shards" / "00000.tar").unlink()
    with pytest.raises(InputError, match=r"00000\.tar: cannot be read"):
        opened.image(0)


def test_several_folders_are_one_table(tmp_path: Path) -> None:
    job.write(tmp_path / "a", 3)
    other = job.dataset(name="other", aus=(12,))
    write_prepared(tmp_path / "b", other, job.parts(2), job.produce, workers=1, quiet=True)
    both = Prepared([tmp_path / "a", tmp_path / "b"])
    assert len(both) == 9
    assert both.aus == (12,)
    assert repr(both) == "<tiny, other: 9 images of 5 people, AUs [12]>"
    assert both.jpeg(6) == Prepared([tmp_path / "b"]).jpeg(0)
    assert both.landmarks().shape == (9, 68, 2)
    names_of, ids = both.subject_names(), both.subject_ids()
    assert names_of.fillna("?").tolist() == [
        "?", "tiny:s1", "tiny:s2", "?", "tiny:s0", "tiny:s1", "?", "other:s1", "other:s2",
    ]  # fmt: skip
    assert ((ids == -1) == names_of.isna()).all()
    assert not set(ids[:6][ids[:6] >= 0]) & set(ids[6:][ids[6:] >= 0])
    assert not set(both.clip_ids()[:6]) & set(both.clip_ids()[6:])


def test_columns_that_another_program_left_out(tmp_path: Path) -> None:
    """What may be null is; what finds the pictures is missed in one sentence."""
    for name in ("whole", "part"):
        job.write(tmp_path / name, 2)
    table = pq.read_table(tmp_path / "part" / "frames.parquet")
    lacking = ["subject", "split", "emotion", "source", "landmarks", "blendshapes"]
    pq.write_table(table.drop_columns(lacking), tmp_path / "part" / "frames.parquet")
    both, rows = Prepared([tmp_path / "whole", tmp_path / "part"]), len(table)
    assert both.frames[lacking[:4]].iloc[rows:].isna().all(axis=None)
    assert both.frames["source"].iloc[:rows].notna().all()
    np.testing.assert_array_equal(both.landmarks()[:rows], Prepared([tmp_path / "whole"]).landmarks())
    assert not np.isnan(both.landmarks()[:rows]).all()
    assert np.isnan(both.landmarks()[rows:]).all()
    assert np.isnan(both.blendshapes()[rows:]).all()
    pq.write_table(table.drop_columns("offset"), tmp_path / "part" / "frames.parquet")
    with pytest.raises(InputError, match=r"frames\.parquet: has no column `offset`"):
        Prepared([tmp_path / "part"])


def test_opened_data_travels_to_other_processes(tmp_path: Path) -> None:
    opened = job.write(tmp_path / "out", 2)
    opened.image(0)
    (there,) = joblib.Parallel(n_jobs=2)([joblib.delayed(opened.image)(2)])
    np.testing.assert_array_equal(there, opened.image(2))


def test_crops_are_jpeg_of_the_stated_quality() -> None:
    image = job.picture(7)
    expected = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
    assert encode_jpeg(image) == expected.tobytes()


def test_schema_has_labels_only_where_coded() -> None:
    plain, occurrence = job.dataset(aus=(), label_kind="none"), job.dataset(label_kind="occurrence")
    base = frames_schema(plain).names
    assert base[:8] == ["subject", "clip", "frame", "time_s", "shard", "offset", "size", "split"]
    assert set(frames_schema(occurrence).names) - set(base) == {"AU01", "AU12"}
    assert set(frames_schema(job.dataset()).names) - set(base) == {"AU01", "AU12", "AU01_i", "AU12_i"}


def test_landmarks_are_read_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the table when they are first asked for, from the index ever after."""
    from tests.training.made import FACE, moving_squares

    data = moving_squares(tmp_path / "squares", clips=2, frames=4)
    reads: list[Any] = []
    read = pq.ParquetFile.iter_batches

    def counted(*args: Any, **options: Any) -> Any:
        reads.append(options.get("columns"))
        return read(*args, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counted)
    np.testing.assert_array_equal(data.landmarks(np.array([5, 1])), np.stack([FACE.reshape(68, 2)] * 2))
    assert data.landmarks().shape == (8, 68, 2)
    assert data.blendshapes(np.array([3])).shape == (1, 52)
    data.blendshapes()
    assert Prepared(data.paths).landmarks().shape == (8, 68, 2)
    assert reads == [["landmarks"], ["blendshapes"]]
    with pytest.raises(ValueError, match="read-only"):
        data.landmarks()[0] = 0


def test_clips_are_numbered_in_order_of_appearance(tmp_path: Path) -> None:
    """Subjects that are not known, clips of one name and folders are told apart as a loop over the rows does."""
    rng = np.random.default_rng(0)
    names = {"subject": [None, "", "a", "b"], "clip": ["", "1", "2", "a"]}

    def change(frames: pd.DataFrame) -> pd.DataFrame:
        drawn = {column: [words[place] for place in rng.integers(0, 4, len(frames))] for column, words in names.items()}
        return frames.assign(**drawn)

    moving_squares(tmp_path / "squares", clips=4, frames=40)
    folders = [changed(tmp_path / "squares", tmp_path / f"{number}", change).paths[0] for number in range(3)]
    data = Prepared(folders)
    seen: dict[tuple[int, str, str], int] = {}
    wanted = []
    for row in data.frames.itertuples():
        key = (row.dataset, "" if pd.isna(row.subject) else row.subject, row.clip)
        wanted.append(seen.setdefault(key, len(seen)))
    assert len(seen) > 30
    assert data.clip_ids().tolist() == wanted
