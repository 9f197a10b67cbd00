"""Nearest faces: the numbers against loops, a real picture as a query, refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from duchenne.cli.main import main
from duchenne.data.prepared import Prepared
from duchenne.errors import UsageError
from duchenne.features.retrieve import nearness, retrieve


def by_loops(data: Prepared, units: np.ndarray, top: int) -> tuple[float, float]:
    """AUs shared with, and share of the same subject among, the nearest faces of other clips."""
    clips, subjects, labels = data.clip_ids(), data.subject_ids(), data.occurrence()
    both = apart = same = all_ = 0
    for i in range(len(data)):
        order = np.argsort([-float(units[i] @ units[j]) for j in range(len(data))])
        others = [j for j in order if clips[j] != clips[i]]
        same += sum(subjects[j] == subjects[i] for j in others[:top])
        all_ += top
        for j in [j for j in others if subjects[j] != subjects[i]][:top]:
            for mine, theirs in zip(labels[i], labels[j], strict=True):
                both += mine == theirs == 1
                apart += mine + theirs == 1  # false where one of them is not known
    return 2 * both / (2 * both + apart), same / all_


def test_nearness_equals_loops(faces: Path) -> None:
    data = Prepared([faces])
    units = np.random.default_rng(0).normal(size=(len(data), 6)).astype(np.float32)
    units[:, :3] += 2 * np.nan_to_num(data.occurrence())
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    found = nearness(data, units, 5)
    aus, identity = by_loops(data, units, 5)
    assert found["aus"] == pytest.approx(aus, abs=1e-6)
    assert found["identity"] == pytest.approx(identity, abs=1e-6)
    assert found["aus"] > found["aus_at_random"] + 0.1  # type: ignore[operator]
    # One of eleven other clips is the same subject's.
    assert found["identity_at_random"] == pytest.approx(1 / 11, abs=0.03)


def test_identity_is_seen(faces: Path) -> None:
    data = Prepared([faces])
    units = np.eye(6, dtype=np.float32)[data.subject_ids()]
    assert nearness(data, units, 5)["identity"] == 1


class PartlyCoded(Prepared):
    """Drawn faces of which the last person's action units and subject are not known, and AU 1 not that of the first."""

    def occurrence(self, aus: Any = None, rows: Any = None) -> Any:
        labels = super().occurrence(aus).copy()
        labels[:28, 0] = np.nan
        labels[-28:] = np.nan
        return labels if rows is None else labels[rows]

    def subject_ids(self, rows: Any = None) -> Any:
        numbers = super().subject_ids().copy()
        numbers[-28:] = -1
        return numbers if rows is None else numbers[rows]


def test_what_is_not_known_is_not_counted(faces: Path) -> None:
    """Faces whose nearest neighbours show just the same AUs share all that is coded, whatever else is not."""
    data = PartlyCoded([faces])
    units = np.nan_to_num(Prepared([faces]).occurrence()).astype(np.float32)
    units[:, 0] *= np.arange(len(data)) >= 28
    kinds, place = np.unique(units, axis=0, return_inverse=True)
    exact = np.eye(len(kinds), dtype=np.float32)[place.ravel()]
    found = nearness(data, exact, 1)
    whole = Prepared([faces])
    # The same without the last person, whose faces come last and are nobody's neighbours.
    labels, clips, subjects = data.occurrence()[:-28], whole.clip_ids()[:-28], whole.subject_ids()[:-28]
    both = either = 0.0
    for i in range(len(labels)):
        others = np.flatnonzero((clips != clips[i]) & (subjects != subjects[i]))
        j = others[np.argmax(exact[others] @ exact[i])]
        coded = ~np.isnan(labels[i]) & ~np.isnan(labels[j])
        both += 2 * ((labels[i] == 1) & (labels[j] == 1))[coded].sum()
        either += (labels[i] == 1)[coded].sum() + (labels[j] == 1)[coded].sum()
    assert found["aus"] == pytest.approx(both / either, abs=0.02)  # equally near ones may be others
    assert found["aus"] is not None
    assert found["aus"] > 0.95
    people = np.eye(6, dtype=np.float32)[whole.subject_ids()]
    assert nearness(data, people, 5)["identity"] == 1


def test_pictures_of_several_data_sets_are_named(
    faces: Path, make_faces: Callable[..., Path], shared: Path, tmp_path: Path
) -> None:
    other = make_faces(tmp_path / "other", subjects=2, aus=(1, 12, 25), name="private")
    text = (other / "dataset.yaml").read_text().replace("licence: CC0-1.0", "licence: EULA")
    (other / "dataset.yaml").write_text(text)
    picture = next((shared / "data").rglob("astronaut.png"))
    table = retrieve(model="pixels", data=[faces, other], query=picture, out=tmp_path / "n.html", top=16, quiet=True)
    assert set(table["dataset"]) == {"drawn", "private"}
    page = (tmp_path / "n.html").read_text()
    assert "drawn (licence: CC0-1.0), private (licence: EULA), and from the query" in page
    assert page.count("<br>AU ") + page.count("<br>no AU coded as present") == 16


def test_a_real_picture_finds_neighbours(faces: Path, shared: Path, tmp_path: Path) -> None:
    picture = next((shared / "data").rglob("astronaut.png"))
    words = [
        "--model",
        "pixels",
        "random",
        "--data",
        str(faces),
        "--query",
        str(picture),
        "--out",
        str(tmp_path / "near.html"),
    ]
    assert main(["retrieve", *words, "--top", "3", "--quiet"]) == 0
    table = pd.read_csv(tmp_path / "near.csv")
    assert list(table["model"].unique()) == ["pixels", "random"]
    for _, part in table.groupby("model"):
        assert part["rank"].tolist() == [1, 2, 3]
        assert part["cosine"].is_monotonic_decreasing
        assert part["clip"].is_unique
    alone = retrieve(model="pixels", data=faces, query=picture, out=tmp_path / "alone.html", top=3, quiet=True)
    assert alone[["clip", "frame"]].to_numpy().tolist() == table[["clip", "frame"]].iloc[:3].to_numpy().tolist()
    page = (tmp_path / "near.html").read_text()
    assert page.count("data:image/jpeg") == 8
    assert page.count("<tr><td>pixels</td>") == page.count("<tr><td>random</td>") == 1
    assert "licence: CC0-1.0" in page


def test_refusals(faces: Path, tmp_path: Path) -> None:
    query = tmp_path / "none.png"
    with pytest.raises(UsageError, match="cannot look at a new picture"):
        retrieve(model="landmarks", data=faces, query=query, out=tmp_path / "near.html", quiet=True)
    with pytest.raises(UsageError, match="each only once"):
        retrieve(model=["pixels", "pixels"], data=faces, query=query, out=tmp_path / "near.html", quiet=True)
    with pytest.raises(UsageError, match=r"name a page \(\.html\)"):
        retrieve(model="pixels", data=faces, query=query, out=tmp_path / "near.csv", quiet=True)
