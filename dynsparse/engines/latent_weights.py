"""Latent weights: methods with a `backward_density` keep a weight at each position, active or not, and train some."""

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
    """Select the positions that the optimizer trains: the active ones and, of the others, those of the largest weights.

    Args:
        plan: The trials.
        weights: Of all positions of each layer. Shapes: (trials, out, in).
        active: The masks. Shapes: (trials, out, in), bool.
        when: The time of the mask update; None: before training.

    Returns:
        For each layer, shapes: (trials, out, in), bool.
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
    """Do an optimizer step on the trained weights of a layer, in place.

    The other weights do not change, and their state is set to zero. For trained weights that are inactive, the weight
    decay is divided by the density of the layer.

    Args:
        optimizer: The optimizer.
        weight: Of all positions. Shapes: (trials, out, in).
        gradient: Of the loss. Shapes: (trials, out, in).
        state: The optimizer's state of the layer. Shapes: (trials, out, in) each.
        t: The number of the step, from 1.
        rate: The learning rate. Shapes: (trials,).
        active: The mask. Shapes: (trials, out, in), bool.
        trained: The positions that are trained. Shapes: (trials, out, in), bool.
    """
    # A pruning after training may leave an empty layer, whose decay would be infinite.
    density = masks.density(active)
    # Less 1, because the optimizer itself adds the decay once.
    excess = torch.where(density > 0, 1 / density - 1, 0).to(weight)[:, None, None] * (trained & ~active)
    penalty = along(optimizer.values["decay"].to(weight), weight) * excess * weight
    is_decoupled = optimizer.name == "AdamW"
    before = weight.clone()
    optimizer.step_(weight, gradient if is_decoupled else gradient + penalty, state, t, rate)
    if is_decoupled:
        weight.sub_(along(rate, weight) * penalty)
    weight.copy_(torch.where(trained, weight, before))
    for each in state.values():
        each.masked_fill_(~trained, 0)
