"""The `linear+bn` protocol: a linear classifier, and the encoder's BatchNorm layers trained along with it.

This is how Li & Shan (CLP, IEEE TIP 2023) evaluate, and the methods that they retrained: "frozen except that in the
batch-norm layers". The weights of these layers and their statistics follow the training folds, so features cannot be
computed once, and scores are not comparable with those of the linear protocol.

The classifier is BatchNorm and a linear layer without bias, trained by binary cross-entropy with weighted classes. Of a
model that is no encoder (landmarks, blendshapes, pixels, a file of features) it is all that is trained.
Differs: optimiser and length are not stated; here AdamW at 0.001 for 10 epochs in batches of 64, with no choice made on
tested or held-out faces. Before faces are scored the statistics of the BatchNorm layers that were trained are taken
anew from at most 4,096 training faces (`tuning.settle_on`), because running means lag behind after few steps.

Every fold has an encoder of its own; maps of features and attention are those of the first fold's.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duchenne.data.folds import Fold
from duchenne.errors import UsageError
from duchenne.evaluation.job import FrozenFeatures, Job, Outcome
from duchenne.evaluation.protocols.base import FeatureProtocol
from duchenne.evaluation.protocols.frozen import plan_hash
from duchenne.evaluation.protocols.registry import LinearBNArguments
from duchenne.evaluation.report.gradcam import Attention, attention_of
from duchenne.evaluation.report.maps import map_features
from duchenne.evaluation.scoring import Predictions
from duchenne.features.encoder import BATCH, encoder_input, feature_width, picture_batches
from duchenne.features.source import Features, FeatureSource, NetworkSource
from duchenne.heads.fit_network import SETTLED_FACES, Targets, fit_epoch, settle_on, train_batchnorm
from duchenne.heads.linear import LinearHead
from duchenne.losses.weightings import Weighting
from duchenne.progress import progress_bar

EPOCHS: Final = 10
LEARNING_RATE: Final = 1e-3
_TRAINING: Final = {
    "epochs": EPOCHS, "batch_size": BATCH, "optimiser": "adamw", "learning_rate": LEARNING_RATE,
    "batchnorm_faces": SETTLED_FACES,
}  # fmt: skip

_KEPT: Final = "network."
Batches = Iterator[tuple[int, Any]]
"""(start, inputs) for `BATCH` rows after another, in order, on the device."""


class Classifier(nn.Module):
    """BatchNorm and one linear unit per item, on an encoder of which only the BatchNorm layers are trained.

    Args:
        features: inputs -> (B, width); a method of `encoder`.
        encoder: changed in place.
        width: number of features.
        items: number of linear units.
    """

    def __init__(self, features: Callable[[Tensor], Tensor], encoder: nn.Module, width: int, items: int) -> None:
        super().__init__()
        self.features, self.encoder = features, encoder.requires_grad_(False)
        self.layers = train_batchnorm(encoder)
        self.head = nn.Sequential(nn.BatchNorm1d(width), nn.Linear(width, items, bias=False))

    def train(self, mode: bool = True) -> Classifier:
        """Only BatchNorm layers go to training mode; all else of an encoder stays as it is evaluated."""
        super().train(False)
        for layer in (*self.layers, self.head):
            layer.train(mode)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Inputs -> (B, items) log odds."""
        return torch.as_tensor(self.head(self.features(x).float()))


