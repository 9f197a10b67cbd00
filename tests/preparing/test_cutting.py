"""Cutting videos, with a finder that says where faces are: runs, rates, steadiness and codes, without any model."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest
from tests.faces.media import Image, flat, write_video

from duchenne.data.prepared import DatasetInfo, Prepared
from duchenne.data.writing import write_prepared
from duchenne.faces.align import _TEMPLATE, RIGID_POINTS
from duchenne.faces.decode import Picture
from duchenne.faces.find import Face
from duchenne.preparing import cutting_videos
from duchenne.preparing.codes.programs.events import Event
from duchenne.preparing.codes.video_codes import FaceCodes, VideoCodes
from duchenne.preparing.cutting import Cutter
from duchenne.preparing.datasets.videos import plan_videos
from duchenne.preparing.sources.parts import VideoPart

RNG = np.random.default_rng(0)
ROOMS = RNG.integers(0, 255, (2, 9, 16, 3), dtype=np.uint8).repeat(20, axis=1).repeat(20, axis=2)


def face(x: float, y: float, width: float = 60.0, flag: str = "") -> Face:
    """A face with its rigid points like those of the template."""
    points = np.full((68, 2), (x, y), dtype=np.float32)
    points[list(RIGID_POINTS)] = _TEMPLATE * width + (x, y)
    return Face((x, y, width, width), 0.9, None if flag else points, None, None, flag)


class Says:
    """A finder that gives what it is told, frame by frame."""

    def __init__(self, faces: list[list[Face]]) -> None:
        self.faces = iter(faces)

    def follow(self, pictures: Iterable[Picture], depth: int) -> Iterator[tuple[Picture, list[Face]]]:
        for picture in pictures:
            yield picture, next(self.faces)


@pytest.fixture
def cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Prepared]:
    """A function (faces per processed frame, images, times_ms, codes, options of Cutter) -> prepared data."""

    def run(
        faces: list[list[Face]],
        images: list[Image] | None = None,
        times_ms: list[int] | None = None,
        codes: VideoCodes | None = None,
        whose: Mapping[str, frozenset[int]] = MappingProxyType({}),
        **options: object,
    ) -> Prepared:
        images = images or [ROOMS[0]] * len(faces)
        path = write_video(tmp_path / "a.mkv", images, times_ms=times_ms)
        finder = Says(faces)
        monkeypatch.setattr(cutting_videos, "process_finder", lambda _: finder)
        info = DatasetInfo(
            name="d", aus=codes.aus if codes else (), label_kind="intensity" if codes else "none", alignment="",
            size_px=32, licence="",
        )  # fmt: skip
        part = VideoPart(path, "folder/a.mkv", len(images), codes, **whose)
        cutter = Cutter(32, 10, **options)  # type: ignore[arg-type]
        prepared = write_prepared(tmp_path / "out", info, [part], cutter, workers=1, quiet=True)
        assert prepared is not None
        return prepared

    return run


def test_clips_end_where_a_face_is_missing_or_has_no_landmarks(cut: Callable[..., Prepared]) -> None:
    here, lost, far = face(20, 30), face(20, 30, flag="no_landmarks"), face(20, 30, 12, flag="small")
    data = cut([[here], [here], [], [here], [lost], [here], [far], [here]])
    assert list(data.frames["clip"]) == [f"folder/a.mkv#0.{run}" for run in (0, 0, 1, 2, 3)]
    assert list(data.frames["frame"]) == [0, 1, 3, 5, 7]
    assert set(data.frames["subject"]) == {"folder/a#0"}
    counts = data.infos[0].counts
    assert (counts["frames"], counts["faceless_frames"], counts["faces"]) == (8, 1, 7)
    assert (counts["crops"], counts["small_faces"], counts["no_landmarks"]) == (5, 1, 1)


def test_clips_end_at_cuts_and_people_keep_their_names(cut: Callable[..., Prepared]) -> None:
    left, right = face(20, 30), face(200, 60)
    shots = [ROOMS[0]] * 3 + [ROOMS[1]] * 3 + [ROOMS[0]] * 2
    data = cut([[left, right]] * 8, shots)
    clips = data.frames.groupby("clip")["frame"].apply(list).to_dict()
    assert clips["folder/a.mkv#0.0"] == clips["folder/a.mkv#1.0"] == [0, 1, 2]
    assert clips["folder/a.mkv#0.1"] == clips["folder/a.mkv#1.1"] == [6, 7]  # re-found by their look
    assert sorted(len(frames) for frames in clips.values()) == [2, 2, 3, 3, 3, 3]


def test_landmarks_follow_the_crop(cut: Callable[..., Prepared]) -> None:
    data = cut([[face(20 + k, 30, 50 + k)] for k in range(4)])
    for points in data.landmarks():
        np.testing.assert_allclose(points[list(RIGID_POINTS)], _TEMPLATE * 32, atol=1e-3)


@pytest.mark.parametrize("times_ms", [[40 * k for k in range(50)], [7 * k + k * k // 2 for k in range(50)]])
def test_frames_per_second_go_by_time_stamps(cut: Callable[..., Prepared], times_ms: list[int]) -> None:
    data = cut([[face(20, 30)]] * 50, [ROOMS[0]] * 50, times_ms, fps=5.0)
    kept, times = list(data.frames["frame"]), np.array(times_ms) / 1000
    wanted = []
    for due in np.arange(0, times[-1] + 0.2, 0.2):  # the first frame at or after each due time
        after = np.flatnonzero(times >= due - 1e-3)
        if len(after) and int(after[0]) not in wanted:
            wanted.append(int(after[0]))
    assert kept == wanted
    counts = data.infos[0].counts
    assert (counts["frames"], counts["skipped_frames"]) == (len(kept), 50 - len(kept))
    assert data.frames["clip"].nunique() == 1  # a lower rate breaks no clip


def test_smoothing_steadies_the_crop_and_moves_no_landmark(cut: Callable[..., Prepared]) -> None:
    noise = RNG.normal(0, 1.0, (40, 2))
    faces = [[face(100 + 2 * k + noise[k, 0], 60 + noise[k, 1])] for k in range(40)]

    def shake(data: Prepared) -> float:
        points = data.landmarks()[:, 33]  # where the nose lies in the crop: it moves if the crop does not follow it
        return float(np.diff(points, 2, axis=0).std())

    steady = cut(faces, smooth=True)
    assert list(steady.frames["frame"]) == list(range(40))
    middle = steady.landmarks()[5:-5, list(RIGID_POINTS)].mean(axis=(0, 1)) - (_TEMPLATE * 32).mean(axis=0)
    assert np.abs(middle).max() < 0.2  # it keeps up with the motion
    kept = np.array([faces[k][0].landmarks for k in range(40)])
    scale = 32 / 60
    np.testing.assert_allclose(
        np.diff(steady.landmarks()[:, 45] - steady.landmarks()[:, 36], axis=0),
        np.diff((kept[:, 45] - kept[:, 36]) * scale, axis=0),
        atol=0.2,
    )
    assert shake(steady) > 0.1


def test_smoothing_stops_at_the_ends_of_runs(cut: Callable[..., Prepared]) -> None:
    """A jump between two runs must not leak into either."""
    faces = [[face(20, 30)]] * 5 + [[]] + [[face(60, 30)]] * 5
    data = cut(faces, smooth=True)
    assert list(data.frames["clip"].str.split(".").str[-1]) == ["0"] * 5 + ["1"] * 5
    for points in data.landmarks():
        np.testing.assert_allclose(points[list(RIGID_POINTS)], _TEMPLATE * 32, atol=1e-3)


def events(*spans: tuple[int, float, float, float | None]) -> tuple[Event, ...]:
    return tuple(Event("a", au, onset, offset, strength) for au, onset, offset, strength in spans)


def test_codes_belong_to_the_main_face_unless_they_name_one(cut: Callable[..., Prepared]) -> None:
    small, large = face(10, 30, 40), face(150, 30, 80)
    codes = VideoCodes((4, 12), {None: FaceCodes(events((12, 0.08, 0.16, 3.0)))})
    data = cut([[small, large]] * 6, codes=codes)
    by_face = {name: rows for name, rows in data.frames.groupby("subject")}
    assert by_face["folder/a#0"]["AU12"].isna().all()
    assert list(by_face["folder/a#1"]["AU12"]) == [0, 0, 1, 1, 0, 0]
    assert list(by_face["folder/a#1"]["AU12_i"]) == [0, 0, 3, 3, 0, 0]
    assert list(by_face["folder/a#1"]["AU04"]) == [0] * 6
    assert data.infos[0].counts["coded"] == 6


def test_codes_do_not_belong_to_a_face_that_is_left_out(cut: Callable[..., Prepared]) -> None:
    codes = VideoCodes((12,), {None: FaceCodes(events((12, 0.08, 0.16, 3.0)))})
    for whose in ({"left_out": frozenset({1})}, {"others": frozenset({1})}):
        data = cut([[face(10, 30, 40), face(150, 30, 80)]] * 6, codes=codes, whose=whose)
        by_face = {name: rows for name, rows in data.frames.groupby("subject")}
        assert by_face["folder/a#1"]["AU12"].isna().all()
        assert list(by_face["folder/a#0"]["AU12_i"]) == [0, 0, 3, 3, 0, 0]
        shutil.rmtree(data.paths[0])
    data = cut([[face(10, 30, 40)]] * 6, codes=codes, whose={"others": frozenset({0})})  # there is nobody else
    assert list(data.frames["AU12_i"]) == [0, 0, 3, 3, 0, 0]


def test_a_face_with_another_name_is_not_the_one_that_codes_are_about(tmp_path: Path) -> None:
    """Codes of the mother went to the infant, whose face is larger, where `names.csv` had the infant alone."""
    (tmp_path / "a.mp4").write_text("a video")
    codes, names = tmp_path / "codes.csv", tmp_path / "names.csv"
    codes.write_text("source,au,onset_s,offset_s,subject\na,12,0,1,mother\n")
    for who, expected in {"a,1,infant\n": ({1}, set()), "a,0,mother\na,2,\n": (set(), {2})}.items():
        names.write_text(f"source,face,name\n{who}")
        (part,) = plan_videos(tmp_path, codes, names=names).parts
        assert isinstance(part, VideoPart)
        assert (part.others, part.left_out) == expected


def test_codes_of_each_face(cut: Callable[..., Prepared]) -> None:
    codes = VideoCodes((12,), {0: FaceCodes(events((12, 0, 1, 1.0))), 1: FaceCodes(events((12, 0, 1, 5.0)))})
    data = cut([[face(10, 30, 40), face(150, 30, 80)]] * 3, codes=codes)
    labels = data.frames.groupby("subject")[["AU12", "AU12_i"]].first()
    assert labels["AU12_i"].tolist() == [1, 5]
    assert labels["AU12"].tolist() == [0, 1]  # present from 2 on


def notes_in(folder: Path) -> str:
    return str(pd.read_csv(folder / "recordings.csv")["notes"].item())


def test_codes_of_a_face_that_is_not_there_are_said(cut: Callable[..., Prepared]) -> None:
    codes = VideoCodes((12,), {0: FaceCodes(events((12, 0, 0.1, 1.0))), 2: FaceCodes(events((12, 0, 0.1, 5.0)))})
    data = cut([[face(10, 30, 40), face(150, 30, 80)]] * 3, codes=codes)
    assert notes_in(data.paths[0]) == "codes of face 2 label nothing: there is no such face (faces kept: 0, 1)"
    assert data.infos[0].counts["coded"] == 3


def test_codes_without_a_face_beside_the_main_ones_own_are_said(cut: Callable[..., Prepared]) -> None:
    own, nobodys = events((12, 0, 0.04, 1.0)), events((12, 0.04, 0.1, 5.0), (6, 0, 0.1, 2.0))
    data = cut([[face(10, 30, 40)]] * 3, codes=VideoCodes((6, 12), {0: FaceCodes(own), None: FaceCodes(nobodys)}))
    assert notes_in(data.paths[0]) == (
        "codes without a face label nothing, and what they are about is unknown of face 0: it is the main one and has "
        "codes of its own"
    )
    assert data.frames["AU12_i"].fillna(-1).tolist() == [1, -1, 0]
    assert data.frames["AU06"].fillna(-1).tolist() == [-1, -1, 0]  # not absent: it may well be of this face


def test_labelled_frames_without_a_crop_are_counted(cut: Callable[..., Prepared]) -> None:
    """Coded are frames 1 to 4 of six at 25 a second; of frames 2 and 5 there is no crop, 3 is unknown."""
    coded = FaceCodes(
        events((12, 0.04, 0.08, 3.0)), coded=((0.04, 0.2),), unknown=(Event("a", None, 0.12, 0.16, kind="unknown"),)
    )
    here = [face(10, 30, 40)]
    data = cut([here, here, [], here, here, []], codes=VideoCodes((12,), {None: coded}))
    assert list(data.frames["frame"]) == [0, 1, 3, 4]
    assert list(data.frames["AU12"].fillna(-1)) == [-1, 1, -1, 0]
    assert notes_in(data.paths[0]) == "1 of 3 labelled frames of the main face have no crop"
    assert data.infos[0].counts["coded"] == 2


def test_codes_of_a_video_without_a_face_are_said(cut: Callable[..., Prepared], tmp_path: Path) -> None:
    codes = VideoCodes((12,), {None: FaceCodes(events((12, 0, 0.1, 1.0)))})
    with pytest.raises(AssertionError):  # there is nothing to open
        cut([[]] * 3, codes=codes)
    said = "codes of the main face label nothing: there is no such face (no face was kept)"
    assert notes_in(tmp_path / "out") == said


def test_an_all_grey_video_is_no_trouble(cut: Callable[..., Prepared]) -> None:
    data = cut([[face(10, 10, 20)]] * 3, [flat(128, (40, 60))] * 3)
    assert len(data) == 3
