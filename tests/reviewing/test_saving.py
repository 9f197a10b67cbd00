"""What the page stores while things change: recordings, coders, jobs, and a server that refuses."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page
from tests.reviewing.conftest import saved, until
from tests.reviewing.made import UNEVEN_MS, Site, film, recordings, serving, table

Show = Callable[..., Page]
AT = [one / 1000 for one in UNEVEN_MS]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recording with a table, and one without."""
    made = recordings(tmp_path / "study")
    film(made / "other.webm", UNEVEN_MS)
    return made


@pytest.fixture
def site(folder: Path) -> Iterator[Site]:
    with serving(folder) as made:
        yield made


def rows(folder: Path, *columns: str) -> list[tuple[str, ...]]:
    path = folder / "codes.csv"
    return [tuple(row[name] for name in columns) for row in csv.DictReader(path.open())] if path.exists() else []


def seek(page: Page, index: int) -> None:
    page.evaluate("index => review.player.seek(index)", index)


def choose(page: Page, key: str) -> None:
    page.select_option("#recording", key)
    page.evaluate("document.activeElement.blur()")


def test_an_offset_that_was_set_stays_where_it_is(site: Site, show: Show, folder: Path) -> None:
    page = show(site)
    seek(page, 10)
    page.keyboard.press("q")
    page.fill("#comment", "faint")
    page.keyboard.press("Tab")
    saved(page)
    assert rows(folder, "comment") == [("offset not set; faint",)]
    page.evaluate("document.activeElement.blur()")
    seek(page, 20)
    page.keyboard.press("o")
    seek(page, 40)
    page.wait_for_timeout(900)  # longer than what is open takes to be stored again
    assert page.evaluate("review.coding.open.length") == 0
    assert [(float(a), float(b), c) for a, b, c in rows(folder, "onset_s", "offset_s", "comment")] == [
        (AT[10], AT[20], "faint")
    ]


def test_what_is_open_ends_with_its_recording(site: Site, show: Show, folder: Path) -> None:
    page = show(site)
    seek(page, 10)
    page.keyboard.press("q")
    seek(page, 20)
    choose(page, "r1")
    until(page, "review.coding.key === 'r1' && review.player.times.length === 64")
    seek(page, 50)
    page.keyboard.press("6")
    seek(page, 60)
    page.keyboard.press("6")
    saved(page)
    found = rows(folder, "source", "au", "onset_s", "offset_s", "face", "comment")
    assert [(one[0], one[1], float(one[2]), float(one[3]), *one[4:]) for one in found] == [
        ("film.webm", "12", AT[10], AT[21], "0", "offset not set"),
        ("other.webm", "6", AT[50], AT[60], "", ""),  # without a table nobody knows which number the face will have
    ]


def test_codes_without_a_face_are_shown_with_every_face(site: Site, show: Show, folder: Path) -> None:
    (folder / "codes.csv").write_text(
        "source,au,onset_s,offset_s,face,coder\nother.webm,12,0.1,0.2,,mk\nother.webm,6,0.1,0.2,1,mk\n"
    )
    page = show(site)
    choose(page, "r1")
    until(page, "review.curves.codes.length === 2")  # without a table all of them
    table(folder / "other_aus.csv", "other.webm", AT, AU12_s=[0.0] * len(AT))
    page.reload()
    until(page, "globalThis.review?.player.ready")
    choose(page, "r1")
    until(page, "review.coding.key === 'r1' && review.face === 0 && review.player.times.length === 64")
    assert page.evaluate("review.curves.codes.length") == 1
    assert page.evaluate("review.curves.codes[0].au") == 12
    for key in ("4", "ArrowRight", "4"):  # of the same person: `prepare` takes either numbers or none
        page.keyboard.press(key)
    saved(page)
    assert sorted(rows(folder, "au", "face")) == [("12", ""), ("4", ""), ("6", "1")]


def test_nothing_is_coded_before_the_frames_are_known(site: Site, show: Show, folder: Path) -> None:
    page = show(site)
    page.evaluate("review.player.times = new Float64Array(0)")  # as while another recording is fetched
    for key in ("q", "c", "n"):
        page.keyboard.press(key)
    assert page.evaluate("review.coding.everything()") == []


