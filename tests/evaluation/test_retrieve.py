"""Nearest faces: the numbers against loops, a real picture as a query, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from duchenne.cli.main import main
from duchenne.data.prepared import Prepared
from duchenne.errors import UsageError
from duchenne.features.retrieve import nearness, retrieve


def by_loops(data: Prepared, units: np.ndarray, top: int) -> tuple[float, float]:
    """AUs shared with, and share of the same subject among, the nearest faces of other clips."""
    clips, subjects, labels = data.clip_ids(), data.subject_ids(), data.occurrence() == 1
    both = apart = same = all_ = 0
    for i in range(len(data)):
        order = np.argsort([-float(units[i] @ units[j]) for j in range(len(data))])
        others = [j for j in order if clips[j] != clips[i]]
        same += sum(subjects[j] == subjects[i] for j in others[:top])
        all_ += top
        for j in [j for j in others if subjects[j] != subjects[i]][:top]:
            both += int((labels[i] & labels[j]).sum())
            apart += int((labels[i] ^ labels[j]).sum())
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
