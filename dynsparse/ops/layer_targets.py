"""Layers that share a total number of active weights.

Shapes: scores, masks and noise are (..., out, in), for each layer; numbers are (...), int64.
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
    """Select the `total` active weights of the highest scores of all layers together.

    The highest weights of a layer, as many as its floor, come before all others, so that no layer has fewer. The total
    must be at least the sum of the floors.

    Example:
        >>> import torch
        >>> from dynsparse.ops.layer_targets import highest_together
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


def apportion(total: Tensor, weight: Tensor, room: Tensor) -> Tensor:
    """Divide a total over layers in proportion to a weight of each, as whole numbers that add up to it.

    A layer gets at most its room, and what exceeds it goes to the others in proportion. Numbers are rounded down, and
    the layers with the largest remainders get one more.

    Args:
        total: At least 0, and at most the sum of the room. Shapes: (...).
        weight: At least 0 and finite. Shapes: (..., layers), float64.
        room: Of each layer. Shapes: (..., layers).

    Returns:
        Shapes: (..., layers), int64.

    Example:
        >>> import torch
        >>> from dynsparse.ops.layer_targets import apportion
        >>> weight = torch.tensor([6.0, 3.0, 1.0], dtype=torch.float64)
        >>> apportion(torch.tensor(7), weight, torch.tensor([9, 9, 9])).tolist()
        [4, 2, 1]
        >>> apportion(torch.tensor(7), weight, torch.tensor([1, 9, 9])).tolist()
        [1, 5, 1]
    """
    # A layer of weight 0 gets something only if the others have no room.
    weight = weight.clamp_min(1e-9 * weight.amax(-1, keepdim=True)).clamp_min(1e-300)
    is_full, share = torch.zeros_like(room, dtype=torch.bool), weight
    for _ in range(room.shape[-1]):
        rest = total - (room * is_full).sum(-1)
        of_others = (weight * ~is_full).sum(-1).clamp_min(1e-300)
        share = torch.where(is_full, room, weight * (rest / of_others)[..., None])
        is_full = is_full | (share >= room)
    whole = share.minimum(room.double()).floor().long()
    remainder = (share - whole).masked_fill(whole >= room, -1.0)
    return whole + masks.select_highest(remainder, total - whole.sum(-1)).long()


def _row(layers: Sequence[Tensor]) -> Tensor:
    """Concatenate all layers. Shapes: each (..., out, in); the result (..., 1, positions)."""
    return torch.cat([each.flatten(-2) for each in layers], -1).unsqueeze(-2)
