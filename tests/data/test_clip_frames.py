"""Separate frames of a clip: all equally likely, never twice in one draw."""

import numpy as np
import pytest
from tests.training.made import moving_squares

from duchenne.data.clip_frames import ClipFrames
from duchenne.data.prepared import Prepared
from duchenne.errors import InputError


@pytest.fixture(scope="module")
def squares(tmp_path_factory) -> Prepared:
    return moving_squares(tmp_path_factory.mktemp("data") / "squares", clips=3, frames=6)


def test_draws(squares):
    sampler = ClipFrames(2)
    clips, short = sampler.usable_clips(squares, np.arange(len(squares)))
    assert (len(clips), short) == (3, 0)
    drawn = np.stack([sampler.draw(clips[1], np.random.default_rng(seed)) for seed in range(600)])
    assert (squares.clip_ids()[drawn] == clips[1].number).all()
    assert (drawn[:, 0] != drawn[:, 1]).all()
    counts = np.unique(drawn, return_counts=True)[1]
    assert len(counts) == 6
    assert counts.min() > 160
    assert sorted(sampler.order(clips, np.random.default_rng(0))) == [0, 1, 2]


def test_clips_with_too_few_frames(squares):
    rows = np.flatnonzero((squares.clip_ids() != 0) | (squares.frames["frame"].to_numpy() < 1))
    sampler = ClipFrames(2)
    clips, short = sampler.usable_clips(squares, rows)
    assert (len(clips), short) == (2, 1)
    assert sampler.notes(clips, short) == ["1 of 3 clips have under 2 frames and were left out."]
    assert not sampler.notes(clips, 0)
    with pytest.raises(InputError, match="none of its 3 clips has the 7 frames"):
        ClipFrames(7).usable_clips(squares, np.arange(len(squares)))