def test_what_could_not_be_stored_is_not_thrown_away(site: Site, show: Show, folder: Path) -> None:
    page, refused = show(site), [True]

    def answer(route: Any) -> None:
        if refused[0] and route.request.method == "PUT":
            route.fulfill(status=400, json={"error": "codes.csv: cannot be written."})
        else:
            route.continue_()

    page.route("**/codes?*", answer)
    for key in ("q", "ArrowRight", "q"):
        page.keyboard.press(key)
    until(page, "review.coding.state === 'not saved' && !review.coding.saving")
    page.fill("#coder", "ben")
    page.keyboard.press("Enter")
    until(page, "document.getElementById('coder').value === 'mk'")
    assert "cannot be written" in page.inner_text("#saved")
    page.set_input_files("#import", {"name": "x.csv", "mimeType": "text/csv", "buffer": b"x"})
    until(page, "document.getElementById('import-note').textContent.includes('cannot be written')")
    choose(page, "r1")
    until(page, "document.getElementById('recording').value === 'r0'")
    assert page.evaluate("[review.key, review.coding.key, review.coding.codes.length]") == ["r0", "r0", 1]
    refused[0] = False
    page.fill("#coder", "ben")
    page.keyboard.press("Enter")
    until(page, "review.coding.coder === 'ben'")
    assert rows(folder, "au", "coder") == [("12", "mk")]


def test_a_change_while_other_codes_are_on_their_way_belongs_to_the_old_ones(
    site: Site, show: Show, folder: Path
) -> None:
    page = show(site)
    held: dict[str, Any] = {}

    def answer(route: Any) -> None:
        what = route.request.method + route.request.url.rpartition("/codes")[0][-3:]
        if what in ("GET/r1", "PUT/r0") and what not in held:
            held[what] = route
        else:
            route.continue_()

    page.route("**/codes?*", answer)
    choose(page, "r1")
    page.wait_for_timeout(300)
    page.keyboard.press("n")  # nobody moves: said of the recording that is still shown
    page.wait_for_timeout(100)
    for what in ("GET/r1", "PUT/r0"):
        held[what].continue_()
        page.wait_for_timeout(300)
    until(page, "review.coding.key === 'r1' && review.player.times.length === 64")
    page.keyboard.press("q")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("q")
    saved(page)
    assert rows(folder, "source", "au") == [("film.webm", "none"), ("other.webm", "12")]


def test_a_job_that_ends_leaves_what_is_being_coded(site: Site, show: Show, folder: Path) -> None:
    page = show(site)
    for index, key in ((3, "6"), (5, "6"), (10, "q"), (20, None)):
        seek(page, index)
        if key:
            page.keyboard.press(key)
    table(folder / "film_aus.csv", "film.webm", AT, AU04_s=[0.0] * len(AT))  # what a job may make anew
    page.evaluate("review.renew()")
    until(page, "review.series.has(4)")
    assert page.evaluate("[review.coding.open.length, review.coding.past.length, review.player.index]") == [1, 2, 20]
    page.keyboard.press("q")
    saved(page)
    assert [(au, float(b)) for au, b in rows(folder, "au", "offset_s")] == [("6", AT[5]), ("12", AT[20])]


def test_what_could_not_be_judged_of_one_action_unit_is_shown_and_stays(site: Site, show: Show, folder: Path) -> None:
    (folder / "codes.csv").write_text(
        "source,au,onset_s,offset_s,intensity,face,coder,subject\nfilm.webm,12,0.1,0.9,?,0,mk,infant\n"
        "film.webm,coded,0,1,,,,\n"
    )
    page = show(site)
    assert "AU12 cannot be judged" in page.inner_text("#codes")
    for key in ("q", "ArrowRight", "q"):
        page.keyboard.press(key)
    saved(page)
    assert page.is_hidden("#coded-note")  # the range of nobody's name holds for this coder too
    assert page.evaluate("review.curves.codes.map(code => code.kind)") == ["unknown", "au", "coded"]
    assert sorted(rows(folder, "au", "intensity", "coder", "subject")) == [
        ("12", "", "mk", ""), ("12", "?", "mk", "infant"), ("coded", "", "", ""),
    ]  # fmt: skip


def test_without_a_table_codes_go_on_with_the_number_that_is_there(site: Site, show: Show, folder: Path) -> None:
    (folder / "codes.csv").write_text("source,au,onset_s,offset_s,face,coder\nother.webm,12,0.1,0.2,3,mk\n")
    page = show(site)
    choose(page, "r1")
    until(page, "review.coding.key === 'r1' && review.player.times.length === 64")
    for key in ("4", "c", "ArrowRight", "4", "c"):
        page.keyboard.press(key)
    saved(page)
    assert sorted(rows(folder, "au", "face")) == [("12", "3"), ("4", "3"), ("coded", "3")]


def test_without_a_table_nobody_guesses_which_of_two_faces_is_meant(site: Site, show: Show, folder: Path) -> None:
    (folder / "codes.csv").write_text(
        "source,au,onset_s,offset_s,face,coder\nother.webm,12,0.1,0.2,0,mk\nother.webm,12,0.1,0.2,1,mk\n"
    )
    page = show(site)
    choose(page, "r1")
    until(page, "review.coding.key === 'r1' && review.player.times.length === 64")
    for key in ("4", "c", "n"):
        page.keyboard.press(key)
        assert "several faces have codes here" in page.inner_text("#saved")
    assert page.evaluate("review.coding.everything().length") == 2


