"""The page over all participants: numbers worked out by hand, links, and what a browser shows of 3 and of 60 people."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser

import duchenne
from duchenne.cli.main import main
from duchenne.errors import InputError
from duchenne.tables.episodes import find_measures
from duchenne.tables.made_with import made_with
from duchenne.tables.people import WHOLE, People, study_people
from duchenne.tables.study import read_tracks, read_trials
from duchenne.tables.writing import write_record


def frames(source: str, values: list[float], step_s: float = 1.0, face: Any = 0, **more: Any) -> pd.DataFrame:
    """One face with AU12 as given, a frame a second."""
    number = len(values)
    return pd.DataFrame(
        {"source": source, "frame": range(number), "time_s": np.arange(number) * step_s, "face": face,
         "AU12_s": values, **more}
    )  # fmt: skip


def people_of(rows: pd.DataFrame, trials: pd.DataFrame | None = None, **numbers: Any) -> People:
    tracks = list(read_tracks(rows))
    measures = {source: find_measures(list(rows.columns)) for source in rows["source"].unique()}
    windows = None if trials is None else read_trials(trials, list(rows["source"].unique()))
    return study_people(tracks, measures, windows, numbers)


def test_means_and_quartiles_of_a_person() -> None:
    found = people_of(frames("a.mp4", [1.0, 2.0, 3.0, 10.0])).values
    (row,) = found.to_dict("records")
    assert (row["person"], row["trial"], row["au"], row["measure"], row["seconds"]) == ("a", WHOLE, 12, "AU12_s", 4.0)
    # A quarter of the time the value is at most 1, three quarters at most 3.
    assert (row["mean"], row["low"], row["high"]) == (4.0, 1.0, 3.0)
    assert np.isnan(row["change"])
    assert np.isnan(row["share"])  # a score decides nothing


def test_times_are_weights() -> None:
    rows = frames("a.mp4", [0.0, 6.0, 6.0]).assign(time_s=[0.0, 8.0, 9.0])  # shown 8 s, 1 s and, as the median, 4.5 s
    (row,) = people_of(rows).values.to_dict("records")
    assert row["seconds"] == 13.5
    assert row["mean"] == pytest.approx(6 * 5.5 / 13.5)
    assert (row["low"], row["high"]) == (0.0, 6.0)


def test_a_frame_counts_for_as_long_as_it_is_shown_in_the_trial() -> None:
    # A camera that pauses: the frame before the pause is shown for 61 s, of which one lies in the trial, and none in
    # the one after it.
    rows = frames("a.mp4", [0.0, 0.0, 8.0, 0.0]).assign(time_s=[0.0, 1.0, 2.0, 63.0])
    trials = pd.DataFrame(
        {"trial": ["joke", "pause", "later"], "onset_s": [0, 10, 60], "offset_s": [3, 20, 64],
         "baseline_onset_s": [2, 2, 2], "baseline_offset_s": [3, 3, 3]}
    )  # fmt: skip
    found = people_of(rows, trials).values.set_index("trial")
    assert found["seconds"].to_dict() == {"joke": 3.0, "pause": 0.0, "later": 1.0}
    assert found["mean"]["joke"] == pytest.approx(8 / 3)
    assert found["change"]["joke"] == pytest.approx(8 / 3 - 8)
    assert np.isnan(found["mean"]["pause"])
    table = duchenne.summarize(rows.assign(AU12_c=[0, 0, 1, 0]), trials=trials).trials
    assert table is not None
    assert table["mean"].tolist()[0] == pytest.approx(8 / 3, abs=1e-6)
    assert table["share"].tolist()[0] == pytest.approx(1 / 3, abs=1e-6)
    assert table["frames"].tolist() == [3, 0, 1]


def test_names_that_correct_some_faces_leave_the_others_apart(tmp_path: Path) -> None:
    """Numbers are other people in each recording, also where the names of a few were given."""
    rows = pd.concat([frames(f"p{number}.mp4", [float(number)]) for number in range(1, 8)], ignore_index=True)
    names = pd.DataFrame({"source": ["p7.mp4"], "face": [0], "name": [" p1 "]})
    duchenne.summarize(rows, names=names, report=tmp_path / "p.html")
    shown = [one["name"] for one in page_data(tmp_path / "p.html")["people"]]
    # Who is named p1 is not the one of the recording p1.mp4.
    assert shown == ["p1, face 0", "p2", "p3", "p4", "p5", "p6", "p1"]


def test_people_may_be_named_by_numbers(tmp_path: Path) -> None:
    rows = pd.concat([frames("a.mp4", [5.0]), frames("a.mp4", [1.0], face=1), frames("b.mp4", [7.0])])
    names = pd.DataFrame({"source": ["a.mp4", "a.mp4", "b.mp4"], "face": [0, 1, 0], "name": ["1", "2", "1"]})
    summary = duchenne.summarize(rows, names=names, report=tmp_path / "p.html")
    assert summary.faces[["source", "face", "mean"]].to_numpy().tolist() == [
        ["a.mp4", "1", 5.0], ["a.mp4", "2", 1.0], ["b.mp4", "1", 7.0]
    ]  # fmt: skip
    assert [one["name"] for one in page_data(tmp_path / "p.html")["people"]] == ["1", "2"]
    with pytest.raises(InputError, match=r"a face of `a.mp4` is named 1, and face 1 of it is not listed"):
        duchenne.summarize(rows, names=names[names["name"] == "1"])


def test_means_over_people_and_their_interval() -> None:
    rows = pd.concat([frames("a.mp4", [1.0]), frames("b.mp4", [2.0]), frames("c.mp4", [6.0])], ignore_index=True)
    (group,) = people_of(rows).groups.to_dict("records")
    # Mean 3, standard deviation sqrt(7), standard error sqrt(7 / 3); Student's t of 2 degrees of freedom is 4.3027.
    assert (group["value"], group["people"], group["mean"]) == ("mean", 3, 3.0)
    assert group["low"] == pytest.approx(3 - 4.302653 * (7 / 3) ** 0.5, abs=1e-5)
    assert group["high"] == pytest.approx(3 + 4.302653 * (7 / 3) ** 0.5, abs=1e-5)
    alone = people_of(frames("a.mp4", [1.0, 2.0])).groups
    assert alone["low"].isna().all()


def test_trials_baselines_and_decisions() -> None:
    decided = pd.array([0, 0, 1, 1, None, 0], dtype="Int64")
    rows = frames("a.mp4", [1.0, 3.0, 5.0, 9.0, np.nan, 0.0], AU12_c=decided)
    trials = pd.DataFrame(
        {"trial": ["rest", "joke"], "onset_s": [0, 2], "offset_s": [2, 6], "baseline_onset_s": [0, 0],
         "baseline_offset_s": [2, 2]}
    )  # fmt: skip
    found = people_of(rows, trials)
    rest, joke = found.values.to_dict("records")
    assert (rest["trial"], rest["mean"], rest["change"], rest["share"]) == ("rest", 2.0, 0.0, 0.0)
    assert (joke["trial"], joke["seconds"], joke["mean"]) == ("joke", 3.0, pytest.approx(14 / 3))
    assert joke["change"] == pytest.approx(14 / 3 - 2)  # the resting mean is 2
    assert (joke["change_low"], joke["change_high"]) == (-2.0, 7.0)
    assert joke["share"] == pytest.approx(2 / 3)
    assert list(found.values["trial"].cat.categories) == ["rest", "joke"]


def test_a_name_is_one_person_and_a_number_is_not() -> None:
    named = pd.concat([frames("a.mp4", [1.0, 1.0], face="Ada"), frames("b.mp4", [4.0], face="Ada")], ignore_index=True)
    (row,) = people_of(named).values.to_dict("records")
    assert (row["person"], row["seconds"], row["mean"]) == ("Ada", 2.0, 1.0)  # b.mp4 is a picture, which lasts no time
    numbered = pd.concat(
        [frames("x/a.mp4", [1.0]), frames("x/b.mp4", [2.0]), frames("x/b.mp4", [3.0], face=1)], ignore_index=True
    )
    assert list(people_of(numbered).appearances) == ["a", "b, face 0", "b, face 1"]
    alike = pd.concat([frames("x/a.mp4", [1.0]), frames("y/a.mp4", [2.0])], ignore_index=True)
    assert list(people_of(alike).appearances) == ["x/a.mp4", "y/a.mp4"]


def test_what_made_tables_is_said_with_the_tables_it_is_about() -> None:
    plain = {"model": "duchenne", "every": 1}
    assert made_with({"a": plain, "b": plain}) == ["Model: duchenne."]
    said = made_with({"a": {**plain, "every": 3, "baseline": "0-2"}, "b": plain, "c": None})
    assert said[0] == "a, b: Model: duchenne."
    assert said[1] == "a: One frame in 3 was read (--every 3)."
    assert said[2].startswith("a: The resting face of seconds 0-2 of this recording was subtracted")
    assert said[3].startswith("c: No record of `detect` lies beside it")
    many = made_with({str(number): {**plain, "mirrored": number < 9} for number in range(10)})
    assert many[1] == "9 of 10 tables (0 ...): The recording was turned round first (--mirrored)."
    assert made_with({"a": {"model": "duchenne", "every": "often"}})[1].startswith("The record beside it cannot be")


def test_what_a_detector_does_not_decide_is_said_with_its_verdict() -> None:
    card = {"passed": False, "why": "not validated: too few subjects to leave any out", "threshold": 0.64}
    failed = {"passed": False, "why": "failed: kappa 0.10, lower bound -0.06", "threshold": 0.15}
    cards = {"AU06": {"passed": True, "why": "", "threshold": 0.3}, "AU12": card, "AU01": failed, "AU04": card}
    said = made_with({"a": {"model": "own", "about_model": {"aus": cards}}})
    assert said[1:] == [
        "This detector does not decide, but from a probability of 0.5 is here counted as present (its own threshold "
        "would be that in brackets; its model card says why): not validated: AU12 (0.64), AU04 (0.64); failed: AU01 "
        "(0.15)."
    ]
    assert made_with({"a": {"model": "own", "about_model": {"aus": {"AU12": 1}}}})[1].startswith("The record beside it")


def test_scores_of_different_scales_have_no_mean(tmp_path: Path) -> None:
    """A mean of z-scores and raw scores was shown, in standard deviations."""
    rows = pd.concat([frames("a.mp4", [4.0], au_scale="z"), frames("b.mp4", [0.9], au_scale=None)], ignore_index=True)
    said = r"scores .*: standard deviations over neutral faces \(a\.mp4\) and raw scores \(b\.mp4\)"
    with pytest.raises(InputError, match=said):
        duchenne.summarize(rows, report=tmp_path / "page.html")
    assert not list(tmp_path.iterdir())
    assert any(re.match(said, note) for note in duchenne.summarize(rows).notes)
    assert duchenne.summarize(frames("a.mp4", [4.0], au_scale="z")).notes == ()


def test_a_threshold_that_changes_nothing_is_said() -> None:
    rows = frames("a.mp4", [4.0, 1.0], AU12_c=[1, 0], AU04_s=[1.0, 3.0], AU06_p=[0.1, 0.2], au_scale="z")
    (note,) = duchenne.summarize(rows, threshold=2.5).notes
    assert note == "--threshold 2.5 is for raw scores without decisions, so it changes nothing of AU06, AU12."
    assert duchenne.summarize(rows[["source", "frame", "time_s", "face", "AU04_s"]], threshold=2.5).notes == ()


def made_study(folder: Path, people: int) -> list[str]:
    """Tables of people in two trials, in the second of which all smile; pages of the first two; the command."""
    rng, trials = np.random.default_rng(0), []
    for number in range(people):
        name, count = f"person_{number + 1:02d}_first", 40
        smile = np.repeat([0.0, 2.0 + number], count // 2) + rng.normal(0, 0.1, count)
        rows = frames(
            f"films/{name}.mp4", list(smile.round(4)), step_s=0.25, AU04_s=rng.normal(0, 1, count).round(4),
            AU12_c=(smile > 1).astype(int), au_scale="z",
        )  # fmt: skip
        folder.mkdir(exist_ok=True)
        rows.to_csv(folder / f"{name}_aus.csv", index=False)
        write_record(folder / f"{name}_aus.csv", {"duchenne": "0.1.0", "model": "duchenne", "every": 2})
        trials += [
            {"source": name, "trial": trial, "onset_s": at, "offset_s": at + 5, "baseline_onset_s": 0,
             "baseline_offset_s": 5}
            for trial, at in (("rest </script>", 0), ("joke", 5))
        ]  # fmt: skip
        if number < 2:
            (folder / "pages").mkdir(exist_ok=True)
            data = json.dumps({"source": f"films/{name}.mp4", "settings": []}, separators=(",", ":"))
            (folder / "pages" / f"{name}_report.html").write_text(
                f'<script id="data" type="application/json">{data}</script>'
            )
    pd.DataFrame(trials).to_csv(folder.parent / "trials.csv", index=False)
    return [
        "summarize", str(folder), "--trials", str(folder.parent / "trials.csv"), "-o", str(folder.parent / "out"),
        "--report", str(folder.parent / "people.html"),
    ]  # fmt: skip


def page_data(page: Path) -> dict[str, Any]:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_the_page_holds_the_numbers_of_the_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(made_study(tmp_path / "tables", 3)) == 0
    assert "One frame in 2 was read (--every 2)." in capsys.readouterr().out
    data = page_data(tmp_path / "people.html")
    assert data["trials"] == ["rest </script>", "joke"]
    assert [one["name"] for one in data["people"]] == ["person_01_first", "person_02_first", "person_03_first"]
    trials = pd.read_csv(tmp_path / "out" / "tables_trials.csv")
    for panel in data["panels"]:
        for person, trial, mean, low, high in panel["marks"]["mean"]:
            source = f"films/{data['people'][person]['name']}.mp4"
            (row,) = trials[
                (trials["source"] == source)
                & (trials["trial"] == data["trials"][trial])
                & (trials["measure"] == panel["column"])
            ].to_dict("records")
            assert mean == pytest.approx(row["mean"], abs=1e-4)
            assert low <= high
    smiles = next(panel for panel in data["panels"] if panel["au"] == 12)
    assert [mark[2] for mark in smiles["marks"]["share"]] == [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]
    assert next(panel for panel in data["panels"] if panel["au"] == 4)["marks"]["share"] == []
    page = (tmp_path / "people.html").read_text()
    assert "One frame in 2 was read (--every 2)." in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page
    record = json.loads((tmp_path / "out" / "tables_summary.json").read_text())
    assert record["made_with"] == ["Model: duchenne.", "One frame in 2 was read (--every 2)."]


def test_names_lead_to_the_pages_that_lie_beside(tmp_path: Path) -> None:
    assert main(made_study(tmp_path / "tables", 3)) == 0
    first, second, third = (one["links"] for one in page_data(tmp_path / "people.html")["people"])
    assert first == [f"tables/pages/person_01_first_report.html#face=0&t={onset}" for onset in (0, 5)]
    assert second[1] == "tables/pages/person_02_first_report.html#face=0&t=5"
    assert third == [None, None]
    other = tmp_path / "tables" / "pages" / "person_01_first_report.html"  # of another recording, by what it says
    other.write_text(other.read_text().replace("films/person_01", "films/somebody_else"))
    table = pd.read_csv(tmp_path / "tables" / "person_01_first_aus.csv")
    duchenne.summarize(table, report=tmp_path / "tables" / "one.html")
    assert page_data(tmp_path / "tables" / "one.html")["people"][0]["links"] == [None]
    other.write_text(other.read_text().replace("films/somebody_else", "films/person_01"))
    duchenne.summarize(table, report=tmp_path / "tables" / "one.html")
    assert page_data(tmp_path / "tables" / "one.html")["people"][0]["links"] == [
        "pages/person_01_first_report.html#face=0&t=0"
    ]


def test_a_named_face_leads_to_its_number(tmp_path: Path) -> None:
    rows = pd.concat([frames("a.mp4", [1.0]), frames("a.mp4", [2.0], face=1)], ignore_index=True)
    (tmp_path / "a_report.html").write_text('<script id="data" type="application/json">{"source":"a.mp4"}</script>')
    names = pd.DataFrame({"source": ["a.mp4"], "face": [1], "name": ["Bo"]})
    duchenne.summarize(rows, names=names, report=tmp_path / "p.html")
    people = {one["name"]: one["links"] for one in page_data(tmp_path / "p.html")["people"]}
    assert people["Bo"] == ["a_report.html#face=1&t=0"]


@pytest.mark.parametrize("number", [3, 60])
def test_the_page_in_a_browser(number: int, chromium: Browser, tmp_path: Path) -> None:
    assert main(made_study(tmp_path / "tables", number)) == 0
    page = chromium.new_page(viewport={"width": 1300, "height": 900})
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto((tmp_path / "people.html").as_uri())
    rows = "[...document.querySelectorAll('#panels figure:last-child g.person')].map(one => one.dataset.person)"
    assert page.locator("#panels figure").count() == 2
    assert page.evaluate(rows) == [str(one) for one in range(number)]
    assert page.locator("#panels figure:last-child g.person").nth(1).locator("path").count() == 2
    page.select_option("#order", label="by AU12")  # who smiles most comes first
    assert page.evaluate(rows) == [str(one) for one in reversed(range(number))]
    page.select_option("#value", "share")
    assert page.locator("#panels h3").all_inner_texts() == ["AU12 lip corner puller"]
    page.uncheck("#trials label:first-of-type input")
    assert page.locator("#panels figure g.person").first.locator("path").count() == 1
    page.hover("#panels g.person >> nth=0")
    told = page.inner_text("#told")  # all tied, as in the tables
    assert told == "person_01_first: joke 1.00, AU12 lip corner puller"
    href = page.evaluate("document.querySelector('#panels g.person[data-person=\"0\"] a').getAttribute('href')")
    assert href.startswith("tables/pages/person_01_first_report.html#face=0")
    for width in (1300, 390, 320):
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_timeout(50)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.emulate_media(media="print")
    assert not page.is_visible("form")
    assert page.inner_text("#state") == ("Shown: share of time present (where the model decides); order: by AU12.")
    assert wrong == []
    page.close()


def test_an_axis_around_zero_has_a_scale(chromium: Browser, tmp_path: Path) -> None:
    duchenne.summarize(frames("a.mp4", [-1.4, -1.4, 1.7, 1.7]), report=tmp_path / "p.html")
    page = chromium.new_page()
    page.goto((tmp_path / "p.html").as_uri())
    assert page.locator("#panels .tick").all_text_contents() == ["-1", "0", "1"]
    page.close()


def test_a_report_is_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = made_study(tmp_path / "tables", 1)
    assert main([*words[:-1], str(tmp_path / "people.csv")]) == 2
    assert "is a page; give a name that ends in .html" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
