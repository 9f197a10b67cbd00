"""Nothing in the file of codes changes its meaning by being stored again."""

import threading
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.reviewing.made import film, table

from duchenne.errors import InputError, UsageError
from duchenne.files import locked_beside
from duchenne.preparing.codes.exports import read_events
from duchenne.preparing.codes.video_codes import read_codes
from duchenne.reviewing import codes as stored
from duchenne.reviewing import comparing, exchange
from duchenne.reviewing.codes import Code, CodesFile, code_of, codes_of
from duchenne.reviewing.columns import read_track
from duchenne.reviewing.desk import Desk
from duchenne.reviewing.library import open_library
from duchenne.reviewing.teaching import fit_steps
from duchenne.tables.agree import agree

SOURCES = ["a.mp4", "b.mp4"]


def filled(path: Path, text: str) -> CodesFile:
    path.write_text(text)
    return CodesFile(path, SOURCES)


def again(codes: CodesFile, source: str, coder: str) -> None:
    """Stores what the page was given, as it sends it back."""
    found, mark = codes.of(source, coder)
    codes.replace(source, coder, codes_of([one.sent() for one in found]), mark)


def said(path: Path) -> list[str]:
    return sorted(
        str((e.source, e.au, e.kind, e.onset_s, e.offset_s, e.intensity, e.face, e.coder, e.subject))
        for e in read_events(path)
    )


@pytest.mark.parametrize("coder", ["anna", "ben"])
def test_what_could_not_be_judged_stays_so(tmp_path: Path, coder: str) -> None:
    marks = ["?", "9", "-1", "not visible", "unclear"]
    present = ["NA", "none", "-", ".", ""]
    rows = [f"a.mp4,{place + 1},0,1,{mark},anna" for place, mark in enumerate([*marks, *present])]
    path = tmp_path / "codes.csv"
    codes = filled(path, "\n".join(["source,au,onset_s,offset_s,intensity,coder", *rows, "b.mp4,4,0,1,B,ben", ""]))
    assert [(e.kind, e.intensity) for e in read_events(path)[:-1]] == [("unknown", None)] * 5 + [("au", None)] * 5
    before = said(path)
    again(codes, "a.mp4" if coder == "anna" else "b.mp4", coder)
    assert (tmp_path / "duchenne_review" / "codes_before_review.csv").exists()  # it was written anew
    assert said(path) == before


def test_an_action_unit_that_could_not_be_judged_is_not_called_present() -> None:
    sent = {"kind": "unknown", "au": 12, "onset_s": 0, "offset_s": 1}
    assert code_of({**sent, "intensity": "?"}).intensity == "?"
    for wrong in ("", "NA", "C"):
        with pytest.raises(UsageError, match="AU12 could not be judged"):
            code_of({**sent, "intensity": wrong})
    with pytest.raises(UsageError, match="the offset 2 s does not lie after the onset 2 s"):
        code_of({"kind": "coded", "onset_s": 2, "offset_s": 2.0})


def test_whose_codes_they_are_stays_where_two_are_equal(tmp_path: Path) -> None:
    path = tmp_path / "codes.csv"
    codes = filled(
        path,
        "source,au,onset_s,offset_s,coder,subject\n"
        "a.mp4,coded,0,5,anna,mother\na.mp4,coded,0,5,anna,infant\na.mp4,12,1,2,anna,infant\na.mp4,12,1,2,anna,mother\n",
    )
    before = said(path)
    again(codes, "a.mp4", "anna")
    assert said(path) == before
    found, mark = codes.of("a.mp4", "anna")
    later = [{**one.sent(), "offset_s": 3.0 + place} for place, one in enumerate(found) if one.kind == "au"]
    codes.replace("a.mp4", "anna", codes_of(later), mark)
    assert {(e.subject, e.kind) for e in read_events(path)} == {("infant", "au"), ("mother", "au")}


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("certainty", "high"),
        ("side", "unilateral"),
        ("comment", "x" * 600),
        ("mood", "happy"),
        ("intensity", "0.00002"),
    ],
)
def test_what_the_page_has_no_word_for_can_be_stored(tmp_path: Path, column: str, cell: str) -> None:
    path = tmp_path / "codes.csv"
    codes = filled(path, f"source,au,onset_s,offset_s,coder,{column}\na.mp4,12,0,1,anna,{cell}\na.mp4,0,2,3,anna,\n")
    again(codes, "a.mp4", "anna")
    again(codes, "a.mp4", "anna")
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert rows[["au", column]].to_numpy().tolist() == [["12", cell], ["0", ""]]


