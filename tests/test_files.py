"""Writing in one step: the old file or the new one, never a half-written one, and nothing left beside it."""

import os
from pathlib import Path

import pytest

from duchenne.errors import InputError
from duchenne.files import replacing, shown_name, write_text


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
