"""Writing in one step: the old file or the new one, never a half-written one, and nothing left beside it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from duchenne import files
from duchenne.errors import InputError, UsageError
from duchenne.files import (
    check_file,
    is_leftover,
    locked,
    locked_beside,
    read_text,
    replacing,
    replacing_folder,
    shown_name,
    sweep,
    write_text,
)


def test_the_file_appears_whole_and_alone(tmp_path: Path) -> None:
    target = tmp_path / "new" / "deep" / "table.csv"
    with replacing(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.suffix == ".csv"
        temporary.write_text("a\n")
        assert not target.exists()
    assert target.read_text() == "a\n"
    assert os.listdir(target.parent) == ["table.csv"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_keeps_the_old_file_and_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "table.csv"
    write_text(target, "old")

    def fail() -> None:
        with replacing(target) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["table.csv"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file" / "table.csv", tmp_path / "file" / "deep" / "er" / "table.csv"):
        with pytest.raises(InputError, match=r"table\.csv: its folder cannot be made"):
            write_text(place, "a")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="folder: cannot be written"):
        write_text(tmp_path / "folder", "a")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_a_full_disk_is_named() -> None:
    if not os.access("/dev/full", os.W_OK):
        pytest.skip("no /dev/full on this system")
    message = r"out\.csv: cannot be written \(No space left on device\)"
    with pytest.raises(InputError, match=message), replacing("out.csv"), open("/dev/full", "w") as full:
        full.write("a")


def test_a_library_that_does_not_fit_is_not_blamed_on_the_output(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="failed to map"), replacing(tmp_path / "table.csv"):
        raise OSError("lib.so: failed to map segment from shared object")
    assert os.listdir(tmp_path) == []


def test_an_unreadable_input_is_not_blamed_on_the_output(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "table.csv"):
        (tmp_path / "none.csv").read_text()
    assert os.listdir(tmp_path) == []


def test_text_is_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "Größe ☺")
    assert (tmp_path / "a.txt").read_bytes() == "Größe ☺".encode()


def test_the_longest_names_are_written_and_longer_ones_are_one_sentence(tmp_path: Path) -> None:
    """255 bytes are a name in every common file system; the temporary one beside it is longer, and must not be."""
    for name in ("a" * 251 + ".csv", "ä" * 125 + "b.csv"):
        write_text(tmp_path / name, "whole")
        assert (tmp_path / name).read_text() == "whole"
    with pytest.raises(InputError, match=r"cannot be written \(File name too long\)"):
        write_text(tmp_path / ("a" * 300 + ".csv"), "x")
    assert len(os.listdir(tmp_path)) == 2


def test_a_temporary_file_that_cannot_be_removed_hides_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder that became read-only neither the file can be written nor the rest of it removed."""

    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "unlink", refuse)
    monkeypatch.setattr(Path, "write_text", lambda self, *_, **__: refuse(self))
    with pytest.raises(InputError, match=r"a\.csv: cannot be written \(Permission denied\)"):
        write_text(tmp_path / "a.csv", "x")


def test_names_that_are_no_utf8_are_shown() -> None:
    assert shown_name(os.fsdecode(b"in/M\xfcller.mov")) == "in/M\\xfcller.mov"
    assert shown_name("Müller") == "Müller"
    assert shown_name(Path(os.fsdecode(b"a\xff\x80")) / "b") == "a\\xff\\x80/b"
    assert shown_name("half a pair \ud800") == "half a pair \\ud800"


def test_a_text_with_such_names_is_written(tmp_path: Path) -> None:
    place = tmp_path / os.fsdecode(b"M\xfcller.txt")
    write_text(place, f"of {place.name}")
    assert place.read_text() == "of M\\xfcller.txt"


