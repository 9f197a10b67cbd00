"""What a report says beside its numbers: settings, resting faces, verdicts, and what does not fit together."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.detection.made import random_encoder, write_detector

import duchenne
from duchenne.detection import findings
from duchenne.detection.index import write_index
from duchenne.detection.report import ReportCollector
from duchenne.detection.results import DetectedFace, FrameResult
from duchenne.detection.settings import DetectSettings
from duchenne.detectors.blendshapes import BlendshapeModel
from duchenne.faces.find import Face
from duchenne.tables.episodes import find_measures
from duchenne.tables.made_with import settings_sentences

Film = Callable[..., Path]
pytestmark = pytest.mark.usefixtures("scripted")


def page_data(page: str) -> dict[str, Any]:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<script.*?</script>|<style.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL).split())


def test_a_plain_page_has_no_settings() -> None:
    assert settings_sentences(asdict(DetectSettings())) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"every": 5}, "--every 5"), ({"smooth_s": 0.4}, "the mean of 0.4 s"),
        ({"start_s": 2.0}, "from 2 s to the end"),
        ({"end_s": 9.0}, "from 0 s to 9 s"), ({"baseline": "0-1"}, "seconds 0-1"),
        ({"min_face": 48}, "under 48 pixels"),
        ({"mirrored": True}, "--mirrored"),
    ],
)  # fmt: skip
def test_every_setting_that_changes_the_curves_is_said(settings: dict[str, Any], said: str) -> None:
    (sentence,) = settings_sentences(asdict(DetectSettings(**settings)))
    assert said in sentence


def test_the_page_says_what_was_subtracted_and_draws_below_zero(film: Film, tmp_path: Path) -> None:
    path, report = film("smile.mov", [80, 80, 30, 10]), tmp_path / "r.html"
    table = duchenne.detect(
        path, report=report, model="blendshapes", baseline="0-0.07", every=1, smooth_s=0.0, anonymous=True
    )
    assert table["AU12_s"].round(3).tolist() == [0.0, 0.0, -0.5, -0.7]
    page = report.read_text()
    said = text_of(page)
    assert "The resting face of seconds 0-0.07 of this recording was subtracted" in said
    assert "The resting face of face 0 was not neutral by its scores" in said
    assert re.search(r"AU\d\d at 0\.80", said)
    assert 'alt="the resting face that was subtracted"' in page
    data = page_data(page)
    smile = next(one for one in data["aus"] if one["au"] == 12)
    assert (smile["low"], smile["full"], smile["threshold"]) == (-0.7, 1.0, None)
    assert data["faces"]["0"]["values"]["12"] == [0, 0, -500, -700]
    assert data["faces"]["0"]["episodes"] == []
    assert len(data["settings"]) == 1


def test_a_neutral_resting_face_is_no_warning() -> None:
    columns = ("AU12_s", "AU06_r", "AU04_p")
    said, doubtful = findings.resting_sentence(columns, np.array([0.2, 1.0, 0.9]), None, "The resting face")
    assert not doubtful
    assert "nothing in particular" in said
    assert findings.resting_sentence(("AU12_s",), np.array([1.9]), "z", "It")[1] is False
    assert findings.resting_sentence(("AU12_s",), np.array([2.0]), "z", "It")[1] is True
    assert findings.resting_sentence(("AU12_s",), np.array([np.nan]), None, "It")[1] is False


def test_the_card_of_an_own_detector_stands_on_the_page(film: Film, tmp_path: Path) -> None:
    made = write_detector(tmp_path / "own", random_encoder(), widths=(8,))
    report = tmp_path / "r.html"
    table = duchenne.detect(film("a.mov", [20, 30, 40]), report=report, model=str(made))
    assert "AU06_c" not in table
    page = report.read_text()
    data, said = page_data(page), text_of(page)
    assert {one["au"]: one["threshold"] for one in data["aus"]} == {1: 0.3, 6: 0.3, 12: 0.3}  # of detector.json, not .5
    assert "What the detector's card says" in said
    assert "no decision (made up)" in said
    assert not {6} & {episode[0] for episode in data["faces"]["0"]["episodes"]}
    shown = {1, 12} & set(table.filter(like="_c").columns.str[2:4].astype(int)[(table.filter(like="_c") == 1).any()])
    assert {episode[0] for episode in data["faces"]["0"]["episodes"]} == shown
    assert "6+12" not in said


def rows(**columns: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"face": 0, "flag": None, **columns})


def test_what_hardly_goes_together_is_flagged() -> None:
    table = rows(
        AU24_p=[0.9] * 4, AU24_c=[1, 1, 0, 0], AU25_p=[0.9] * 4, AU25_c=[1, 0, 0, 1], AU12_p=[0.9] * 4, AU12_c=[1] * 4
    )
    (said,) = findings.contradictions(table, find_measures(list(table.columns)), scores=True)
    assert said.startswith("AU24 (lip pressor) and AU25 (lips part) are both called present in 25 % of the frames")
    scores = rows(AU12_s=[0.5, 0.1], AU15_s=[0.4, 0.4])
    (said,) = findings.contradictions(scores, find_measures(list(scores.columns)), scores=True)
    assert "AU12 (lip corner puller) and AU15 (lip corner depressor) both score high in 50 %" in said
    assert findings.contradictions(scores, find_measures(list(scores.columns)), scores=False) == []
    apart = rows(AU12_s=[0.5, 0.1], AU15_s=[0.1, 0.4])
    assert findings.contradictions(apart, find_measures(list(apart.columns)), scores=True) == []


@pytest.mark.parametrize(
    ("flags", "about", "said"),
    [
        ([None, None], {}, "this model does not have it"),
        (["small", "small"], {}, "too small (--min-face)"),
        (["no_landmarks", "small"], {}, "no landmarks"),
        (["no_baseline", "no_baseline"], {}, "--baseline"),
        ([None, None], {"all_aus": False}, "--all-aus"),
        ([None, "small"], {"all_aus": True}, "this model does not have it"),
    ],
)
def test_not_read_has_its_reason(flags: list[str | None], about: dict[str, Any], said: str) -> None:
    table = rows(AU04_s=[np.nan, np.nan]).assign(flag=flags)
    found = findings.reasons(table, find_measures(["AU04_s"]), ("AU04_s",), about)
    assert said in found[4]


def test_a_small_face_says_so_on_the_page(film: Film, tmp_path: Path) -> None:
    report = tmp_path / "r.html"
    duchenne.detect(film("two.mov", [130, 140]), report=report, model="blendshapes")
    page = report.read_text()
    cells = re.findall(r'<tr data-face="1".*?</tr>', page, re.DOTALL)
    assert cells
    assert all("this face is too small (--min-face)" in cell for cell in cells)
    assert "not seen" not in text_of(page)


def test_the_index_says_it_too(film: Film, tmp_path: Path) -> None:
    film("in/a.mov", [20, 30, 40, 50])
    duchenne.detect(tmp_path / "in", output=tmp_path / "out", report=tmp_path / "out", every=2)
    assert "One frame in 2 was read (--every 2)." in (tmp_path / "out" / "index.html").read_text()


def test_a_face_that_is_there_and_was_not_read_is_neither_read_nor_unseen(tmp_path: Path) -> None:
    model = BlendshapeModel()
    collector = ReportCollector(model, anonymous=False)
    pose, image = (1.0, 2.0, 3.0), np.zeros((48, 64, 3), np.uint8)
    for frame, flag in enumerate(["no_baseline", "no_baseline", "small", ""]):
        face = Face((8.0, 8.0, 20.0, 20.0), 0.9, flag=flag, pose=None if flag == "small" else pose)
        scores = np.full(len(model.columns), np.nan if flag else 0.5, np.float32)
        collector.add(FrameResult("a.mp4", frame, frame / 25, (DetectedFace(0, face, scores),), image))
    collector.write(tmp_path / "a_report.html", "a.mp4", None)
    assert '"unread":{"0":"no_baseline","1":"no_baseline","2":"small"}' in (tmp_path / "a_report.html").read_text()
    write_index(tmp_path)
    assert "face 0, 25 %" in (tmp_path / "index.html").read_text()
