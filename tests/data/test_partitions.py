"""Published partitions, and parts of one's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.preparing.datasets.made import bp4d_codes, picture, write

import duchenne
from duchenne.data.folds import from_assignment, from_partition, from_split, is_partition
from duchenne.data.partitions import (
    BP4D_PARTS,
    BP4D_PLUS_PARTS,
    DISFA_PARTS,
    PARTITIONS,
    fold_of_subjects,
)
from duchenne.data.prepared import DatasetInfo, Prepared, read_info
from duchenne.errors import InputError, UsageError


def info(name: str = "bp4d", **settings: object) -> DatasetInfo:
    return DatasetInfo(
        name=name, aus=(1,), label_kind="occurrence", alignment="none", size_px=64, licence="", settings=settings
    )


@pytest.mark.parametrize(
    ("parts", "sizes"), [(BP4D_PARTS, [14, 14, 13]), (DISFA_PARTS, [9, 9, 9]), (BP4D_PLUS_PARTS, [35] * 4)]
)
def test_parts_are_disjoint_and_of_the_published_sizes(parts: tuple[tuple[str, ...], ...], sizes: list[int]) -> None:
    assert [len(part) for part in parts] == sizes
    assert len({subject for part in parts for subject in part}) == sum(sizes)


def test_both_numberings_of_the_same_parts() -> None:
    jaa, graph = fold_of_subjects("bp4d:jaa"), fold_of_subjects("bp4d:me-graphau")
    assert jaa["F001"] == 0  # P1 is tested first
    assert graph["F001"] == 2  # and last in ME-GraphAU, whose fold 1 tests P3
    assert (jaa["F004"], graph["F004"]) == (2, 0)
    assert (jaa["F003"], graph["F003"]) == (1, 1)
    assert fold_of_subjects("disfa:jaa")["SN003"] == 2  # py-feat's list of P3 names it too


def test_fera_tests_even_numbers_only() -> None:
    folds = fold_of_subjects("bp4d:fera2015")
    assert {subject for subject, fold in folds.items() if fold == 0} == {
        subject for subject in folds if int(subject[1:]) % 2 == 0
    }
    assert sum(fold == 0 for fold in folds.values()) == 20
    (fold,) = from_assignment(from_partition("bp4d:fera2015", [info(reader="bp4d")], ["bp4d:F001", "bp4d:F002"]))
    assert (fold.train.tolist(), fold.test.tolist()) == ([True, False], [False, True])


def test_a_partition_is_of_its_data_set() -> None:
    with pytest.raises(UsageError, match="bp4d:jaa: is of bp4d, and bp4d_plus is not"):
        from_partition("bp4d:jaa", [info("bp4d_plus", reader="bp4d_plus")], ["bp4d_plus:F001"])
    with pytest.raises(UsageError, match="there is no such partition; known are bp4d:jaa"):
        from_partition("bp4d:jea", [info(reader="bp4d")], ["bp4d:F001"])
    with pytest.raises(InputError, match="has no fold for subject bp4d:F099"):
        from_partition("bp4d:jaa", [info(reader="bp4d")], ["bp4d:F001", "bp4d:F099"])
    with pytest.raises(InputError, match="bp4d was prepared without parts"):
        from_partition("parts", [info(reader="bp4d")], ["bp4d:F001"])


def test_every_partition_has_a_source() -> None:
    assert all(is_partition(name) and partition.source for name, partition in PARTITIONS.items())
    assert not is_partition("split")
    assert not is_partition("3")


def test_the_validation_split_trains() -> None:
    (fold,) = from_split(["train", "validation", "test", None])
    assert fold.train.tolist() == [True, True, False, False]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "BP4D"
    for subject in ("F001", "F002", "M001"):
        picture(root / subject / "T1" / "1.jpg", np.full((64, 64, 3), 90, dtype=np.uint8))
        bp4d_codes(root / "AU_OCC" / f"{subject}_T1.csv", [1], {1: {1}}, (1, 2))
    return root


def prepare(root: Path, parts: Path) -> Path:
    arguments = {"alignment": "none", "size_px": 64, "workers": 1, "quiet": True}
    out = root.parent / "out"
    duchenne.prepare("bp4d", root=root, out=out, parts=parts, **arguments)  # type: ignore[arg-type]
    return out


def test_parts_of_ones_own_become_folds(root: Path) -> None:
    out = prepare(root, write(root.parent / "mine.csv", "subject,part\nF001,b\nF002,a\nM001,b\nM018,a\n"))
    found = read_info(out)
    assert found.settings["parts"] == {"a": ["F002", "M018"], "b": ["F001", "M001"]}
    assert found.settings["parts_file"] == "mine.csv"
    assert from_partition("parts", [found], ["bp4d:F001", "bp4d:F002", "bp4d:M001"]).tolist() == [1, 0, 1]


def test_parts_called_train_and_test_become_the_split(root: Path) -> None:
    out = prepare(root, write(root.parent / "mine.csv", "subject;part\nF001;train\nF002;val\nM001;test\n"))
    assert list(Prepared([out]).frames["split"]) == ["train", "validation", "test"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("subject,part\nF001,a\nF002,a\n", "has no part for subjects M001; add them"),
        ("subject,part\nF001,a\nF001,b\n", "row 3, part: subject `F001` needs one part"),
        ("subject,fold\nF001,1\n", "has no column `part`"),
    ],
)
def test_mistakes_in_parts(root: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        prepare(root, write(root.parent / "mine.csv", text))


def test_pretraining_leaves_out_a_fold_of_a_published_partition(root: Path) -> None:
    from duchenne.training.held_out import training_rows

    out = prepare(root, write(root.parent / "mine.csv", "subject,part\nF001,b\nF002,a\nM001,b\n"))
    data = Prepared([out])
    subjects = data.frames["subject"]
    assert list(subjects[training_rows(data, "0/parts")]) == ["F001", "M001"]
    assert list(subjects[training_rows(data, "1/parts")]) == ["F002"]
    with pytest.raises(InputError, match="no row is left to train on"):
        training_rows(data, "0/bp4d:jaa")  # all three are in P1
    with pytest.raises(UsageError, match="nobody is tested in that fold; count from 0"):
        training_rows(data, "3/bp4d:jaa")