class LinearBN(FeatureProtocol[LinearBNArguments]):
    """The protocol, see the module's first lines."""

    name = "linear+bn"
    text = (
        "BatchNorm and one linear unit per item, trained together with the encoder's BatchNorm layers; not comparable "
        "with the linear protocol"
    )
    single_models = True
    attention_text = ", by the encoder as it was trained there"

    def run(self, source: FeatureSource, job: Job) -> Outcome:
        """See `ScoredProtocol`.

        Raises:
            UsageError: for encoders without BatchNorm layers.
        """
        weighting = self.arguments.weighting
        folds = [fold for plan in job.plans.values() for fold in plan]
        total = sum(int(fold.test.sum()) + EPOCHS * int(fold.train.sum()) for fold in folds)
        scores = {seed: np.full(job.task.labels.shape, np.nan, dtype=np.float32) for seed in job.plans}
        width, layers, first = 0, 0, (min(job.plans), 0)
        adapted: dict[str, NDArray[Any]] = {}
        with progress_bar(quiet=job.quiet) as bar:
            progress = bar.add_task(source.name[-32:], total=total, note="")
            frozen = FrozenFeatures(source, job, lambda faces: None)
            for seed, plan in job.plans.items():
                start = job.weights_seed(seed)
                for number, fold in enumerate(plan):
                    bar.update(progress, note=f"fold {number + 1} of {len(plan)}")
                    key = {
                        "linear+bn": [weighting, _TRAINING], "features": frozen.name(seed), "seed": seed,
                        "start": start, "fold": number, "folds": plan_hash([fold]),
                    }  # fmt: skip
                    stored = job.state.get(**key)
                    if stored is None:
                        network, read = _build(source, job, frozen, seed, number)
                        advance = lambda faces: bar.advance(progress, faces)  # noqa: E731
                        score = train_and_score(
                            network, read, job.task.labels, fold, weighting=weighting, seed=(start, number),
                            device=job.device, advance=advance,
                        )  # fmt: skip
                        shape = np.array([network.head[0].num_features, len(network.layers)])
                        stored = {"score": score, "shape": shape}
                        if (seed, number) == first:
                            stored |= {f"{_KEPT}{name}": values for name, values in trained_state(network).items()}
                        job.state.put(stored, **key)
                    else:
                        bar.advance(progress, int(fold.test.sum()) + EPOCHS * int(fold.train.sum()))
                    scores[seed][fold.test] = stored["score"]
                    width, layers = map(int, stored["shape"])
                    if (seed, number) == first:
                        own = {name: values for name, values in stored.items() if name.startswith(_KEPT)}
                        adapted = {name.removeprefix(_KEPT): values for name, values in own.items()}
        points = None
        if job.maps != "none":
            network, read = restored(source, job, frozen, adapted)
            with torch.inference_mode():
                parts = [network.features(x).float().cpu().numpy() for _, x in read(job.map_places)]
            points = map_features(np.concatenate(parts), job.maps)
        facts = {"training": _TRAINING, "batchnorm_layers": layers}
        return Outcome(scores=scores, width=width, facts=facts, points=points, adapted=adapted)

    def attention(self, source: NetworkSource, job: Job, found: Outcome, tested: Predictions) -> list[Attention]:
        """See `ScoredProtocol`."""
        network, _ = restored(source, job, FrozenFeatures(source, job, lambda faces: None), found.adapted)
        learned = ~np.isnan(tested.score[tested.fold == 0]).all(axis=0)
        return attention_of(source, job, tested, network, network.features, head_of(network), learned)


def trained_state(network: Classifier) -> dict[str, NDArray[Any]]:
    """What the protocol trains of a classifier, and its BatchNorm statistics, by name."""
    wanted = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    own = {id(buffer) for layer in (*network.layers, network.head) for buffer in layer.buffers()}
    wanted |= {name for name, buffer in network.named_buffers() if id(buffer) in own}
    return {name: value.cpu().numpy() for name, value in network.state_dict().items() if name in wanted}


def restored(
    source: FeatureSource, job: Job, frozen: FrozenFeatures, state: Mapping[str, NDArray[Any]]
) -> tuple[Classifier, Callable[[NDArray[np.int64]], Batches]]:
    """The classifier of the first fold of the first seed as it was trained, in evaluation mode, and its reader."""
    network, read = _build(source, job, frozen, min(job.plans), 0)
    network.load_state_dict({name: torch.from_numpy(np.array(values)) for name, values in state.items()}, strict=False)
    return network.to(job.device).eval(), read


