"""The columns and rows of every table format."""

import numpy as np
import pytest
from tests.detection.made import points

from duchenne.detection.formats import FORMATS, empty_columns
from duchenne.detection.results import DetectedFace, FrameResult, Rows, plain_table
from duchenne.faces.find import Face

COLUMNS = ("AU01_s", "AU12_r", "AU12_c", "AU25_p", "AU45_s")
VALUES = np.array([0.25, 3.5, 1.0, 0.625, 0.125], np.float32)


def rows(columns: tuple[str, ...] = COLUMNS) -> Rows:
    whole = Face((1.0, 2.0, 40.0, 44.0), 0.9, points(), None, (10.0, 20.0, -30.0), quality=("narrow", "turned"))
    small = Face((45.0, 2.0, 12.0, 13.0), 0.8, flag="small")
    missing = np.full(5, np.nan, np.float32)
    frames = [
        FrameResult("a.mp4", 0, 0.0, (DetectedFace(0, whole, VALUES), DetectedFace(1, small, missing)), None),
        FrameResult("a.mp4", 1, 0.1, (), None),
        FrameResult("a.mp4", 2, 61.25, (DetectedFace(1, whole, VALUES),), None),
    ]
    return Rows(frames, columns)


def test_the_plain_table_has_the_documented_columns() -> None:
    table = plain_table(rows())
    assert list(table) == [
        "source", "frame", "time_s", "face", "score", "x", "y", "width", "height", "flag", *COLUMNS,
        "pitch", "yaw", "roll", "quality",
    ]  # fmt: skip
    assert table.frame.tolist() == [0, 0, 1, 2]
    assert table.face.fillna(-1).tolist() == [0, 1, -1, 1]
    assert table.flag.isna().tolist() == [True, False, True, True]
    assert table.flag[1] == "small"
    nobody = table.iloc[2].drop(["source", "frame", "time_s"])
    assert nobody.isna().all()
    unread = table.iloc[1]
    assert unread[["score", "x", "y", "width", "height"]].tolist() == [0.8, 45, 2, 12, 13]
    assert unread[[*COLUMNS, "pitch", "yaw", "roll"]].isna().all()
    assert table.iloc[3][list(COLUMNS)].tolist() == VALUES.tolist()
    assert table.AU12_c.dtype == "Int64"
    assert table.iloc[3][["pitch", "yaw", "roll"]].tolist() == [10, 20, -30]


def test_openface_names_in_their_order() -> None:
    table = FORMATS["openface"](rows())
    regressed = [f"{au:02d}" for au in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)]
    classified = [f"{au:02d}" for au in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 28, 45)]
    assert list(table) == [
        "frame", "face_id", "timestamp", "confidence", "success",
        "pose_Tx", "pose_Ty", "pose_Tz", "pose_Rx", "pose_Ry", "pose_Rz",
        *(f"x_{point}" for point in range(68)), *(f"y_{point}" for point in range(68)),
        *(f"AU{au}_r" for au in regressed), *(f"AU{au}_c" for au in classified),
        "AU01_s", "AU25_p", "AU45_s", "source", "quality",
    ]  # fmt: skip


def test_openface_row_rules() -> None:
    table = FORMATS["openface"](rows())
    assert table.frame.tolist() == [1, 1, 2, 3]
    assert table.success.tolist() == [1, 0, 0, 1]
    assert table.face_id.tolist() == [0, 1, 0, 1]
    assert table.confidence.tolist() == [0.9, 0.8, 0, 0.9]
    assert table.timestamp.tolist() == [0, 0, 0.1, 61.25]
    for name in ("pose_Rx", "x_5", "y_67", "AU12_r", "AU12_c"):
        assert table[name][[1, 2]].tolist() == [0, 0], name
    assert table.pose_Rx[0] == pytest.approx(np.deg2rad(10), abs=1e-4)
    assert table.pose_Ry[0] == pytest.approx(np.deg2rad(-20), abs=1e-4)
    assert table.pose_Rz[0] == pytest.approx(np.deg2rad(-30), abs=1e-4)
    assert table.x_10[0] == points()[10, 0]
    assert table.y_10[0] == points()[10, 1]
    assert table.AU12_r[0] == 3.5
    assert table.AU12_c[0] == 1


