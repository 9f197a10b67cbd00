"""Overlay videos and report pages: read back, and looked at by a browser."""

from __future__ import annotations

import base64
import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import av
import cv2
import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser
from tests.detection.made import picture, points

import duchenne
from duchenne.cli.main import main
from duchenne.detection.drawing import draw_bars, draw_faces, draw_portrait
from duchenne.detection.index import write_index
from duchenne.detection.overlay import bars
from duchenne.detection.report import ReportCollector
from duchenne.detection.results import DetectedFace, FrameResult
from duchenne.detectors.blendshapes import BlendshapeModel
from duchenne.errors import UsageError
from duchenne.faces.find import Face

Film = Callable[..., Path]
BACKGROUND = [24, 26, 30]


def frame_of(scores: list[float], landmarks: bool = True) -> FrameResult:
    face = Face((8.0, 8.0, 20.0, 20.0), 0.9, points() * 1.2 if landmarks else None, flag="" if landmarks else "small")
    image = np.full((48, 64, 3), 200, np.uint8)
    return FrameResult("a.mp4", 0, 0.0, (DetectedFace(0, face, np.array(scores, np.float32)),), image)


def page_data(page: str) -> dict:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_bars_choose_probability_then_score_then_intensity() -> None:
    columns = ["AU12_r", "AU12_p", "AU12_c", "AU01_s", "AU02_r", "AU04_c"]
    assert bars(columns) == [("AU1", 3, 1.0), ("AU2", 4, 5.0), ("AU12", 1, 1.0)]


@pytest.mark.parametrize("value", [0.0, 0.25, 1.0, 1.7, -0.5, np.nan])
def test_a_bar_is_as_long_as_its_value(value: float) -> None:
    canvas = np.zeros((60, 240, 3), np.uint8)
    draw_bars(canvas, frame_of([value]).faces, [("AU12", 0, 1.0)])
    filled = (canvas == (64, 196, 255)).all(axis=-1)
    row = filled[45]  # through the only bar
    width = 230 - (8 + round(27 * 2.2))
    expected = 0 if np.isnan(value) else np.clip(value, 0, 1) * width
    assert abs(row.sum() - expected) <= 2


def test_anonymous_drawings_hold_nothing_of_the_picture() -> None:
    frame, other = frame_of([0.5]), frame_of([0.5])
    assert other.image is not None
    other.image[:] = np.random.default_rng(0).integers(0, 255, other.image.shape)
    for draw in (
        lambda one: draw_faces(one, (128, 96), anonymous=True),
        lambda one: draw_portrait(one.image, one.faces[0], 40, anonymous=True),
    ):
        drawn = draw(frame)
        assert (drawn == draw(other)).all()
        assert (drawn != BACKGROUND).any(), "landmarks are there"
    assert (
        draw_portrait(other.image, frame_of([0.5], landmarks=False).faces[0], 40, anonymous=True) == BACKGROUND
    ).all()


def test_a_portrait_at_the_edge_is_whole() -> None:
    frame = frame_of([0.5])
    assert frame.image is not None
    face = DetectedFace(0, Face((-5.0, 30.0, 30.0, 30.0), 0.9), frame.faces[0].scores)
    assert (draw_portrait(frame.image, face, 64, anonymous=False) == 200).all()


