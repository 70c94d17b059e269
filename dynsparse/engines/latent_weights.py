"""Weights at all positions, of which some are active and some more are trained: methods with a `backward_density`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dynsparse.engines.base import UpdateContext, draw_parameters, everywhere, tie_noise
from dynsparse.nn.optimizers import Optimizer, State, along
from dynsparse.ops import masks
from dynsparse.planning.plan import Plan
from dynsparse.random import Purpose


def initial_latent_weights(plan: Plan) -> list[Tensor]:
    """Draw the weights of all positions. Shapes: (trials, out, in) for each layer."""
    return draw_parameters(plan, everywhere(plan), number=0).weights


def trained_positions(
    plan: Plan, weights: Sequence[Tensor], active: Sequence[Tensor], when: UpdateContext | None = None
) -> list[Tensor]:
    """Select the active positions and, of the others, those with the largest weights. Shapes: (trials, out, in).

    Args:
        plan: The trials.
        weights: Of all positions.
        active: The masks.
        when: The time of the mask update; None: before training.
    """
    purpose, epoch, step = (Purpose.MASK, 0, 0) if when is None else (Purpose.PRUNE, when.epoch, when.step)
    trained = []
    for layer, (weight, mask) in enumerate(zip(weights, active, strict=True)):
        n_trained = trained_count(plan, masks.count(mask), mask[0].numel())
        noise = tie_noise(plan, purpose, layer, epoch, step)
        trained.append(masks.highest(weight.abs(), n_trained, noise, among=mask))
    return trained


def trained_count(plan: Plan, n_active: Tensor, n: int) -> Tensor:
    """Return the number of trained weights of a layer with n positions. Shapes: n_active and the result (trials,)."""
    backward, forward = (
        torch.as_tensor(each, dtype=torch.float64, device=n_active.device)
        for each in (plan.method.backward_density, plan.method.density)
    )
    return (n_active + masks.round_share(backward - forward, torch.full_like(n_active, n))).clamp_max(n)


def step_(
    optimizer: Optimizer,
    weight: Tensor,
    gradient: Tensor,
    state: State,
    t: int,
    rate: Tensor,
    *,
    active: Tensor,
    trained: Tensor,
) -> None:
    """Do an optimizer step on the trained weights of a layer, in place. The other weights stay, and have no state.

    The weight decay of trained weights that are inactive is divided by the density of the layer.

    Shapes: weight, gradient, each of `state`, `active` and `trained` (trials, out, in); rate (trials,).
    """
    excess = (1 / masks.density(active) - 1).to(weight)[:, None, None] * (trained & ~active)
    penalty = along(optimizer.values["decay"].to(weight), weight) * excess * weight
    is_decoupled = optimizer.name == "AdamW"
    before = weight.clone()
    optimizer.step_(weight, gradient if is_decoupled else gradient + penalty, state, t, rate)
    if is_decoupled:
        weight.sub_(along(rate, weight) * penalty)
    weight.copy_(torch.where(trained, weight, before))
    for each in state.values():
        each.masked_fill_(~trained, 0)
