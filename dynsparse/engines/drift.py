"""The drift of active weights after an optimizer step, for methods that have one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dynsparse import random
from dynsparse.engines.base import draw_per_seed
from dynsparse.nn.init import standard_normal
from dynsparse.planning.plan import Plan
from dynsparse.random import Purpose, Stream


def position_signs(plan: Plan) -> list[Tensor]:
    """Return 1 or -1 for each position, the sign of its initial weight. Shapes: (trials, out, in) for each layer."""
    signs = []
    for layer, shape in enumerate(plan.network.shapes):

        def drawn(seed: int, layer: int = layer, shape: tuple[int, int] = shape) -> Tensor:
            return plan.weight_init.draw(random.uniform(shape, Stream(seed, Purpose.WEIGHT, layer=layer)))

        signs.append(torch.where(draw_per_seed(plan, drawn) < 0, -1.0, 1.0))
    return signs


@torch.no_grad()
def drift_(
    plan: Plan, weights: Sequence[Tensor], active: Sequence[Tensor], signs: Sequence[Tensor], rate: Tensor, step: int
) -> None:
    """Move active weights as `methods.base.Drift` says, in place.

    Args:
        plan: The trials.
        weights: Of each layer. Shapes: (trials, out, in).
        active: The masks, shaped like the weights.
        signs: Of each position, from `position_signs`.
        rate: The learning rate of each trial. Shapes: (trials,).
        step: The number of the optimizer step.
    """
    drift = plan.method.drift
    assert drift is not None
    towards_zero = rate * torch.as_tensor(drift.l1).to(rate)
    deviation = (2 * rate * torch.as_tensor(drift.temperature).to(rate)).sqrt()
    is_noisy = bool((deviation > 0).any())
    for layer, (weight, mask, sign) in enumerate(zip(weights, active, signs, strict=True)):
        weight[mask] -= (sign * towards_zero[:, None, None])[mask]
        if is_noisy:

            def drawn(seed: int, layer: int = layer, shape: tuple[int, int] = plan.network.shapes[layer]) -> Tensor:
                return random.uniform(shape, Stream(seed, Purpose.WEIGHT_NOISE, layer=layer, step=step))

            noise = standard_normal(draw_per_seed(plan, drawn)[mask])
            weight[mask] += deviation[:, None, None].expand_as(weight)[mask] * noise
