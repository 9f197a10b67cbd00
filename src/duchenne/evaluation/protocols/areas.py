"""The `areas` protocol: action units judged from areas of the face, by perceptrons on a frozen or trained encoder.

This is how Chang & Wang (knowledge-driven representation learning, CVPR 2022) evaluate: the map after conv4_x is read
at eight areas of the face (RoIAlign, 2 x 2), and for each group of areas (their Table 2) a perceptron with hidden
layers of 1,024 and 128 judges the group's action units from the group's areas. It runs for any encoder that has a
`feature_map`, because their lead over other methods mixes what was learned with where it is looked at. Models that are
no pictures (blendshapes, landmarks, a file of features) have no areas; their perceptrons see all of their values.

Differs: class weights, optimiser and length are not stated. Here inputs are standardised by BatchNorm without weights;
AdamW at 0.001 (encoder 0.0001 where it is trained) for 10 epochs in batches of 64, with no choice made on tested or
held-out faces; `--weighting none` and `balanced` are two tables. Before faces are scored the statistics of the
BatchNorm layers that were trained are taken anew from at most 4,096 training faces, as in `linear_bn`. Encoders that
were trained on crops (`EncoderSpec.view`) see the centre of a face here too, and areas are cut to it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duchenne.config import from_mapping, load_mapping
from duchenne.data.labels import LabelSpec
from duchenne.errors import InputError, UsageError
from duchenne.evaluation.job import FrozenFeatures, Job, Outcome
from duchenne.evaluation.protocols.base import ScoredProtocol
from duchenne.evaluation.protocols.frozen import plan_hash
from duchenne.evaluation.protocols.linear_bn import EPOCHS, LEARNING_RATE, Batches, train_and_score
from duchenne.evaluation.protocols.registry import AreasArguments
from duchenne.evaluation.state import array_hash
from duchenne.faces.areas import AreaTable, parse_boxes, parse_groups
from duchenne.faces.boxes import area_boxes, clip_boxes
from duchenne.features.encoder import BATCH, encoder_input, picture_batches
from duchenne.features.source import FeatureSource, NetworkSource, finite
from duchenne.heads.fit_network import SETTLED_FACES
from duchenne.modules.heads import projection_head
from duchenne.modules.roi_align import roi_align
from duchenne.plugins import others_code
from duchenne.progress import progress_bar

STAGE: Final = "layer3"
GRID: Final = 2
HIDDEN: Final = (1024, 128)
ENCODER_RATE: Final = 1e-4
SMALLEST: Final = 16 / 224
"""Smallest side of an area, as a share of the picture's."""
_TRAINING: Final = {
    "stage": STAGE, "grid": GRID, "hidden": list(HIDDEN), "epochs": EPOCHS, "batch_size": BATCH, "optimiser": "adamw",
    "learning_rate": LEARNING_RATE, "batchnorm_faces": SETTLED_FACES,
}  # fmt: skip

Group = tuple[tuple[int, ...], tuple[int, ...]]
"""Places of areas and of items, from 0."""


class AreaClassifiers(nn.Module):
    """One perceptron per group of areas.

    Args:
        groups: areas and the items judged from them; every item is in one.
        width: values of an area.
    """

    def __init__(self, groups: Sequence[Group], width: int) -> None:
        super().__init__()
        self.areas = [list(areas) for areas, _ in groups]
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm1d(len(areas) * width, affine=False),
                projection_head((len(areas) * width, *HIDDEN, len(items))),
            )
            for areas, items in groups
        )
        self.order = np.argsort([item for _, items in groups for item in items]).tolist()

    def forward(self, x: Tensor) -> Tensor:
        """(B, areas, width) -> (B, items) log odds."""
        found = [head(x[:, areas].flatten(1)) for areas, head in zip(self.areas, self.heads, strict=True)]
        return torch.cat(found, dim=1)[:, self.order]


