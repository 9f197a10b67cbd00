"""What a model costs: CLP's efficiency row, counted by hand, and the command."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import duchenne
from duchenne.cli.main import main
from duchenne.evaluation.cost import BATCHES, measure
from duchenne.modules.encoder import Encoder, EncoderSpec

CPU = torch.device("cpu")
CLASSIFIER = 512 * 1000 + 1000
"""Parameters of ImageNet's classifier on 512 features, which CLP's row counts."""


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are not what is tested here."""
    monkeypatch.setattr("duchenne.evaluation.cost.RUNS", 1)
    monkeypatch.setattr("duchenne.evaluation.cost.WARM_UP", 0)


def test_a_count_by_hand() -> None:
    """A 3x3 convolution from 3 to 8 channels at stride 2 on 32 px, its average, and 8 x 5 products."""
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(8, 5),
    )  # fmt: skip
    cost = measure(network, 32, CPU)
    assert cost.multiply_adds == 16 * 16 * 8 * 27 + 8 * 5
    assert (cost.parameters, cost.features) == (8 * 27 + 45, 5)
    assert set(cost.ms) == set(BATCHES) == {1, 16}
    assert all(spent > 0 for spent in cost.ms.values())


def test_the_row_that_clp_prints() -> None:
    """21.8 million parameters and 3.68 GFLOPs (multiply-adds), with ImageNet's classifier."""
    cost = measure(Encoder(EncoderSpec(backbone="resnet34")), 224, CPU)
    assert round((cost.parameters + CLASSIFIER) / 1e6, 1) == 21.8
    assert (cost.multiply_adds + 512 * 1000) / 1e9 == pytest.approx(3.68, abs=0.02)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_transformer_is_counted(layers: int) -> None:
    """Of T tokens of width C: four projections, the two products of attention, and a feed-forward part of width H."""
    plain, spec = EncoderSpec(backbone="resnet18"), EncoderSpec(backbone="resnet18", token_layers=layers)
    tokens, width, hidden = 2 * 2, 512, spec.token_hidden
    own = tokens * (4 * width**2 + 2 * width * hidden) + 2 * tokens**2 * width
    found = measure(Encoder(spec), 64, CPU).multiply_adds - measure(Encoder(plain), 64, CPU).multiply_adds
    assert found == layers * own
    assert torch.backends.mha.get_fastpath_enabled(), "it is timed as it is used"


def test_attention_alone_is_counted() -> None:
    class Attention(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            tokens = x.reshape(len(x), 1, 16, -1)
            return nn.functional.scaled_dot_product_attention(tokens, tokens, tokens).flatten(1)

    assert measure(Attention(), 32, CPU).multiply_adds == 2 * 16 * 16 * (3 * 32 * 32 // 16)


@pytest.mark.slow
def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--model", "random", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("random\n")
    assert "11.18 million" in said
    assert "1.8" in next(line for line in said.splitlines() if "multiply-adds" in line)
    assert "16 at a time" in said
    assert "recipes" not in said
    found = duchenne.info(model=["random+random"], device="cpu")["random+random"]
    assert (found["features"], found["parameters"]) == ("1024", "22.35 million")


def test_what_has_no_cost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--model", "pixels"]) == 2
    assert "is not a network" in capsys.readouterr().err
