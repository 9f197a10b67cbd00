"""Reader `table`: images with whatever is known about them, to be aligned or aligned already."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from tests.faces.media import Image, flat, quadrants

import duchenne
from duchenne.data.prepared import Prepared
from duchenne.errors import InputError, UsageError
from duchenne.preparing.datasets.table import plan_table


@pytest.fixture(scope="module")
def images(portrait: Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("images")
    small = cv2.resize(portrait, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    both = np.hstack([portrait, np.pad(small, ((0, 80), (0, 80), (0, 0)), mode="edge")])
    for name, image in {"a": portrait, "b": portrait[:, ::-1], "two": both, "nobody": flat(90, (80, 80))}.items():
        cv2.imwrite(str(root / f"{name}.png"), image[:, :, ::-1])
    (root / "zero.png").touch()
    return root


def write(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text)
    return path


def test_labels_travel_with_the_faces(images: Path, tmp_path: Path) -> None:
    table = write(
        tmp_path,
        "path,subject,clip,frame,time_s,AU12,AU6_i,emotion,split\n"
        "b.png,ann,x,2,0.08,1,C,happiness,train\n"
        "a.png,ann,x,1,0.04,0,,Neutral,train\n"
        "two.png,ben,y,1,,,1.5,,val\n"
        "nobody.png,ben,y,2,,1,5,,test\n"
        "zero.png,ben,y,3,,1,5,,test\n"
        "gone.png,ben,y,4,,1,5,,test\n",
    )  # fmt: skip
    done = duchenne.prepare("table", root=images, out=tmp_path / "out", table=table, size_px=64, workers=1, quiet=True)
    data = Prepared([tmp_path / "out"])
    frames = data.frames
    assert list(frames["source"]) == ["a.png", "b.png", "two.png"]
    assert list(frames["AU12"].fillna(-1)) == [0, 1, -1]
    assert list(frames["AU06"].fillna(-1)) == [-1, 1, 0]
    assert list(frames["AU06_i"].fillna(-1)) == [-1, 3, 1.5]
    assert list(frames["emotion"].fillna("")) == ["neutral", "happiness", ""]
    assert list(frames["split"]) == ["train", "train", "validation"]
    assert list(frames["time_s"].fillna(-1)) == [0.04, 0.08, -1]
    assert done.counts["failures"] == 2
    assert done.counts["faceless_frames"] == 1
    assert done.counts["other_faces"] == 1
    reasons = pd.read_csv(tmp_path / "out" / "failures.csv").set_index("source")["reason"]
    assert "is empty" in reasons["zero.png"]
    assert "there is no such file" in reasons["gone.png"]
    left, right = data.landmarks()[2], data.landmarks()[0]
    assert np.abs(left - right).mean() < 2  # of the two, the larger one was taken


def test_crops_that_are_aligned_already_keep_their_bytes(tmp_path: Path) -> None:
    for name, side in [("a.jpg", 64), ("b.jpg", 96), ("c.png", 64), ("d.png", 32)]:
        cv2.imwrite(str(tmp_path / name), quadrants(side, side)[:, :, ::-1])
    cv2.imwrite(str(tmp_path / "oblong.png"), quadrants(48, 64))
    rows = "\n".join(f"{name},{k % 2}" for k, name in enumerate(["d.png", "c.png", "b.jpg", "a.jpg", "oblong.png"]))
    table = write(tmp_path, f"path,AU04\n{rows}\n")
    done = duchenne.prepare(
        "table", root=tmp_path, out=tmp_path / "out", table=table, detect=False, size_px=64, workers=1, quiet=True
    )
    data = Prepared([tmp_path / "out"])
    assert list(data.frames["source"]) == ["a.jpg", "b.jpg", "c.png", "d.png"]
    assert list(data.frames["clip"]) == ["a.jpg", "b.jpg", "c.png", "d.png"]
    assert data.frames["subject"].isna().all()
    assert (data.infos[0].alignment, data.infos[0].label_kind) == ("as given", "occurrence")
    assert data.jpeg(0) == (tmp_path / "a.jpg").read_bytes()
    for row in range(4):
        assert np.abs(data.image(row).astype(float) - quadrants(64, 64)).mean() < 8
    assert np.isnan(data.landmarks()).all()
    assert done.counts["failures"] == 1
    assert "64 x 48 pixels" in (tmp_path / "out" / "failures.csv").read_text()


def test_changed_pictures_are_another_job(tmp_path: Path) -> None:
    root, out = tmp_path / "root", tmp_path / "out"
    root.mkdir()
    cv2.imwrite(str(root / "a.png"), quadrants(32, 32))
    (root / "b.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    options = {"root": root, "out": out, "table": write(tmp_path, "path,AU04\na.png,1\nb.png,0\nc.png,0\n")}
    options |= {"detect": False, "size_px": 32, "workers": 1, "quiet": True}
    before = duchenne.prepare("table", **options)
    assert before.counts["failures"] == 2
    copied = tmp_path / "copy" / "root"
    shutil.copytree(root, copied, copy_function=shutil.copyfile)  # with times of its own
    assert duchenne.prepare("table", **options | {"root": copied}).counts == before.counts
    for name in ("b.png", "c.png"):  # repaired, and one that was not there
        cv2.imwrite(str(copied / name), quadrants(32, 32))
        with pytest.raises(UsageError, match=r"another job: files or labels have changed since .* delete this folder"):
            duchenne.prepare("table", **options | {"root": copied})
        (copied / name).unlink()
        shutil.copyfile(root / "b.png", copied / "b.png")
    assert duchenne.prepare("table", **options | {"out": tmp_path / "again"}).counts == before.counts


BAD = {
    "image,AU12\na.png,1\n": "has no column `path`",
    "path,AU12\na.png,3\n": "row 2, AU12: `3` is not 0 or 1",
    "path,AU12_i\na.png,F\n": "row 2, AU12_i: `F` is not a number",
    "path,AU12_i\na.png,8\n": r"row 2, AU12_i: 8 is out of range \(0 to 5\)",
    "path,emotion\na.png,joy\n": "row 2, emotion: `joy` is not one of neutral, happiness",
    "path,split\na.png,dev\n": "row 2, split: `dev` is not one of train, validation, test",
    "path,subject,clip,frame\na.png,s,c,1\nb.png,s,c,1\n": "row 3: subject s, clip c, frame 1 is already in row 2",
    "path\na.png\na.png\n": "row 3: the image a.png is already in row 2",
    "path,subject\na.png,x\n./a.png,y\n": "row 3: the image a.png is of another subject in row 2",
    "path,AU12,AU12_i\na.png,0,1\nb.png,1,0\n": "row 3, AU12_i: is 0, and AU12 says that it is there",
    "path,clip\na.png,c\n": "has a column `clip` but no `frame`",
    "path,clip,frame\na.png,c,x\n": "row 2, frame: `x` is not a number",
    "path,clip,frame,time_s\na.png,c,1,0.5\nb.png,c,2,1718000000.04\n": r"row 3, time_s: .* out of range \(0 to 1e",
    "path,clip,frame\na.png,c,9007199254740993\n": "row 2, frame: .* is not a whole number up to 9007199254740991",
    "path,clip,frame\na.png,c,99999999999999999999\n": "row 2, frame: .* is not a whole number up to 9007199254740991",
    "path,AU12\n,1\n": "row 2, path: is empty",
    "path,path\na.png,b.png\n": "has the column `path` twice",
    "path\n": "has a header but no rows",
}


@pytest.mark.parametrize("text", BAD)
def test_mistakes_are_one_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=BAD[text]) as caught:
        plan_table(tmp_path, write(tmp_path, text))
    assert "table.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_that_hardly_differ_are_said(tmp_path: Path) -> None:
    """One person under two names is on both sides of a fold."""
    rows = ["Anna", "anna ", "Jose\u0301", "Jos\u00e9", "Ben 1", "Ben1", "Carl", "Carla"]
    table = write(tmp_path, "path,subject\n" + "".join(f"{place}.png,{name}\n" for place, name in enumerate(rows)))
    (note,) = plan_table(tmp_path, table).notes
    assert "`Anna` and `anna`, `Jose\u0301` and `Jos\u00e9`, `Ben 1` and `Ben1` count as different people" in note


def test_any_order_of_rows_and_any_separator_is_the_same_plan(tmp_path: Path) -> None:
    rows = [f"p{k}.png,s{k % 3},c{k % 5},{k},{k % 2}" for k in range(600)]
    header = "path,subject,clip,frame,AU12"
    plan = plan_table(tmp_path, write(tmp_path, "\n".join([header, *rows])))
    again = plan_table(tmp_path, write(tmp_path, "\n".join([header, *rows[::-1]]).replace(",", ";")))
    assert plan == again
    assert [part.units for part in plan.parts] == [256, 256, 88]