class AreaNetwork(nn.Module):
    """An encoder whose map is read at areas, and classifiers on them; all of it is trained.

    Args:
        encoder: with a `feature_map`.
        classifiers: on its areas.
    """

    def __init__(self, encoder: nn.Module, classifiers: AreaClassifiers) -> None:
        super().__init__()
        self.encoder, self.classifiers = encoder.requires_grad_(True), classifiers

    def forward(self, x: tuple[Tensor, Tensor]) -> Tensor:
        """Pictures (B, 3, H, H) in [0, 1] and boxes (B, areas, 4) in pixels -> (B, items) log odds."""
        return torch.as_tensor(self.classifiers(read_areas(self.encoder, *x)))


def load_areas(path: Path | None) -> AreaTable:
    """The areas of a YAML file; None for the default ones.

    Raises:
        UsageError: when the file does not describe any.
        InputError: when it cannot be read.
    """
    return AreaTable() if path is None else from_mapping(AreaTable, load_mapping(path), where=str(path))


class Areas(ScoredProtocol[AreasArguments]):
    """The protocol on a frozen encoder, see the module's first lines.

    Attributes:
        areas: of the face.
        tuned: whether the encoder is trained along.

    Raises:
        UsageError: when the file of areas does not describe any.
        InputError: when it cannot be read.
    """

    name = "areas"
    text = (
        "for each group of facial areas a perceptron with hidden layers of 1,024 and 128 on the features of the "
        "group's areas, standardised with the training folds' statistics (BatchNorm), on a frozen encoder"
    )
    single_models = True
    tuned: ClassVar[bool] = False

    def __init__(self, arguments: AreasArguments) -> None:
        super().__init__(arguments)
        self.areas = load_areas(arguments.areas)

    def describe(self, models: Sequence[FeatureSource]) -> dict[str, Any]:
        """See `ScoredProtocol`."""
        return super().describe(models) | {"areas": asdict(self.areas)}

    def run(self, source: FeatureSource, job: Job) -> Outcome:
        """See `ScoredProtocol`.

        Raises:
            UsageError: for encoders without a `feature_map`.
            InputError: when a face has no landmarks to find its areas by.
        """
        weighting = self.arguments.weighting
        groups = item_groups(self.areas, job.task.items)
        folds = [fold for plan in job.plans.values() for fold in plan]
        total = sum(int(fold.test.sum()) + EPOCHS * int(fold.train.sum()) for fold in folds)
        scores = {seed: np.full(job.task.labels.shape, np.nan, dtype=np.float32) for seed in job.plans}
        inputs, width = _Inputs(source, job, self.areas, tuned=self.tuned), 0
        with progress_bar(quiet=job.quiet) as bar:
            progress = bar.add_task(source.name[-32:], total=total, note="")
            for seed, plan in job.plans.items():
                start = job.weights_seed(seed)
                for number, fold in enumerate(plan):
                    bar.update(progress, note=f"fold {number + 1} of {len(plan)}")
                    key = {
                        self.name: [weighting, _TRAINING, self.areas], "features": inputs.frozen.name(seed),
                        "seed": seed, "start": start, "fold": number, "folds": plan_hash([fold]),
                    }  # fmt: skip
                    stored = job.state.get(**key)
                    if stored is None:
                        network, rates, read = inputs.of(seed, number, groups)
                        advance = lambda faces: bar.advance(progress, faces)  # noqa: E731
                        score = train_and_score(
                            network, read, job.task.labels, fold, weighting=weighting, seed=(start, number),
                            device=job.device, advance=advance, groups=rates,
                        )  # fmt: skip
                        stored = {"score": score, "width": np.array(inputs.width)}
                        job.state.put(stored, **key)
                    else:
                        bar.advance(progress, int(fold.test.sum()) + EPOCHS * int(fold.train.sum()))
                    scores[seed][fold.test] = stored["score"]
                    width = int(stored["width"])
        tuned = {"encoder_learning_rate": ENCODER_RATE} if self.tuned else {}
        fitted = {"areas": inputs.fitted} if inputs.fitted else {}
        return Outcome(scores=scores, width=width, facts={"training": {**_TRAINING, **tuned}, **fitted})


