"""Single frames with labels: which are usable, how epochs are drawn, what a batch holds."""

import numpy as np
import pytest

from duchenne.data.labels import LabelSpec
from duchenne.data.loaders import ClipLoader
from duchenne.data.prepared import Prepared
from duchenne.data.single_frames import FrameSampler
from duchenne.errors import InputError
from duchenne.facs import EMOTIONS
from duchenne.synthetic.synth import synth


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Prepared:
    out = tmp_path_factory.mktemp("data") / "faces"
    return synth(out, subjects=6, clips=2, frames=12, size_px=32, seed=3, workers=1, quiet=True)


def usable(faces, sampler):
    return sampler.usable_clips(faces, np.arange(len(faces)))


def test_frames_without_their_label_are_left_out_and_counted(faces):
    sampler = FrameSampler(LabelSpec(emotions=("neutral", "happiness")))
    clips, left_out = usable(faces, sampler)
    named = faces.frames["emotion"].isin(["neutral", "happiness"]).to_numpy(dtype=bool, na_value=False)
    assert [clip.number for clip in clips] == np.flatnonzero(named).tolist()
    assert left_out == int((~named).sum()) > 0
    assert sampler.notes(clips, left_out) == [
        f"{left_out} of {len(faces)} frames lack emotion labels and were left out."
    ]


def test_a_batch_holds_the_labels_of_its_rows(faces):
    spec = LabelSpec(aus=(12, 4), emotions=EMOTIONS, landmarks=True)
    sampler = FrameSampler(spec)
    clips, _ = usable(faces, sampler)
    batch = ClipLoader(faces, clips, sampler, batch_size=5, size_px=64, seed=0, labels=spec).batch(1)
    rows = batch.rows[:, 0].numpy()
    assert np.array_equal(batch.labels["aus"][:, 0].numpy(), faces.occurrence([12, 4])[rows].astype(int))
    assert np.allclose(batch.labels["landmarks"][:, 0].numpy(), 2 * faces.landmarks()[rows])
    names = [EMOTIONS[number] for number in batch.labels["emotion"][:, 0]]
    assert names == faces.frames["emotion"].iloc[rows].tolist()
    part = batch.select(slice(1, 3))
    assert np.array_equal(part.labels["aus"], batch.labels["aus"][1:3])


def test_a_balanced_epoch_draws_the_classes_evenly(faces):
    spec = LabelSpec(emotions=EMOTIONS)
    plain, balanced = FrameSampler(spec), FrameSampler(spec, balance="emotion")
    clips, _ = usable(faces, balanced)
    drawn = [clips.groups[balanced.order(clips, np.random.default_rng(seed))] for seed in range(40)]
    counts = np.bincount(np.concatenate(drawn), minlength=len(EMOTIONS))
    present = np.unique(clips.groups)
    assert counts[present] == pytest.approx(counts.sum() / len(present), rel=0.15)
    assert (
        counts.max() / counts[present].min()
        < np.bincount(clips.groups)[present].max() / np.bincount(clips.groups)[present].min()
    )
    once = plain.order(usable(faces, plain)[0], np.random.default_rng(0))
    assert sorted(once.tolist()) == list(range(len(clips)))


def test_parts_of_the_frames(faces):
    clips, _ = usable(faces, FrameSampler(LabelSpec(aus=(12,))))
    assert clips[-1].number == clips[len(clips) - 1].number
    assert [clip.number for clip in clips[2:5]] == [clips[place].number for place in (2, 3, 4)]
    assert clips.take(np.array([4, 1]))[0].runs[0].rows.tolist() == [clips[4].number]


def test_missing_labels_name_the_column(faces, tmp_path):
    with pytest.raises(InputError, match="column `emotion`"):
        usable(faces, FrameSampler(LabelSpec(emotions=("boredom",))))
    with pytest.raises(InputError, match="no labels for AU43"):
        usable(faces, FrameSampler(LabelSpec(aus=(43,))))
