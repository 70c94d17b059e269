"""Mask updates computed from the active weights, without dense weights or scores, for rules that allow it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from dynsparse.engines.base import UpdateContext
from dynsparse.engines.sparse.arrays import Array
from dynsparse.engines.sparse.noise import free_positions_with_lowest_noise, noise_at
from dynsparse.methods import MaskUpdate, Method
from dynsparse.methods.base import at_random
from dynsparse.ops import masks
from dynsparse.ops.patterns import UNSTRUCTURED
from dynsparse.ops.scores import Layer
from dynsparse.planning.plan import Plan
from dynsparse.random import Purpose, Stream


def can_update_active(method: Method) -> bool:
    """Return True if `update_active` can compute the mask updates of a method."""
    is_by_layer = not method.drops_cut_off and method.global_floor is None and method.redistribution is None
    return is_by_layer and method.ablate is None and method.prune_ignores_position and method.grow in (None, at_random)


def update_active(
    plan: Plan,
    when: UpdateContext,
    layer: int,
    mask: Tensor,
    target: Tensor,
    positions: Sequence[Array],
    weights: Sequence[Array],
    statistics: Mapping[str, Sequence[Array]],
) -> MaskUpdate:
    """Compute the update of a layer that `methods.update_mask` computes from all positions.

    The prune rule gets the active weights as one row. Trials with fewer of them have inactive positions at its end.

    Args:
        plan: The trials.
        when: The time of the update.
        layer: The index of the layer.
        mask: Of the layer. Shapes: (trials, out, in), bool.
        target: The planned number of active weights. Shapes: (trials,).
        positions: For each trial, the active positions of the flattened layer, ascending.
        weights: For each trial, the weights there.
        statistics: For each name in the method's `needs`, for each trial, the values there.
    """
    place = {"layer": layer, "epoch": when.epoch, "step": when.step}
    to_prune = [Stream(seed, Purpose.PRUNE, **place) for seed in plan.seeds]
    to_grow = [Stream(seed, Purpose.GROW, **place) for seed in plan.seeds]
    noise = [noise_at(stream, each) for stream, each in zip(to_prune, positions, strict=True)]
    active = Layer(
        weight=_as_rows(weights),
        mask=_as_rows([np.ones(len(each), np.bool_) for each in positions]),
        target=target,
        prune_noise=_as_rows(noise),
        grow_noise=torch.zeros(0),
        drop_scale=when.drop_scale,
        share_done=when.share_done,
        number=layer,
        is_last=layer == len(plan.network.shapes) - 1,
        pattern=UNSTRUCTURED,
        **{name: _as_rows(each) for name, each in statistics.items()},
    )
    assert plan.method.prune is not None, "this method has no mask updates"
    stays = active.mask & ~plan.method.prune(active)
    n_grow = (target - masks.count(stays)).clamp_min(0).tolist()
    kept, updated = torch.zeros_like(mask), mask.clone()
    for trial, active_positions in enumerate(positions):
        is_kept = stays[trial, 0, : len(active_positions)].numpy()
        pruned = active_positions[~is_kept]
        before, kept_row, after = (each[trial].view(-1).numpy() for each in (mask, kept, updated))
        kept_row[active_positions[is_kept]] = True
        after[pruned] = False
        if plan.method.grow is not None:
            after[_grown(to_grow[trial], before, pruned, n_grow[trial])] = True
    return MaskUpdate(updated, kept, updated & ~mask, target)


def _grown(stream: Stream, mask: Array, pruned: Array, number: int) -> Array:
    """Return the positions that grow: free ones and, if there are too few, some that have just been pruned.

    Shapes: mask (n,), bool; pruned (pruned positions,), int64; the result (number or fewer,), int64.
    """
    free = free_positions_with_lowest_noise(stream, mask, number)
    n_missing = min(number - len(free), len(pruned))
    if n_missing == 0:
        return free
    return np.append(free, pruned[masks.select_lowest(noise_at(stream, pruned), n_missing)])


def _as_rows(values: Sequence[Array]) -> Tensor:
    """Stack arrays as rows, with zeros at their ends. Shapes: (n,) each, n differs; (trials, 1, largest n or 1)."""
    rows = np.zeros((len(values), 1, max(1, *map(len, values))), values[0].dtype)
    for row, each in zip(rows[:, 0], values, strict=True):
        row[: len(each)] = each
    return torch.from_numpy(rows)
