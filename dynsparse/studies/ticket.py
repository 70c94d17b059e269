"""Lottery tickets: train, prune a part, set the rest back, train again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from dynsparse.pruning import next_masks, rewound, round_fraction
from dynsparse.studies.base import Columns, NetworkState, Occasion, Parameters, Step, Study
from dynsparse.studies.settings import StudySettings


def ticket(config: StudySettings) -> Study:
    """`prune_iter` rounds of pruning, which prune `prune_ratio` in all; each then trains for all `epochs` again.

    Rows have the column `round`, 0 for the training before the first pruning, and `pruned_wanted`, the fraction that
    all rounds so far were to prune; what they did prune is 1 - `density`.

    Reference: Jonathan Frankle and Michael Carbin, The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural
    Networks, 2019, https://arxiv.org/abs/1803.03635; rewinding to an early step: Jonathan Frankle, Gintare Karolina
    Dziugaite, Daniel Roy and Michael Carbin, Linear Mode Connectivity and the Lottery Ticket Hypothesis, 2020,
    https://arxiv.org/abs/1912.05671
    """
    fraction = round_fraction(config.prune_ratio, config.prune_iter)
    set_back = INITS[config.init]
    # 0, which nobody goes back to, where new values are drawn: so that all algorithms share one first training.
    rewind_step = config.rewind_step if config.init == "original" else 0
    steps = [Step({"round": 0, "pruned_wanted": 0.0})] * config.epochs
    for number in range(1, config.prune_iter + 1):
        begin = partial(_next, number, fraction, config.last_layer_rate, config.criterion, set_back)
        wanted = 1 - (1 - torch.as_tensor(fraction, dtype=torch.float64)) ** number
        columns: Columns = {"round": number, "pruned_wanted": wanted}
        steps += [Step(columns, begin if epoch == 0 else None) for epoch in range(config.epochs)]
    return Study(steps, rewind_step, shares_training=True, owns_masks=True)


# From what there is, and the number of the round, to the network that the surviving weights are taken from.
INITS: dict[str, Callable[[Occasion, int], NetworkState]] = {
    "original": lambda occasion, number: occasion.kept["early"],
    "reinit": lambda occasion, number: NetworkState(occasion.drawn(number), units={}),
}
CRITERIA = ("l1", "random")


def _next(
    number: int,
    fraction: float | Tensor,
    last_layer_rate: float | Tensor,
    criterion: str,
    set_back: Callable[[Occasion, int], NetworkState],
    occasion: Occasion,
) -> NetworkState:
    """The network that a round begins with."""
    now = occasion.now.parameters
    scores = [weight.abs() for weight in now.weights] if criterion == "l1" else None
    masks = next_masks(now.masks, scores, fraction, occasion.noise(number), last_layer_rate)
    start, units = set_back(occasion, number)
    return NetworkState(Parameters(rewound(start.weights, masks), start.biases, masks), units)
