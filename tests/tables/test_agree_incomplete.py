"""Codings that hold only a part: what one of two did not code is neither a disagreement nor a draw of the bootstrap."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from duchenne.tables.agree import agree
from duchenne.tables.pairs import Event, _most_pairs

ROWS = 200
STEP_S = 0.04


def save(folder: Path, name: str, **values: np.ndarray) -> Path:
    """A table of one AU: source -> a value per frame, NaN where unknown."""
    parts = [
        pd.DataFrame({"source": f"{source}.mp4", "frame": np.arange(len(au)), "time_s": np.arange(len(au)) * STEP_S})
        .assign(AU12=au) for source, au in values.items()
    ]  # fmt: skip
    path = folder / f"{name}.csv"
    pd.concat(parts).to_csv(path, index=False)
    return path


def stretches(*pairs: tuple[int, int], unknown_from: int = ROWS) -> np.ndarray:
    coded = np.zeros(ROWS)
    for start, end in pairs:
        coded[start:end] = 1
    coded[unknown_from:] = np.nan
    return coded


def apart(coded: np.ndarray, seed: int = 0) -> np.ndarray:
    """The same with every tenth frame otherwise."""
    return np.where(np.random.default_rng(seed).random(len(coded)) < 0.1, 1 - coded, coded)


def test_events_where_the_other_does_not_know_are_not_missed_ones(tmp_path: Path) -> None:
    four = [(10, 30), (50, 70), (120, 140), (160, 180)]
    paths = [
        save(tmp_path, "a", x=stretches(*four)), save(tmp_path, "b", x=stretches(*four, unknown_from=100)),
    ]  # fmt: skip
    for one, other in permutations(paths):
        row = agree(one, other, out=tmp_path / "out").iloc[0]
        assert (row["frames"], row["kappa"], row["event_f1"]) == (100, 1, 1)
        assert (row["first_events"], row["second_events"]) == (2, 2)


def test_as_many_events_match_as_can_whatever_the_order_of_files(tmp_path: Path) -> None:
    # The first of `a` lies over both of `b` and begins nearer to the second, which alone the second of `a` meets.
    paths = [
        save(tmp_path, "a", x=stretches((50, 100), (120, 140))), save(tmp_path, "b", x=stretches((20, 55), (60, 130))),
    ]  # fmt: skip
    for one, other in permutations(paths):
        assert agree(one, other, out=tmp_path / "out").iloc[0]["event_f1"] == 1


def events(lengths: list[int]) -> list[Event]:
    """Stretches of one coder by how long each pause and each stretch last, over two groups."""
    half = len(lengths) // 4 * 2
    out = []
    for group, own in enumerate((lengths[:half], lengths[half:])):
        at = np.cumsum(own).tolist()
        out += [(group, float(start), float(end)) for start, end in zip(at[::2], at[1::2])]
    return out


@given(*[st.lists(st.integers(1, 9), max_size=40)] * 2, st.integers(0, 6))
def test_events_match_as_often_as_a_general_matching_does(one: list[int], other: list[int], close: int) -> None:
    first, second = events(one), events(other)
    near = [[g == h and ((s <= f and t <= e) or abs(s - t) <= close + 0.5) for h, t, f in second] for g, s, e in first]
    pairs = maximum_bipartite_matching(csr_array(np.array(near))) if first and second else np.empty(0)
    assert _most_pairs(first, second, close + 0.5) == (pairs >= 0).sum()


def test_onsets_exactly_the_tolerance_apart_match(tmp_path: Path) -> None:
    frame = np.arange(20)
    for name, start, end in (("a", 6, 8), ("b", 11, 13)):  # 1.1 - 0.6 is 0.5000000000000001
        table = pd.DataFrame({"frame": frame, "time_s": frame / 10, "AU12": (frame >= start) & (frame < end)})
        table.astype({"AU12": int}).to_csv(tmp_path / f"{name}.csv", index=False)
    assert agree(tmp_path / "a.csv", tmp_path / "b.csv", out=tmp_path / "out").iloc[0]["event_f1"] == 1


def test_no_interval_without_width_where_both_coded_one_source_alone(tmp_path: Path) -> None:
    coded = stretches((10, 60), (100, 150))
    unknown = np.full(ROWS, np.nan)
    first = save(tmp_path, "a", x=coded, y=coded)
    row = agree(first, save(tmp_path, "b", x=apart(coded), y=unknown), out=tmp_path / "out").iloc[0]
    assert row["kappa"] < 1
    assert row[["kappa_low", "kappa_high"]].isna().all()
    found = pd.read_csv(tmp_path / "out" / "reliability.csv").iloc[0]
    assert found["alpha"] < 1
    assert found[["alpha_low", "alpha_high"]].isna().all()
    both = agree(first, save(tmp_path, "b", x=apart(coded), y=apart(coded, 1)), out=tmp_path / "out").iloc[0]
    assert both["kappa_low"] < both["kappa"] < both["kappa_high"]


def test_alpha_is_over_all_frames_that_two_coded_whatever_the_order_of_files(tmp_path: Path) -> None:
    one, two = stretches((10, 60), (100, 150)), stretches((30, 90))
    values = {"a": {"x": one}, "b": {"x": apart(one), "y": apart(two, 1)}, "c": {"y": two}}
    paths = [save(tmp_path, name, **parts) for name, parts in values.items()]
    pairs = np.concatenate([np.stack([one, apart(one)]), np.stack([apart(two, 1), two])], axis=1)
    # Alpha of two coders, by its definition: disagreement observed over that of all values with one another.
    flat = pairs.ravel()
    expected = (flat[:, None] != flat).sum() / (len(flat) * (len(flat) - 1))
    alpha = 1 - (pairs[0] != pairs[1]).mean() / expected
    for order in permutations(paths):
        agree(*order, out=tmp_path / "out")
        found = pd.read_csv(tmp_path / "out" / "reliability.csv").iloc[0]
        assert found["frames"] == 2 * ROWS
        assert found["alpha"] == pytest.approx(alpha, abs=1e-6)
        assert found["alpha_low"] <= alpha <= found["alpha_high"]


def test_no_lag_from_a_handful_of_frames(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    frame = np.arange(28)  # 1.1 s, of which a shift of 1 s leaves 3 frames
    walk = generator.normal(size=28).cumsum()
    for name, values in (("a", walk), ("b", walk + generator.normal(size=28) * 2)):
        table = pd.DataFrame({"frame": frame, "time_s": frame * STEP_S, "AU12_s": values})
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    assert abs(agree(tmp_path / "a.csv", tmp_path / "b.csv", out=tmp_path / "out").iloc[0]["lag_s"]) <= 14 * STEP_S


def test_letters_are_intensities_also_where_only_a_occurs(tmp_path: Path) -> None:
    pd.DataFrame({"frame": range(4), "AU12": ["A", "a", "0", ""]}).to_csv(tmp_path / "a.csv", index=False)
    pd.DataFrame({"frame": range(4), "AU12_c": [1, 0, 0, 0]}).to_csv(tmp_path / "b.csv", index=False)
    row = agree(tmp_path / "a.csv", tmp_path / "b.csv", out=tmp_path / "out").iloc[0]
    assert (row["first"], row["frames"], row["first_present"]) == ("intensity", 3, 0)  # a trace is below 2
    low = agree(tmp_path / "a.csv", tmp_path / "b.csv", out=tmp_path / "out", intensity_from=1).iloc[0]
    assert low["first_present"] == pytest.approx(2 / 3)