@pytest.mark.usefixtures("scripted")
class TestOnFilms:
    def test_the_overlay_has_every_frame_at_its_time(self, film: Film, tmp_path: Path) -> None:
        times_s = [0.0, 0.04, 0.15, 0.152, 2.0]
        path, overlay = film("a.mov", [20, 0, 90, 130, 200], times_s), tmp_path / "out" / "o.mp4"
        assert (
            main(
                [
                    "detect",
                    "--model",
                    "blendshapes",
                    str(path),
                    "-o",
                    str(tmp_path / "a.csv"),
                    "--overlay",
                    str(overlay),
                    "--quiet",
                ]
            )
            == 0
        )
        with av.open(str(overlay)) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name in ("vp9", "libvpx-vp9")
            frames = [(float(frame.time), frame.to_ndarray(format="rgb24")) for frame in container.decode(stream)]
        assert [time_s for time_s, _ in frames] == pytest.approx(times_s, abs=2e-3)
        assert frames[0][1].shape == (540, 720 + 260, 3)
        lengths = [
            int((np.abs(image[:, 720:].astype(int) - (64, 196, 255)).max(axis=-1) < 40).sum()) for _, image in frames
        ]
        assert lengths[2] > 2 * lengths[0] > lengths[1]  # 0.9 against 0.2 against nobody

    def test_the_report_says_what_the_table_says(self, film: Film, tmp_path: Path) -> None:
        path, report = film("a<b>.mov", [20, 0, 90, 130, 200]), tmp_path / "r.html"
        table = duchenne.detect(path, report=report, model="blendshapes")
        page = report.read_text()
        data = page_data(page)
        assert data["frames"] == [0, 1, 2, 3, 4]
        assert data["times"] == pytest.approx(sorted(set(table.time_s)))
        assert data["faces"]["0"]["values"]["12"] == [200, None, 900, 300, None]
        assert [au["au"] for au in data["aus"]] == [1, 2, 4, 5, 7, 10, 12, 14, 15, 17, 20, 24, 26, 45]
        assert [time_s for time_s, _ in data["faces"]["0"]["portraits"]] == pytest.approx([0, 0.08, 0.12, 0.16])
        assert data["faces"]["0"]["episodes"] == []  # of scores nobody decides when something is present
        assert "a&lt;b&gt;.mov" in page
        assert "<b>.mov" not in page
        assert not re.search(r'(src|href)="(?!data:)', page), "self-contained"

    def test_folders_for_several_inputs(self, film: Film, tmp_path: Path) -> None:
        film("in/a.mov", [20]), film("in/b.mov", [0, 30])
        out = tmp_path / "out"
        words = [
            "detect",
            str(tmp_path / "in"),
            "-o",
            f"{out}/",
            "--overlay",
            f"{out}/",
            "--report",
            f"{out}/",
            "--quiet",
        ]
        assert main(words) == 0
        names = {f"{name}_{end}" for name in "ab" for end in ("aus.csv", "aus.json", "overlay.mp4", "report.html")}
        names.add("index.html")
        assert {path.name for path in out.iterdir()} == names
        (out / "a_report.html").unlink()  # drawings are made again where they are missing
        before = (out / "b_aus.csv").stat().st_mtime_ns
        assert main(words) == 0
        assert {path.name for path in out.iterdir()} == names
        assert (out / "b_aus.csv").stat().st_mtime_ns == before

    def test_overlays_among_the_recordings_are_no_recordings(
        self, film: Film, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        film("in/a.mov", [20]), film("in/b/a.mov", [30]), film("in/c_overlay.mov", [30])
        words = ["detect", str(tmp_path / "in"), "-o", f"{tmp_path / 'in'}/", "--overlay", f"{tmp_path / 'in'}/"]
        assert main([*words, "--quiet"]) == 0
        capsys.readouterr()
        assert main([*words, "--quiet"]) == 0  # c has no recording: what is called an overlay is one itself
        said = capsys.readouterr().out
        assert "3 inputs (3 finished by an earlier run)" in said
        assert "3 overlays of these inputs passed over" in said
        outright = tmp_path / "in" / "c_overlay_overlay.mp4"
        assert duchenne.detect([tmp_path / "in", outright]).source.nunique() == 4

    def test_a_folder_of_reports_has_an_index(self, film: Film, tmp_path: Path) -> None:
        film("in/a<b>.mov", [20, 20, 0, 130]), film("in/b b.mov", [0])
        out = tmp_path / "out"
        duchenne.detect(tmp_path / "in", output=out, report=out)
        broken = film("in/c.mov", [50] * 90)
        data = broken.read_bytes()
        broken.write_bytes(data[: 2 * len(data) // 3])
        with pytest.warns(UserWarning, match="59 of 90"):
            duchenne.detect(broken, output=out, report=out)  # the earlier reports stay in it
        page = (out / "index.html").read_text()
        assert re.findall(r'<h2><a href="(.*?)">(.*?)</a>', page) == [
            ("a%3Cb%3E_report.html", "a&lt;b&gt;"), ("b%20b_report.html", "b b"), ("c_report.html", "c"),
        ]  # fmt: skip
        assert "4 frames, 0.2 s;\n2 people" in page
        assert re.findall(r"face (\d), (\d+) %", page)[:2] == [("0", "75"), ("1", "0")]
        assert page.count("59 of 90 frames") == 1
        assert page.count("data:image/jpeg;base64,") == 3
        listed = re.search(r'<a href="data:text/csv;charset=utf-8,(.*?)" download="names.csv">', page)
        assert listed
        (tmp_path / "names.csv").write_text(unquote(listed[1]))
        names = pd.read_csv(tmp_path / "names.csv")
        assert names.name.tolist() == ["a<b>#0", "a<b>#1", "c#0"]
        people = duchenne.summarize(out / "a<b>_aus.csv", names=names[:2]).quality.face
        assert sorted(people) == ["a<b>#0", "a<b>#1"]
        earlier = (out / "c_report.html").read_text().replace('"source":', '"x":')
        for text in ("<html>", earlier):
            (out / "other_report.html").write_text(text)
            (sentence,) = write_index(out)[1]
            assert "other_report.html: is no report" in sentence
            assert "other_report" not in (out / "index.html").read_text()

    def test_a_page_of_others_in_the_folder_costs_nothing(self, film: Film, tmp_path: Path) -> None:
        """The table that took hours is there, with its record, and so are the other reports."""
        (tmp_path / "final_report.html").write_text("<html>mine</html>")
        with pytest.warns(UserWarning, match=r"final_report\.html: is no report .* The index leaves it out\."):
            table = duchenne.detect(film("a.mov", [20]), output=tmp_path / "all.csv", report=f"{tmp_path}/")
        assert len(table) == 1
        assert (tmp_path / "all.json").exists()
        assert "a_report.html" in (tmp_path / "index.html").read_text()
        assert (tmp_path / "final_report.html").read_text() == "<html>mine</html>"

    def test_drawings_go_with_their_table(self, film: Film, tmp_path: Path) -> None:
        """A page of an earlier run is not that of a table which was made since, of other pictures or settings."""
        path, out = film("a.mov", [20]), tmp_path / "out"
        duchenne.detect(path, output=out, report=out)
        film("a.mov", [20, 30, 90])
        duchenne.detect(path, output=out)
        duchenne.detect(path, output=out, report=out)
        assert page_data((out / "a_report.html").read_text())["frames"] == [0, 1, 2]
        duchenne.detect(path, output=out, min_face=40)
        duchenne.detect(path, output=out, min_face=40, report=out)
        assert any("40" in sentence for sentence in page_data((out / "a_report.html").read_text())["settings"])
        before = (out / "a_report.html").stat().st_mtime_ns
        duchenne.detect(path, output=out, min_face=40, report=out)
        assert (out / "a_report.html").stat().st_mtime_ns == before

    def test_a_picture_is_drawn_as_a_picture(self, tmp_path: Path) -> None:
        cv2.imwrite(str(tmp_path / "a.png"), picture(60))
        duchenne.detect(tmp_path / "a.png", overlay=tmp_path / "out/")
        drawn = cv2.imread(str(tmp_path / "out" / "a_overlay.png"))
        assert drawn is not None
        assert drawn.shape == (540, 720 + 260, 3)
        with pytest.raises(UsageError, match=r"\.png"):
            duchenne.detect(tmp_path / "a.png", overlay=tmp_path / "o.mp4")

    def test_a_very_wide_picture_is_drawn_smaller(self, tmp_path: Path) -> None:
        """6 lines at 480 or 540 would be 72,000 or 81,000 pixels wide; no JPEG has over 65,535."""
        cv2.imwrite(str(tmp_path / "strip.png"), np.full((6, 900, 3), 20, np.uint8))
        cv2.imwrite(str(tmp_path / "usual.png"), picture(20)[:, :, ::-1])
        paths = [tmp_path / "strip.png", tmp_path / "usual.png"]
        table = duchenne.detect(paths, overlay=tmp_path / "out/", report=tmp_path / "out/")
        assert table.source.tolist() == [str(path) for path in paths]
        wide = cv2.imread(str(tmp_path / "out" / "strip_overlay.png"))
        assert wide is not None
        assert wide.shape == (54, 8192 + 260, 3)
        page = (tmp_path / "out" / "strip_report.html").read_text()
        shown = re.search(r'class="still" src="data:image/jpeg;base64,([^"]+)"', page)
        assert shown
        still = cv2.imdecode(np.frombuffer(base64.b64decode(shown[1]), np.uint8), cv2.IMREAD_COLOR)
        assert still is not None
        assert still.shape == (13, 1920, 3)

    def test_bad_use_is_named(self, film: Film, tmp_path: Path) -> None:
        one, two = film("a.mov", [20]), film("b.mov", [20])
        with pytest.raises(UsageError, match="2 inputs"):
            duchenne.detect([one, two], overlay=tmp_path / "o.mp4")
        with pytest.raises(UsageError, match="overlay"):
            duchenne.detect(one, overlay=tmp_path / "o.gif")
        with pytest.raises(UsageError, match="report"):
            duchenne.detect(one, report=tmp_path / "o.pdf")
        assert not list(tmp_path.glob("o.*"))

    def test_no_drawing_takes_the_place_of_a_recording_that_is_read(self, film: Film, tmp_path: Path) -> None:
        for name in ("c_part1.mp4", "c_part2.mp4", "rest.mp4", "d.mp4", "d_overlay.mp4"):
            film(name, [20])
        before = {path: path.read_bytes() for path in tmp_path.glob("*.mp4")}
        parts, pair = (
            [tmp_path / "c_part1.mp4", tmp_path / "c_part2.mp4"],
            [tmp_path / "d.mp4", tmp_path / "d_overlay.mp4"],
        )
        for inputs, settings, place in (
            (parts[0], {}, "./c_part1.mp4"),
            (parts, {"chapters": True}, "c_part2.mp4"),
            (parts[0], {"baseline": str(tmp_path / "rest.mp4")}, "rest.mp4"),
            (pair, {}, "./"),  # where d_overlay.mp4 is a recording, named outright
        ):
            with pytest.raises(UsageError, match="is a recording that is read, and would be lost"):
                duchenne.detect(inputs, overlay=f"{tmp_path}/{place}", **settings)
        assert {path: path.read_bytes() for path in tmp_path.glob("*.mp4")} == before

    def test_an_unreadable_input_leaves_no_drawing(self, tmp_path: Path) -> None:
        text = tmp_path / "text.mp4"
        text.write_text("not a video\n")
        words = ["-o", "a.csv", "--overlay", "o.mp4", "--report", "r.html"]
        words = [word if word.startswith("-") else str(tmp_path / word) for word in words]
        assert main(["detect", str(text), *words, "--quiet"]) == 1
        assert [path.name for path in tmp_path.iterdir()] == ["text.mp4"]


def test_a_long_video_keeps_few_thumbnails(tmp_path: Path) -> None:
    model = BlendshapeModel()
    collector = ReportCollector(model, anonymous=True)
    for number in range(1000):
        frame = frame_of([0.5] * len(model.columns))
        collector.add(FrameResult("long.mp4", number, number / 25, frame.faces, frame.image))
    collector.write(tmp_path / "r.html", "long.mp4", "long.mp4: is truncated; 1000 frames were read.")
    page = (tmp_path / "r.html").read_text()
    data = page_data(page)
    kept = [time_s for time_s, _ in data["faces"]["0"]["portraits"]]
    assert 60 <= len(kept) <= 120
    assert np.ptp(np.diff(kept)) < 1e-6, "evenly spread"
    assert kept[-1] > 38
    assert len(data["times"]) == 1000
    assert "is truncated" in page


def dom_after(browser: Path, page: Path, script: str, profile: Path) -> str:
    """The page as HTML after it was drawn and `script` has run in it."""
    changed = page.with_name("changed.html")
    changed.write_text(page.read_text().replace("</body>", f"<script>{script}</script></body>"))
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", "--window-size=1280,1200"]
    done = subprocess.run(
        [browser, *options, "--dump-dom", changed.as_uri()], check=True, capture_output=True, timeout=120, text=True
    )
    return html.unescape(done.stdout)


def test_the_page_works_in_a_browser(shared: Path, browser: Path, tmp_path: Path) -> None:
    video = shared / "data" / "intel-sample-videos" / "head-pose-face-detection-female-and-male.mp4"
    table = duchenne.detect(video, report=tmp_path / "r.html", model="blendshapes")
    script = """
      const plot = document.getElementById("plot"), box = plot.getBoundingClientRect(), note = {};
      plot.setPointerCapture = () => {};
      const pointer = (kind, x) => plot.dispatchEvent(
        new PointerEvent(kind, {clientX: box.left + x, clientY: box.top + 50, pointerId: 1, bubbles: true}));
      const readout = () => document.getElementById("readout").textContent;
      const shown = () => [...document.querySelectorAll("#portraits img")].map(image => Number(image.dataset.time));
      note.start = shown();
      pointer("pointermove", 700); note.hover = readout();
      pointer("pointerdown", 600); pointer("pointermove", 900); pointer("pointerup", 900); note.zoomed = shown();
      document.getElementById("all").click(); note.whole = shown();
      document.querySelectorAll("button.face")[1].click();
      note.rows = [...document.querySelectorAll("#summary tbody tr")].filter(row => !row.hidden).length;
      pointer("pointermove", 700); note.other = readout();
      const pixels = plot.getContext("2d").getImageData(200, 0, plot.width - 200, plot.height).data;
      note.blue = 0;
      for (let i = 0; i < pixels.length; i += 4)
        note.blue += pixels[i] < 60 && pixels[i + 2] > 150 && pixels[i + 3] > 200;  // the accent, #0a7abf
      document.body.dataset.note = JSON.stringify(note);
    """
    dom = dom_after(browser, tmp_path / "r.html", script, tmp_path / "profile")
    found = re.search(r'data-note="(\{.*?\})"', dom)
    assert found, "the script ran to its end"
    note = json.loads(found[1])
    assert len(note["start"]) >= 8
    frame = int(re.search(r"frame (\d+)", note["hover"])[1])  # type: ignore[index]
    row = table[(table.frame == frame) & (table.face == 0)].iloc[0]
    assert f"{row.time_s:.3f} s" in note["hover"]
    assert f"yaw {round(row.yaw)}°" in note["hover"]
    assert np.ptp(note["zoomed"]) < 0.5 * np.ptp(note["start"])
    assert note["whole"] == note["start"]
    assert note["rows"] == 16
    assert note["other"] != note["hover"]
    assert note["blue"] > 1000, "curves are drawn"


@pytest.mark.slow
def test_the_recording_beside_the_page_plays_in_step(shared: Path, chromium: Browser, tmp_path: Path) -> None:
    shutil.copy(shared / "data" / "intel-sample-videos" / "head-pose-face-detection-female.mp4", tmp_path / "a b#.mp4")
    (tmp_path / "pages").mkdir()
    page = tmp_path / "pages" / "r.html"
    duchenne.detect(tmp_path / "a b#.mp4", report=page, model="blendshapes")
    assert page_data(page.read_text())["film"] == "../a%20b%23.mp4"
    tab = chromium.new_page()
    tab.goto(page.as_uri())
    film = "document.getElementById('film')"
    tab.wait_for_function(f"!{film}.hidden && {film}.readyState >= 2")
    tab.focus("#timeline")
    for _ in range(6):
        tab.keyboard.press("ArrowRight")
    tab.wait_for_function(f"!{film}.seeking && {film}.currentTime > 0")
    readout, shown_s = tab.inner_text("#readout"), tab.evaluate(f"{film}.currentTime")
    time_s = float(readout.split(" s,")[0])
    assert 0 < shown_s - time_s < 0.08
    assert tab.evaluate(f"({film}.play(), true)")
    tab.wait_for_function(f"parseFloat(document.getElementById('readout').textContent) > {time_s + 0.3}")
    tab.goto("about:blank")
    tab.goto(f"{page.as_uri()}#face=0&t=0.5")  # as the page over all participants links to it
    tab.wait_for_function(f"!{film}.seeking && {film}.currentTime > 0.45")
    assert abs(float(tab.inner_text("#readout").split(" s,")[0]) - 0.5) < 0.05
    tab.evaluate("location.hash = 'face=0&t=0.2'")
    tab.wait_for_function("parseFloat(document.getElementById('readout').textContent) < 0.25")
    assert tab.get_attribute("button.face", "aria-pressed") == "true"
    tab.evaluate("location.hash = 'face=none&t=never'")  # nobody's and no time: nothing moves
    assert tab.get_attribute("button.face", "aria-pressed") == "true"
    (tmp_path / "a b#.mp4").rename(tmp_path / "moved.mp4")
    tab.reload()
    tab.wait_for_function(f"{film}.error !== null")
    assert tab.evaluate(f"{film}.hidden")
    assert tab.evaluate("document.querySelectorAll('#portraits img').length") > 0
    tab.close()
    duchenne.detect(tmp_path / "moved.mp4", report=page, model="blendshapes", anonymous=True)
    assert page_data(page.read_text())["film"] is None


def test_where_one_frame_in_several_was_read_the_recording_shows_that_one(
    shared: Path, chromium: Browser, tmp_path: Path
) -> None:
    recording = tmp_path / "a.mp4"
    shutil.copy(shared / "data" / "intel-sample-videos" / "head-pose-face-detection-female.mp4", recording)
    table = duchenne.detect(recording, report=tmp_path / "r.html", model="blendshapes", every=5)
    tab = chromium.new_page()
    tab.goto((tmp_path / "r.html").as_uri())
    film = "document.getElementById('film')"
    tab.wait_for_function(f"!{film}.hidden && {film}.readyState >= 2")
    tab.focus("#timeline")
    for time_s in table["time_s"][1:]:  # to the last one
        tab.keyboard.press("ArrowRight")
        tab.wait_for_function(f"!{film}.seeking && {film}.currentTime > {time_s}")
        assert 0 < tab.evaluate(f"{film}.currentTime") - time_s < 0.08  # within the frame, of 12.5 a second
    tab.close()


def test_the_page_can_be_drawn(shared: Path, screenshot: Callable[..., Path], tmp_path: Path) -> None:
    astronaut = shared / "data" / "scikit-image" / "astronaut.png"
    duchenne.detect(astronaut, report=tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "<th>value</th>" in page
    drawn = screenshot(tmp_path / "r.html", tmp_path / "r.png", 1000, 900)
    image = cv2.imread(str(drawn))
    assert image is not None
    assert image.std() > 20
