"""The index of a prepared folder: made once, never stale, never read damaged, wherever the folder lies."""

import json
import logging
import os
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.data import irregular
from tests.training.made import changed

from duchenne.config import load_mapping, save_mapping
from duchenne.data.prepared import Prepared
from duchenne.data.stored import binding, columns, making, spilled
from duchenne.errors import InputError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "out"
    irregular.write(out, "one", parts=6, seed=1)
    return out


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "out"))


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(place))
    return place / "duchenne" / "prepared"


def everything(data: Prepared) -> str:
    """What may not change without a word: every number that methods see."""
    return irregular.digest(
        data.clip_ids(), data.subject_ids(), data.times(), data.occurrence(), data.landmarks(), data.blendshapes(),
        data.in_clips(), *(data.clip_column(name) for name in ("first", "frames", "spacing", "gap")),
        *(data.column(name).astype("string").fillna("-").tolist() for name in data.columns),
        *(data.jpeg(row) for row in range(len(data))),
    )  # fmt: skip


def identity(folder: Path) -> int:
    """Another number whenever the index is made again."""
    return (folder / "index" / "1" / "index.json").stat().st_ino


def test_columns_are_those_of_the_table(folder: Path) -> None:
    """Against pandas reading the Parquet file by itself."""
    data, table = Prepared([folder]), pd.read_parquet(folder / "frames.parquet")
    rows = np.array([7, 3, len(table) - 1, 7])
    for name in data.columns[1:]:
        known = table[name].notna().to_numpy()
        found = data.column(name)
        assert (found.notna().to_numpy() == known).all()
        assert found[known].tolist() == table[name][known].tolist()
        assert data.column(name, rows).fillna(-9 if found.dtype != "string" else "-").tolist() == (
            found.iloc[rows].fillna(-9 if found.dtype != "string" else "-").tolist()
        )
        assert data.column(name).dtype == data.frames[name].dtype
    points = np.stack([np.full(136, np.nan) if item is None else item for item in table["landmarks"]])
    np.testing.assert_array_equal(data.landmarks().reshape(-1, 136), points.astype(np.float32))
    np.testing.assert_array_equal(data.landmarks(rows).reshape(-1, 136), points[rows].astype(np.float32))
    with pytest.raises(KeyError):
        data.column("nothing")


def test_clips_lie_in_order_of_time(folder: Path) -> None:
    data = Prepared([folder])
    numbers, times = data.clip_ids(), data.times()
    assert data.in_clips().tolist() == np.lexsort((times, numbers)).tolist()
    for clip, (first, frames) in enumerate(zip(data.clip_column("first"), data.clip_column("frames"), strict=True)):
        own = data.in_clips(slice(int(first), int(first + frames)))
        assert set(numbers[own]) == {clip}
        assert frames == (numbers == clip).sum()
        steps = np.diff(times[own]) if frames > 1 else np.zeros(1)
        np.testing.assert_array_equal(data.clip_column("spacing")[clip], np.median(steps))
        np.testing.assert_array_equal(data.clip_column("gap")[clip], steps.max())


@pytest.mark.parametrize(("at_once", "block_bytes"), [(7, 64), (2**18, 2**16)])
def test_pieces_change_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch, at_once: int, block_bytes: int) -> None:
    """However small the pieces in which it is made and read are."""
    before = everything(Prepared([folder]))
    shutil.rmtree(folder / "index")
    pq.write_table(pq.read_table(folder / "frames.parquet"), folder / "frames.parquet", row_group_size=13)
    monkeypatch.setattr(making, "AT_ONCE", at_once)
    monkeypatch.setattr(columns, "BLOCK_BYTES", block_bytes)
    monkeypatch.setattr("duchenne.data.stored.frames.read_blocks", _small_blocks)
    assert everything(Prepared([folder])) == before


def _small_blocks(*args: object, **_: object) -> object:
    from duchenne.data.stored.parquet import read_blocks

    return read_blocks(*args, rows=5)  # type: ignore[arg-type]


