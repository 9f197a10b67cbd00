"""Fitting a detector from the page, recordings without tables, and very long ones."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page
from tests.faces.media import write_video
from tests.reviewing.conftest import arrived, seen, until
from tests.reviewing.made import UNEVEN_MS, film, numbered, recordings, serving, table

from duchenne.reviewing.desk import Desk


@pytest.fixture
def people(shared: Path, tmp_path: Path) -> Path:
    made = tmp_path / "people"
    made.mkdir()
    for name in ("head-pose-face-detection-female", "head-pose-face-detection-male"):
        shutil.copy(shared / "data" / "intel-sample-videos" / f"{name}.mp4", made / f"{name.rpartition('-')[2]}.mp4")
    (made / "codes.csv").write_text(
        "source,au,onset_s,offset_s,face,coder\nfemale.mp4,12,0.4,1.2,0,mk\nmale.mp4,12,0.5,2,0,mk\nfemale.mp4,4,0.1,0.2,0,other\n"
    )
    return made


@pytest.mark.slow
def test_fit_makes_a_detector_its_words_and_its_curves(people: Path, show: Callable[..., Page]) -> None:
    with serving(people) as site:
        page = show(site)
        page.click("#tab-teach")
        page.click("#fit")
        until(page, "document.getElementById('cancel').hidden === false")
        until(page, "/^(done|failed)/.test(document.getElementById('job-step').textContent)", seconds=150)
        assert page.inner_text("#job-step").startswith("done"), page.inner_text("#job-lines")
        until(page, "review.series?.get(12)?.some(one => one.colour === 'second')")  # its curve is there
        assert page.is_visible(".i-fitted")
        assert page.evaluate("review.player.boxes.size") == 1  # there is no other table that has the faces
        words = site.json("detector")
        assert words["aus"][0]["sentence"] in page.inner_text("#detector")
        assert page.evaluate("review.series.get(12).at(-1).threshold") == words["aus"][0]["threshold"]
        record = json.loads((people / "duchenne_review" / "detector" / "detector.json").read_text())
        assert [one["au"] for one in words["aus"]] == list(record["aus"]) == ["AU12"]
        assert words["aus"][0]["threshold"] == record["aus"]["AU12"]["threshold"]
        assert f"{record['aus']['AU12']['present']} of them with it, of 2 people" in words["aus"][0]["sentence"]
        fitted = site.json("recordings/r0")["fitted"]
        assert [one["column"] for one in fitted["aus"]] == ["AU12_p"]
        assert site.json("compare?first=coder:mk&second=fitted")["rows"][0]["au"] == "AU12"
        assert site.json("next?coder=other")[0]["key"] in ("r0", "r1")
        assert site.json("next?coder=mk") == []  # without a coded range all of both is coded
        assert [one["source"] for one in site.json("state")["recordings"]] == ["female.mp4", "male.mp4"]
    assert not (people / "duchenne_review" / "fitted" / "codes.csv").exists()


def test_the_threshold_of_a_fitted_detector_is_drawn_when_the_page_is_opened(
    tmp_path: Path, show: Callable[..., Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = recordings(tmp_path / "study")
    fitted = folder / "duchenne_review" / "fitted"
    fitted.mkdir(parents=True)
    times = [one / 1000 for one in UNEVEN_MS]
    table(fitted / "film_aus.csv", "film.webm", times, AU12_p=[0.5] * len(times))
    au12 = {"au": "AU12", "name": "", "passed": False, "threshold": 0.64, "sentence": ""}
    monkeypatch.setattr(Desk, "detector", lambda _: {"model": "", "aus": [au12], "left_out": [], "notes": []})
    with serving(folder) as site:
        page = show(site)
        until(page, "review.series?.get(12)?.length === 2")
        assert page.evaluate("review.series.get(12).map(one => one.threshold)") == [None, 0.64]


@pytest.mark.slow
def test_a_recording_without_a_table_is_watched_coded_and_read(people: Path, show: Callable[..., Page]) -> None:
    (people / "male.mp4").unlink()
    with serving(people) as site:
        page = show(site)
        assert "no table" in page.inner_text("#table-note")
        page.keyboard.press("6")
        page.keyboard.press("ArrowRight")
        arrived(page, 1)
        page.keyboard.press("6")
        until(page, "review.coding.state === 'saved'")
        assert "female.mp4,6,0,0.08,,,,0,mk," in (people / "codes.csv").read_text()
        page.click("#detect")
        until(page, "/^(done|failed)/.test(document.getElementById('job-step').textContent)", seconds=100)
        until(page, "review.info.table?.faces.length === 1 && review.player.boxes.size === 1")
        assert (people / "duchenne_review" / "tables" / "female_aus.csv").is_file()
        assert page.evaluate("review.player.times.length") == 23
        assert page.is_hidden("#detect")


@pytest.mark.slow
def test_a_hundred_thousand_frames_do_not_stutter(tmp_path: Path, show: Callable[..., Page]) -> None:
    folder, number = tmp_path / "long", 100_000
    folder.mkdir()
    film(folder / "long.webm", [40 * place for place in range(40)])
    times = np.arange(number) / 25
    draw = np.random.default_rng(0)
    columns = {f"AU{au:02d}_s": draw.random(number).round(3) for au in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17)}
    table(folder / "long_aus.csv", "long.webm", times.tolist(), **columns)
    with serving(folder) as site:
        page = show(site)
        assert page.evaluate("review.player.times.length") == number
        whole = page.evaluate("(review.curves.paint(), review.curves.painted)")
        moved = page.evaluate(
            """() => { const began = performance.now();
              for (let i = 0; i < 100; i++) { review.player.index = 1000 * i; review.curves.follow(); }
              return (performance.now() - began) / 100; }"""
        )
        page.evaluate("review.curves.look(1000, 1060)")
        near = page.evaluate("(review.curves.paint(), review.curves.painted)")
    # Milliseconds; a quarter of this is usual on an idle computer, a frame of 25 a second lasts 40.
    assert whole < 200
    assert near < 200
    assert moved < 20


def test_a_recording_that_does_not_play_gets_a_copy_that_does(tmp_path: Path, show: Callable[..., Page]) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    times = [0, 40, 90, 120, 200, 240, 300]
    images = [numbered(number) for number in range(len(times))]
    write_video(folder / "old.mov", images, times_ms=times, codec="mpeg4")
    table(folder / "old_aus.csv", "old.mov", [one / 1000 for one in times], AU12_s=[0.1] * len(times))
    with serving(folder) as site:
        page = show(site, playable=False)
        until(page, "!document.getElementById('copy').hidden")
        assert "cannot play" in page.inner_text("#trouble")
        page.click("#copy")
        until(page, "/^(done|failed)/.test(document.getElementById('job-step').textContent)", seconds=60)
        until(page, "review.player.ready && review.player.times.length === 7")
        assert page.is_hidden("#copy")
        for index in (0, 3, 4, 6):
            page.evaluate("index => review.player.seek(index)", index)
            arrived(page, index)
            assert seen(page) == index
        assert site.json("state")["recordings"][0]["source"] == "old.mov"
        assert len(site.json("state")["recordings"]) == 1
