"""Where an encoder looks: attention maps of each item's linear score on tested faces, hits and misses marked.

Source: Selvaraju et al., Grad-CAM: visual explanations from deep networks via gradient-based localization, 2017; shown
as in CLP, figures 8 and 9.
Differs: the map is the last one with at least 4 x 4 cells, because the very last of a small picture has one or four.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duchenne.data.prepared import Prepared
from duchenne.evaluation.job import Job
from duchenne.evaluation.scoring import Predictions
from duchenne.features.encoder import encoder_input
from duchenne.features.source import NetworkSource
from duchenne.heads.linear import LinearHead

FEWEST_CELLS: Final = 4
FACES_PER_ITEM: Final = 4
BATCH: Final = 8
"""Pictures at a time: every layer's map is kept for the gradient."""
Verdict = Literal["hit", "missed", "extra"]


@dataclass(frozen=True)
class Attention:
    """One face and what the encoder looked at for one item.

    Attributes:
        model: its name.
        item: name.
        row: of the prepared data.
        verdict: `hit` (present and said), `missed` (present, not said) or `extra` (said, not present).
        score: log odds that the linear unit gave.
        cells: (h, w) 0 to 1, the map before it is drawn on the face; all 0 where nothing spoke for the item.
        view: share of the face's side that the map covers, in its centre.
    """

    model: str
    item: str
    row: int
    verdict: Verdict
    score: float
    cells: NDArray[np.float32]
    view: float = 1.0


def choose_faces(
    labels: NDArray[np.floating], tested: Predictions, group: NDArray[np.integer], item: int, fold: int
) -> list[tuple[int, Verdict]]:
    """Places of at most four tested faces of one item: two hits, then a miss and a false alarm, of different people.

    Args:
        labels: (N, A) 0, 1 or NaN.
        tested: what was said.
        group: (N,) a number per subject.
        item: which.
        fold: whose tested faces.
    """
    here, said = tested.fold == fold, tested.predicted[:, item]
    there, absent = labels[:, item] == 1, labels[:, item] == 0
    kinds: list[tuple[Verdict, NDArray[np.bool_]]] = [
        ("hit", there & said), ("missed", there & ~said), ("extra", absent & said), ("hit", there & said),
        ("missed", there & ~said), ("extra", absent & said),
    ]  # fmt: skip
    generator = np.random.default_rng(item)
    chosen: list[tuple[int, Verdict]] = []
    people: set[int] = set()
    for verdict, mask in kinds:
        places = generator.permutation(np.flatnonzero(here & mask))
        fresh = [int(place) for place in places if int(group[place]) not in people]
        if fresh and len(chosen) < FACES_PER_ITEM:
            chosen.append((fresh[0], verdict))
            people.add(int(group[fresh[0]]))
    return sorted(chosen, key=lambda face: ("hit", "missed", "extra").index(face[1]))


def attention_maps(
    module: nn.Module,
    forward: Callable[[Tensor], Tensor],
    head: LinearHead,
    pictures: NDArray[np.uint8],
    items: Sequence[int],
    device: torch.device,
) -> NDArray[np.float32] | None:
    """The attention of each picture's item.

    Args:
        module: holds the layers that make the maps.
        forward: (B, 3, H, W) in [0, 1] -> (B, D) features; runs the module.
        head: the linear units on these features.
        pictures: (B, H, W, 3) RGB uint8.
        items: B numbers of linear units.
        device: where the module lies.

    Returns:
        (B, h, w) 0 to 1; None where the module makes no map of at least 4 x 4 cells.
    """
    maps: list[Tensor] = []

    def keep(layer: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and min(output.shape[2:]) >= FEWEST_CELLS:
            maps.append(output)

    hooks = [layer.register_forward_hook(keep) for layer in module.modules()]
    try:
        with torch.enable_grad():
            features = forward(encoder_input(pictures, device).requires_grad_()).float()
            parts = (head.mean, head.factor, head.weight[:, list(items)])
            mean, factor, weight = (torch.from_numpy(part).to(device) for part in parts)
            score = (((features - mean) * factor) * weight.T).sum()
            found = [layer for layer in maps if layer.requires_grad and layer.shape[1] > 1]
            if not found:
                return None
            (gradient,) = torch.autograd.grad(score, found[-1])
    finally:
        for hook in hooks:
            hook.remove()
    cells = (gradient.mean(dim=(2, 3), keepdim=True) * found[-1]).sum(dim=1).relu().detach()
    highest = cells.amax(dim=(1, 2), keepdim=True)
    return (cells / highest.clamp(min=1e-12)).float().cpu().numpy()


def attention_of(
    source: NetworkSource,
    job: Job,
    tested: Predictions,
    module: nn.Module,
    forward: Callable[[Tensor], Tensor],
    head: LinearHead,
    learned: NDArray[np.bool_],
) -> list[Attention]:
    """Faces tested in the first fold of the first seed, with the attention of an encoder for what they show.

    Args:
        source: the encoder.
        job: the evaluation.
        tested: its predictions of the first seed.
        module: the encoder as it was in that fold, on the job's device and in evaluation mode.
        forward: gives its features.
        head: the linear units on them.
        learned: (A,) which items the units know.
    """
    task = job.task
    chosen = [
        (item, face, verdict)
        for item in np.flatnonzero(learned)
        for face, verdict in choose_faces(task.labels, tested, task.group, int(item), 0)
    ]
    if not chosen:
        return []
    spec = getattr(getattr(module, "encoder", module), "spec", None)
    view = float(getattr(spec, "view", 1.0))
    cells: list[NDArray[np.float32]] = []
    for start in range(0, len(chosen), BATCH):
        part = chosen[start : start + BATCH]
        pictures = job.data.images(task.rows[[face for _, face, _ in part]], source.side_px(job.data))
        found = attention_maps(module, forward, head, pictures, [int(item) for item, _, _ in part], job.device)
        if found is None:
            return []
        cells += list(found)
    return [
        Attention(
            source.name,
            task.items[item],
            int(task.rows[face]),
            verdict,
            float(tested.score[face, item]),
            cells[number],
            view,
        )
        for number, (item, face, verdict) in enumerate(chosen)
    ]


def drawn(data: Prepared, face: Attention, size_px: int) -> NDArray[np.uint8]:
    """The face in grey with the attention over it in colour, (size_px, size_px, 3) RGB."""
    grey = cv2.cvtColor(data.image(face.row, size_px), cv2.COLOR_RGB2GRAY).astype(np.float32)
    seen = round(face.view * size_px)
    cells = np.zeros((size_px, size_px), dtype=np.float32)
    start = (size_px - seen) // 2
    part = cv2.resize(face.cells, (seen, seen), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    cells[start : start + seen, start : start + seen] = part
    heat = cv2.cvtColor(cv2.applyColorMap((cells * 255).astype(np.uint8), cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    strength = 0.65 * cells[..., None]
    return (grey[..., None] * (1 - strength) + heat * strength).clip(0, 255).astype(np.uint8)
