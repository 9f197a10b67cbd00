"""Files below a root and inside archives."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest
from tests.preparing.datasets.made import write

from duchenne.errors import InputError
from duchenne.preparing.sources import tree as tree_module
from duchenne.preparing.sources.tree import Stored, Tree, read_stored


def archive(path: Path, members: dict[str, str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as out:
        for name, text in members.items():
            out.writestr(name, text)
    return path


def test_archives_are_folders_and_rubbish_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "a" / "one.txt", "1")
    write(tmp_path / "a" / ".DS_Store", "")
    write(tmp_path / "__MACOSX" / "one.txt", "")
    archive(tmp_path / "b" / "Two.ZIP", {"x/two.txt": "2", "__MACOSX/x/._two.txt": "", "x/.hidden": "", "x/": ""})
    tree = Tree(tmp_path)
    assert tree.names == ["a/one.txt", "b/Two.ZIP/x/two.txt"]
    assert tree.stored("b/Two.ZIP/x/two.txt") == Stored(tmp_path / "b" / "Two.ZIP", "x/two.txt")
    assert [tree.text(name) for name in tree.names] == ["1", "2"]
    assert [name for _, name in tree.match(r"(\w+)\.txt")] == tree.names
    assert list(tree.match(r"wo\.txt")) == []  # a pattern begins where a name does


def test_members_that_try_to_leave_the_archive_are_passed_over(tmp_path: Path) -> None:
    archive(tmp_path / "in" / "bad.zip", {"../../outside.txt": "x", "inside.txt": "y"})
    assert Tree(tmp_path / "in").names == ["bad.zip/inside.txt"]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["bad.zip", "in"]


def test_a_locked_archive(tmp_path: Path) -> None:
    path = archive(tmp_path / "locked.zip", {"a.txt": "x"})
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the flag of the member, and that in the directory
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match=r"locked\.zip: is locked by a password; unpack it"):
        read_stored(Stored(path, "a.txt"))


def test_a_damaged_member(tmp_path: Path) -> None:
    path = archive(tmp_path / "damaged.zip", {"a.txt": "some text"})
    path.write_bytes(path.read_bytes().replace(b"some", b"sume"))
    with pytest.raises(InputError, match=r"damaged\.zip/a\.txt: cannot be read .* fetch the archive again"):
        read_stored(Stored(path, "a.txt"))


def test_a_damaged_member_packed_with_lzma(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_LZMA) as out:
        out.writestr("a.txt", "some text, some more, and some that differs" * 9)
    data = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(data[:50] + bytes(b ^ 255 for b in data[50:70]) + data[70:])
    with pytest.raises(InputError, match=r"a\.zip/a\.txt: cannot be read .* fetch the archive again"):
        read_stored(Stored(tmp_path / "a.zip", "a.txt"))


def test_pipes_are_neither_files_nor_archives(tmp_path: Path) -> None:
    for name in ("a.txt", "b.zip"):
        os.mkfifo(tmp_path / name)
    tree = Tree(tmp_path)
    assert "b.zip: cannot be read: it is a pipe" in tree.problems[0]
    with pytest.raises(InputError, match="it is a pipe or a device"):
        tree.data("a.txt")


def test_a_member_that_unpacks_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "bomb.zip", {"a.txt": "x" * 1000})
    monkeypatch.setattr(tree_module, "LARGEST_MEMBER", 999)
    with pytest.raises(InputError, match="unpacks to over"):
        read_stored(Stored(path, "a.txt"))


@pytest.mark.parametrize("missing", [True, False])
def test_a_root_that_is_no_folder(tmp_path: Path, missing: bool) -> None:
    root = tmp_path / "root"
    if not missing:
        root.touch()
    with pytest.raises(InputError, match="there is no such folder; check root" if missing else "is a file; name"):
        Tree(root)
