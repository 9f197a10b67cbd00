"""Sequences: the index law, time stamps, gaps; batches follow from seed and step."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.training.made import changed, moving_squares

from duchenne.data.clip_samplers import Clip, Run, SequenceSampler
from duchenne.data.loaders import ClipLoader
from duchenne.errors import InputError
from duchenne.methods.temporal_ranking.config import TemporalRankingConfig
from duchenne.methods.temporal_ranking.method import TemporalRanking


class Table:
    """As much of `Prepared` as the sampler reads."""

    def __init__(self, times, clips=None):
        self._times = np.asarray(times, dtype=np.float64)
        self._clips = np.zeros(len(times), dtype=np.int64) if clips is None else np.asarray(clips)
        self.clips, self.paths = int(self._clips.max()) + 1, ["made"]
        self._order = np.lexsort((self._times, self._clips))
        own = [np.sort(self._times[self._clips == clip]) for clip in range(self.clips)]
        steps = [np.diff(times) if len(times) > 1 else np.zeros(1) for times in own]
        self._columns = {
            "first": np.cumsum([0, *map(len, own[:-1])]), "frames": np.array([len(times) for times in own]),
            "spacing": np.array([np.median(each) for each in steps]), "gap": np.array([each.max() for each in steps]),
        }  # fmt: skip

    def __len__(self):
        return len(self._times)

    def clip_column(self, name):
        return self._columns[name]

    def clip_ids(self, rows):
        return self._clips[rows]

    subject_ids = clip_ids

    def in_clips(self, places):
        return self._order[places]

    def times(self, rows):
        return self._times[rows]

    def usable(self, sampler):
        return sampler.usable_clips(self, np.arange(len(self)))


def test_clips_of_two_subjects_may_have_one_name(squares, tmp_path):
    subjects, clips = ["F001", "F002", None, "F001"], ["T1", "T1", "T1", "T2"]
    made = changed(
        squares.paths[0],
        tmp_path / "out",
        lambda frames: frames.assign(
            subject=[subjects[row % 4] for row in range(len(frames))],
            clip=[clips[row % 4] for row in range(len(frames))],
        ),
    )
    assert made.clip_ids().tolist() == [row % 4 for row in range(len(made))]
    assert made.subject_ids().tolist() == [(0, 1, -1, 0)[row % 4] for row in range(len(made))]


@pytest.mark.parametrize("interval", [1, 2, 4])
def test_index_law_of_temporal_ranking(interval):
    sampler = TemporalRanking.sampler(TemporalRankingConfig(interval=interval))
    assert sampler.offsets.tolist() == [0, 1, *(1 + interval * n for n in range(1, 11))]
    need = interval * 10 + 2
    (clip,), short = Table(np.arange(need) / 25).usable(sampler)
    assert short == 0
    assert clip.runs[0].starts == 1
    assert sampler.draw(clip, np.random.default_rng(0)).tolist() == sampler.offsets.tolist()
    with pytest.raises(InputError, match="long enough"):
        Table(np.arange(need - 1) / 25).usable(sampler)


@given(rate=st.sampled_from([25.0, 29.97, 30.0, 50.0, 59.94]), frames=st.integers(40, 200), seed=st.integers(0, 99))
def test_frames_are_the_nearest_in_time(rate, frames, seed):
    sampler = SequenceSampler([0, 1, 3, 5])
    times = np.arange(frames) / rate
    (clip,), _ = Table(times).usable(sampler)
    rows = sampler.draw(clip, np.random.default_rng(seed))
    wanted = times[rows[0]] + sampler.offsets / 25
    nearest = np.abs(times[None] - wanted[:, None]).min(1)
    assert np.allclose(np.abs(times[rows] - wanted), nearest)
    assert (np.diff(rows) > 0).all()


def test_variable_frame_rate_follows_time_stamps():
    times = np.cumsum(np.tile([0.02, 0.04, 0.03], 40))
    (clip,), _ = Table(times).usable(SequenceSampler([0, 5, 10]))
    for seed in range(20):
        rows = SequenceSampler([0, 5, 10]).draw(clip, np.random.default_rng(seed))
        assert np.abs(np.diff(times[rows]) - 0.2).max() <= 0.04


@pytest.mark.parametrize("rate", [20.0, 20.5, 22.0, 23.8, 23.976, 24.0, 24.5])
@pytest.mark.parametrize("decimals", [3, 15])
def test_under_25_frames_per_second_an_interval_is_one_frame(rate, decimals):
    # The index law in frames, as at 25 frames/s: t, then t + 1, t + 2, ... t + 11 for k = 1.
    sampler = TemporalRanking.sampler(TemporalRankingConfig(interval=1))
    clips, short = Table(np.round(np.arange(60) / rate, decimals)).usable(sampler)
    rng = np.random.default_rng(0)
    for rows in [sampler.draw(clips[0], rng) for _ in range(30)]:
        assert np.diff(rows).tolist() == [1] * 11
    assert sampler.notes(clips, short) == [
        "Some clips have fewer than 25 frames/s; one interval is one of their frames there "
        f"({clips.units[0]:.3g} to {clips.units[0]:.3g} s)."
    ]


@pytest.mark.parametrize("rate", [24.99, 25.0, 30.0])
def test_from_25_frames_per_second_an_interval_is_a_25th_of_a_second(rate):
    sampler = SequenceSampler([0, 1, 2])
    clips, short = Table(np.round(np.arange(60) / rate, 3)).usable(sampler)
    assert clips[0].unit_s == 1 / 25
    assert sampler.notes(clips, short) == []


def test_only_a_clips_own_unit_is_told():
    sampler = SequenceSampler([0, 1, 2], unit_s=0.08)
    assert sampler.notes(*Table(np.arange(60) / 25).usable(sampler)) == []


def test_slow_video_takes_its_own_frames_as_unit():
    (clip,), _ = Table(np.arange(12) / 12.5).usable(SequenceSampler([0, 1, 2]))
    assert clip.unit_s == pytest.approx(0.08)
    rows = SequenceSampler([0, 1, 2]).draw(clip, np.random.default_rng(0))
    assert np.diff(rows).tolist() == [1, 1]
    with pytest.raises(InputError):
        Table(np.arange(12) / 12.5).usable(SequenceSampler([0, 1, 2], unit_s=1 / 25))


@pytest.mark.parametrize(("rate", "interval", "fits"), [(20, 1, False), (20, 2, True), (24, 1, True), (60, 1, True)])
def test_no_frame_is_in_a_sequence_twice(rate, interval, fits):
    """At 20 frames/s, 0.08 and 0.12 s are both nearest to the frame at 0.10 s: it was to rank before itself."""
    sampler = TemporalRanking.sampler(TemporalRankingConfig(interval=interval, interval_unit=1 / 25))
    table = Table(np.arange(200) / rate)
    if not fits:
        with pytest.raises(InputError, match=r"1 have too few frames for an interval unit of 0\.04 s"):
            table.usable(sampler)
        return
    clips, _ = table.usable(sampler)
    for seed in range(30):
        assert (np.diff(sampler.draw(clips[0], np.random.default_rng(seed))) >= 1).all()


@given(missing=st.sets(st.integers(0, 59), max_size=12), seed=st.integers(0, 20))
def test_never_across_a_gap(missing, seed):
    kept = [frame for frame in range(60) if frame not in missing]
    sampler = SequenceSampler([0, 1, 3])
    try:
        clips, _ = Table(np.asarray(kept) / 25).usable(sampler)
    except InputError:
        assert max(len(run) for run in np.split(kept, np.flatnonzero(np.diff(kept) > 1) + 1)) < 4
        return
    rows = sampler.draw(clips[0], np.random.default_rng(seed))
    frames = np.asarray(kept)[rows]
    assert set(range(frames[0], frames[-1] + 1)) <= set(kept)
    assert np.diff(frames).tolist() == [1, 2]


def test_every_start_is_drawn():
    run = Run(np.arange(10), np.arange(10) / 25, 8)
    other = Run(np.arange(20, 24), np.arange(4) / 25, 2)
    clip = Clip(0, 0, 1 / 25, (run, other))
    rng = np.random.default_rng(0)
    starts = {int(SequenceSampler([0, 1, 2]).draw(clip, rng)[0]) for _ in range(300)}
    assert starts == {*range(8), 20, 21}


def test_short_clips_are_counted():
    clips = np.repeat([0, 1, 2], [20, 3, 20])
    times = np.concatenate([np.arange(20), np.arange(3), np.arange(20)]) / 25
    usable, short = Table(times, clips).usable(SequenceSampler(range(10)))
    assert [clip.number for clip in usable] == [0, 2]
    assert short == 1


@pytest.mark.parametrize("offsets", [[], [1, 2], [0, 2, 2]])
def test_wrong_offsets(offsets):
    with pytest.raises(ValueError, match="ascend"):
        SequenceSampler(offsets)


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    return moving_squares(tmp_path_factory.mktemp("data") / "squares")


def loader(squares, **arguments):
    sampler = SequenceSampler([0, 1, 2])
    clips, _ = sampler.usable_clips(squares, np.arange(len(squares)))
    defaults = {"batch_size": 4, "size_px": 16, "seed": 3}
    return ClipLoader(squares, clips, sampler, **{**defaults, **arguments})


def test_batches_follow_from_seed_and_step(squares):
    first = list(loader(squares).batches(0, 5))
    again = list(loader(squares).batches(3, 5))
    assert torch.equal(first[3].images, again[0].images)
    assert torch.equal(first[4].rows, again[1].rows)
    assert not torch.equal(first[0].rows, next(loader(squares, seed=4).batches(0, 1)).rows)


def test_an_epoch_is_every_clip_once(squares):
    numbers = torch.cat([batch.clips for batch in loader(squares).batches(0, 3)])
    assert sorted(numbers[:6].tolist()) == list(range(6))
    assert sorted(numbers[6:].tolist()) == list(range(6))


def test_processes_share_a_batch(squares):
    whole = loader(squares).batch(2)
    parts = [loader(squares, rank=rank, processes=2).batch(2) for rank in range(2)]
    assert torch.equal(whole.images, torch.cat([part.images for part in parts]))
    with pytest.raises(ValueError, match="not divisible"):
        loader(squares, processes=3)


def test_pictures_are_those_of_the_rows(squares):
    with ThreadPoolExecutor(2) as pool:
        batch = loader(squares, size_px=32).batch(0, pool)
    for rows, images in zip(batch.rows, batch.images, strict=True):
        for row, image in zip(rows.tolist(), images, strict=True):
            assert np.array_equal(squares.image(row), image.permute(1, 2, 0).numpy())
    assert batch.subjects.tolist() == [squares.subject_ids()[row] for row in batch.rows[:, 0].tolist()]


def test_an_error_while_loading_reaches_the_loop(squares):
    broken = loader(squares)
    broken.rows = lambda step: (_ for _ in ()).throw(InputError("damaged"))
    with pytest.raises(InputError, match="damaged"):
        list(broken.batches(0, 2))
