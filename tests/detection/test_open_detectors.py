"""`model` of `detect` may be a detector that is open already."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from tests.detection.made import random_encoder, write_detector

import duchenne
from duchenne.errors import UsageError
from duchenne.features.columns import ColumnSource

Film = Callable[..., Path]


@pytest.mark.usefixtures("scripted")
def test_detect_takes_open_detectors(film: Film, tmp_path: Path) -> None:
    folder = write_detector(tmp_path / "d", random_encoder(), ColumnSource("landmarks"), widths=(8, 136))
    path = film("a.mov", [20, 0, 40])
    wanted = duchenne.detect(path, model=str(folder))
    assert wanted.filter(regex="AU.._p").notna().any(axis=None)
    pd.testing.assert_frame_equal(duchenne.detect(path, model=folder), wanted)
    pd.testing.assert_frame_equal(duchenne.detect(path, model=duchenne.load_model(str(folder))), wanted)
    with duchenne.Detector(folder) as detector:
        pd.testing.assert_frame_equal(duchenne.detect([path], model=detector), wanted)
        with pytest.raises(UsageError, match="an open model is as it was opened"):
            duchenne.detect(path, model=detector, sides=True)
    with duchenne.Detector(folder, min_face=77) as detector:
        for given, kept in (({}, 77), ({"min_face": 40}, 40)):
            duchenne.detect(path, model=detector, output=tmp_path / "a.csv", **given)
            assert json.loads((tmp_path / "a.json").read_text())["min_face"] == kept
    with pytest.raises(UsageError, match="Identity: is not a detector of action units; make one with `duchenne fit`"):
        duchenne.detect(path, model=torch.nn.Identity())  # type: ignore[arg-type]