class AreasFinetune(Areas):
    """The protocol with the encoder trained along."""

    name = "areas+finetune"
    text = (
        "for each group of facial areas a perceptron with hidden layers of 1,024 and 128, trained together with the "
        "whole encoder"
    )
    tuned = True


def read_areas(encoder: nn.Module, pictures: Tensor, boxes: Tensor) -> Tensor:
    """The areas of a map: (B, 3, H, H) and (B, areas, 4) in pixels of what it sees -> (B, areas, channels x 2 x 2)."""
    seen = encoder.look(pictures) if hasattr(encoder, "look") else pictures  # type: ignore[operator]
    maps: Tensor = encoder.feature_map(seen, STAGE)  # type: ignore[operator]
    return roi_align(maps, boxes, output=GRID, scale=maps.shape[-1] / pictures.shape[-1]).flatten(2)


def count_fitted(boxes: Tensor, side: int) -> dict[str, int]:
    """How many areas are not read as their landmarks bound them.

    Args:
        boxes: (N, areas, 4) in pixels, before they are cut.
        side: of the picture.

    Returns:
        `read`: all areas of all faces; `cut`: of them those of which a part lies outside the picture; `outside`: of
        these, those of which nothing lies inside; `widened`: those of which a side, within the picture, is shorter
        than 16/224 of the picture's.
    """
    inside = boxes.clamp(0, side)
    extent = inside[..., 2:] - inside[..., :2]
    beyond = (boxes - inside).abs().amax(-1) > 1e-3 * side  # landmarks are rounded
    return {
        "read": beyond.numel(),
        "cut": int(beyond.sum()),
        "outside": int((beyond & (extent.amin(-1) <= 0)).sum()),
        "widened": int((extent.amin(-1) < SMALLEST * side).sum()),
    }


def item_groups(areas: AreaTable, items: Sequence[str]) -> list[Group]:
    """The groups of a table that judge any of the items, as places.

    Raises:
        UsageError: when no group judges an item.
    """
    places = {int(item[2:]): place for place, item in enumerate(items)}
    table = parse_groups(areas.area_groups, len(parse_boxes(areas.area_boxes)))
    judged = {au for _, aus in table for au in aus}
    lacking = [item for au, item in zip(places, items, strict=True) if au not in judged]
    if lacking:
        raise UsageError(f"evaluate areas: no group of areas judges {', '.join(lacking)}; name it in area_groups.")
    found = []
    for own, aus in table:
        mine = tuple(places[au] for au in aus if au in places)
        if mine:
            found.append((tuple(area - 1 for area in own), mine))
    return found


