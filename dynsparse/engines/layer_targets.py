"""Target numbers of active weights that depend on all layers: by a global ranking, or by redistribution."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dynsparse.ops import masks
from dynsparse.ops.allocation import apportion, highest_together
from dynsparse.ops.scores import Layer
from dynsparse.planning.plan import Plan


def sparse_layers(plan: Plan) -> list[int]:
    """Return the indices of the layers that are not left dense."""
    return [layer for layer in range(len(plan.network.shapes)) if layer not in plan.dense_layers]


def targets_ranked_together(
    plan: Plan, weights: Sequence[Tensor], active: Sequence[Tensor], targets: Sequence[Tensor], noise: Sequence[Tensor]
) -> list[Tensor]:
    """Return targets with the same sum, from a ranking of all layers by magnitude: see `Method.global_floor`.

    Args:
        plan: The trials.
        weights: Of each layer. Shapes: (trials, out, in).
        active: The masks. Shapes: (trials, out, in), bool.
        targets: The number that each layer would have without the ranking. Shapes: (trials,), int64.
        noise: Decides between equal magnitudes. Shapes: (trials, out, in), int32.

    Returns:
        The target of each layer. Shapes: (trials,), int64.
    """
    layers = sparse_layers(plan)
    if not layers:
        return list(targets)
    floor = torch.as_tensor(plan.method.global_floor, dtype=torch.float64)
    floors = [masks.round_share(floor, torch.full_like(targets[i], active[i][0].numel())).clamp_min(1) for i in layers]
    total = torch.stack([targets[i] for i in layers]).sum(0)
    largest = highest_together(
        [weights[i].abs() for i in layers], [active[i] for i in layers], total, floors, [noise[i] for i in layers]
    )
    counts = {i: masks.count(mask) for i, mask in zip(layers, largest, strict=True)}
    return [counts.get(i, target) for i, target in enumerate(targets)]


def with_redistributed_targets(
    plan: Plan, pruned: Sequence[tuple[Layer, Tensor]], stays: Sequence[Tensor]
) -> list[tuple[Layer, Tensor]]:
    """Replace the targets of layers by those that redistribution gives: see `methods.redistribution`.

    Args:
        plan: The trials.
        pruned: Each layer, and the mask that its pruning has left.
        stays: For each layer, True for trials whose mask of this layer does not change. Shapes: (trials,), bool.
    """
    layers = sparse_layers(plan)
    if not layers:
        return list(pruned)
    takes_part = ~torch.stack([stays[i] for i in layers], -1)
    n_kept = torch.stack([masks.count(pruned[i][1]) for i in layers], -1)
    n_pruned = (torch.stack([masks.count(pruned[i][0].mask) for i in layers], -1) - n_kept) * takes_part
    room = (n_kept.new_tensor([pruned[i][1][0].numel() for i in layers]) - n_kept) * takes_part
    mean = torch.stack([_mean_of_active(plan, pruned[i][0]) for i in layers], -1) * takes_part
    # Without a usable mean, each layer grows what it has lost.
    is_usable = (mean.isfinite().all(-1) & (mean.sum(-1) > 0))[..., None]
    n_grown = apportion(n_pruned.sum(-1), torch.where(is_usable, mean, n_pruned.double()), room)
    targets = dict(zip(layers, (n_kept + n_grown).unbind(-1), strict=True))
    return [(layer._replace(target=targets.get(i, layer.target)), kept) for i, (layer, kept) in enumerate(pruned)]


def _mean_of_active(plan: Plan, layer: Layer) -> Tensor:
    """Return the mean score of the active weights; 0 if none is active. Shapes: the result (trials,), float64."""
    assert plan.method.redistribution is not None
    score = plan.method.redistribution(layer).double().masked_fill(~layer.mask, 0)
    # The rounding to float32 hides differences by the order of the additions, so that the engines agree.
    return (score.flatten(1).sum(1) / masks.count(layer.mask).clamp_min(1)).float().double()