def test_another_table_has_another_index(folder: Path, tmp_path: Path) -> None:
    """With the same size and, set back, the same time: a table is known by its content."""
    before = Prepared([folder])
    table = pq.read_table(folder / "frames.parquet")
    place = table.schema.get_field_index("AU01")
    swapped = pc_swap(table["AU01"])
    stat = (folder / "frames.parquet").stat()
    other = table.set_column(place, table.schema.field(place), swapped)
    pq.write_table(other, folder / "frames.parquet", write_page_checksum=True)
    os.utime(folder / "frames.parquet", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = Prepared([folder])
    wanted = np.array([np.nan if value is None else value for value in swapped.to_pylist()], dtype=np.float32)
    np.testing.assert_array_equal(after.occurrence([1])[:, 0], wanted)
    assert not np.array_equal(before.occurrence([1]), after.occurrence([1]), equal_nan=True)
    with pytest.raises(InputError, match=r"frames\.parquet: was changed since it was opened"):
        before.blendshapes()


def pc_swap(column: pa.ChunkedArray) -> pa.Array:
    return pa.array([None if value is None else 1 - value for value in column.to_pylist()], pa.int8())


def test_a_large_table_is_not_read_again_unless_its_time_says_so(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binding, "_SMALL", 0)
    table, hashed = folder / "frames.parquet", []
    real = binding.file_hash

    def counted(path: Path) -> str:
        hashed.append(path)
        return real(path)

    monkeypatch.setattr(binding, "file_hash", counted)
    os.utime(table, ns=(0, 10**18))  # long ago, as of a copied folder
    number = identity(folder)
    Prepared([folder])
    assert len(hashed) == 1  # its time is another than when the index was made
    Prepared([folder])
    assert len(hashed) == 1  # and is remembered
    assert identity(folder) == number
    os.utime(table)  # just now: it might be changed again without another time
    for _ in range(2):
        Prepared([folder])
    assert len(hashed) == 3
    assert identity(folder) == number
    assert [path.name for path in cache.rglob("*") if path.is_file()] == ["table.json"]


def test_another_description_has_another_index(folder: Path) -> None:
    number = identity(folder)
    info = load_mapping(folder / "dataset.yaml")
    save_mapping(folder / "dataset.yaml", {**info, "settings": {"parts_of": "pictures"}})
    Prepared([folder])
    assert identity(folder) != number
    save_mapping(folder / "dataset.yaml", {**info, "size_px": 10})
    with pytest.raises(InputError, match="was written with another `size_px`"):
        Prepared([folder])


@pytest.mark.slow
def test_a_damaged_index_is_made_again_or_refused(made: Path, tmp_path: Path) -> None:
    """Every file of it, in many places: never another number, never anything but one sentence."""
    opened = Prepared([made])
    wanted, rng = everything(opened), np.random.default_rng(0)
    names = sorted(path.name for path in (made / "index" / "1").iterdir())
    assert {"landmarks.npy", "landmarks.sums.npy", "landmarks.json", "index.json", "by_clip.npy"} <= set(names)
    ends = {"same": 0, "refused": 0}
    for number in range(4 * len(names)):
        name = names[number % len(names)]
        folder = tmp_path / str(number)
        shutil.copytree(made, folder, copy_function=os.link)
        path = folder / "index" / "1" / name
        content = bytearray(path.read_bytes())
        place = int(rng.integers(len(content)))
        match number // len(names):
            case 0:
                content[place] ^= 1 << int(rng.integers(8))
            case 1:
                content[-1 - place % 64] ^= 1 << int(rng.integers(8))
            case 2:
                del content[place:]
            case _:
                content[place:place] = bytes(8)
        path.unlink()
        path.write_bytes(content)
        said = ""
        try:
            assert everything(Prepared([folder])) == wanted, name
        except InputError as error:
            said = str(error)
        ends["refused" if said else "same"] += 1
        if said:
            assert re.fullmatch(r".*: is damaged; delete the folder .*, it is made again from frames\.parquet\.", said)
            shutil.rmtree(folder / "index")
            assert everything(Prepared([folder])) == wanted
    assert min(ends.values()) > 5


def test_a_missing_file_of_the_index_is_no_matter(folder: Path) -> None:
    wanted = everything(Prepared([folder]))
    for path in sorted((folder / "index" / "1").iterdir()):
        if path.exists():
            path.unlink()
            assert everything(Prepared([folder])) == wanted, path.name


@pytest.mark.parametrize(
    ("name", "value"), [("occurrence", 7), ("shard", 99), ("by_clip", 2**40), ("subject", -7), ("time_s", -1.0)]
)
def test_values_that_cannot_be_are_refused_whatever_the_checksums_say(folder: Path, name: str, value: float) -> None:
    """An index that somebody else made, with checksums of its own."""
    place = folder / "index" / "1"
    values = np.load(place / f"{name}.npy")
    values.reshape(-1)[3] = value
    columns.save_npy(place / f"{name}.npy", values, making.KINDS[name])
    facts = json.loads((place / "index.json").read_text())
    sums, first = np.load(place / "sums.npy"), 0
    for other, number in facts["columns"].items():
        if other == name:
            assert number == 1
            sums[first] = zlib.crc32(values.tobytes())
        first += number
    columns.save_npy(place / "sums.npy", sums, "u4")
    with pytest.raises(InputError, match=rf"{name}\.npy: is damaged"):
        everything(Prepared([folder]))


def test_a_folder_that_cannot_be_written(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The index is kept in the cache, said once; and where that cannot be written, for this process."""
    wanted = everything(Prepared([folder]))
    shutil.rmtree(folder / "index")
    before = sorted(path.name for path in folder.iterdir())
    mkdir = Path.mkdir

    def refusing(path: Path, *args: object, **options: object) -> None:
        if path.is_relative_to(folder) or (full and path.is_relative_to(cache)):
            raise OSError(30, "Read-only file system", str(path))
        mkdir(path, *args, **options)  # type: ignore[arg-type]

    full = False
    monkeypatch.setattr(Path, "mkdir", refusing)
    with caplog.at_level(logging.WARNING, "duchenne"):
        assert everything(Prepared([folder])) == wanted
        assert everything(Prepared([folder])) == wanted
    assert [record.message for record in caplog.records] == [
        f"{folder}: cannot be written (Read-only file system); its index is kept in the user's cache."
    ]
    (kept,) = cache.iterdir()
    inode = (kept / "1" / "index.json").stat().st_ino
    Prepared([folder])
    assert (kept / "1" / "index.json").stat().st_ino == inode
    shutil.rmtree(kept)
    full = True
    data = Prepared([folder])
    assert everything(data) == wanted
    place = data._all.indexes[0].place
    assert place.is_dir()
    del data
    assert not place.exists()
    assert sorted(path.name for path in folder.iterdir()) == before


def test_landmarks_of_a_folder_that_can_no_longer_be_written(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its index lies in it, the lists that nobody had asked for until then in the cache or in a temporary folder."""
    wanted = everything(Prepared([folder]))
    for path in (folder / "index" / "1").glob("*.json"):
        if path.name != "index.json":
            path.unlink()
    before = sorted(folder.rglob("*"))
    mkdir = Path.mkdir

    def refusing(path: Path, *args: object, **options: object) -> None:
        if path.is_relative_to(folder) or (full and path.is_relative_to(cache)):
            raise OSError(30, "Read-only file system", str(path))
        mkdir(path, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "mkdir", refusing)
    for full in (True, False):
        assert everything(Prepared([folder])) == wanted
        assert cache.exists() != full
        assert sorted(folder.rglob("*")) == before


def test_a_read_only_folder_with_its_index_is_only_read(folder: Path, cache: Path) -> None:
    """As from a share or an archive that was mounted; the superuser, who may write anywhere, is held to it as well."""
    wanted = everything(Prepared([folder]))
    places = [folder, *folder.rglob("*")]
    before = {path: path.stat().st_mtime_ns for path in places}
    for path in places:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert everything(Prepared([folder])) == wanted
        assert {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]} == before
        assert not cache.exists()
    finally:
        for path in places:
            path.chmod(0o755 if path.is_dir() else 0o644)


def test_links_in_somebody_elses_folder_lead_nowhere(folder: Path, tmp_path: Path) -> None:
    """A list was written over what `landmarks.part.npy` pointed to."""
    wanted, index = everything(Prepared([folder])), folder / "index"
    mine, victim = tmp_path / "mine", tmp_path / "mine" / "precious"
    mine.mkdir()
    victim.write_text("precious")
    for name in ("landmarks", "blendshapes"):
        for path in (index / "1").glob(f"{name}*"):
            path.unlink()
        for part in (index / "1" / f"{name}.part.npy", index / "1" / f"{name}.part.sums.npy"):
            part.symlink_to(victim)
    assert everything(Prepared([folder])) == wanted
    shutil.rmtree(index / "1")
    (index / "1").symlink_to(mine)
    assert everything(Prepared([folder])) == wanted
    shutil.rmtree(index)
    index.symlink_to(mine)
    assert everything(Prepared([folder])) == wanted
    assert [path.name for path in mine.iterdir()] == ["precious"]
    assert victim.read_text() == "precious"


def test_a_folder_from_an_archive_keeps_its_index(folder: Path, tmp_path: Path) -> None:
    wanted = everything(Prepared([folder]))
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", folder)  # which keeps times to two seconds
    shutil.unpack_archive(archive, tmp_path / "unpacked")
    number = identity(tmp_path / "unpacked")
    assert everything(Prepared([tmp_path / "unpacked"])) == wanted
    assert identity(tmp_path / "unpacked") == number


_OPEN = """
import sys, time
from pathlib import Path
from duchenne.data.stored import index
from tests.data.test_index import everything
from duchenne.data.prepared import Prepared
made = index._make
def slow(*arguments):
    print("made", flush=True)
    time.sleep(1)
    return made(*arguments)
index._make = slow
print("ready", flush=True)
sys.stdin.readline()
print(everything(Prepared([sys.argv[1]])), flush=True)
"""


def test_two_processes_open_an_old_folder_at_once(folder: Path) -> None:
    wanted = everything(Prepared([folder]))
    shutil.rmtree(folder / "index")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _OPEN, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=120)[0].split() for process in processes]
    assert sorted(len(words) for words in said) == [1, 2]  # one of the two made it
    assert [words[-1] for words in said] == [wanted, wanted]


