"""What samplers, epochs and held-out shares give for a seed is what it was; see `orders.py`."""

import json
from pathlib import Path

import pytest
from tests.data import orders


def test_orders_are_what_they_were(tmp_path: Path) -> None:
    wanted = json.loads(Path(orders.__file__).with_suffix(".json").read_text())
    found = {name: orders.drawn(data) for name, data in orders.folders(tmp_path).items()}
    assert found == wanted
    assert len(set(found["both"].values()) - set(found["one"].values())) > 30  # the folders are not alike


@pytest.mark.slow
def test_nothing_changes_when_the_index_is_made_again(tmp_path: Path) -> None:
    data = orders.folders(tmp_path)["both"]
    before = orders.drawn(data)
    for path in data.paths:
        (path / "index" / "1" / "index.json").unlink()
    assert orders.drawn(type(data)(data.paths)) == before
