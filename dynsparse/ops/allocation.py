"""Allocation of a total number of active weights to layers: by a ranking of all weights, or in given proportions.

Shapes: scores, masks and noise are (..., out, in), for each layer; numbers are (...), int64. Nothing here changes its
arguments.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dynsparse.ops import masks


def highest_together(
    scores: Sequence[Tensor],
    active: Sequence[Tensor],
    total: int | Tensor,
    floors: Sequence[int | Tensor],
    noise: Sequence[Tensor],
) -> list[Tensor]:
    """Select the `total` active weights with the highest scores in all layers together, but a floor in each layer.

    Each layer first keeps as many of its own highest weights as its floor says; the remaining ones are ranked over all
    layers. The total must be at least the sum of the floors. Noise decides between equal scores.

    Args:
        scores: For each layer. Shapes: (..., out, in).
        active: The masks of the weights to choose from. Shapes: (..., out, in), bool.
        total: How many weights to select. Shapes: (...).
        floors: For each layer, how many of its weights to select at least. Shapes: (...).
        noise: Random int32 numbers. Shapes: (..., out, in).

    Returns:
        The mask of the selected weights of each layer. Shapes: (..., out, in), bool.

    Example:
        >>> import torch
        >>> from dynsparse.ops.allocation import highest_together
        >>> scores = [torch.tensor([[5.0, 4.0, 3.0]]), torch.tensor([[2.0, 1.0]])]
        >>> active, noise = ([torch.ones_like(each, dtype=kind) for each in scores] for kind in (bool, torch.int32))
        >>> for floor in (0, 1):
        ...     print([each.int().tolist() for each in highest_together(scores, active, 3, [floor, floor], noise)])
        [[[1, 1, 1]], [[0, 0]]]
        [[[1, 1, 0]], [[1, 0]]]
    """
    levels = [
        mask.to(torch.int8) + masks.highest(score, floor, each, among=mask).to(torch.int8)
        for score, mask, floor, each in zip(scores, active, floors, noise, strict=True)
    ]
    chosen = masks.highest(_row(scores), total, _row(noise), among=_row(levels)).squeeze(-2)
    parts = chosen.split([mask.shape[-2:].numel() for mask in active], -1)
    return [part.view(mask.shape) for part, mask in zip(parts, active, strict=True)]


def apportion(total: Tensor, share: Tensor, room: Tensor) -> Tensor:
    """Divide a total among layers in proportion to their shares, as whole numbers that add up to the total.

    A layer gets at most its room; the other layers get the rest in proportion. Numbers are rounded down, and the layers
    with the largest remainders get one more; of equal remainders, the first.

    Args:
        total: The number to divide: at least 0, and at most the sum of the room. Shapes: (...), int64.
        share: At least 0 and finite; the shares need not add up to 1. Shapes: (..., layers), float64.
        room: The largest number that each layer can get. Shapes: (..., layers), int64.

    Returns:
        The number of each layer. Shapes: (..., layers), int64.

    Example:
        >>> import torch
        >>> from dynsparse.ops.allocation import apportion
        >>> share = torch.tensor([6.0, 3.0, 1.0], dtype=torch.float64)
        >>> apportion(torch.tensor(7), share, torch.tensor([9, 9, 9])).tolist()
        [4, 2, 1]
        >>> apportion(torch.tensor(7), share, torch.tensor([1, 9, 9])).tolist()
        [1, 5, 1]
    """
    # A layer of share 0 gets something only if the others have no room.
    share = share.clamp_min(1e-9 * share.amax(-1, keepdim=True)).clamp_min(1e-300)
    is_full, quota = torch.zeros_like(room, dtype=torch.bool), share
    # Each pass may fill further layers, whose excess goes to the others.
    for _ in range(room.shape[-1]):
        rest = total - (room * is_full).sum(-1)
        of_others = (share * ~is_full).sum(-1).clamp_min(1e-300)
        quota = torch.where(is_full, room, share * (rest / of_others)[..., None])
        is_full = is_full | (quota >= room)
    whole = quota.minimum(room.double()).floor().long()
    remainder = (quota - whole).masked_fill(whole >= room, -1.0)
    return whole + masks.select_highest(remainder, total - whole.sum(-1)).long()


def _row(layers: Sequence[Tensor]) -> Tensor:
    """Concatenate all layers. Shapes: each (..., out, in); the result (..., 1, positions)."""
    return torch.cat([each.flatten(-2) for each in layers], -1).unsqueeze(-2)