class _Inputs:
    """What the classifiers of one model read: values of areas, computed once per seed of the weights, or pictures."""

    def __init__(self, source: FeatureSource, job: Job, areas: AreaTable, *, tuned: bool) -> None:
        self.job, self.areas, self.tuned = job, areas, tuned
        self.frozen = FrozenFeatures(source, job, lambda faces: None)
        self.width = 0
        self.fitted: dict[str, int] = {}
        self.network = source.network
        if self.network:
            encoder = self._checked(self.network)
            self.side = self.network.side_px(job.data)
            self.boxes, self.fitted = self._boxes(self.side, encoder)
            said = f"evaluate areas: --model {self.network.name} gives no maps of stage {STAGE} at {self.side} px"
            with others_code(said, "; use evaluate linear"), torch.no_grad():
                read_areas(encoder.eval(), torch.zeros(1, 3, self.side, self.side), self.boxes[:1])

    def of(
        self, seed: int, fold: int, groups: list[Group]
    ) -> tuple[nn.Module, list[dict[str, Any]] | None, Callable[[NDArray[np.int64]], Batches]]:
        """A fresh network for one fold, its learning rates, and what reads its inputs."""
        if self.network and self.tuned:
            encoder = copy.deepcopy(self.network.build(self.job.model_seed(self.network, seed)))
            with torch.no_grad():
                example = read_areas(encoder.eval(), torch.zeros(1, 3, self.side, self.side), self.boxes[:1])
            classifiers = self._classifiers(groups, example.shape[1:], seed, fold)
            rates = [
                {"params": list(encoder.parameters()), "lr": ENCODER_RATE},
                {"params": list(classifiers.parameters()), "lr": LEARNING_RATE},
            ]
            return AreaNetwork(encoder, classifiers), rates, self._pictures
        values = self._values_of(seed)

        def read(places: NDArray[np.int64]) -> Batches:
            for start in range(0, len(places), BATCH):
                yield start, torch.from_numpy(values[places[start : start + BATCH]]).float().to(self.job.device)

        return self._classifiers(groups, torch.Size(values.shape[1:]), seed, fold), None, read

    def _classifiers(self, groups: list[Group], shape: torch.Size, seed: int, fold: int) -> AreaClassifiers:
        if shape[0] == 1:  # no areas: every group sees all values
            groups = [((0,), items) for _, items in groups]
        self.width = shape[0] * shape[1]
        start = self.job.weights_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(np.random.SeedSequence([start, fold]).generate_state(1)[0]))
            return AreaClassifiers(groups, shape[1])

    def _values_of(self, seed: int) -> NDArray[Any]:
        """(N, areas, width) float16, in a file; (N, 1, width) float32 of a model that is no encoder."""
        source, rows = self.network, self.job.task.rows
        if not source:
            return self.frozen.of(seed)[:, None]
        module = source.build(self.job.model_seed(source, seed)).eval()

        def fill(make: Callable[..., NDArray[Any]]) -> NDArray[Any]:
            module.to(self.job.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            values: NDArray[Any] | None = None
            with torch.inference_mode():
                for start, x in self._pictures(np.arange(len(rows))):
                    part = read_areas(module, *x).half().cpu().numpy()
                    values = make((len(rows), *part.shape[1:]), part.dtype) if values is None else values
                    finite(part.reshape(len(part), -1), source.name)
                    values[start : start + len(part)] = part
            assert values is not None
            return values

        return self.job.state.array(fill, areas=self.areas, of=self.frozen.name(seed), rows=array_hash(rows))

    def _pictures(self, places: NDArray[np.int64]) -> Batches:
        rows = self.job.task.rows[places]
        for start, pictures in picture_batches(self.job.data, rows, self.side):
            boxes = self.boxes[torch.from_numpy(places[start : start + len(pictures)])].to(self.job.device)
            yield start, (encoder_input(pictures, self.job.device), boxes)

    def _boxes(self, side: int, encoder: nn.Module) -> tuple[Tensor, dict[str, int]]:
        """(N, areas, 4) of the task's rows in pixels of what an encoder sees of a face, and how many had to be fitted
        into it, see `count_fitted`."""
        job = self.job
        points = LabelSpec(landmarks=True, size_px=side).read(job.data)["landmarks"][job.task.rows]
        lacking = int(np.isnan(points).any(axis=(1, 2)).sum())
        if lacking:
            raise InputError(
                f"{job.data.paths[0]}: {lacking} of {len(points)} labelled faces have no landmarks in column "
                "`landmarks`, by which evaluate areas finds the areas of a face; prepare the data with face detection."
            )
        boxes = area_boxes(torch.from_numpy(points), parse_boxes(self.areas.area_boxes))
        if hasattr(encoder, "look_boxes"):
            boxes = encoder.look_boxes(boxes, side)  # type: ignore[operator]
        return clip_boxes(boxes, side, SMALLEST * side)[0], count_fitted(boxes, side)

    def _checked(self, source: NetworkSource) -> nn.Module:
        encoder = source.build(0)
        if not hasattr(encoder, "feature_map"):
            raise UsageError(
                f"evaluate areas: --model {source.name} has no feature_map(x, stage), so its areas cannot be read; "
                "use evaluate linear."
            )
        return encoder
