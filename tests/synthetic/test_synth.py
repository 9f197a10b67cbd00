"""The synth job: what is written, the same for any number of workers; its statistics; bad use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from duchenne.cli.main import main
from duchenne.data.prepared import Prepared
from duchenne.errors import InputError, UsageError
from duchenne.faces.align import OUTER_EYE_CORNERS
from duchenne.facs import au_column, intensity_column
from duchenne.synthetic.anatomy import SYNTH_AUS
from duchenne.synthetic.sampling import plan_clip
from duchenne.synthetic.stats import read_stats, synth_stats
from duchenne.synthetic.synth import synth, synthetic_clip

# A seed with frames in which nothing moves.
SEED = next(
    seed
    for seed in range(100)
    if any(
        not frame.any() for subject in range(4) for clip in range(2) for frame in plan_clip(seed, subject, clip, 16).aus
    )
)
SMALL = {"subjects": 4, "clips": 2, "frames": 16, "size_px": 64, "seed": SEED, "quiet": True}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return synth(tmp_path_factory.mktemp("synth") / "data", workers=1, stats=True, **SMALL)


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and folder / "index" not in path.parents
    }


@pytest.mark.slow
def test_any_number_of_workers_and_threads_writes_the_same_bytes(data: Prepared, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        synth(tmp_path / "two", workers=2, stats=True, **SMALL)
    finally:
        torch.set_num_threads(before)
    assert files(tmp_path / "two") == files(data.paths[0])


def test_labels_are_those_of_the_plan(data: Prepared) -> None:
    frames = data.frames
    assert len(frames) == 4 * 2 * 16
    assert data.aus == SYNTH_AUS
    assert set(frames["split"]) == {"train", "test"}
    assert not set(frames[frames.split == "train"].subject) & set(frames[frames.split == "test"].subject)
    np.testing.assert_allclose(frames["time_s"], frames["frame"] / 25)
    for au in SYNTH_AUS:
        np.testing.assert_array_equal(frames[au_column(au)] == 1, frames[intensity_column(au)] >= 2)
    notes = pd.read_parquet(data.paths[0] / "synthetic.parquet")
    assert (notes["clip"] == frames["clip"].astype(str)).all()
    assert (notes["frame"] == frames["frame"]).all()
    for au in SYNTH_AUS:
        sides = np.maximum(notes[f"AU{au:02d}_right"], notes[f"AU{au:02d}_left"])
        np.testing.assert_array_equal(sides, frames[intensity_column(au)])
    uneven = 0
    for clip in range(2):
        plan = plan_clip(SEED, 1, clip, 16)
        own = notes[notes["clip"] == plan.name]
        for place, side in enumerate(("right", "left")):  # the subject's, as `Expression` has them
            np.testing.assert_array_equal(own[[f"AU{au:02d}_{side}" for au in SYNTH_AUS]], plan.aus[:, place])
        np.testing.assert_array_equal(own[["pitch", "yaw", "roll"]], plan.pose)
        np.testing.assert_allclose(own[["light_x", "light_y", "light_z"]], plan.scene.light.expand(16, -1), atol=1e-6)
        uneven += int((plan.aus[:, 0] != plan.aus[:, 1]).any())
    assert uneven > 0


def test_crops_are_aligned_as_real_ones_give_or_take_the_jitter(data: Prepared) -> None:
    points = data.landmarks() / 64
    eyes = np.linalg.norm(points[:, 45] - points[:, 36], axis=1)
    assert abs(float(np.median(eyes)) - OUTER_EYE_CORNERS) < 0.03
    middle = np.median(0.5 * (points[:, 36] + points[:, 45]), axis=0)
    np.testing.assert_allclose(middle, (0.5, 0.42), atol=0.02)
    steps = np.diff(points[:16, 36], axis=0)
    assert steps.std() > 0.0003  # the jitter


def test_off_is_the_same_set_without_action_units(data: Prepared, tmp_path: Path) -> None:
    off = synth(tmp_path / "off", workers=1, aus="off", **SMALL)
    assert off.occurrence().sum() == 0
    total = data.frames[[intensity_column(au) for au in SYNTH_AUS]].to_numpy().sum(1)
    assert total.min() == 0
    assert all(np.array_equal(data.image(row), off.image(row)) for row in np.flatnonzero(total == 0))
    assert not any(np.array_equal(data.image(row), off.image(row)) for row in np.flatnonzero(total > 6))


def test_hidden_has_the_pictures_without_action_units_and_the_labels_with_them(data: Prepared, tmp_path: Path) -> None:
    off = synth(tmp_path / "off", workers=1, aus="off", **SMALL)
    hidden = synth(tmp_path / "hidden", workers=1, aus="hidden", **SMALL)
    assert all(hidden.jpeg(row) == off.jpeg(row) for row in range(len(off)))
    labels = ["emotion", *(intensity_column(au) for au in SYNTH_AUS)]
    pd.testing.assert_frame_equal(hidden.frames[labels], data.frames[labels])
    shown = pd.read_parquet(hidden.paths[0] / "synthetic.parquet").filter(like="_right")
    assert shown.drop(columns="AU45_right", errors="ignore").to_numpy().max() == 0


def test_statistics_of_a_set(data: Prepared) -> None:
    stats = synth_stats(data)
    assert list(stats.order.columns) == ["k1", "k2", "k4"]
    assert stats.order.loc["frame number", "k1"] == 1.0
    assert stats.order.loc["light", "k1"] == 0.0
    assert stats.order["k4"].isna().all()  # 42 frames do not fit into 16
    assert stats.labels["positives"].to_dict() == {
        au_column(au): float((data.frames[intensity_column(au)] >= 2).sum()) for au in SYNTH_AUS
    }
    read = read_stats(data.paths[0])
    pd.testing.assert_frame_equal(read.order, stats.order)
    pd.testing.assert_frame_equal(read.labels, stats.labels, check_dtype=False)
    assert "landmarks less neutral" in stats.text()


def test_statistics_need_a_synthetic_folder_with_both_splits(data: Prepared, tmp_path: Path) -> None:
    alone = synth(tmp_path / "one", **{**SMALL, "subjects": 1})
    with pytest.raises(InputError, match="at least 4 subjects"):
        synth_stats(alone)
    (tmp_path / "one" / "synthetic.parquet").unlink()
    with pytest.raises(InputError, match=r"synthetic\.parquet"):
        synth_stats(alone)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"subjects": 0}, "subjects 0"),
        ({"style": "oil"}, "style oil"),
        ({"size_px": 8}, "size_px 8"),
        ({"subjects": 2, "stats": True}, "subjects 2 is too few"),
    ],
)
def test_bad_use_is_one_sentence(tmp_path: Path, wrong: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        synth(tmp_path / "x", **{**SMALL, **wrong})  # type: ignore[arg-type]
    assert not (tmp_path / "x").exists()


def test_a_clip_to_look_at() -> None:
    frames, plan = synthetic_clip(2, subject=1, clip=1, frames=5, size_px=96)
    assert frames.shape == (5, 96, 96, 3)
    assert frames.dtype == np.uint8
    assert plan.aus.shape == (5, 2, len(SYNTH_AUS))
    again, _ = synthetic_clip(2, subject=1, clip=1, frames=5, size_px=96)
    np.testing.assert_array_equal(frames, again)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"style": "oil"}, "style oil: is none of natural, drawn, mixed, modelled"),
        ({"head": "stil"}, "head 'stil': .*still"),  # which was a head that keeps still, by chance
        ({"subject": -1}, "subject -1"),
        ({"clip": -1}, "clip -1"),
        ({"frames": 0}, "frames 0"),
        ({"size_px": 0}, "size_px 0"),
        ({"seed": -1}, "seed -1"),
        ({"subject": "one"}, "subject 'one': must be a number"),
        ({"frames": 2.5}, "`frames` must be a whole number, not 2.5"),
    ],
)
def test_a_clip_that_cannot_be_is_one_sentence(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        synthetic_clip(**{"frames": 5, "size_px": 64, **wrong})


def test_numbers_are_numbers_of_numpy_too_and_nothing_else(tmp_path: Path) -> None:
    numbers = {"subjects": 1, "clips": 1, "frames": 2, "size_px": 32, "seed": 3}
    whole = synth(tmp_path / "whole", **numbers, workers=1, quiet=True)
    loop = synth(
        tmp_path / "loop", **{name: np.int64(n) for name, n in numbers.items()}, workers=np.int64(1), quiet=True
    )
    assert [loop.jpeg(row) for row in range(2)] == [whole.jpeg(row) for row in range(2)]
    assert loop.infos == whole.infos
    for wrong in ({"subjects": "x"}, {"clips": 1.5}, {"frames": None}, {"size_px": True}, {"workers": "all"}):
        with pytest.raises(UsageError, match=f"{next(iter(wrong))}.* must be a (whole )?number"):
            synth(tmp_path / "none", **{**numbers, **wrong}, quiet=True)
    assert not (tmp_path / "none").exists()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "set")
    words = "--subjects 2 --clips 1 --frames 3 --size 48 --seed 4 --head still --style drawn --aus off --workers 1"
    assert main(["synth", "--out", out, *words.split()]) == 0
    assert "6 crops of 2 subjects in 2 clips" in capsys.readouterr().out
    settings = Prepared([out]).infos[0].settings
    assert (settings["seed"], settings["head"], settings["style"], settings["aus"]) == (4, "still", "drawn", "off")
    assert main(["synth", "--out", out, "--subjects", "0"]) == 2
    assert "must be at least 1" in capsys.readouterr().err


def test_what_moves_on_each_rung_without_action_units(tmp_path: Path) -> None:
    """The grain of a frame is that of all rungs, so that pictures of two rungs differ by what moved alone."""
    seen = {}
    for head in ("fixed", "still", "natural"):
        made = synth(tmp_path / head, **{**SMALL, "subjects": 2, "head": head, "aus": "off"}, workers=1)
        clip = np.flatnonzero(made.frames["clip"] == made.frames["clip"].iloc[0])
        seen[head] = made.images(clip, 64).astype(np.float64)
        assert (np.ptp(made.landmarks()[clip], axis=0).max() < 1e-3) == (head != "natural")
    fixed, still, natural = seen.values()
    coarse = fixed.reshape(len(fixed), 8, 8, 8, 8, 3).mean(axis=(2, 4))  # the grain averages out, and nothing is left
    assert np.ptp(coarse, axis=0).max() < 4
    gaze = np.abs(still - fixed).max(axis=(0, 3))
    np.testing.assert_array_equal(still[0], fixed[0])
    assert gaze[16:40].max() > 20  # the eyes lie at 0.42 of the height
    assert max(gaze[:14].max(), gaze[40:].max()) <= 2  # JPEG interpolates colours into the next block
    assert np.abs(natural - fixed).max(axis=(0, 3))[40:].max() > 20
