"""An epoch as the papers count it, validation between recordings, and how often and on what it is made."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.methods.made import SMALL
from tests.training.made import FACE, SIZE_PX, changed, moving_squares

import duchenne
from duchenne.data.clip_frames import ClipFrames
from duchenne.data.clip_samplers import SequenceSampler
from duchenne.data.epochs import epoch_units, first_rows, recording_ids
from duchenne.data.loaders import ClipLoader
from duchenne.data.prepared import DatasetInfo, Prepared
from duchenne.data.shards import PartWriter, encode_jpeg
from duchenne.data.writing import write_prepared
from duchenne.errors import UsageError
from duchenne.methods.clp.sampler import SequenceAndFrames
from duchenne.methods.registry import method_class
from duchenne.training.config import TrainingConfig, method_run_config
from duchenne.training.held_out import folder_notes, split_clips
from duchenne.training.schedules import Plateau

FAST = {"size_px": 32, "batch_size": 4, "device": "cpu", "precision": "float32", "quiet": True, "log_every": 1}
SPEAKERS, VIDEOS, UTTERANCES = 2, 3, 4


def voxceleb2(out: Path, name: str = "voxceleb2", **settings: object) -> Prepared:
    """Utterances of videos of speakers, under the names that `prepare voxceleb2` gives; one is broken into two runs."""
    info = DatasetInfo(
        name=name, aus=(), label_kind="none", alignment="none", size_px=SIZE_PX, licence="",
        settings={"reader": "voxceleb2", **settings},
    )  # fmt: skip

    def produce(writer: PartWriter, speaker: int) -> None:
        picture = encode_jpeg(np.full((SIZE_PX, SIZE_PX, 3), 40 * speaker, dtype=np.uint8))
        for video in range(VIDEOS):
            for utterance in range(UTTERANCES):
                for run in range(2 if utterance == 0 else 1):
                    clip = f"dev/mp4/id0000{speaker}/video-_{video}/{utterance:05d}.mp4#0.{run}"
                    for frame in range(16):
                        row = {"subject": f"id0000{speaker}", "clip": clip, "frame": frame, "time_s": frame / 25}
                        writer.add({**row, "split": "train", "landmarks": FACE}, picture)

    prepared = write_prepared(out, info, list(range(SPEAKERS)), produce, workers=1, quiet=True)
    assert prepared is not None
    return prepared


@pytest.fixture(scope="module")
def celebrities(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return voxceleb2(tmp_path_factory.mktemp("data") / "voxceleb2")


def validations(run: Path) -> list[int]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line["step"] for line in lines if "validation" in line]


def test_a_recording_is_a_video_not_an_utterance(celebrities: Prepared, squares: Path) -> None:
    recordings = recording_ids(celebrities)
    assert len(np.unique(recordings)) == SPEAKERS * VIDEOS
    assert len(np.unique(celebrities.clip_ids())) == SPEAKERS * VIDEOS * (UTTERANCES + 1)
    named = celebrities.frames["clip"].str.extract(r"(id\d+/[^/]+)/")[0]
    assert celebrities.frames.groupby(named)["clip"].size().nunique() == 1
    assert all(len(set(recordings[named == name])) == 1 for name in named.unique())
    other = Prepared([squares])
    assert len(np.unique(recording_ids(other))) == len(np.unique(other.clip_ids()))  # clips as their source names them


def test_no_recording_lies_on_both_sides_of_the_validation(celebrities: Prepared) -> None:
    clips, _ = SequenceSampler(range(12)).usable_clips(celebrities, np.arange(len(celebrities)))
    recordings = recording_ids(celebrities)

    def sides(by: Callable[[np.ndarray], np.ndarray] | None) -> list[set[int]]:
        return [{int(recordings[c.runs[0].rows[0]]) for c in side} for side in split_clips(clips, 0.2, 0, by)]

    assert set.intersection(*sides(None))  # clip by clip, pieces of one recording do
    training, held_out = sides(partial(recording_ids, celebrities))
    assert not training & held_out
    assert len(held_out) == round(0.2 * SPEAKERS * VIDEOS)


def test_a_recording_prepared_in_two_ways_is_one_recording(celebrities: Prepared, tmp_path: Path) -> None:
    """Neither copy is trained on while the other is held out, whatever the folder is called, and it is said."""
    own = str(celebrities.paths[0])
    voxceleb2(tmp_path / "fps", name="celebrities", fps=1.0)
    both = Prepared([own, tmp_path / "fps"])
    recordings = recording_ids(both)
    assert (recordings[: len(celebrities)] == recordings[len(celebrities) :]).all()
    clips, _ = SequenceSampler(range(12)).usable_clips(both, np.arange(len(both)))
    sides = split_clips(clips, 0.2, 0, partial(recording_ids, both))
    names = [{name.rpartition("/")[0] for name in both.column("clip", first_rows(side))} for side in sides]
    assert not names[0] & names[1]
    assert len(names[1]) == round(0.2 * SPEAKERS * VIDEOS)
    (said,) = folder_notes(both)
    assert said.startswith("6 recordings lie in several of the folders (first: id00000/video-_0)")
    assert folder_notes(celebrities) == []

    def videos(name: str) -> str:
        voxceleb2(tmp_path / name / "out", name=name, reader="videos")
        return str(tmp_path / name / "out")

    others = Prepared([videos("study"), videos("other"), own])
    assert folder_notes(others) == [], "files of other studies may be named alike"
    duchenne.synth(tmp_path / "a", subjects=2, clips=1, frames=2, size_px=32, quiet=True)
    duchenne.synth(tmp_path / "b", subjects=2, clips=1, frames=2, size_px=32, seed=1, quiet=True)
    assert folder_notes(Prepared([tmp_path / "a", tmp_path / "b"])) == [], "other people under the same names"


def test_an_epoch_of_videos_draws_every_sequence_of_theirs_equally_often(celebrities: Prepared) -> None:
    rows = np.arange(len(celebrities))
    sampler = SequenceSampler(range(12))
    clips, _ = sampler.usable_clips(celebrities, rows[(rows % 16 < 13) | (celebrities.clip_ids() % 5 > 0)])
    units = epoch_units(clips, "video", celebrities, sampler.frames)
    assert len(units) == SPEAKERS * VIDEOS
    rng, recordings = np.random.default_rng(0), recording_ids(celebrities)
    drawn = [sampler.draw(units[0], rng) for _ in range(2000)]
    assert {int(recording) for rows in drawn for recording in recordings[rows]} == {int(recordings[drawn[0][0]])}
    assert all(len(set(celebrities.clip_ids()[rows])) == 1 for rows in drawn)  # a sequence stays in one utterance
    # Of 16 frames there are 5 sequences of 12, of the 13 frames of the first clip 2: 22 in all.
    counts = np.unique([rows[0] for rows in drawn], return_counts=True)[1]
    assert len(counts) == 22
    assert (np.abs(counts - 2000 / 22) < 5 * np.sqrt(2000 / 22)).all()


def test_an_epoch_of_videos_draws_every_frame_of_theirs_equally_often(celebrities: Prepared) -> None:
    """A clip of two frames, somebody who passes by, does not take the place of those who are there."""
    rows = np.arange(len(celebrities))
    sampler = ClipFrames(2)
    short = celebrities.clip_ids() % 5 == 0
    clips, _ = sampler.usable_clips(celebrities, rows[(rows % 16 < 2) | ~short])
    unit = epoch_units(clips, "video", celebrities, sampler.frames)[0]
    rng = np.random.default_rng(0)
    drawn = np.array([sampler.draw(unit, rng) for _ in range(2000)])
    assert (celebrities.clip_ids()[drawn[:, 0]] == celebrities.clip_ids()[drawn[:, 1]]).all()
    frames = sum(len(run.rows) for run in unit.runs)
    counts = np.unique(drawn, return_counts=True)[1]
    assert len(counts) == frames
    assert (np.abs(counts - 4000 / frames) < 5 * np.sqrt(4000 / frames)).all()


def groups(out: Path) -> Prepared:
    """Six videos of two faces each: a clip each, of people of their own."""
    moving_squares(out / "squares", clips=12, frames=20)

    def grouped(frames: pd.DataFrame) -> pd.DataFrame:
        clip = frames["clip"].str.removeprefix("clip ").astype(int)
        named = [f"video{number // 2}.mp4#{number % 2}.0" for number in clip]
        return frames.assign(split="train", clip=named, subject=[f"P{number}" for number in clip])

    return changed(out / "squares", out / "groups", grouped)


@pytest.mark.parametrize("name", ["fab_net", "twin_cycle", "cvc", "clp", "temporal_ranking"])
def test_what_is_drawn_together_shows_one_person(name: str, tmp_path: Path) -> None:
    """In an epoch of videos, too; the batch says who it is."""
    data = groups(tmp_path)
    sampler = method_class(name).sampler(method_run_config(name)(**SMALL[name]))
    clips, _ = sampler.usable_clips(data, np.arange(len(data)))
    units = epoch_units(clips, "video", data, sampler.frames)
    assert len(units) == 6
    loader = ClipLoader(data, units, sampler, batch_size=6, size_px=8, seed=0)
    seen = set()
    for step in range(30):
        rows, drawn = loader.rows(step)
        subjects, numbers = data.subject_ids()[rows], data.clip_ids()[rows]
        assert (subjects == np.array([[clip.subject] for clip in drawn])).all()
        assert (numbers == np.array([[clip.number] for clip in drawn])).all()
        seen |= set(subjects.ravel().tolist())
    assert len(seen) == 12


def test_recordings_of_one_clip_are_drawn_as_clips(squares: Path) -> None:
    data = Prepared([squares])
    for sampler in (SequenceSampler([0, 1, 3]), ClipFrames(2), SequenceAndFrames(3, 2, 2, None)):
        clips, _ = sampler.usable_clips(data, np.arange(len(data)))
        one, two = (
            ClipLoader(data, epoch_units(clips, of, data, 2), sampler, batch_size=4, size_px=8, seed=5)
            for of in ("clip", "video")
        )
        for step in range(6):
            (rows, clip), (other, video) = one.rows(step), two.rows(step)
            assert np.array_equal(rows, other)
            assert [c.number for c in clip] == [c.number for c in video]


@pytest.mark.slow
@pytest.mark.parametrize(("of", "units"), [("clip", 30), ("video", 6), ("frame", 30 * 16)])
def test_steps_of_an_epoch(of: str, units: int, celebrities: Prepared, tmp_path: Path) -> None:
    fields = {**FAST, "backbone": "resnet18", "batch_size": 6, "epochs": 1, "epoch_of": of, "size_px": 8}
    result = duchenne.pretrain("simclr", data=celebrities.paths[0], out=tmp_path / "run", **fields)
    assert result.steps == units / 6


def test_what_an_epoch_cannot_be(squares: Path, tmp_path: Path) -> None:
    for method, of, message in (
        ("supervised", "clip", "use epoch_of frame"),
        ("cvc", "frame", "looks at 2 frames"),
    ):
        fields = {**FAST, **SMALL[method], "epoch_of": of, "validation_share": 0.0, "schedule": "constant"}
        with pytest.raises(UsageError, match=message):
            duchenne.pretrain(method, data=squares, out=tmp_path / "no", **fields)


def test_temporal_ranking_validates_on_other_videos_and_counts_an_epoch_by_them() -> None:
    config = method_run_config("temporal_ranking")()
    assert (config.epoch_of, config.validation_by, config.validation_share) == ("video", "video", 0.2)
    videos = 150_480  # of VoxCeleb2
    assert config.epochs * round(0.8 * videos) / config.batch_size == pytest.approx(125_400)


@pytest.mark.slow
def test_validation_is_made_once_an_epoch_and_on_a_fixed_sample(squares: Path, tmp_path: Path) -> None:
    fields = {**SMALL["supervised"], **FAST, "validation_share": 0.5, "validation_by": "clip", "max_steps": 40}
    duchenne.pretrain("supervised", data=squares, out=tmp_path / "run", **fields)
    epoch = -(-60 // 4)  # half of the four training clips' 120 frames
    assert validations(tmp_path / "run") == [epoch, 2 * epoch, 40]
    seen: list[list[int]] = []
    from duchenne.methods.supervised.method import Supervised

    original = Supervised.validation_counts

    def counting(self: Supervised, batch):  # type: ignore[no-untyped-def]
        seen[-1] += batch.rows[:, 0].tolist()
        return original(self, batch)

    for out in ("one", "two"):
        seen.append([])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Supervised, "validation_counts", counting)
            capped = {**fields, "validation_clips": 10, "max_steps": 1}
            duchenne.pretrain("supervised", data=squares, out=tmp_path / out, **capped)
    assert len(set(seen[0])) == len(seen[0]) == 10
    assert seen[0] == seen[1]


def test_the_plateau_never_ends_a_training_early() -> None:
    """A score that never rises again, validated once in each of CL-ILE's 300 epochs: the rate stays above its floor."""
    config = method_run_config("supervised")()
    assert config.schedule == "plateau"
    assert config.validate_every is None  # once an epoch
    assert 5 <= config.plateau_patience <= 10
    plateau, factors = Plateau(), []
    for score in [0.5] + 299 * [0.4]:
        plateau.take(score, config)
        factors.append(plateau.factor)
    assert min(factors) == config.plateau_smallest == 1e-3
    assert factors[config.plateau_patience - 1] == 1
    for wrong in ({"plateau_smallest": 0.0}, {"validate_every": 0}, {"validation_clips": 0}):
        with pytest.raises(ValueError, match="must be"):
            TrainingConfig(**wrong)


def test_rows_without_a_split_beside_tested_ones_are_said(tmp_path: Path) -> None:
    """Test rows whose split was lost in an edited table were trained on without a word."""
    folders = [tmp_path / "a", tmp_path / "b"]
    for seed, folder in enumerate(folders):
        duchenne.synth(folder, subjects=4, clips=1, frames=3, size_px=32, seed=seed, quiet=True)
    table = pd.read_parquet(folders[0] / "frames.parquet")
    assert folder_notes(Prepared(folders)) == []
    table["split"] = table["split"].astype("object")
    table.loc[table.index[:5], "split"] = None
    table.loc[table.index[-3:], "split"] = "test"
    table.to_parquet(folders[0] / "frames.parquet")
    (said,) = folder_notes(Prepared(folders))
    assert said.startswith(f"5 rows of {folders[0]} have no split, beside others that are `test`")
    table["split"] = None
    table.to_parquet(folders[0] / "frames.parquet")
    assert folder_notes(Prepared(folders)) == []
