"""Planned numbers of active weights in a mask update, where they depend on the weights of all layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dynsparse.ops import masks
from dynsparse.ops.layer_targets import highest_together
from dynsparse.planning.plan import Plan


def sparse_layers(plan: Plan) -> list[int]:
    """Return the layers that are not left dense."""
    return [layer for layer in range(len(plan.network.shapes)) if layer not in plan.dense_layers]


def targets_ranked_together(
    plan: Plan, weights: Sequence[Tensor], active: Sequence[Tensor], targets: Sequence[Tensor], noise: Sequence[Tensor]
) -> list[Tensor]:
    """Return targets with the same sum, by the magnitudes of all layers together: see `Method.global_floor`.

    Shapes: weights, active and noise (trials, out, in), for each layer; targets and the result (trials,), int64.
    """
    layers = sparse_layers(plan)
    floor = torch.as_tensor(plan.method.global_floor, dtype=torch.float64)
    floors = [masks.round_share(floor, torch.full_like(targets[i], active[i][0].numel())).clamp_min(1) for i in layers]
    total = torch.stack([targets[i] for i in layers]).sum(0)
    largest = highest_together(
        [weights[i].abs() for i in layers], [active[i] for i in layers], total, floors, [noise[i] for i in layers]
    )
    counts = {i: masks.count(mask) for i, mask in zip(layers, largest, strict=True)}
    return [counts.get(i, target) for i, target in enumerate(targets)]
