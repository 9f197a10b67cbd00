"""DAU-R's classifiers: linear units with a hinge loss on known labels, and likely label vectors on all faces.

minimise over W   mean over labels of the squared hinge loss of known labels + l2 / 2 |W|^2
                  + strength * mean over all faces of the dependence of their label vector, per label

where a face's label vector holds what is known of it and the units' predictions elsewhere, and the dependence is how
much less likely the vector is under the machine than if labels were independent.

Source: Wu, Wang, Pan & Ji, Deep facial action unit recognition from partially labeled data, ICCV 2017: classifiers
(support vector machines) that minimise the error on labelled faces and maximise the log likelihood of the predictions
for all faces under the machine that was learned from the labels.
Differs: likelihood against independent labels, and biases that stay those of plain units, because the likelihood alone
pulls every prediction towards the commonest vector (mostly: nothing present); features come from any frozen encoder,
theirs from a network trained along; squared hinge loss, so that L-BFGS can be used; a prediction is
sigmoid(2 margin + log odds of the label), because balanced weights take a label's frequency out of the margin; l2 and
strength are chosen on held-out people.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from duchenne.evaluation.semi.rbm import LabelMachine

ITERATIONS: Final = 100
SLOPE: Final = 2.0
"""From a margin to log odds: half of both classes' margins of 1 on either side."""


@dataclass(frozen=True)
class Units:
    """Linear units.

    Attributes:
        weight: (D, A).
        bias: (A,).
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, D) -> (N, A) margins, 0 on the border."""
        return np.asarray(features @ self.weight + self.bias, dtype=np.float32)


def fit_units(
    features: NDArray[np.float32],
    labels: NDArray[np.floating],
    machine: LabelMachine,
    *,
    strength: float,
    l2: float,
    balanced: bool = True,
    start: Units | None = None,
) -> Units:
    """Fits the units on all faces.

    Args:
        features: (N, D) standardised, of labelled and unlabelled faces.
        labels: (N, A) 0, 1 or NaN where missing. A label that is never known, or always the same, gets no loss.
        machine: of the labels.
        strength: of the dependence; 0: plain support vector machines, for which unlabelled faces do not matter.
        l2: on the weights.
        balanced: whether both classes of a label weigh alike, or every known label.
        start: plain units, for a strength above 0: where the search begins, for the dependence has several minima, and
            the biases, which stay.

    Raises:
        ValueError: when a strength above 0 has no start.
    """
    if strength and start is None:
        raise ValueError("a strength above 0 needs plain units to start from")
    there, truth = ~np.isnan(labels), np.nan_to_num(labels)
    if strength == 0:
        kept = there.any(axis=1)
        features, there, truth = features[kept], there[kept], truth[kept]
    positive, negative = (truth == 1) & there, (truth == 0) & there
    amounts = positive.sum(axis=0), negative.sum(axis=0)
    usable = (amounts[0] > 0) & (amounts[1] > 0)
    each = [2 * amount if balanced else amounts[0] + amounts[1] for amount in amounts]
    shares = [usable / np.maximum(amount, 1) for amount in each]
    weights = torch.from_numpy((positive * shares[0] + negative * shares[1]).astype(np.float32))
    odds = machine.alone.float() if balanced else torch.zeros(labels.shape[1])
    signs, rows = torch.from_numpy((2 * truth - 1).astype(np.float32)), torch.from_numpy(features)
    known, fixed = torch.from_numpy(there), torch.from_numpy(truth.astype(np.float32))
    count = labels.shape[1]
    weight, bias = torch.zeros(features.shape[1], count), torch.zeros(count)
    if start is not None:
        weight, bias = torch.from_numpy(start.weight.copy()), torch.from_numpy(start.bias.copy())
    weight.requires_grad_()
    bias.requires_grad_(strength == 0)  # the prior says which labels go together, not how many there are
    parts = [part for part in (weight, bias) if part.requires_grad]
    optimiser = torch.optim.LBFGS(parts, max_iter=ITERATIONS, line_search_fn="strong_wolfe", tolerance_change=1e-6)

    def objective() -> Tensor:
        optimiser.zero_grad()
        margin = rows @ weight + bias
        loss: Tensor = (
            weights * (1 - signs * margin).clamp_min(0).square()
        ).sum() / count + 0.5 * l2 * weight.square().sum()
        if strength:
            predicted = torch.where(known, fixed, torch.sigmoid(SLOPE * margin + odds))
            loss = loss + strength * machine.dependence(predicted).mean() / count
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(objective)  # type: ignore[no-untyped-call]
    return Units(weight.detach().numpy(), bias.detach().numpy())