def test_a_word_of_the_page_takes_the_place_of_a_strange_one(tmp_path: Path) -> None:
    path = tmp_path / "codes.csv"
    codes = filled(path, "source,au,onset_s,offset_s,coder,certainty\na.mp4,12,0,1,anna,high\n")
    (one,), mark = codes.of("a.mp4", "anna")
    codes.replace("a.mp4", "anna", codes_of([{**one.sent(), "certainty": "certain"}]), mark)
    assert pd.read_csv(path)["certainty"].tolist() == ["certain"]


def test_a_code_without_its_offset_can_have_a_comment(tmp_path: Path) -> None:
    path = tmp_path / "codes.csv"
    codes = CodesFile(path, SOURCES)
    open_code = Code(kind="au", au=12, onset_s=1, offset_s=2, unfinished=True, comment="faint; left")
    codes.replace("a.mp4", "anna", [open_code], codes.of("a.mp4", "anna")[1])
    assert pd.read_csv(path)["comment"].tolist() == ["offset not set; faint; left"]
    assert CodesFile(path, SOURCES).of("a.mp4", "anna")[0] == [open_code]


RANGES = (
    "source,au,onset_s,offset_s,coder\na.mp4,coded,0,2,\na.mp4,unknown,1.5,2,\na.mp4,12,0.5,1,anna\nb.mp4,coded,0,1,\n"
)
FRAMES_S = np.arange(100) / 25


def counted(path: Path, source: str, coder: str | None = None, au: str = "AU12") -> tuple[int, int, int]:
    """Frames in which `prepare` has an action unit present, absent and unknown."""
    labels = read_codes(path, SOURCES, coder).videos[source].labels(None, range(100), FRAMES_S.tolist())
    values = [one.get(au) for one in labels]
    return values.count(1), values.count(0), values.count(None)


def test_what_holds_for_all_coders_holds_for_each(tmp_path: Path) -> None:
    codes = filled(tmp_path / "codes.csv", RANGES)
    held = codes.held_by("anna")
    assert [(one.source, one.code.kind) for one in held] == [
        ("a.mp4", "coded"), ("a.mp4", "unknown"), ("a.mp4", "au"), ("b.mp4", "coded"),
    ]  # fmt: skip
    assert codes.held_by("ben") == []
    keys = pd.DataFrame({"source": "r0", "face": "0", "frame": np.arange(100.0), "time_s": FRAMES_S})
    coding = comparing.event_coding(comparing.placed(held, {}), "anna", {"a.mp4": "r0", "b.mp4": "r1"}, tmp_path)
    on_them, _ = coding.on_faces({"r0": {"0": len(keys)}}, "frames")
    values = on_them.on(keys, 2.0).values[12, "occurrence"]
    # Middles of frames from 0.5 to 1 s: 13, 0.5 to 0.98; coded and judged are those to 1.5 s: 37, the last at 1.44.
    assert [int((values == 1).sum()), int((values == 0).sum()), int(np.isnan(values).sum())] == [13, 24, 63]
    for form in ("events", "frames"):
        (tmp_path / "out.csv").write_text(exchange.export(form, held, lambda _: FRAMES_S))
        assert counted(tmp_path / "out.csv", "a.mp4") == (13, 24, 63)
        assert counted(tmp_path / "out.csv", "b.mp4") == (0, 25, 75)  # coded for its first second, and nobody smiles


def test_what_holds_for_all_coders_of_an_imported_file_holds_for_those_alone(tmp_path: Path) -> None:
    def taken(text: str) -> list[tuple[str, str, str]]:
        found, _ = exchange.imported("x.csv", text.encode(), SOURCES, "ben", lambda _: FRAMES_S)
        return [(one.source, one.coder, one.code.kind) for one in found]

    anna = [("a.mp4", "coded"), ("a.mp4", "unknown"), ("a.mp4", "au"), ("b.mp4", "coded")]
    assert taken(RANGES) == [(source, "anna", kind) for source, kind in anna]
    assert taken(RANGES.replace("anna", "")) == [(source, "ben", kind) for source, kind in anna]
    assert taken(RANGES + "a.mp4,6,0,1,eva\n")[:2] == [("a.mp4", "anna", "coded"), ("a.mp4", "eva", "coded")]