def test_openface_claims_nothing_that_the_model_does_not_say() -> None:
    table = FORMATS["openface"](rows())
    assert table[["pose_Tx", "AU01_r", "AU01_c", "AU25_r", "AU45_c"]].isna().all(axis=None)
    assert table.AU01_s.tolist()[:1] == [0.25]
    assert table.AU01_s[[1, 2]].isna().all()


def test_fex_names_and_values() -> None:
    table = FORMATS["fex"](rows())
    for name in ("FaceRectX", "FaceRectWidth", "FaceScore", "x_67", "Pitch", "Roll", "Yaw", "AU43", "anger", "input"):
        assert name in table
    nobody = table.iloc[2].drop(["input", "frame", "approx_time", "time_s"])
    assert nobody.isna().all()
    whole = table.iloc[3]
    assert (whole.AU01, whole.AU12, whole.AU25, whole.AU43) == (0.25, 3.5, 0.625, 0.125)
    assert np.isnan(whole.AU02)
    assert (whole.Pitch, whole.Yaw, whole.Roll) == (10, 20, -30)
    assert (whole.frame, whole.approx_time, whole.input) == (2, "01:01", "a.mp4")
    assert whole.au_measure == "AU01=score AU12=intensity AU25=probability AU43=score"
    assert list(table)[-3:] == ["au_measure", "AU12_c", "quality"]
    assert table.AU12_c.fillna(-1).tolist() == [1, -1, -1, 1]
    raw = FORMATS["fex"](rows(("AU01_s", "AU12_s", "AU02_s", "AU25_s", "AU45_s")))
    assert raw.au_measure.fillna("").tolist() == ["score", "score", "", "score"]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_ends_with_what_makes_rows_less_sure(name: str) -> None:
    table = FORMATS[name](rows())
    assert table.columns[-1] == "quality"
    assert table.quality.fillna("").tolist() == ["narrow turned", "", "", "narrow turned"]


@pytest.mark.parametrize("name", FORMATS)
def test_pieces_of_a_table_have_the_same_types(name: str) -> None:
    every = rows()
    nobody = Rows([FrameResult("a.mp4", 3, 0.5, (), None)], COLUMNS)
    assert FORMATS[name](every).dtypes.equals(FORMATS[name](nobody).dtypes)


class _Model:
    name = "made"
    crop_px = None

    def __init__(self, *columns: str, **about: object) -> None:
        self.columns = columns
        self._about = about

    def describe(self) -> dict[str, object]:
        return self._about


def test_columns_that_stay_empty_are_named_with_the_reason() -> None:
    scores = [f"AU{au:02d}_s" for au in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 24, 25, 26, 28, 45)]
    model = _Model(*scores, "AU06_c", "AU12_c", all_aus=False, without_evidence=["AU01", "AU24", "AU45"])
    (said,) = empty_columns("openface", model)  # type: ignore[arg-type]
    assert "pose_Tx, pose_Ty, pose_Tz (millimetres need a calibrated camera)" in said
    assert "AUxx_r of all 17 (the model has no intensities)" in said
    assert "AUxx_c of 1, 2, 4, 5, 7, 9, 10, 14, 15, 17, 20, 23, 25, 26, 28, 45 (the model has no decisions" in said
    assert said.endswith("what the model gives is scores, in the columns at the end.")
    (said,) = empty_columns("fex", model)  # type: ignore[arg-type]
    assert said == (
        "--format fex leaves empty: AUxx of 11 (the model does not have them); AUxx of 1, 24, 43 (not judged on real "
        "faces; --all-aus fills them); the seven emotions (faces show movements, not feelings)."
    )
    assert empty_columns("duchenne", model) == []  # type: ignore[arg-type]


def test_columns_that_stay_empty_are_those_of_the_table() -> None:
    given = rows()
    (said,) = empty_columns("openface", _Model(*COLUMNS))  # type: ignore[arg-type]
    table = FORMATS["openface"](given)
    empty = {int(name[2:4]) for name in table if name.endswith("_r") and table[name].isna().all()}
    assert f"AUxx_r of {', '.join(map(str, sorted(empty)))} (" in said
