"""A detector whose encoder is trained too, calibrated and judged on people who had no part in it.

Training an encoder takes too long to repeat it as often as `calibrated.held_out` repeats the linear units. With K
groups of subjects, one is trained without each group and one without each pair: what the encoder without i and j says
about j calibrates the one without i, which is then judged on i. So, as there, no label of a person touches any figure
about that person. The detector itself is trained on everybody and calibrated on what the encoders without i say of i.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from duchenne.data.folds import k_fold
from duchenne.data.prepared import Prepared
from duchenne.detectors.calibrating.calibrated import (
    CalibratedHeads,
    Floats,
    HeldOut,
    calibrate,
    read_intensity,
    share_present,
    with_scaling,
)
from duchenne.detectors.calibrating.calibration import Calibration
from duchenne.detectors.calibrating.intensity import Intensities
from duchenne.features.source import NetworkSource
from duchenne.heads.fit_network import learnable_shares
from duchenne.heads.linear import LinearHead
from duchenne.heads.settings import TuneSettings
from duchenne.heads.tuning import Tuned, score_faces, tune_encoder

GROUPS: Final = 3
"""Of subjects: seven trainings in all."""


class TunedDetector(NamedTuple):
    """What comes out.

    Attributes:
        heads: the linear units on the trained encoder.
        encoder: trained on everybody.
        result: on subjects left out; None with fewer than three.
    """

    heads: CalibratedHeads
    encoder: nn.Module
    result: HeldOut | None


def tuned_trainings(groups: NDArray[np.integer]) -> int:
    """How often `advance` is called."""
    number = _number(groups)
    return 1 + number + (len(list(combinations(range(number), 2))) if number > 2 else 0)


def train_tuned(
    source: NetworkSource,
    data: Prepared,
    rows: NDArray[np.int64],
    labels: NDArray[np.floating],
    groups: NDArray[np.integer],
    *,
    intensity: Intensities | None = None,
    calibration: Calibration = "platt",
    settings: TuneSettings | None = None,
    seed: int = 0,
    device: torch.device,
    advance: Callable[[], None] = lambda: None,
) -> TunedDetector:
    """Trains an encoder and one linear unit per action unit on all rows; see the module's first lines.

    Args:
        source: the encoder to start from.
        data: the crops.
        rows: (N,) labelled ones.
        labels: (N, A) 0, 1 or NaN where unknown.
        groups: (N,) the subject of each row; at least two.
        intensity, calibration: see `calibrated.train_calibrated`.
        settings: of the training.
        seed: of the groups and the trainings.
        device: where it runs.
        advance: called once per training.
    """
    settings, size_px = settings or TuneSettings(), source.side_px(data)
    start, number = source.build(seed), _number(groups)
    fold = k_fold([str(group) for group in groups], number, seed=seed)

    def train(without: tuple[int, ...]) -> Tuned:
        kept = ~np.isin(fold, without)
        network, _ = tune_encoder(
            start, lambda module: module, data, rows[kept], labels[kept], settings,
            size_px=size_px, seed=(seed, *without), device=device,
        )  # fmt: skip
        advance()
        return network

    def about(tested: int, without: tuple[int, ...], network: Tuned) -> tuple[Floats, Floats]:
        """(n, A) evidence about the rows of one group, and the shares of positives where the network was trained."""
        kept = labels[~np.isin(fold, without)]
        score = score_faces(network, data, rows[fold == tested], size_px, device).astype(np.float64)
        score[:, ~learnable_shares(kept)[1]] = np.nan
        return score, np.broadcast_to(share_present(kept), score.shape)

    evidence, prior = (np.full(labels.shape, np.nan) for _ in range(2))
    for one in range(number):
        evidence[fold == one], prior[fold == one] = about(one, (one,), train((one,)))
    result = None
    if number > 2:
        inner = np.full((number, 2, *labels.shape), np.nan)
        for pair in combinations(range(number), 2):
            network = train(pair)
            for one, other in (pair, pair[::-1]):
                inner[one][:, fold == other] = about(other, pair, network)
        chance, read = np.full(labels.shape, np.nan), np.full(labels.shape, np.nan)
        present = np.zeros(labels.shape, dtype=bool)
        for one in range(number):
            rest, here = fold != one, fold == one
            scaled = calibrate(
                inner[one, 0][rest], inner[one, 1][rest], labels[rest], groups[rest],
                intensity=intensity.of(rest) if intensity else None, calibration=calibration,
            )  # fmt: skip
            chance[here] = scaled.probability(evidence[here], prior[here])
            present[here] = np.nan_to_num(chance[here]) >= np.where(scaled.usable, scaled.threshold, np.inf)
            read[here] = read_intensity(chance[here], scaled.threshold, scaled.scales)
        result = HeldOut(chance, present, fold, read)

    network = train(())
    scaled = calibrate(evidence, prior, labels, groups, intensity=intensity, calibration=calibration)
    head = _head(network, data, rows, labels, size_px, device)
    heads = with_scaling(head, 0.0, scaled, share_present(labels))
    return TunedDetector(heads, network.encoder.cpu(), result)


def _number(groups: NDArray[np.integer]) -> int:
    return min(GROUPS, len(np.unique(groups)))


def _head(
    network: Tuned,
    data: Prepared,
    rows: NDArray[np.int64],
    labels: NDArray[np.floating],
    size_px: int,
    device: torch.device,
) -> LinearHead:
    """The head as linear units on standardised features, with the features' range in training."""
    features = score_faces(network.features, data, rows, size_px, device)
    norm = network.standardise
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = 1 / (norm.running_var + norm.eps).sqrt()
    return LinearHead(
        low=features.min(axis=0),
        high=features.max(axis=0),
        mean=norm.running_mean.cpu().numpy(),
        factor=factor.cpu().numpy(),
        weight=network.units.weight.detach().T.contiguous().cpu().numpy(),
        bias=network.units.bias.detach().cpu().numpy(),
        trained=learnable_shares(labels)[1],
    )
