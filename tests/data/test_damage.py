"""A prepared folder whose table is damaged or foreign is refused where it is opened, in one sentence."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.data import prepared_job as job

from duchenne.config import load_mapping, save_mapping
from duchenne.data.prepared import Prepared
from duchenne.errors import DuchenneError, InputError
from duchenne.evaluation.tasks import make_task
from duchenne.training.held_out import training_rows


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("healthy") / "out"
    job.write(out, 4)
    return out


@pytest.fixture
def folder(healthy: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(healthy, tmp_path / "out"))


def rewrite(folder: Path, change: Callable[[pd.DataFrame], Any]) -> None:
    """The table as another program would write it back."""
    frames = pd.read_parquet(folder / "frames.parquet")
    changed = change(frames)
    (frames if changed is None else changed).to_parquet(folder / "frames.parquet", index=False)


def put(column: str, value: object) -> Callable[[pd.DataFrame], None]:
    def change(frames: pd.DataFrame) -> None:
        frames[column] = frames[column].astype(object)
        frames.at[2, column] = value

    return change


def every(column: str, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda frames: frames.assign(**{column: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("split", "banana"), "`split` of row 2 is `banana`, not one of train, validation, test"),
        (put("AU01", -1), "`AU01` of row 2 is -1, not from 0 to 1"),
        (put("AU01", 7), "`AU01` of row 2 is 7, not from 0 to 1"),
        (put("AU01_i", -3.0), "`AU01_i` of row 2 is -3, not from 0 to 5"),
        (put("AU01_i", 99.0), "`AU01_i` of row 2 is 99, not from 0 to 5"),
        (put("AU01_i", np.inf), "`AU01_i` of row 2 is inf, not from 0 to 5"),
        (every("AU01", "yes"), "column `AU01` must be int8"),
        (every("AU01", 0.5), "column `AU01` must be int8"),
        (every("frame", "one"), "column `frame` must be int64"),
        (put("frame", None), "`frame` of row 2 is empty"),
        (put("frame", -1), "`frame` of row 2 is -1"),
        (put("time_s", np.inf), "`time_s` of row 2 is inf"),
        (put("clip", None), "`clip` of row 2 is empty"),
        (every("subject", 7), "column `subject` must be string"),
        (put("offset", -1), "`offset` of row 2 is -1"),
        (put("offset", None), "`offset` of row 2 is empty"),
        (every("offset", "512"), "column `offset` must be int64"),
        (every("size", 1.5), "column `size` must be int64"),
        (put("size", 0), "`size` of row 2 is 0"),
        (put("size", 10**6), "ends before the picture of row 2"),
        (put("offset", 2**52), "ends before the picture of row 2"),
        (put("shard", "../../secret.tar"), "is not a file name"),
        (lambda frames: frames.drop(columns="clip"), "has no column `clip`"),
        (lambda frames: frames.drop(columns="AU12"), "has no column `AU12`"),
        (every("AU04", 1), "has a column `AU04`, which dataset.yaml"),
    ],
)
def test_impossible_values_are_refused(folder: Path, change: Callable[[pd.DataFrame], Any], message: str) -> None:
    rewrite(folder, change)
    with pytest.raises(InputError) as caught:
        Prepared([folder])
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("positive_from", 1e308, "positive_from must be above 0 and at most 5"),
        ("positive_from", 3.0, "was written with another `positive_from`"),
        ("label_kind", "none", "label_kind is none, but aus names action units"),
        ("label_kind", "occurrence", "was written with another `label_kind`"),
        ("aus", [1], "was written with another `aus`"),
        ("aus", [1, 3], "aus must be known action units"),
        ("aus", [12, 1], "aus must be known action units"),
        ("size_px", 0, "size_px must be at least 1"),
        ("size_px", 10**9, "size_px must be at least 1"),
        ("counts", {"crops": -1}, "crops must be a whole number, at least 0"),
        ("counts", {"crops": "many"}, "crops must be a whole number, at least 0"),
        ("format_version", "2", "has format version 2"),
        ("format_version", 3, "has format version 3"),
        ("name", "", "name is empty"),
    ],
)
def test_an_impossible_description_is_refused(folder: Path, key: str, value: object, message: str) -> None:
    save_mapping(folder / "dataset.yaml", {**load_mapping(folder / "dataset.yaml"), key: value})
    with pytest.raises(DuchenneError) as caught:
        Prepared([folder])
    assert message in str(caught.value)


@pytest.mark.parametrize("length", [135, 137])
def test_landmarks_of_another_length_shift_nothing(folder: Path, length: int) -> None:
    """A list one number short used to move every later row."""
    table = pq.read_table(folder / "frames.parquet")
    lists = table["landmarks"].to_pylist()
    lists[2] = [1.0] * length
    place = table.schema.get_field_index("landmarks")
    pq.write_table(
        table.set_column(place, "landmarks", pa.array(lists, pa.list_(pa.float32()))), folder / "frames.parquet"
    )
    with pytest.raises(InputError, match=f"`landmarks` of row 2 has {length} numbers, not 136"):
        Prepared([folder]).landmarks()


@pytest.mark.parametrize(("column", "value"), [("landmarks", 1e30), ("landmarks", np.inf), ("blendshapes", 7.0)])
def test_impossible_points_are_refused(folder: Path, column: str, value: float) -> None:
    table = pq.read_table(folder / "frames.parquet")
    length = table.schema.field(column).type.list_size
    lists = [[0.5] * length for _ in range(len(table))]
    lists[4][7] = value
    place = table.schema.get_field_index(column)
    pq.write_table(
        table.set_column(place, column, pa.array(lists, table.schema.field(column).type)), folder / "frames.parquet"
    )
    data = Prepared([folder])
    with pytest.raises(InputError, match=f"`{column}` of row 4 is impossible"):
        data.landmarks() if column == "landmarks" else data.blendshapes()


@pytest.mark.parametrize(
    ("column", "wrong"),
    [("emotion", "emotaon"), ("AU12_i", "AU12_h"), ("source", "Source"), ("landmarks", "landmarkw")],
)
def test_a_flipped_bit_in_a_name_takes_no_column_away(folder: Path, column: str, wrong: str) -> None:
    """The last block of a Parquet file, with the names of its columns, has no checksum."""
    path = folder / "frames.parquet"
    path.write_bytes(path.read_bytes().replace(column.encode(), wrong.encode()))
    with pytest.raises(InputError, match=f"has a column '{wrong}', one letter off `{column}`"):
        Prepared([folder])


def test_columns_of_ones_own_are_let_be(folder: Path) -> None:
    rewrite(folder, lambda frames: frames.assign(emotions="happy", scale=1.0, sourced=2))
    assert {"emotions", "scale", "sourced"} <= {*Prepared([folder]).frames}


def test_what_other_programs_write_is_read_as_it_was(folder: Path) -> None:
    """pandas keeps no int8 with gaps and no lists of one length; nothing else changes."""
    before = Prepared([folder])
    frames, points, labels = before.frames, np.array(before.landmarks()), before.occurrence()
    rewrite(folder, lambda frames: frames.assign(AU12=frames["AU12"].astype("float64")))
    after = Prepared([folder])
    pd.testing.assert_frame_equal(frames, after.frames)
    np.testing.assert_array_equal(points, after.landmarks())
    np.testing.assert_array_equal(labels, after.occurrence())


def test_a_damaged_crop_is_noticed_by_its_checksum(folder: Path) -> None:
    """One bit of a JPEG often gives another picture without any complaint of the decoder."""
    data = Prepared([folder])
    shard = folder / "shards" / data.frames["shard"].iat[5]
    content = bytearray(shard.read_bytes())
    place = int(data.frames["offset"].iat[5] + data.frames["size"].iat[5]) - 20
    content[place] ^= 4
    shard.write_bytes(content)
    damaged = Prepared([folder])
    for read in (damaged.image, damaged.jpeg):
        with pytest.raises(InputError, match="the picture of row 5 is damaged"):
            read(5)
    assert damaged.image(0).shape == (12, 12, 3)


def test_folders_of_version_1_are_read(folder: Path) -> None:
    before = Prepared([folder])
    frames = before.frames
    rewrite(folder, lambda frames: frames.drop(columns="crc32"))
    with pytest.raises(InputError, match="has no column `crc32`"):
        Prepared([folder])
    save_mapping(folder / "dataset.yaml", {**load_mapping(folder / "dataset.yaml"), "format_version": 1})
    after = Prepared([folder])
    pd.testing.assert_frame_equal(frames, after.frames)
    np.testing.assert_array_equal(before.image(3), after.image(3))


def test_a_flipped_bit_in_the_table_is_noticed(folder: Path) -> None:
    """Pages carry checksums: a changed label is an error, not a label."""
    file = folder / "frames.parquet"
    content = file.read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    healthy = Prepared([folder])
    rng = np.random.default_rng(0)
    for place in rng.integers(4, footer, 60):
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(8))
        file.write_bytes(damaged)
        try:
            opened = Prepared([folder])
            pd.testing.assert_frame_equal(opened.frames, healthy.frames)
            np.testing.assert_array_equal(opened.landmarks(), healthy.landmarks())
        except InputError:
            continue


def test_parts_of_pictures_have_names_of_their_own(folder: Path) -> None:
    rewrite(folder, put("split", "banana"))
    info = load_mapping(folder / "dataset.yaml")
    save_mapping(folder / "dataset.yaml", {**info, "settings": {"parts_of": "pictures"}})
    data = Prepared([folder])
    assert "banana" in set(data.frames["split"])
    assert len(training_rows(data)) == (data.frames["split"] != "test").sum()
    assert make_task(data, "au").items == ("AU01", "AU12")