def test_what_was_begun_before_there_was_a_table_is_ended_after(site: Site, show: Show, folder: Path) -> None:
    page = show(site)
    choose(page, "r1")
    until(page, "review.coding.key === 'r1' && review.player.times.length === 64")
    for key in ("c", "x", "ArrowRight"):
        page.keyboard.press(key)
    table(folder / "other_aus.csv", "other.webm", AT, AU12_s=[0.0] * len(AT))
    page.evaluate("review.renew()")
    until(page, "review.face === 0 && review.player.times.length === 64")
    seek(page, 5)
    assert page.get_attribute("#mark-coded", "aria-pressed") == "true"
    for key in ("c", "x"):
        page.keyboard.press(key)
    saved(page)
    assert page.evaluate("review.coding.open.length") == 0
    assert [(au, float(b), face) for au, b, face in rows(folder, "au", "offset_s", "face")] == [
        ("coded", AT[5], ""), ("unknown", AT[5], ""),
    ]  # fmt: skip


def test_codes_are_stored_into_the_recording_that_is_seen(site: Site, show: Show, folder: Path) -> None:
    page, broken = show(site), [True]

    def answer(route: Any) -> None:
        if broken[0]:
            route.fulfill(status=400, json={"error": "other_aus.csv: cannot be read."})
        else:
            route.continue_()

    page.route("**/recordings/r1", answer)
    choose(page, "r1")
    until(page, "document.getElementById('trouble').textContent.includes('cannot be read')")
    broken[0] = False
    page.evaluate("review.renew()")  # a job has ended
    page.wait_for_timeout(300)
    for key in ("4", "ArrowRight", "4"):
        page.keyboard.press(key)
    saved(page)
    shown = page.evaluate(
        "[review.key, review.coding.key, review.info.source, document.getElementById('recording').value]"
    )
    assert shown == ["r0", "r0", "film.webm", "r0"]
    assert rows(folder, "source", "au") == [("film.webm", "4")]
    choose(page, "r1")
    until(
        page, "review.coding.key === 'r1' && review.info.source === 'other.webm' && review.player.times.length === 64"
    )


def test_a_recording_that_could_not_be_shown_at_first_is_shown_after_a_job(
    site: Site, show: Show, folder: Path
) -> None:
    page, broken = show(site), [True]

    def answer(route: Any) -> None:
        if broken[0]:
            route.fulfill(status=400, json={"error": "film_aus.csv: cannot be read."})
        else:
            route.continue_()

    page.route("**/recordings/r0", answer)
    page.reload()
    until(page, "document.getElementById('trouble')?.textContent.includes('cannot be read')")
    page.keyboard.press("4")
    assert page.evaluate("[review.coding.key, review.coding.everything().length]") == [None, 0]
    page.evaluate("review.renew()")  # without success, and without an error that nobody sees
    broken[0] = False
    page.evaluate("review.renew()")
    until(page, "review.coding.key === 'r0' && review.player.times.length === 64")
    assert page.is_hidden("#trouble")


def test_what_fails_after_a_job_is_said(site: Site, show: Show, folder: Path) -> None:
    page = show(site)
    page.route("**/api/state", lambda route: route.fulfill(status=400, json={"error": "codes.csv, row 2: is wrong."}))
    page.evaluate("review.renew()")
    until(page, "document.getElementById('trouble').textContent === 'codes.csv, row 2: is wrong.'")
    page.route("**/api/job", lambda route: route.fulfill(status=400, json={"error": "the job is gone."}))
    page.click("#tab-teach")
    until(page, "document.getElementById('warning').textContent === 'the job is gone.'")
    page.route("**/api/detector", lambda route: route.fulfill(status=400, json={"error": "it is damaged."}))
    job = {"name": "fit", "done": None, "lines": [], "seconds": 1, "step": 0, "steps": ["fit"]}
    page.route("**/api/fit", lambda route: route.fulfill(json={**job, "state": "running"}))
    page.route("**/api/job", lambda route: route.fulfill(json={**job, "state": "done"}))
    page.click("#fit")
    until(page, "document.getElementById('warning').textContent === 'it is damaged.'")


def test_codes_of_no_recording_are_said_not_to_be_saved(site: Site, show: Show, folder: Path) -> None:
    page = show(site)
    page.evaluate("review.coding.key = null")
    page.keyboard.press("4")
    assert "not saved" in page.inner_text("#saved")