def head_of(network: Classifier) -> LinearHead:
    """The units of a trained classifier on its features, as those of the linear protocol."""
    norm, units = network.head
    assert isinstance(norm, nn.BatchNorm1d)
    assert isinstance(units, nn.Linear)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    weight = units.weight.detach().cpu().numpy().T.copy()
    factor = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach().cpu().numpy()
    free = np.full(len(factor), np.inf, dtype=np.float32)
    bias = (norm.bias @ units.weight.T).detach().cpu().numpy()
    everything = np.ones(weight.shape[1], dtype=bool)
    return LinearHead(-free, free, norm.running_mean.cpu().numpy(), factor, weight, bias, everything)


def train_and_score(
    network: nn.Module,
    read: Callable[[NDArray[np.int64]], Batches],
    labels: NDArray[np.floating],
    fold: Fold,
    *,
    weighting: Weighting,
    seed: tuple[int, int],
    device: torch.device,
    advance: Callable[[int], None],
    groups: Sequence[dict[str, Any]] | None = None,
) -> NDArray[np.float32]:
    """Trains a classifier on a fold's training rows, settles its BatchNorm layers there, and scores its tested rows.

    Args:
        network: changed in place.
        read: places among the rows -> batches of inputs; a batch of one row is not trained on, as BatchNorm cannot.
        labels: (N, A) 0, 1 or NaN where unknown.
        fold: which rows.
        weighting: of the classes, see `LinearSettings`.
        seed: of the order of the faces.
        device: where it runs.
        advance: called with the number of faces done.
        groups: parameters with their learning rates; None: all that have a gradient, at `LEARNING_RATE`.

    Returns:
        (tested rows, A) log odds; NaN for an item whose training rows lack a known positive or negative.
    """
    places, tested = np.flatnonzero(fold.train), np.flatnonzero(fold.test)
    targets = Targets.of(labels, weighting, places)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    wanted: list[Any] = list(groups or (some for some in network.parameters() if some.requires_grad))
    optimiser = torch.optim.AdamW(wanted, lr=LEARNING_RATE, weight_decay=0.0)
    rng = np.random.default_rng(seed)
    network.train()
    for _ in range(EPOCHS):
        order = rng.permutation(places)
        batches = ((order[start : start + BATCH], x) for start, x in read(order))
        fit_epoch(network, batches, targets, optimiser, device=device, advance=advance)
    settle_on(network, read(rng.permutation(places)[:SETTLED_FACES]))
    score = np.empty((len(tested), labels.shape[1]), dtype=np.float32)
    with torch.inference_mode():
        for start, x in read(tested):
            part = network(x).float().cpu().numpy()
            score[start : start + len(part)] = part
            advance(len(part))
    score[:, ~targets.learnable] = np.nan
    return score


def _build(
    source: FeatureSource, job: Job, frozen: FrozenFeatures, seed: int, fold: int
) -> tuple[Classifier, Callable[[NDArray[np.int64]], Batches]]:
    """A fresh classifier for one fold, and what reads its inputs."""
    read: Callable[[NDArray[np.int64]], Batches]
    model = source.network
    if model:
        encoder = copy.deepcopy(model.build(job.model_seed(model, seed))).eval()
        features, side = model.forward(encoder, job.feature), model.side_px(job.data)
        width = feature_width(features, side, f"--model {source.name}")

        def read(places: NDArray[np.int64]) -> Batches:
            for start, pictures in picture_batches(job.data, job.task.rows[places], side):
                yield start, encoder_input(pictures, job.device)
    else:
        encoder = features = nn.Identity()
        values: Features = frozen.of(seed)
        width = values.shape[1]

        def read(places: NDArray[np.int64]) -> Batches:
            for start in range(0, len(places), BATCH):
                yield start, torch.from_numpy(values[places[start : start + BATCH]]).to(job.device)

    start = job.weights_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.SeedSequence([start, fold]).generate_state(1)[0]))
        network = Classifier(features, encoder, width, len(job.task.items))
    if model and not network.layers:
        raise UsageError(f"evaluate linear+bn: --model {source.name} has no BatchNorm layers; use evaluate linear.")
    return network, read
