"""Recordings of one name in several folders: `P01/rest.webm` is never `P02/rest.webm`."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.reviewing.made import film, table

from duchenne.errors import InputError, UsageError
from duchenne.reviewing.codes import Code, CodesFile
from duchenne.reviewing.columns import read_track
from duchenne.reviewing.desk import Desk
from duchenne.reviewing.library import open_library
from duchenne.reviewing.teaching import detect_steps, fit_steps, take_over

TIMES = [place / 25 for place in range(20)]
SMILE_FIRST = [1.0] * 10 + [0.0] * 10  # from 0 to 0.4 s


@pytest.fixture
def study(tmp_path: Path) -> Path:
    for person in ("P01", "P02"):
        (tmp_path / person).mkdir()
        film(tmp_path / person / "rest.webm", [40 * place for place in range(20)])
    return tmp_path


def put(codes: CodesFile, source: str, coder: str, *spans: tuple[int, float, float]) -> None:
    own = [Code(kind="au", au=au, onset_s=onset_s, offset_s=offset_s, face=0) for au, onset_s, offset_s in spans]
    codes.replace(source, coder, own, codes.of(source, coder)[1])


def smiles(study: Path, *people: str) -> None:
    for person in people:
        table(study / person / "rest_aus.csv", "rest.webm", TIMES, AU12_c=SMILE_FIRST)


def test_codes_of_a_person_who_is_not_shown_stay(study: Path) -> None:
    whole = Desk(open_library([study]))
    put(whole.codes, "P01/rest.webm", "anna", (12, 0, 0.4))
    put(whole.codes, "P02/rest.webm", "anna", (6, 0.4, 0.8))
    alone = Desk(open_library([study / "P01"], codes=study / "codes.csv"))
    assert alone.codes.of("rest.webm", "anna")[0] == []
    put(alone.codes, "rest.webm", "ben", (1, 0, 0.2))
    assert (study / "codes.csv").read_text().splitlines()[1:] == [
        "P01/rest.webm,12,0,0.4,,,,0,anna,", "P02/rest.webm,6,0.4,0.8,,,,0,anna,", "rest.webm,1,0,0.2,,,,0,ben,",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["P02\\rest.webm", "P02/rest.webm"])
def test_a_path_means_its_recording_and_a_bare_name_of_two_none(study: Path, name: str) -> None:
    (study / "codes.csv").write_text(f"source,au,onset_s,offset_s\n{name},12,0,1\nrest,6,0,1\nX/rest.webm,4,0,1\n")
    codes = Desk(open_library([study])).codes
    assert [(one.source, one.code.au) for one in codes.entries()] == [
        ("P02/rest.webm", 12), ("rest", 6), ("X/rest.webm", 4),
    ]  # fmt: skip


def test_an_imported_file_that_tells_two_apart_is_not_mixed_up(study: Path) -> None:
    def taken(path: Path, *names: str) -> list[tuple[str, int | None]]:
        rows = [f"{name},{place},0,0.2" for place, name in enumerate(names, start=1)]
        text = "\n".join(["source,au,onset_s,offset_s", *rows, ""])
        desk = Desk(open_library([path], codes=study / f"{len(names)}{path.name}.csv"))
        desk.take_in("x.csv", text.encode(), "anna")
        return [(one.source, one.code.au) for one in desk.codes.entries()]

    assert taken(study / "P01", "C:\\films\\rest.webm") == [("rest.webm", 1)]  # the path of another computer
    several = r"names several files that may be rest\.webm \(P01/rest\.webm, P02/rest\.webm\); write `rest\.webm` for"
    with pytest.raises(InputError, match=rf"^x\.csv: {several}"):
        taken(study / "P01", "P01/rest.webm", "P02/rest.webm")
    assert taken(study, "P01/rest.webm", "P02/rest.webm") == [("P01/rest.webm", 1), ("P02/rest.webm", 2)]
    (study / "P02" / "rest.webm").rename(study / "P02" / "joy.webm")
    assert taken(study, "joy", "P02/joy.webm", "joy.webm") == [("P02/joy.webm", place) for place in (1, 2, 3)]
    rows = b"source,frame,AU12\nP01/rest.webm,0,1\nP02/rest.webm,0,0\n"
    with pytest.raises(InputError, match=rf"^x\.csv: {several}"):
        Desk(open_library([study / "P01"])).take_in("x.csv", rows, "anna")


@pytest.mark.parametrize(
    ("names", "taken", "notes"),
    [
        (["C:/Users/anna/rest.webm", "D:\\lab\\rest.webm"], [0, 1], []),  # each coder's own computer
        (["/home/anna/films/rest.webm", "/home/ben/rest.webm"], [0, 1], []),
        (["/old/disk/rest.webm", "/new/disk/rest.webm", "rest.webm"], [0, 1, 2], []),
        (["C:/films/rest.webm", "C:\\films\\rest"], [0, 1], []),
        (["C:/study/P01/rest.webm", "C:/study/P02/rest.webm", "rest.webm"], [2], ["C:/study/P01", "C:/study/P02"]),
        (["rest.webm", "P02/rest.webm"], [0], ["P02/rest.webm"]),
    ],
)
def test_one_recording_at_several_places_is_not_taken_for_namesakes(
    study: Path, names: list[str], taken: list[int], notes: list[str]
) -> None:
    rows = [f"{name},12,{place},{place + 1},anna" for place, name in enumerate(names)]
    text = "\n".join(["source,au,onset_s,offset_s,coder", *rows, ""])
    desk = Desk(open_library([study / "P01"], codes=study / "codes.csv"))
    said = desk.take_in("x.csv", text.encode(), "anna")["notes"]
    assert [(one.source, one.code.onset_s) for one in desk.codes.entries()] == [("rest.webm", at) for at in taken]
    assert len(said) == bool(notes)
    assert all(name in said[0] and "for the one that is meant" in said[0] for name in notes)


def tables(study: Path) -> list[str | None]:
    library = open_library([study])
    found = [library.table_of(one) for one in library.recordings.values()]
    return [None if path is None else path.relative_to(study).as_posix() for path in found]


def test_a_table_is_that_of_the_person_it_lies_beside(study: Path) -> None:
    smiles(study, "P01")
    assert tables(study) == ["P01/rest_aus.csv", None]
    smiles(study, "P02")
    assert tables(study) == ["P01/rest_aus.csv", "P02/rest_aus.csv"]


def test_a_table_elsewhere_is_that_of_the_only_one_of_its_name(study: Path) -> None:
    (study / "tables").mkdir()
    table(study / "tables" / "rest_aus.csv", "rest.webm", TIMES, AU12_c=SMILE_FIRST)
    assert tables(study) == [None, None]
    (study / "P02" / "rest.webm").rename(study / "P02" / "joy.webm")
    assert tables(study) == ["tables/rest_aus.csv", None]
    table(study / "tables" / "P01_rest.webm_aus.csv", "rest.webm", TIMES, AU12_c=SMILE_FIRST)
    (study / "P02" / "joy.webm").rename(study / "P02" / "rest.webm")
    assert tables(study) == ["tables/P01_rest.webm_aus.csv", None]  # as `detect` calls it


@pytest.mark.parametrize("sources", [("P01/rest.webm", "P02/rest.webm"), ("made/P01/rest.webm", "made/P02/rest.webm")])
def test_of_a_table_of_several_everybody_has_their_own_rows(study: Path, sources: Sequence[str]) -> None:
    parts = [
        table(study / f"{place}.part", source, TIMES, AU12_c=SMILE_FIRST[::step]).read_text().splitlines()
        for place, (source, step) in enumerate(zip(sources, (1, -1)))
    ]
    (study / "all.csv").write_text("\n".join([*parts[0], *parts[1][1:]]) + "\n")
    desk = Desk(open_library([study, study / "all.csv"]))
    for key, expected in (("r0", SMILE_FIRST), ("r1", SMILE_FIRST[::-1])):
        track = desk._track(desk.library.find(key), "table")
        assert track is not None
        assert track.of_face(0)["AU12_c"].tolist() == expected
    with pytest.raises(InputError, match=r"not clear which of its rows are those of rest\.webm"):
        Desk(open_library([study / "P01", study / "all.csv"])).recording("r0")


def test_each_is_compared_with_its_own_table(study: Path) -> None:
    smiles(study, "P01", "P02")
    desk = Desk(open_library([study]))

    def kappa(key: str | None, second: str = "table") -> tuple[int, float]:
        (row,) = desk.compare("coder:anna", second, key)["rows"]
        return row["frames"], row["kappa"]

    put(desk.codes, "P01/rest.webm", "anna", (12, 0, 0.4))
    assert kappa("r0") == (20, 1)
    put(desk.codes, "P02/rest.webm", "anna", (12, 0.4, 0.8))  # never where the table has it
    assert kappa("r0") == (20, 1)
    assert kappa("r1") == (20, -1)
    assert kappa(None) == (40, 0)  # half of the frames agree, as many as by chance
    assert [(one["source"], one["key"], one["who"], one["frames"]) for one in _differences(desk)] == [
        ("P02/rest.webm", "r1", "second", 10), ("P02/rest.webm", "r1", "first", 10),
    ]  # fmt: skip
    put(desk.codes, "P01/rest.webm", "ben", (12, 0, 0.4))
    put(desk.codes, "P02/rest.webm", "ben", (12, 0.4, 0.8))
    assert kappa(None, "coder:ben") == (40, 1)


def _differences(desk: Desk) -> list[dict[str, object]]:
    found: list[dict[str, object]] = desk.compare("coder:anna", "table", None)["differences"]
    return found


def test_what_a_coder_saw_elsewhere_was_looked_for_here_too(study: Path) -> None:
    smiles(study, "P01", "P02")
    desk = Desk(open_library([study]))
    put(desk.codes, "P01/rest.webm", "anna", (6, 0, 0.2))
    put(desk.codes, "P02/rest.webm", "anna", (12, 0.4, 0.8))
    row = next(one for one in desk.compare("coder:anna", "table", "r0")["rows"] if one["au"] == "AU12")
    assert (row["frames"], row["f1"]) == (20, 0)  # all of the table's 10 frames are wrong, as `agree` counts them


def test_a_name_of_another_person_is_not_given_to_a_coded_one(study: Path) -> None:
    desk = Desk(open_library([study]))
    put(desk.codes, "P01/rest.webm", "anna", (12, 0, 0.4))
    (study / "names.csv").write_text("source,face,name\nP02/rest.webm,0,Ben\n")
    entries = desk.codes.held_by("anna")
    assert "--names" not in fit_steps(desk.library, entries, "blendshapes")[0].words
    (study / "names.csv").write_text("source,face,name\nP01/rest.webm,0,Ann\nP02/rest.webm,0,Ben\n")
    fit_steps(desk.library, entries, "blendshapes")
    text = (study / "duchenne_review" / ".new" / "names.csv").read_text()
    assert text.splitlines() == ["source,face,name", "P01/rest.webm,0,Ann"]


def test_faces_are_looked_for_where_there_is_no_table(study: Path) -> None:
    smiles(study, "P01")
    (step,) = detect_steps(open_library([study]))
    paths = [str(study / person / "rest.webm") for person in ("P01", "P02")]
    assert [word for word in step.words if word in paths] == paths  # alone P02's table would be called `rest_aus.csv`
    (study / "P02" / "rest.webm").rename(study / "P02" / "joy.webm")
    (step,) = detect_steps(open_library([study]))
    assert [word for word in step.words if word.endswith(".webm")] == [str(study / "P02" / "joy.webm")]


MADE = ("detector/detector.json", "fitted/P01_aus.csv", "coded/frames")


def test_what_was_fitted_stays_until_the_next_fit_is_done(study: Path) -> None:
    desk = Desk(open_library([study]))
    put(desk.codes, "P01/rest.webm", "anna", (12, 0, 0.4))
    work = study / "duchenne_review"
    for name in (*MADE, "names.csv"):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text("old")

    def made() -> list[str | None]:
        return [(work / name).read_text() if (work / name).exists() else None for name in (*MADE, "names.csv")]

    desk.jobs._job = SimpleNamespace(is_running=True, name="detect")  # type: ignore[assignment]
    with pytest.raises(UsageError, match="detect is still running"):
        desk.fit("anna", "blendshapes")
    assert made() == ["old"] * 4
    assert not (work / ".new").exists()
    steps = fit_steps(desk.library, desk.codes.held_by("anna"), "blendshapes")
    assert made() == ["old"] * 4
    places = [word for step in steps for flag, word in zip(step.words, step.words[1:]) if flag in ("--out", "-o")]
    assert {Path(place).parent for place in places} == {work / ".new"}
    for name in MADE:
        (work / ".new" / name).parent.mkdir(parents=True, exist_ok=True)
        (work / ".new" / name).write_text("new")
    take_over(desk.library)
    assert made() == ["new", "new", "new", None]
    assert not (work / ".new").exists()


def test_rows_of_a_recording_in_another_folder_are_not_those_of_this_one(tmp_path: Path) -> None:
    path = table(tmp_path / "all.csv", "S01/video.mp4", [0, 0.04], AU12_s=[0.0, 1.0])
    with pytest.raises(InputError, match=r"has no row of S02/video\.mp4"):
        read_track(path, "S02/video.mp4", ["S02/video.mp4"], alone=False)
    assert len(read_track(path, "S01/video.mp4", ["S01/video.mp4", "S02/video.mp4"], alone=False).frames) == 2
    bare = table(tmp_path / "bare.csv", "video.mp4", [0, 0.04], AU12_s=[0.0, 1.0])
    with pytest.raises(InputError, match="it is not clear which of its rows are those of"):
        read_track(bare, "S02/video.mp4", ["S01/video.mp4", "S02/video.mp4"], alone=False)
