"""The page in a browser: playing, seeking, coding, and what is left when everything is killed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Playwright
from tests.reviewing.conftest import arrived, loaded, press, saved, seen, until
from tests.reviewing.made import UNEVEN_MS, Site, eventually, film, recordings, rows, serving, start, table

Show = Callable[..., Page]


def test_seeking_shows_the_very_frame(site: Site, show: Show) -> None:
    page = show(site)
    for index in (0, 63, 1, 7, 31, 30, 62, 0):
        page.evaluate("index => review.player.seek(index)", index)
        arrived(page, index)
        assert seen(page) == index


def test_arrow_keys_go_frame_by_frame_and_the_box_goes_along(site: Site, show: Show) -> None:
    page = show(site)
    for expected in (1, 2, 3):
        press(page, "ArrowRight")
        arrived(page, expected)
        assert seen(page) == expected
    press(page, "Shift+ArrowRight", "ArrowLeft")
    arrived(page, 12)
    assert seen(page) == 12
    left = page.evaluate("[...review.player.box(0)]")[0]
    assert left == pytest.approx(10 + 50 * 12 / 63, abs=0.01)
    painted = page.evaluate(
        """box => { const {overlay, info} = review.player, unit = overlay.width / info.width;
          const pen = overlay.getContext("2d"), y = Math.round((box[1] + 20) * unit);
          return [0, -6].map(by => pen.getImageData(Math.round((box[0] + by) * unit), y, 1, 1).data[3]); }""",
        [left, 20],
    )
    assert painted[0] > 0
    assert painted[1] == 0


def test_while_it_plays_picture_and_number_are_in_step(site: Site, show: Show) -> None:
    page = show(site)
    page.evaluate(
        """() => { const {player} = review; globalThis.pairs = [];
          const canvas = document.createElement("canvas"); canvas.width = player.video.videoWidth; canvas.height = 8;
          const pen = canvas.getContext("2d", {willReadFrequently: true});
          const bit = place => pen.getImageData((place + .5) * canvas.width / 8, 4, 1, 1).data[0] > 127;
          player.addEventListener("frame", () => { pen.drawImage(player.video, 0, 0); let number = 0;
            for (let place = 0; place < 8; place++) number = 2 * number + bit(place);
            if (!player.video.paused) pairs.push([player.shown, number]); }); }"""
    )
    press(page, "Space")
    until(page, "pairs.length > 12 || review.player.video.ended")
    press(page, "Space")
    pairs = page.evaluate("pairs")
    assert len(pairs) > 8
    # The browser may already have a newer picture in hand than the one that it tells of, never an older one.
    assert all(shown <= number <= shown + 1 for shown, number in pairs)
    assert sum(shown == number for shown, number in pairs) > 0.7 * len(pairs)


def test_a_clock_that_does_not_start_at_zero(tmp_path: Path, show: Show) -> None:
    times = [4000 + 50 * number for number in range(30)]
    made = tmp_path / "late"
    made.mkdir()
    film(made / "late.webm", times)
    table(made / "late_aus.csv", "late.webm", [number / 20 for number in range(30)], AU12_s=[0.0] * 30)
    with serving(made) as site:
        page = show(site)
        for index in (0, 11, 29):
            page.evaluate("index => review.player.seek(index)", index)
            arrived(page, index)
            assert seen(page) == index


def test_a_file_that_does_not_say_how_long_frames_last(tmp_path: Path, show: Show) -> None:
    times = [0, 40, 90, 120, 200, 240, 300, 420, 430, 500]
    made = tmp_path / "guess"
    made.mkdir()
    film(made / "guess.mp4", times)
    table(made / "guess_aus.csv", "guess.mp4", [one / 1000 for one in times], AU12_s=[0.0] * len(times))
    with serving(made) as site:
        page = show(site)
        for index in (3, 9, 8, 7, 0, 4):
            page.evaluate("index => review.player.seek(index)", index)
            arrived(page, index)
            assert seen(page) == index


def test_coding_by_keys_alone(site: Site, show: Show, tmp_path: Path) -> None:
    page = show(site)
    page.evaluate("review.player.seek(10)")
    press(page, "q")  # AU12: onset
    page.evaluate("review.player.seek(20)")
    press(page, "q", "Shift+Digit3", "b", "u")
    page.evaluate("review.player.seek(0)")
    press(page, "c", "End", "c")  # to the end of the last frame
    saved(page)
    assert page.evaluate("review.coding.codes.at(-1).offset_s") == pytest.approx(page.evaluate("review.player.end(63)"))
    press(page, "Delete")
    page.evaluate("review.player.seek(0)")
    press(page, "c")
    page.evaluate("review.player.seek(40)")
    press(page, "c")
    saved(page)
    at = [f"{one / 1000:.6f}".rstrip("0").rstrip(".") for one in UNEVEN_MS]
    assert [[row[name] for name in row] for row in rows(tmp_path / "codes.csv")] == [
        ["film.webm", "coded", at[0], at[40], "", "", "", "0", "mk", ""],
        ["film.webm", "12", at[10], at[20], "C", "L", "uncertain", "0", "mk", ""],
    ]
    press(page, "Control+z")
    saved(page)
    assert [row["au"] for row in rows(tmp_path / "codes.csv")] == ["12"]
    press(page, *["Control+z"] * 6)
    eventually(lambda: rows(tmp_path / "codes.csv") == [])
    press(page, *["Control+Shift+z"] * 7)
    eventually(lambda: len(rows(tmp_path / "codes.csv")) == 2)
    assert rows(tmp_path / "codes.csv")[1]["intensity"] == "C"


def test_codes_belong_to_their_face_and_frames_have_their_own_numbers(tmp_path: Path, show: Show) -> None:
    made = recordings(tmp_path / "two")
    rows_of = (made / "film_aus.csv").read_text().splitlines()
    place = rows_of[0].split(",").index("face")
    second = [",".join([*line.split(",")[:place], "1", *line.split(",")[place + 1 :]]) for line in rows_of[1:]]
    every_other = [rows_of[0], *(line for pair in zip(rows_of[1::2], second[::2]) for line in pair)]
    (made / "film_aus.csv").write_text("\n".join(every_other) + "\n")
    with serving(made) as site:
        page = show(site)
        assert page.evaluate("review.player.times.length") == 32
        press(page, "ArrowRight")
        arrived(page, 1)
        assert seen(page) == 2
        assert "frame 2" in page.inner_text("#clock")
        press(page, "q", "ArrowRight", "q")
        assert page.evaluate("review.curves.codes.length") == 1
        assert "no coded range" in page.inner_text("#coded-note")
        page.click('[data-face="1"]')
        until(page, "review.face === 1 && review.curves.codes.length === 0")
        page.evaluate("document.activeElement.blur()")
        press(page, "n")  # the other face does not move
        saved(page)
        assert [(row["au"], row["face"]) for row in rows(made / "codes.csv")] == [("none", "1"), ("12", "0")]
        page.click('[data-face="0"]')
        until(page, "review.face === 0 && review.curves.codes.length === 1")
        page.evaluate("document.activeElement.blur()")
        press(page, "n")
        assert "does move" in page.inner_text("#saved")
        page.click('[data-face="1"]')
        until(page, "review.face === 1")
        page.evaluate("document.activeElement.blur()")
        press(page, "ArrowDown")  # to the code of the face that is not shown
        until(page, "review.face === 0 && review.player.shown === 1 && review.player.face === 0")
        assert page.inner_text("#selected-title").startswith("AU12")
        # The answer about a face that was chosen before the last one comes late, and changes nothing any more.
        page.evaluate(
            """() => { const ask = globalThis.fetch; let first = true;
              globalThis.fetch = (...given) => { const late = first && String(given[0]).includes("face=1");
                if (!late) return ask(...given);
                first = false; return new Promise(done => setTimeout(done, 500)).then(() => ask(...given)); }; }"""
        )
        page.click('[data-face="1"]')
        page.evaluate("document.activeElement.blur()")
        press(page, "ArrowUp")
        page.wait_for_timeout(1200)
        assert page.evaluate("[review.face, review.player.face]") == [0, 0]


def test_onset_offset_and_removal_of_a_code_that_is_there(site: Site, show: Show, tmp_path: Path) -> None:
    page = show(site)
    page.evaluate("review.player.seek(10)")
    press(page, "6", "Shift+ArrowRight", "6")
    page.evaluate("review.player.seek(5)")
    press(page, "i")
    page.evaluate("review.player.seek(33)")
    press(page, "o")
    saved(page)
    row = rows(tmp_path / "codes.csv")[0]
    assert (float(row["onset_s"]), float(row["offset_s"])) == (UNEVEN_MS[5] / 1000, UNEVEN_MS[33] / 1000)
    page.evaluate("review.player.seek(40)")
    press(page, "i")  # behind the offset: refused
    assert "before the offset" in page.inner_text("#saved")
    press(page, "Delete")
    eventually(lambda: rows(tmp_path / "codes.csv") == [])


def test_keys_typed_into_a_field_code_nothing(site: Site, show: Show, tmp_path: Path) -> None:
    page = show(site)
    page.fill("#coder", "")
    page.type("#coder", "q6c4")
    page.keyboard.press("Enter")
    until(page, "review.coding.coder === 'q6c4'")
    assert page.evaluate("review.coding.everything()") == []
    assert not (tmp_path / "codes.csv").exists()


def test_without_a_name_nothing_is_coded(site: Site, show: Show, tmp_path: Path) -> None:
    page = show(site, coder="")
    press(page, "q")
    assert "your name" in page.inner_text("#saved")
    assert page.evaluate("document.activeElement.id") == "coder"
    assert not (tmp_path / "codes.csv").exists()


def test_coders_do_not_touch_each_other(site: Site, show: Show, tmp_path: Path) -> None:
    first, second = show(site, coder="anna"), show(site, coder="ben")
    for page, key in ((first, "q"), (second, "6"), (first, "4")):
        press(page, key, "ArrowRight", key)
        saved(page)
    assert sorted((row["coder"], row["au"]) for row in rows(tmp_path / "codes.csv")) == [
        ("anna", "12"), ("anna", "4"), ("ben", "6"),
    ]  # fmt: skip


def test_the_same_coder_in_two_windows_is_told(site: Site, show: Show, tmp_path: Path) -> None:
    first, second = show(site), show(site)
    press(first, "q", "ArrowRight", "q")
    saved(first)
    press(second, "6", "ArrowRight", "6")
    until(second, "review.coding.state === 'not saved'")
    assert "changed elsewhere" in second.inner_text("#saved")
    assert [row["au"] for row in rows(tmp_path / "codes.csv")] == ["12"]


def test_a_comment_that_is_a_script_or_a_formula_is_text(site: Site, show: Show, tmp_path: Path) -> None:
    page = show(site, coder="<b>=1+1</b>")
    press(page, "q", "ArrowRight", "q")
    page.fill("#comment", "=HYPERLINK(1)<script>alert(1)</script>")
    page.keyboard.press("Tab")
    saved(page)
    assert "'=HYPERLINK" in (tmp_path / "codes.csv").read_text()
    page.reload()
    until(page, "globalThis.review?.coding.codes.length === 1")
    assert page.evaluate("review.coding.codes[0].comment") == "=HYPERLINK(1)<script>alert(1)</script>"
    assert page.locator("b:text('=1+1')").count() == 0


def test_narrow_screens_watch_and_change_nothing(site: Site, show: Show, tmp_path: Path) -> None:
    page = show(site, width=390, height=800)
    assert page.is_visible("#read-only")
    assert not page.is_visible("#coder")
    assert not page.is_visible("#mark-coded")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    press(page, "q", "ArrowRight", "q", "c", "n")
    arrived(page, 1)
    assert page.evaluate("review.coding.everything()") == []
    assert not (tmp_path / "codes.csv").exists()


def test_names_for_those_who_do_not_see(site: Site, show: Show) -> None:
    page = show(site)
    for role, name in (
        ("button", "Play"), ("button", "One frame on"), ("radio", "face 0, seen in 64 frames"), ("tab", "compare"),
        ("button", "AU12 lip corner puller, key q"), ("slider", "Position in the recording"), ("combobox", "recording"),
        ("combobox", "coder"),
    ):  # fmt: skip
        assert page.get_by_role(role, name=name).count() == 1, name
    page.evaluate("review.player.seek(9)")
    said = page.get_attribute("#plot", "aria-valuetext")
    assert said == f"frame 9, {UNEVEN_MS[9] / 1000:.2f} seconds"
    nameless = page.evaluate(
        """[...document.querySelectorAll("button, select, input, [tabindex]")].filter(
          one => one.offsetParent && !one.getAttribute("aria-label") && !one.textContent.trim()
            && !one.labels?.length && !one.title).map(one => one.outerHTML)"""
    )
    assert nameless == []


def test_an_action_unit_explains_itself(site: Site, show: Show) -> None:
    page = show(site)
    page.focus('[data-au="12"]')
    assert "corners of the mouth" in page.inner_text("#tip")
    until(page, "[...document.querySelectorAll('#tip img')].every(one => one.complete && one.naturalWidth === 176)")


def test_a_loop_stays_in_the_code(site: Site, show: Show) -> None:
    page = show(site)
    page.evaluate("review.player.seek(20)")
    press(page, "q")
    page.evaluate("review.player.seek(26)")
    press(page, "q", "l")
    page.evaluate(
        "globalThis.shown = []; review.player.addEventListener('frame', () => shown.push(review.player.shown))"
    )
    until(page, "shown.filter((one, place) => one < shown[place - 1]).length >= 2")  # it went back twice
    assert set(page.evaluate("shown")) <= set(range(20, 28))
    press(page, "l", "Space")


def test_export_and_import(site: Site, show: Show, tmp_path: Path) -> None:
    page = show(site, coder="anna")
    press(page, "q", "Shift+ArrowRight", "q", "Shift+Digit4")
    saved(page)
    with page.expect_download() as waiting:
        page.select_option("#export", "elan")
    out = tmp_path / "out.txt"
    waiting.value.save_as(out)
    assert "AU12@anna" in out.read_text()
    other = show(site, coder="ben")
    other.set_input_files(
        "#import",
        {
            "name": "other.csv",
            "mimeType": "text/csv",
            "buffer": b"source,au,onset_s,offset_s,coder\nfilm.webm,6B,0.2,0.9,ben\nelse.mp4,4,1,2,ben\n",
        },
    )
    until(other, "review.coding.codes.length === 1")
    assert "1 of 1 codes were new" in other.inner_text("#import-note")
    assert "else.mp4" in other.inner_text("#import-note")
    assert [(row["coder"], row["au"], row["intensity"]) for row in rows(tmp_path / "codes.csv")] == [
        ("anna", "12", "D"),
        ("ben", "6", "B"),
    ]


def opened(browser: Any, site: Site, coder: str = "mk") -> Page:
    page: Page = browser.new_page()
    page.add_init_script(f"localStorage.setItem('coder', {coder!r})")
    page.goto(site.address)
    loaded(page)
    return page


@pytest.mark.slow
def test_killed_at_any_moment_at_most_a_second_is_lost(folder: Path, tmp_path: Path, chromium: Browser) -> None:
    codes = tmp_path / "codes.csv"
    process, site = start(folder, "--codes", str(codes))
    try:
        page = opened(chromium, site)
        page.evaluate("review.player.seek(3)")
        press(page, "6", "ArrowRight", "6", "q")
        page.evaluate("review.player.video.playbackRate = .5")
        press(page, "Space")
        page.wait_for_timeout(1800)
        reached = page.evaluate("review.player.time")
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    until(page, "review.coding.state === 'not saved'")  # and says so
    page.context.close()
    found = {row["au"]: row for row in rows(codes)}
    assert set(found) == {"6", "12"}
    assert float(found["12"]["onset_s"]) == UNEVEN_MS[4] / 1000
    assert reached - float(found["12"]["offset_s"]) < 1.0
    assert found["12"]["comment"] == "offset not set"
    process, site = start(folder, "--codes", str(codes))
    try:
        again = opened(chromium, site)
        assert "offset not set" in again.inner_text("#codes")
        assert len(again.evaluate("review.coding.codes")) == 2
        again.context.close()
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_what_could_not_be_stored_is_stored_when_the_server_is_back(
    folder: Path, tmp_path: Path, chromium: Browser
) -> None:
    with serving(folder, codes=tmp_path / "codes.csv") as site:
        context, gone = chromium.new_context(), threading.Event()
        # From before the page is opened: a page that is open goes on asking past a new route for a moment.
        context.route("**/codes?*", lambda route: route.abort() if gone.is_set() else route.continue_())
        page = opened(context, site)
        gone.set()
        press(page, "6", "ArrowRight", "6")
        until(page, "review.coding.state === 'not saved'")
        assert rows(tmp_path / "codes.csv") == []
        gone.clear()
        saved(page)
        assert [(row["au"], row["comment"]) for row in rows(tmp_path / "codes.csv")] == [("6", "")]
        context.close()


@pytest.mark.slow
def test_a_killed_browser_has_stored_what_was_coded(
    site: Site, browser: Path, play: Playwright, tmp_path: Path
) -> None:
    import subprocess

    words = [
        str(browser),
        "--headless",
        "--no-sandbox",
        "--remote-debugging-port=0",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stderr is not None
    address = next(line.split()[-1] for line in process.stderr if "DevTools listening" in line)
    page = opened(play.chromium.connect_over_cdp(address), site)
    press(page, "q", "Shift+ArrowRight", "q")
    time.sleep(1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert [row["au"] for row in rows(tmp_path / "codes.csv")] == ["12"]


def test_differences_are_stepped_through_and_numbers_follow_the_codes(site: Site, show: Show, tmp_path: Path) -> None:
    times = [one / 1000 for one in UNEVEN_MS]
    (tmp_path / "codes.csv").write_text(
        "source,au,onset_s,offset_s,face,coder\n"
        f"film.webm,12,{times[10]},{times[20]},0,anna\nfilm.webm,12,{times[12]},{times[20]},0,ben\n"
        f"film.webm,12,{times[40]},{times[45]},0,ben\n"
    )
    page = show(site, coder="anna")
    page.focus("#tab-code")
    press(page, "ArrowRight")  # by keys alone
    assert page.evaluate("document.activeElement.id") == "tab-compare"
    page.select_option("#second", "coder:ben")
    until(page, "document.querySelectorAll('#differences tbody tr').length === 2")
    kappa = "document.querySelector('#agreement td[data-name=kappa]').textContent"
    both, only_anna, only_ben, neither = 8, 2, 5, 64 - 15
    chance = ((both + only_anna) * (both + only_ben) + (only_ben + neither) * (only_anna + neither)) / 64**2
    assert float(page.evaluate(kappa)) == pytest.approx(((both + neither) / 64 - chance) / (1 - chance), abs=0.006)
    page.evaluate("document.activeElement.blur()")
    press(page, "d")
    arrived(page, 10)
    press(page, "d")
    arrived(page, 40)
    assert "2 of 2" in page.inner_text("#difference-count")
    press(page, "q")  # anna sees it too
    page.evaluate("review.player.seek(45)")
    arrived(page, 45)
    press(page, "q")
    until(page, "document.querySelectorAll('#differences tbody tr').length === 1")
    assert float(page.evaluate(kappa)) > 0.8