def test_an_import_takes_nothing_from_coders_who_are_not_in_it(tmp_path: Path) -> None:
    path = tmp_path / "codes.csv"
    codes = filled(path, "source,au,onset_s,offset_s,coder\na.mp4,12,1,2,ben\na.mp4,12,3,3.4,ben\n")
    assert counted(path, "a.mp4", "ben") == (35, 65, 0)  # 1.4 s of 25 frames, everything was coded
    codes.add(exchange.imported("x.csv", RANGES.encode(), SOURCES, "eva", lambda _: FRAMES_S)[0])
    assert counted(path, "a.mp4", "ben") == (35, 65, 0)
    assert counted(path, "a.mp4", "anna") == (13, 24, 63)  # as in RANGES


@pytest.mark.parametrize("form", ["elan", "boris"])
def test_what_could_not_be_judged_is_not_absent_in_other_programs(tmp_path: Path, form: str) -> None:
    codes = filled(
        tmp_path / "codes.csv",
        "source,au,onset_s,offset_s,intensity,coder\na.mp4,12,0,1,,anna\na.mp4,6,0,1,,anna\na.mp4,12,1.2,2,9,anna\n"
        "a.mp4,unknown,2,3,,anna\n",
    )
    out = tmp_path / exchange.EXPORTS[form][0].replace("codes", "out")
    out.write_text(exchange.export(form, codes.held_by("anna"), lambda _: FRAMES_S))
    assert counted(out, "a.mp4", "anna") == (25, 30, 45)  # of 100: 1.2 to 3 s are 45
    assert counted(out, "a.mp4", "anna", "AU06") == (25, 50, 25)  # 2 to 3 s
    back, _ = exchange.imported(out.name, out.read_bytes(), SOURCES, "ben", lambda _: FRAMES_S)
    assert {(one.coder, one.code.kind, one.code.au, one.code.onset_s, one.code.intensity) for one in back} == {
        ("anna", "au", 12, 0, ""), ("anna", "au", 6, 0, ""), ("anna", "unknown", 12, 1.2, "?"),
        ("anna", "unknown", None, 2, ""),
    }  # fmt: skip


@pytest.mark.parametrize("form", ["elan", "boris"])
def test_two_people_stay_two_in_other_programs(tmp_path: Path, form: str) -> None:
    codes = filled(
        tmp_path / "codes.csv",
        "source,au,onset_s,offset_s,coder,subject\na.mp4,12,0,1,anna,mother\na.mp4,12,2,3,anna,infant\n",
    )
    out = exchange.export(form, codes.held_by("anna"), lambda _: FRAMES_S)
    back, _ = exchange.imported(exchange.EXPORTS[form][0], out.encode(), SOURCES, "ben", lambda _: FRAMES_S)
    assert [(one.coder, one.code.onset_s, dict(one.code.others)) for one in back] == [
        ("anna", 0, {"subject": "mother"}), ("anna", 2, {"subject": "infant"}),
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["elan", "boris"])
def test_what_was_not_coded_and_whose_face_it_is_stay_in_other_programs(tmp_path: Path, form: str) -> None:
    """Outside coded ranges everything was absent there, and two faces were one."""
    codes = filled(
        tmp_path / "codes.csv",
        "source,face,au,onset_s,offset_s,coder,subject\na.mp4,0,12,1,1.4,anna,\na.mp4,1,12,3,3.2,anna,mother\n"
        "a.mp4,,coded,0.8,2,,\na.mp4,1,coded,3,3.6,anna,mother\na.mp4,,unknown,1.6,2,,\nb.mp4,,none,,,anna,\n",
    )
    out = exchange.export(form, codes.held_by("anna"), lambda _: FRAMES_S)
    path = tmp_path / exchange.EXPORTS[form][0].replace("codes", "out")
    path.write_text(out)
    read = read_codes(path, SOURCES).videos
    for face, present, absent in ((0, 10, 10), (1, 5, 30)):  # 0.8 to 1.6 s, for face 1 also 3 to 3.6 s; 25 frames/s
        seen = [one["AU12"] for one in read["a.mp4"].labels(face, range(100), FRAMES_S) if one.get("AU12") is not None]
        assert (seen.count(1), seen.count(0)) == (present, absent)
    assert counted(path, "b.mp4") == (0, 100, 0)
    back, _ = exchange.imported(path.name, path.read_bytes(), SOURCES, "ben", lambda _: FRAMES_S)
    assert [
        (one.coder, one.code.kind, one.code.face, dict(one.code.others).get("subject", ""), one.code.onset_s)
        for one in sorted(back, key=lambda one: (one.source, one.code.onset_s))
    ] == [
        ("anna", "coded", None, "", 0.8), ("anna", "au", 0, "", 1), ("anna", "unknown", None, "", 1.6),
        ("anna", "au", 1, "mother", 3), ("anna", "coded", 1, "mother", 3), ("anna", "coded", None, "", 0),
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["elan", "boris"])
def test_the_unnamed_coder_stays_one_in_other_programs(tmp_path: Path, form: str) -> None:
    """In BORIS each recording was a coder; and nobody moves in b.mp4, which was lost for `agree`."""
    head = "source,au,onset_s,offset_s\n"
    own = filled(tmp_path / "codes.csv", head + "a.mp4,12,1,2\na.mp4,coded,0,3\na.mp4,none,,\nb.mp4,none,,\n")
    path = tmp_path / exchange.EXPORTS[form][0].replace("codes", "out")
    path.write_text(exchange.export(form, own.held_by(""), lambda _: FRAMES_S))
    assert counted(path, "a.mp4") == (25, 50, 25)  # nothing is known after 3 s, as before
    back, _ = exchange.imported(path.name, path.read_bytes(), SOURCES, "ben", lambda _: FRAMES_S)
    assert {one.coder for one in back} == {"ben"}
    other = tmp_path / "ben.csv"
    other.write_text(head + "a.mp4,12,1,2\nb.mp4,12,1,2\n")
    for file in (tmp_path / "codes.csv", path):
        (row,) = agree(file, other, out=tmp_path / "out", step_s=0.5).to_dict("records")
        # a.mp4: 6 frames, 2 of both; b.mp4: to its end, or to the last event of anybody
        assert [round(row[f"{who}_present"] * row["frames"]) for who in ("first", "second")] == [2, 4]


