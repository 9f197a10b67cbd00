"""What the page shows of a recording whose table is of a part of it, or of its mirror image."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Page
from tests.reviewing.conftest import arrived, press, saved, seen, until
from tests.reviewing.made import Site, film, rows, serving, table

Show = Callable[..., Page]
STEP_S = 0.05


@pytest.mark.parametrize(("first", "number"), [(30, 30), (0, 20), (20, 20)])
def test_of_a_part_of_a_recording_nothing_else_is_shown(tmp_path: Path, show: Show, first: int, number: int) -> None:
    film(tmp_path / "part.webm", [int(1000 * STEP_S) * place for place in range(60)])
    times = [STEP_S * place for place in range(first, first + number)]
    table(tmp_path / "part_aus.csv", "part.webm", times, first=first, AU12_s=[0.1] * number)
    with serving(tmp_path) as site:
        page = show(site)
        arrived(page, 0)
        assert seen(page) == first
        assert f"frame {first}" in page.inner_text("#clock")
        page.evaluate("index => review.player.seek(index)", number - 4)
        arrived(page, number - 4)
        page.evaluate(
            "globalThis.least = 99; const {player} = review;"
            "player.addEventListener('frame', () => { least = Math.min(least, player.index); })"
        )
        press(page, "Space", "q")
        until(page, "review.player.video.paused")
        arrived(page, number - 1)
        assert seen(page) == first + number - 1
        assert page.evaluate("least") >= number - 4
        press(page, "q")
        saved(page)
        assert float(rows(tmp_path / "codes.csv")[0]["offset_s"]) == pytest.approx(times[-1] + STEP_S)
        press(page, "Space")  # from the beginning of the table
        until(page, "review.player.shown >= 0 && review.player.shown < 9")
        assert first <= seen(page) < first + 12
        press(page, "Space")


def test_a_table_of_the_mirror_image_is_refused(tmp_path: Path, show: Show) -> None:
    for name in ("film", "other"):
        film(tmp_path / f"{name}.webm", [50 * place for place in range(9)])
        path = table(
            tmp_path / f"{name}_aus.csv", f"{name}.webm", [STEP_S * place for place in range(9)], AU12_s=[0.1] * 9
        )
    record = {"model": "duchenne", "mirrored": True, "bytes": path.stat().st_size}
    path.with_suffix(".json").write_text(json.dumps(record))
    with serving(tmp_path) as site:
        page = show(site)
        page.select_option("#recording", "r1")
        until(page, "!document.getElementById('trouble').hidden")
        assert "other_aus.csv: was made with --mirrored" in page.inner_text("#trouble")
        assert page.evaluate("review.info.source") == "film.webm"


def test_why_an_action_unit_has_no_values(tmp_path: Path, show: Show) -> None:
    film(tmp_path / "film.webm", [50 * place for place in range(9)])
    times, empty = [STEP_S * place for place in range(9)], [float("nan")] * 9
    path = table(tmp_path / "film_aus.csv", "film.webm", times, AU04_s=empty, AU12_s=[0.1] * 9)
    record = {"model": "duchenne", "columns": ["AU04_s", "AU12_s"], "about_model": {"all_aus": False}}
    path.with_suffix(".json").write_text(json.dumps({**record, "bytes": path.stat().st_size}))
    with serving(tmp_path) as site:
        page = show(site)
        until(page, "document.querySelector('[data-value=\"12\"]')?.textContent === '0.10'")
        value = page.locator('[data-value="4"]')
        assert (value.inner_text(), value.get_attribute("title")) == (
            "none", "not judged on real faces (--all-aus gives its score)"
        )  # fmt: skip
        assert "1 action unit without values: not judged" in page.inner_text("#table-note")
        assert page.locator('[data-value="6"]').get_attribute("title") == "this model does not have it"


def test_a_face_without_boxes_is_seen_where_it_has_rows(tmp_path: Path) -> None:
    film(tmp_path / "film.webm", [50 * place for place in range(9)])
    path = table(tmp_path / "film_aus.csv", "film.webm", [STEP_S * place for place in range(9)], AU12_s=[0.1] * 9)
    boxless = pd.read_csv(path).drop(columns=["x", "y", "width", "height"])
    boxless[boxless["frame"] != 4].to_csv(path, index=False)
    with serving(tmp_path) as site:
        assert site.json("recordings/r0")["table"]["faces"][0]["frames"] == 8


def test_a_clock_never_says_sixty_seconds(site: Site, show: Show) -> None:
    page = show(site)
    said = page.evaluate(
        "import('./page/curves.js').then(({clock}) => "
        "[[59.999, .01], [119.9996, .001], [59.4, 1], [61.25, .01]].map(one => clock(...one)))"
    )
    assert said == ["1:00.00", "2:00.000", "0:59", "1:01.25"]
