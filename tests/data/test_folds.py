"""Folds: subjects whole, sizes balanced, seeded, refusals in one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duchenne.data.folds import assign_subjects, from_assignment, from_file, from_split, hold_out, k_fold
from duchenne.errors import InputError, UsageError


@given(
    st.dictionaries(st.text(min_size=1, max_size=4), st.integers(1, 500), min_size=3, max_size=40), st.integers(2, 3)
)
def test_every_subject_lies_in_one_fold_of_equal_size(frames_of: dict[str, int], number: int) -> None:
    folds = assign_subjects(frames_of, number, seed=7)
    assert folds == assign_subjects(dict(reversed(frames_of.items())), number, seed=7)
    sizes = np.bincount(list(folds.values()), minlength=number)
    assert sizes.sum() == len(frames_of)
    assert sizes.max() - sizes.min() <= 1


def test_frames_are_balanced_and_seeds_differ() -> None:
    generator = np.random.default_rng(0)
    frames_of = {f"S{number:02d}": int(count) for number, count in enumerate(generator.integers(200, 8000, 41))}
    drawn = [assign_subjects(frames_of, 3, seed=seed) for seed in range(4)]
    for folds in drawn:
        sums = [sum(frames_of[name] for name, fold in folds.items() if fold == wanted) for wanted in range(3)]
        assert max(sums) - min(sums) < 0.15 * np.mean(sums)
    assert len({tuple(folds.values()) for folds in drawn}) == 4


def test_rows_of_a_subject_stay_together() -> None:
    subjects = ["a"] * 5 + ["b"] * 4 + ["c"] * 6 + ["d"] * 5
    assigned = k_fold(subjects, 2)
    for fold in from_assignment(assigned):
        assert (fold.train ^ fold.test).all()
        assert not {s for s, t in zip(subjects, fold.test) if t} & {s for s, t in zip(subjects, fold.train) if t}


def test_refusals_say_what_to_do() -> None:
    with pytest.raises(UsageError, match="only 2 subjects have labels, fewer than folds; give at most folds 2"):
        k_fold(["a", "a", "b"], 3)
    with pytest.raises(UsageError, match="at least 2 folds"):
        k_fold(["a", "b"], 1)
    with pytest.raises(InputError, match=r"1 of 3 labelled frames have no subject.*folds split"):
        k_fold(["a", None, "b"], 2)
    with pytest.raises(InputError, match="no labelled frame has split `test`"):
        from_split(["train", "val", None])


def test_split_leaves_unmarked_rows_out() -> None:
    (fold,) = from_split(["train", "test", None, "val"])
    assert fold.train.tolist() == [True, False, False, True]
    assert fold.test.tolist() == [False, True, False, False]


def test_hold_out_takes_whole_subjects_of_the_training_rows() -> None:
    groups = np.repeat(np.arange(10), 4)
    rows = groups < 8
    held = hold_out(groups, rows, share=0.2, seed=3)
    assert set(groups[held]) <= set(range(8))
    assert len(set(groups[held])) == 2
    assert not set(groups[held]) & set(groups[rows & ~held])
    assert len(set(groups[hold_out(groups, groups < 2)])) == 1
    with pytest.raises(UsageError, match="only one subject"):
        hold_out(groups, groups == 0)


def test_folds_from_a_table(tmp_path: Path) -> None:
    table = tmp_path / "folds.csv"
    table.write_text("subject,fold\na,1\nx:b,0\nc,\n")
    assigned = from_file(table, ["x:a", "x:b", "x:c", "x:a"])
    assert assigned.tolist() == [1, 0, -1, 1]
    folds = from_assignment(assigned)
    assert [fold.test.tolist() for fold in folds] == [[False, True, False, False], [True, False, False, True]]
    assert folds[0].train.tolist() == [True, False, True, True]
    table.write_text(
        "subject;fold\na;1\nx:b;0\nc;\n;\n"
    )  # as spreadsheets write it where the comma is the decimal mark
    assert from_file(table, ["x:a", "x:b", "x:c"]).tolist() == [1, 0, -1]
    for text, sentence in {
        "subject,fold\na,1\nb,0\n": "no fold for subject x:c",
        "subject,fold\na,1\na,0\n": "names subject a more than once",
        "subject,part\na,1\n": "no column `fold`",
        "subject,fold\na,one\n": "cannot be read as a table",
        "subject,fold,seed\na,1,0\n": "no rows for seed 3",
        "subject,fold\na,1\nb,1\nc,1\n": "are all in one fold",
    }.items():
        table.write_text(text)
        with pytest.raises(InputError, match=sentence):
            from_file(table, ["x:a", "x:b", "x:c"], seed=3)