def test_how_long_a_recording_is_must_be_known_to_say_that_nobody_moves(tmp_path: Path) -> None:
    film(tmp_path / "b.webm", [0, 40, 80])
    (tmp_path / "codes.csv").write_text("source,au,onset_s,offset_s,coder\nx.mp4,none,,,eva\n")
    with pytest.raises(InputError, match=r"^x\.mp4: is not among the recordings, so nobody knows its frames; export"):
        Desk(open_library([tmp_path])).export("elan", "eva")
    (entry,) = filled(tmp_path / "none.csv", "source,au,onset_s,offset_s\na.mp4,none,,\n").held_by("")
    with pytest.raises(InputError, match=r"^a\.mp4: has no frames, so nobody can be said not to move in it; export"):
        exchange.export("boris", [entry], lambda _: FRAMES_S[:0])


def test_rows_per_frame_know_which_face_a_subject_is(tmp_path: Path) -> None:
    film(tmp_path / "a.webm", [40 * place for place in range(20)])
    (tmp_path / "codes.csv").write_text(
        "source,au,onset_s,offset_s,coder,subject\na.webm,12,0,0.4,anna,mother\na.webm,12,0.4,0.8,anna,infant\n"
    )
    desk = Desk(open_library([tmp_path]))
    with pytest.raises(
        InputError, match=r"a\.webm: has codes of several people; .* in names\.csv beside the recordings"
    ):
        desk.export("frames", "anna")
    (tmp_path / "names.csv").write_text("source,face,name\na.webm,1,infant\na.webm,0,mother\n")
    _, text = desk.export("frames", "anna")
    smiles = [tuple(row.split(",")[1:4:2]) for row in text.splitlines()[1:] if row.split(",")[4] == "1"]
    assert smiles == [(str(frame), "0" if frame < 10 else "1") for frame in range(20)]


