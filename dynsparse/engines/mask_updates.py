"""Mask updates of all layers, which all engines share. Random numbers are drawn as `engines.base` says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from dynsparse.engines.base import UpdateContext, target_counts, tie_noise
from dynsparse.engines.layer_targets import targets_ranked_together, with_redistributed_targets
from dynsparse.methods import MaskUpdate
from dynsparse.methods.base import grow_layer, prune_layer
from dynsparse.ops import masks
from dynsparse.ops.scores import Layer
from dynsparse.planning.plan import Plan
from dynsparse.random import Purpose


def planned_count(plan: Plan, layer: int, when: UpdateContext, target: Tensor) -> Tensor:
    """Return the planned number of active weights of a layer after a mask update. Shapes: (trials,), int64.

    Args:
        plan: The trials.
        layer: The index of the layer.
        when: The time of the update.
        target: The number at the start, which stays if the density is constant. Shapes: (trials,), int64.
    """
    return target_counts(plan, layer, when.share_done) if plan.method.surplus else target


def compute_mask_updates(
    plan: Plan,
    when: UpdateContext,
    weights: Sequence[Tensor],
    active: Sequence[Tensor],
    targets: Sequence[Tensor],
    statistics: Mapping[str, Sequence[Tensor]],
) -> tuple[list[MaskUpdate], Tensor]:
    """Compute one prune and one grow of every layer.

    Args:
        plan: The trials.
        when: The time of the update.
        weights: (trials, out, in) for each layer; inactive ones are 0 unless the method has a `backward_density`.
        active: The masks, shaped like the weights.
        targets: (trials,) for each layer, the number of active weights at the start.
        statistics: For each name in the method's `needs`, the tensor of each layer.

    Returns:
        The update of each layer; and (trials,), bool, True for each trial that rules="legacy_2019" ends here.
    """
    method, layers = plan.method, range(len(weights))
    planned = [planned_count(plan, i, when, target) for i, target in enumerate(targets)]
    if method.global_floor is not None:
        noise = [tie_noise(plan, Purpose.PRUNE, i, when.epoch, when.step) for i in layers]
        planned = targets_ranked_together(plan, weights, active, planned, noise)
    inputs = (
        _layer(plan, when, i, weights[i], active[i], planned[i], {name: each[i] for name, each in statistics.items()})
        for i in layers
    )
    # Layer by layer, so that the noise of one layer at a time is in memory, where they do not depend on each other.
    pruned: Iterable[tuple[Layer, Tensor]] = (prune_layer(method, each) for each in inputs)
    if method.drops_cut_off and plan.network.is_chain:
        pruned = _without_cut_off(list(pruned), when)
    if method.redistribution is not None:
        pruned = with_redistributed_targets(plan, list(pruned), [when.stays(i) for i in layers])
    updates = []
    failed = torch.zeros(len(plan.seeds), dtype=torch.bool, device=plan.device)
    for i, (layer, kept) in enumerate(pruned):
        if method.fails is not None:
            failed |= method.fails(layer) & ~when.stopped
        updates.append(unless_stopped(grow_layer(method, layer, kept), layer.mask, when.stays(i)))
    return updates, failed


def _layer(
    plan: Plan,
    when: UpdateContext,
    number: int,
    weight: Tensor,
    mask: Tensor,
    target: Tensor,
    statistics: Mapping[str, Tensor],
) -> Layer:
    """Return the inputs of the mask update of one layer, with its noise."""
    pattern = plan.patterns[number]
    to_prune, to_grow = (
        pattern.noise(tie_noise(plan, purpose, number, when.epoch, when.step))
        for purpose in (Purpose.PRUNE, Purpose.GROW)
    )
    return Layer(
        weight=weight,
        mask=mask,
        target=target,
        prune_noise=to_prune,
        grow_noise=to_grow,
        drop_scale=when.drop_scale,
        share_done=when.share_done,
        number=number,
        is_last=number == len(plan.network.shapes) - 1,
        pattern=pattern,
        **statistics,
    )


def _without_cut_off(pruned: Sequence[tuple[Layer, Tensor]], when: UpdateContext) -> list[tuple[Layer, Tensor]]:
    """Drop the weights of units that the pruning has cut off from the inputs or the outputs.

    A block stays if any of its weights is on a path.
    """
    # Layers that no longer change keep all of their weights, and nothing has to grow there.
    kept = [torch.where(when.stays(i)[:, None, None], layer.mask, each) for i, (layer, each) in enumerate(pruned)]
    on_paths = [
        torch.where(when.stays(i)[:, None, None], each, pruned[i][0].pattern.whole(on_path))
        for i, (each, on_path) in enumerate(zip(kept, masks.on_paths(kept), strict=True))
    ]
    return [(layer, each) for (layer, _), each in zip(pruned, on_paths, strict=True)]


def unless_stopped(update: MaskUpdate, mask: Tensor, stopped: Tensor) -> MaskUpdate:
    """Replace the update of stopped trials by one that changes nothing."""
    stays = stopped[:, None, None]
    return update._replace(
        mask=torch.where(stays, mask, update.mask),
        kept=torch.where(stays, mask, update.kept),
        grown=update.grown & ~stays,
        target=torch.where(stopped, masks.count(mask), update.target),
    )
