"""Coding in the page: what undo takes back, whose comment is whose, and which key goes where."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route
from tests.reviewing.conftest import loaded, press, saved, until
from tests.reviewing.made import UNEVEN_MS, Site, eventually, rows

Show = Callable[..., Page]


def code(page: Page, key: str, onset: int, offset: int) -> None:
    page.evaluate("index => review.player.seek(index)", onset)
    press(page, key)
    page.evaluate("index => review.player.seek(index)", offset)
    press(page, key)


def test_undo_takes_back_the_last_change_and_not_what_is_open(site: Site, show: Show, tmp_path: Path) -> None:
    def stored() -> list[tuple[str, str, str]]:
        saved(page)
        return [(row["au"], row["intensity"], row["comment"]) for row in rows(tmp_path / "codes.csv")]

    page = show(site)
    press(page, "Home", "c")
    code(page, "q", 5, 9)
    code(page, "6", 15, 25)
    press(page, "Shift+Digit3")
    running, first = ("coded", "", "offset not set"), ("12", "", "")
    assert stored() == [running, first, ("6", "C", "")]
    press(page, "Control+z")
    assert stored() == [running, first, ("6", "", "")]
    press(page, "Control+z")
    assert stored() == [running, first]
    press(page, "Control+Shift+z", "Control+Shift+z")
    assert stored() == [running, first, ("6", "C", "")]
    press(page, "End", "c")
    saved(page)
    coded = rows(tmp_path / "codes.csv")[0]
    assert coded["onset_s"] == "0"
    assert float(coded["offset_s"]) == pytest.approx(page.evaluate("review.player.end(63)"), abs=1e-6)
    press(page, "Control+z")  # other changes came after its onset: its offset alone is taken back
    assert stored() == [running, first, ("6", "C", "")]
    press(page, *["Control+z"] * 4)
    assert stored() == []
    assert page.is_disabled("#undo")
    press(page, "Control+y")  # also what was only begun is brought back
    assert stored() == [running]
    assert float(rows(tmp_path / "codes.csv")[0]["offset_s"]) >= UNEVEN_MS[-1] / 1000  # it reaches to where we are


def test_undo_takes_back_what_was_changed_of_an_open_code(site: Site, show: Show) -> None:
    page = show(site)
    press(page, "q", "Shift+Digit2", "b", "Control+z")
    assert page.evaluate("review.coding.open.map(code => code.intensity + code.side)") == ["B"]
    press(page, "Delete", "Control+z")
    assert page.evaluate("review.coding.open.length") == 1
    press(page, "Control+z", "Control+z")
    assert page.evaluate("review.coding.everything()") == []


def two_codes(tmp_path: Path) -> None:
    (tmp_path / "codes.csv").write_text(
        "source,au,onset_s,offset_s,intensity,side,certainty,face,coder,comment\nfilm.webm,coded,0,3.5,,,,0,mk,\n"
        "film.webm,1,0.5,1.25,C,,,0,mk,\nfilm.webm,4,1.8,2.5,C,,,0,mk,seen twice\n"
    )


def typing_about_au1(site: Site, show: Show, tmp_path: Path, text: str) -> Page:
    """Begins a comment on the first of two codes; the field is not left."""
    two_codes(tmp_path)
    page = show(site, height=1100)
    page.click("#codes tbody tr:nth-child(2) button")
    page.click("#comment")
    page.keyboard.type(text)
    return page


def comments(tmp_path: Path) -> list[tuple[str, str]]:
    return [(row["au"], row["comment"]) for row in rows(tmp_path / "codes.csv")]


def test_a_comment_stays_with_the_code_for_which_it_was_begun(site: Site, show: Show, tmp_path: Path) -> None:
    page = typing_about_au1(site, show, tmp_path, "about AU1")
    place = page.evaluate(
        """() => { const {curves} = review, box = curves.plot.getBoundingClientRect();
          const row = curves.rows.findIndex(one => one.au === 4);
          return [box.left + curves.x(2.1), box.top + 26 + 40 * row + 5]; }"""
    )
    page.mouse.click(*place)  # the bar of AU4
    until(page, "document.getElementById('selected-title').textContent.startsWith('AU04')")
    assert page.input_value("#comment") == "seen twice"
    saved(page)
    assert comments(tmp_path) == [("coded", ""), ("1", "about AU1"), ("4", "seen twice")]
    page.keyboard.press("Control+z")
    saved(page)
    assert comments(tmp_path) == [("coded", ""), ("1", ""), ("4", "seen twice")]  # in one step, not letter by letter


def test_a_comment_is_stored_while_it_is_typed(site: Site, show: Show, tmp_path: Path) -> None:
    page = typing_about_au1(site, show, tmp_path, "a long remark about this smile")
    eventually(lambda: comments(tmp_path)[1] == ("1", "a long remark about this smile"), seconds=1)
    assert page.evaluate("document.activeElement.id") == "comment"
    before = page.evaluate("review.player.index")
    press(page, "Enter", "ArrowRight")  # keys are those of the page again
    until(page, "before => review.player.index === before + 1", before)


@pytest.mark.parametrize(("coders", "name"), [(("anna",), "anna"), (("anna", "zoe"), "")])
def test_nobody_codes_in_the_name_of_another(
    site: Site, show: Show, tmp_path: Path, coders: tuple[str, ...], name: str
) -> None:
    codes = "".join(f"film.webm,4,0.5,1.25,{coder}\n" for coder in coders)
    (tmp_path / "codes.csv").write_text("source,au,onset_s,offset_s,coder\n" + codes)
    page = show(site, coder=None)
    assert page.input_value("#coder") == name
    if not name:
        until(page, "/several people .* your name/.test(document.getElementById('saved').textContent)")
        press(page, "q")
        assert page.evaluate("[document.activeElement.id, review.coding.everything().length]") == ["coder", 0]


def test_a_name_is_not_lost_that_is_written_while_the_page_is_put_together(site: Site, chromium: Browser) -> None:
    page = chromium.new_page()
    page.route("**/api/state", lambda route: [time.sleep(0.5), route.continue_()])  # many recordings
    page.goto(site.address, wait_until="commit")
    page.fill("#coder", "mk")
    press(page, "Enter")
    loaded(page)
    assert page.input_value("#coder") == "mk"
    until(page, "review.coding.coder === 'mk'")
    page.close()


@pytest.mark.parametrize("before", ["", "anna"])
def test_a_key_right_after_a_name_codes_for_nobody_else(site: Site, show: Show, tmp_path: Path, before: str) -> None:
    page = show(site, coder=before)
    held: list[Route] = []
    page.route("**/codes?**", lambda route: held.append(route))
    page.fill("#coder", "ben")
    press(page, "Enter", "q")
    until(page, "/codes of ben are not there yet/.test(document.getElementById('saved').textContent)")
    for route in held:
        route.continue_()
    page.unroute("**/codes?**")
    until(page, "review.coding.coder === 'ben'")
    press(page, "4", "ArrowRight", "4")
    saved(page)
    assert [(row["coder"], row["au"]) for row in rows(tmp_path / "codes.csv")] == [("ben", "4")]


def test_what_was_chosen_with_the_pointer_leaves_the_keys_to_the_page(site: Site, show: Show) -> None:
    page = show(site)
    page.click('[data-au="6"]')
    press(page, "Space")
    until(page, "!review.player.video.paused")
    press(page, "Space", "6")
    assert page.evaluate("review.coding.open.length") == 0
    page.dispatch_event("#speed", "pointerdown")
    page.focus("#speed")
    page.select_option("#speed", "0.5")
    assert page.evaluate("[document.activeElement.tagName, review.player.video.playbackRate]") == ["BODY", 0.5]


def test_a_list_that_has_the_focus_keeps_the_keys_that_move_in_it_alone(site: Site, show: Show) -> None:
    page = show(site)
    page.focus("#speed")
    press(page, "1", "c")
    assert page.evaluate("review.coding.open.map(code => code.au ?? code.kind)") == [1, "coded"]
    press(page, "ArrowDown")
    assert page.evaluate("[review.player.video.playbackRate, document.activeElement.id]") == [2, "speed"]


@pytest.mark.parametrize(
    ("key", "place", "shift", "expected"), [("-", 6, False, 6), ("+", 1, False, 1), ("+", 3, True, "C")]
)
def test_the_row_of_digits_codes_whatever_stands_on_it(
    site: Site, show: Show, key: str, place: int, shift: bool, expected: int | str
) -> None:
    page = show(site)
    press(page, "q")
    view = page.evaluate("review.curves.view")
    page.evaluate(
        "([key, place, shiftKey]) => document.body.dispatchEvent(new KeyboardEvent("
        "'keydown', {key, code: 'Digit' + place, shiftKey, bubbles: true}))",
        [key, place, shift],
    )
    last = page.evaluate("(one => one.au === 12 ? one.intensity : one.au)(review.coding.open.at(-1))")
    assert (last, page.evaluate("review.curves.view")) == (expected, view)