@pytest.mark.parametrize("forms", [("NFD", "NFC"), ("NFC", "NFD")])
def test_accents_mean_the_same_recording_however_they_are_encoded(tmp_path: Path, forms: tuple[str, str]) -> None:
    here, written = (unicodedata.normalize(form, "m\u00fcller") for form in forms)
    (tmp_path / here).mkdir()
    for day in (1, 2):
        film(tmp_path / here / f"{here}{day}.webm", [0, 40])
    (tmp_path / "codes.csv").write_text(f"source,au,onset_s,offset_s,coder\n{written}/{written}1.webm,12,0,1,anna\n")
    (tmp_path / "names.csv").write_text(
        f"source,face,name\n{written}/{written}1.webm,0,ann\nother/{written}1.webm,0,bob\n"
    )
    desk = Desk(open_library([tmp_path]))
    (entry,) = desk.codes.entries()
    assert entry.source == f"{here}/{here}1.webm"
    first, *_ = fit_steps(desk.library, desk.codes.held_by("anna"), "blendshapes")
    names = pd.read_csv(first.words[list(first.words).index("--names") + 1])
    assert names.to_numpy().tolist() == [[f"{here}/{here}1.webm", 0, "ann"]]
    assert "(rows of names.csv about none of the recordings shown here: 1)" in first.what
    rows = table(tmp_path / "one.part", f"{written}/{written}1.webm", [0, 0.04], AU12_s=[0.0, 1.0]).read_text()
    more = table(tmp_path / "two.part", f"{written}/{written}2.webm", [0, 0.04], AU12_s=[1.0, 0.0]).read_text()
    (tmp_path / "all.csv").write_text(rows + more.partition("\n")[2])
    track = read_track(tmp_path / "all.csv", f"{here}/{here}2.webm", desk.library.sources, alone=False)
    assert track.of_face(0)["AU12_s"].tolist() == [1, 0]


def test_parts_of_the_face_that_were_not_seen_are_so_in_frames_and_imports() -> None:
    text = b"source,au,onset_s,offset_s\na.mp4,70,0,1\na.mp4,1,2,3\n"  # FACS: brows and forehead not visible
    found, notes = exchange.imported("x.csv", text, SOURCES, "ben", lambda _: FRAMES_S)
    assert [(one.code.kind, one.code.au, one.code.intensity) for one in found] == [
        ("unknown", 1, "?"), ("unknown", 2, "?"), ("unknown", 4, "?"), ("au", 1, ""),
    ]  # fmt: skip
    assert notes == []
    rows = exchange.export("frames", found, lambda _: FRAMES_S).splitlines()
    assert rows[0] == "source,frame,time_s,face,AU01,AU01_i"
    assert [row.split(",")[1] for row in rows[1:]] == [str(frame) for frame in range(25, 100)]


def test_importing_a_file_twice_adds_nothing(tmp_path: Path) -> None:
    codes = CodesFile(tmp_path / "codes.csv", SOURCES)
    data = b"source,au,onset_s,offset_s\na.mp4,12,0.33333333,1.66666667\n"
    for new in (1, 0):
        assert codes.add(exchange.imported("x.csv", data, SOURCES, "anna", lambda _: FRAMES_S)[0]) == new
    assert len(read_events(tmp_path / "codes.csv")) == 1


@pytest.mark.parametrize("name", ["-01.mp4", "@anna.mp4", "+x.mp4", "=a.mp4"])
def test_a_recording_that_is_called_like_a_formula_is_found_again(tmp_path: Path, name: str) -> None:
    codes = CodesFile(tmp_path / "codes.csv", [name])
    codes.replace(name, "anna", [Code(kind="au", au=6, onset_s=0, offset_s=1)], codes.of(name, "anna")[1])
    assert list(read_codes(tmp_path / "codes.csv", [name]).videos) == [name]


def test_two_pages_lose_no_row_of_each_other(tmp_path: Path) -> None:
    path, wrong = tmp_path / "codes.csv", []

    def code(who: str) -> None:
        page, mark, mine = CodesFile(path, SOURCES), CodesFile(path, SOURCES).of("a.mp4", who)[1], []
        try:
            for place in range(25):
                mine.append(Code(kind="au", au=12, onset_s=place, offset_s=place + 0.5))
                mark = page.replace("a.mp4", who, mine, mark)
        except Exception as error:
            wrong.append(error)

    pages = [threading.Thread(target=code, args=(who,)) for who in ("anna", "ben")]
    for page in pages:
        page.start()
    for page in pages:
        page.join()
    assert wrong == []
    assert sorted(event.coder for event in read_events(path)) == ["anna"] * 25 + ["ben"] * 25
    assert [one.name for one in tmp_path.iterdir()] == ["codes.csv"]


def test_a_page_that_waits_too_long_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "_PATIENCE_S", 0.1)
    codes = filled(tmp_path / "codes.csv", "source,au,onset_s,offset_s,coder\na.mp4,12,0,1,anna\n")
    with locked_beside(tmp_path / "codes.csv"), pytest.raises(UsageError, match=r"codes\.csv: another process"):
        again(codes, "a.mp4", "anna")
    again(codes, "a.mp4", "anna")
