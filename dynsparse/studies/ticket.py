"""The study "ticket", lottery tickets: train, prune some weights, rewind the others, and train again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from dynsparse.pruning import next_masks, rewound, round_fraction
from dynsparse.studies.base import Columns, NetworkState, Parameters, Step, StepContext, Study
from dynsparse.studies.settings import StudySettings


def ticket(config: StudySettings) -> Study:
    """Prune `prune_ratio` of the weights in `prune_iter` rounds, and train for `epochs` before and after each.

    Rows have the columns `round`, which is 0 before the first pruning, and `pruned_wanted`, the fraction that all
    rounds so far were asked to prune. The fraction that they did prune is 1 - `density`.

    Norms and other parameters without a mask, running moments and duty cycles are rewound with the weights. With
    init="reinit", they begin as in the first round.

    References:
        Jonathan Frankle and Michael Carbin, The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural Networks,
        2019, https://arxiv.org/abs/1803.03635

        Jonathan Frankle, Gintare Karolina Dziugaite, Daniel Roy and Michael Carbin, Linear Mode Connectivity and the
        Lottery Ticket Hypothesis, 2020, https://arxiv.org/abs/1912.05671 (rewinding to an early step)
    """
    fraction = round_fraction(config.prune_ratio, config.prune_iter)
    initialize = INITS[config.init]
    # Newly drawn weights need no early network; a constant lets them share the first training with rewind_step=0.
    rewind_step = config.rewind_step if config.init == "original" else 0
    steps = [Step({"round": 0, "pruned_wanted": 0.0})] * config.epochs
    for number in range(1, config.prune_iter + 1):
        begin = partial(_next, number, fraction, config.last_layer_rate, config.criterion, initialize)
        wanted = 1 - (1 - torch.as_tensor(fraction, dtype=torch.float64)) ** number
        columns: Columns = {"round": number, "pruned_wanted": wanted}
        steps += [Step(columns, begin if epoch == 0 else None) for epoch in range(config.epochs)]
    return Study(steps, rewind_step, shares_training=True, owns_masks=True)


# Returns the network from which a round takes the surviving weights, for the new masks and the number of the round.
Initialize = Callable[[StepContext, Sequence[Tensor], int], NetworkState]
INITS: dict[str, Initialize] = {
    "original": lambda context, masks, number: context.kept["early"],
    "reinit": lambda context, masks, number: NetworkState(context.draw(masks, number), units={}),
}
CRITERIA = ("l1", "random")


def _next(
    number: int,
    fraction: float | Tensor,
    last_layer_rate: float | Tensor,
    criterion: str,
    initialize: Initialize,
    context: StepContext,
) -> NetworkState:
    """Return the network that a round starts with."""
    now = context.now.parameters
    scores = [weight.abs() for weight in now.weights] if criterion == "l1" else None
    masks = next_masks(now.masks, scores, fraction, context.noise(number), last_layer_rate)
    start, units = initialize(context, masks, number)
    return NetworkState(Parameters(rewound(start.weights, masks), start.biases, masks), units)