def test_a_path_that_a_library_cannot_open_is_one_sentence(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    place = tmp_path / os.fsdecode(b"M\xfcller.parquet")
    with pytest.raises(InputError, match="files of this kind need a path in UTF-8"), replacing(place) as temporary:
        pq.write_table(pa.table({"a": [1]}), temporary)
    assert os.listdir(tmp_path) == []
    with pytest.raises(UnicodeEncodeError), replacing(tmp_path / "a") as temporary:  # a fault of our own
        temporary.write_text("\udcff")


def test_temporary_names_cannot_be_guessed_and_follow_no_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = set()
    for _ in range(3):
        with replacing(tmp_path / "a.csv") as temporary:
            names.add(temporary.name)
            assert is_leftover(temporary.name)
    assert len(names) == 3
    victim = tmp_path / "victim"
    victim.write_text("mine")
    monkeypatch.setattr(os, "urandom", bytes)
    (tmp_path / files._part_name(Path("b.csv"))).symlink_to(victim)
    with pytest.raises(InputError, match=r"b\.csv: cannot be written \(File exists\)"):
        write_text(tmp_path / "b.csv", "theirs")
    assert victim.read_text() == "mine"


def test_files_have_the_usual_permissions(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


def test_what_killed_processes_left_is_removed(tmp_path: Path) -> None:
    """Of processes that are gone; what another one, or another computer, is writing stays."""
    ours, theirs = files._machine(), "ffffff" if files._machine() != "ffffff" else "eeeeee"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    token = "0" * 12
    left = tmp_path / f".a.{gone.pid}-{ours}-{token}.part.csv"
    kept = [
        tmp_path / f".a.{os.getpid()}-{ours}-{token}.part.csv", tmp_path / f".a.{gone.pid}-{theirs}-{token}.part.csv",
        tmp_path / ".a.part.csv", tmp_path / "a.csv",
    ]  # fmt: skip
    for path in [left, *kept]:
        path.touch()
    sweep(tmp_path)
    assert set(tmp_path.iterdir()) == set(kept)


def test_a_file_is_on_the_disk_before_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a power cut requires: content, then the name, then the folder that holds it."""
    done = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(
        os, "fsync", lambda handle: (done.append(os.path.isdir(f"/proc/self/fd/{handle}")), fsync(handle))
    )
    monkeypatch.setattr(Path, "replace", lambda self, other: (done.append("renamed"), replace(self, other))[1])
    write_text(tmp_path / "a.txt", "x")
    assert done == [False, "renamed", True]


HOLD = """
import sys, time
from duchenne.files import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_is_held_by_one_process_and_by_no_dead_one(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, folder], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        start = time.monotonic()
        with pytest.raises(UsageError, match="another process is at work in it"), locked(folder):
            pass
        assert time.monotonic() - start < 2
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with locked(folder):
        assert [path.name for path in folder.iterdir()] == [".lock"]
    assert list(folder.iterdir()) == []


def test_pipes_devices_and_folders_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, kind in (
        (tmp_path / "pipe", "a pipe or a device"),
        (Path(os.devnull), "a pipe or a device"),
        (tmp_path, "a folder"),
    ):
        with pytest.raises(InputError, match=f"cannot be read: it is {kind}, not a file"):
            check_file(path)
        with pytest.raises(InputError, match="not a file"):
            read_text(path)
    with pytest.raises(InputError, match="there is no such file"):
        check_file(tmp_path / "none")
    with pytest.raises(InputError, match="cannot be a file name"):
        check_file("a\0b")
    with pytest.raises(InputError, match="cannot be read"):
        check_file("a" * 5000)
    (tmp_path / "large").write_text("x" * 101)
    with pytest.raises(InputError, match="larger than"):
        read_text(tmp_path / "large", 100)


def test_a_folder_appears_whole_and_alone(tmp_path: Path) -> None:
    target = tmp_path / "new" / "detector"
    for text in ("first", "second"):
        with replacing_folder(target) as temporary:
            assert temporary.parent == target.parent
            (temporary / text).write_text(text)
        assert [path.name for path in target.iterdir()] == [text]
        assert os.listdir(target.parent) == ["detector"]

    def fail() -> None:
        with replacing_folder(target) as temporary:
            (temporary / "third").write_text("half")
            raise ValueError

    with pytest.raises(ValueError):
        fail()
    assert [path.name for path in target.iterdir()] == ["second"]
    assert os.listdir(target.parent) == ["detector"]


KILLED = """
import os, signal, sys
from pathlib import Path
from duchenne.files import replacing_folder
rename = Path.rename
def killed(self, target):
    if self.name.endswith(".part") == (sys.argv[2] == "between"):
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)
Path.rename = killed
with replacing_folder(sys.argv[1]) as folder:
    (folder / "new").touch()
"""


@pytest.mark.parametrize("when", ["before", "between"])
def test_a_folder_whose_replacement_was_killed_is_put_back(tmp_path: Path, when: str) -> None:
    """Also in the moment in which the earlier one has made way and the new one is not there yet."""
    target = tmp_path / "detector"
    target.mkdir()
    (target / "old").touch()
    assert subprocess.run([sys.executable, "-c", KILLED, target, when]).returncode == -signal.SIGKILL
    assert target.exists() == (when == "before")
    sweep(tmp_path)
    assert os.listdir(tmp_path) == ["detector"]
    assert os.listdir(target) == ["old"]


def test_a_name_of_any_length_can_be_held(tmp_path: Path) -> None:
    with locked_beside(tmp_path / ("a" * 255)), locked(tmp_path / ("b" * 255)):
        assert all(is_leftover(path.name) for path in tmp_path.iterdir() if path.is_file())
    assert os.listdir(tmp_path) == []
    with pytest.raises(InputError, match=r"cannot be written \(File name too long\)"), locked("c" * 300):
        pass
