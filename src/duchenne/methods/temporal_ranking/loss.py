"""The ranking triplet loss (Lu, Tavabi & Soleymani, BMVC 2020, Eq. 2)."""

from __future__ import annotations

from torch import Tensor

from duchenne.losses.distance import Distance, row_distance
from duchenne.losses.precision import at_least_float32


@at_least_float32
def ranking_triplet_loss(
    anchor: Tensor, sequence: Tensor, *, margin: float = 0.03, distance: Distance = "sqeuclidean"
) -> Tensor:
    """Frames further from the anchor in time should lie further from it in the embedding, by a margin.

    L = sum over n = 1..N of max(0, d(x_{n-1}, a) - d(x_n, a) + margin), averaged over the batch; x_0 is the sibling.
    Embeddings that are all equal give N * margin.

    Args:
        anchor: (B, D) rows of unit length.
        sequence: (B, N+1, D) rows of unit length, in order of time; `sequence[:, 0]` is the sibling.
        margin: at least 0; on squared distances of unit rows, which range over [0, 4].
        distance: `sqeuclidean` or `euclidean`.

    Returns:
        () mean over the batch.

    Raises:
        ValueError: when the shapes do not fit or there is no triplet.

    Differs: the paper's text says L2 norm; the authors' code, which made the published weights, squares it, and so
    does the default here.
    """
    if anchor.ndim != 2 or sequence.ndim != 3 or sequence.shape[::2] != anchor.shape:
        shapes = f"{tuple(anchor.shape)} and {tuple(sequence.shape)}"
        raise ValueError(f"need anchor (B, D) and sequence (B, N+1, D), not {shapes}")
    if sequence.shape[1] < 2:
        raise ValueError("need a sibling and at least one more frame in the sequence")
    distances = row_distance(sequence, anchor[:, None], distance)
    return (distances[:, :-1] - distances[:, 1:] + margin).clamp_min(0).sum(1).mean()