def test_a_killed_process_leaves_nothing_that_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = everything(Prepared([folder]))
    shutil.rmtree(folder / "index")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(making, "_clip_order", killed)
        with pytest.raises(KeyboardInterrupt):
            Prepared([folder])
    assert list((folder / "index").iterdir()) == []
    (folder / "index" / "1.part").mkdir()
    (folder / "index" / "1.part" / "clip.npy").write_bytes(b"half")
    (folder / "index" / ".lock").touch()
    assert everything(Prepared([folder])) == wanted
    assert [path.name for path in (folder / "index").iterdir()] == ["1"]


def test_a_full_disk_is_said_or_got_around(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = everything(Prepared([folder]))
    shutil.rmtree(folder / "index")
    real = columns.ColumnWriter.write

    def full(self: columns.ColumnWriter, values: np.ndarray) -> None:
        if folder in Path(self._file.name).parents:
            raise OSError(28, "No space left on device")
        real(self, values)

    monkeypatch.setattr(columns.ColumnWriter, "write", full)
    assert everything(Prepared([folder])) == wanted
    assert not (folder / "index" / "1").exists()


def test_folders_without_a_column_have_none(made: Path, tmp_path: Path) -> None:
    """And one that holds nothing at all is passed over beside others."""
    empty = Path(shutil.copytree(made, tmp_path / "empty"))
    pq.write_table(pq.read_table(empty / "frames.parquet").slice(0, 0), empty / "frames.parquet")
    other = changed(made, tmp_path / "other", lambda frames: frames.assign(AU01=None, emotion=None)).paths[0]
    data = Prepared([empty, made, other])
    number = len(Prepared([made]))
    assert data.datasets().tolist() == [1] * number + [2] * number
    np.testing.assert_array_equal(data.occurrence()[:number], Prepared([made]).occurrence())
    assert np.isnan(data.occurrence([1])[number:]).all()
    assert data.column("emotion")[number:].isna().all()
    np.testing.assert_array_equal(
        data.clip_ids()[number:], data.clip_ids()[:number] + data.clip_ids()[:number].max() + 1
    )


def test_long_lists_of_rows_lie_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spilled, "AT_ONCE", 10)
    for count in (0, 1, 3, 7):
        pieces = [np.arange(start, start + 4) for start in range(0, 4 * count, 4)]
        found = spilled.spilled(iter(pieces))
        assert found.tolist() == list(range(4 * count))
        assert found.flags.writeable == (4 * count <= 10)


_EMBED = "main(['embed', '--model', 'pixels', '--data', FOLDER, '--out', FOLDER + '.parquet', '--quiet'])"


@pytest.mark.parametrize("program", ["duchenne.Prepared([FOLDER])", _EMBED])
def test_a_program_is_quiet_and_a_command_says_what_takes_long(folder: Path, program: str) -> None:
    is_command = program.startswith("main")
    shutil.rmtree(folder / "index")
    code = (
        "import duchenne; from duchenne.data.stored import index; from duchenne.cli.main import main; index._MANY = 1; "
        f"FOLDER = {str(folder)!r}; {program}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert ("making an index of its" in done.stderr) == is_command, done.stderr
    assert is_command or (done.stdout, done.stderr) == ("", "")
