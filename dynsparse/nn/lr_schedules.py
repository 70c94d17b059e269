"""Learning-rate schedules. A row of LR_SCHEDULES is `lr_schedule="..."`.

A schedule gives the factor of the learning rate in each optimizer step. To add one, write a function from settings to
such a factor, and add a row to the table.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from dynsparse.nn.settings import ScheduleSettings

# Epochs done before each of some steps, a fraction within an epoch -> a factor for each. Shapes: (steps,), float64.
Factor = Callable[[Tensor], Tensor]


def constant(settings: ScheduleSettings) -> Factor:
    """Keep the learning rate."""
    return torch.ones_like


def multistep(settings: ScheduleSettings) -> Factor:
    """Multiply the learning rate by `lr_gamma` after each epoch in `lr_milestones`, as torch's MultiStepLR."""
    milestones, gamma = torch.tensor(settings.lr_milestones, dtype=torch.float64), settings.lr_gamma
    return lambda epochs_done: gamma ** (epochs_done[:, None] >= milestones).sum(1).double()


def cosine(settings: ScheduleSettings) -> Factor:
    """Lower the learning rate to the share `lr_final` along half a cosine, as torch's CosineAnnealingLR in every step.

    The factor is f + (1 - f) (1 + cos(pi s)) / 2, where s is the share of the training after the warm-up that is done.

    Reference: Ilya Loshchilov and Frank Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017,
    https://arxiv.org/abs/1608.03983
    """
    final, share = settings.lr_final, share_after_warmup(settings)
    return lambda epochs_done: final + (1 - final) * (1 + torch.cos(math.pi * share(epochs_done))) / 2


def linear(settings: ScheduleSettings) -> Factor:
    """Lower the learning rate to the share `lr_final` along a line, as torch's LinearLR in every step."""
    final, share = settings.lr_final, share_after_warmup(settings)
    return lambda epochs_done: 1 + (final - 1) * share(epochs_done)


def share_after_warmup(settings: ScheduleSettings) -> Factor:
    """Return the function from the epochs done to the share of the epochs after the warm-up, in [0, 1]."""
    warmup, epochs = settings.warmup_epochs, settings.epochs
    return lambda epochs_done: ((epochs_done - warmup) / max(epochs - warmup, 1e-9)).clamp(0, 1)


LR_SCHEDULES: dict[str, Callable[[ScheduleSettings], Factor]] = {
    "constant": constant,
    "multistep": multistep,
    "cosine": cosine,
    "linear": linear,
}

# First step (counted from 0 at the start of the training), number of steps, steps in an epoch -> their learning rates.
# Shapes: (steps,), or (steps, trials) for a pack; float64.
LearningRates = Callable[[int, int, int], Tensor]


def learning_rates(settings: ScheduleSettings) -> LearningRates:
    """Return the function that gives the learning rates of a trial, step by step.

    During the first `warmup_epochs` the rate rises in equal parts: in the i-th of n steps it is i / n of the rate that
    the schedule gives.

    Reference for the warm-up: Priya Goyal et al., Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour, 2017,
    https://arxiv.org/abs/1706.02677

    Example:
        >>> from dynsparse.config import Config
        >>> rates = learning_rates(Config(learning_rate=0.8, epochs=3, lr_schedule="linear", warmup_epochs=1))
        >>> [round(rate, 2) for rate in rates(0, 6, 2).tolist()]
        [0.4, 0.8, 0.8, 0.6, 0.4, 0.2]
    """
    factor, full, warmup = LR_SCHEDULES[settings.lr_schedule](settings), settings.learning_rate, settings.warmup_epochs

    def rates(first: int, n_steps: int, steps_per_epoch: int) -> Tensor:
        steps = torch.arange(first, first + n_steps, dtype=torch.float64)
        n_warmup = warmup * steps_per_epoch
        rise = ((steps + 1) / n_warmup).clamp(max=1) if n_warmup > 0 else torch.ones_like(steps)
        return full * rise * factor(steps / steps_per_epoch)

    return rates


def learning_rates_of_pack(trials: list[LearningRates]) -> LearningRates:
    """Return the function that gives the learning rates of all trials of a pack."""
    return lambda *steps: torch.stack([rates(*steps) for rates in trials], dim=1)
