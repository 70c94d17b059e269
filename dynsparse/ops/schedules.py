"""Schedules: how the drop fraction decays over the mask updates, and how the density of GMP falls."""

import math
from collections.abc import Callable

# A factor, given the progress from 0 at the start to 1 at the end.
Schedule = Callable[[float], float]
# The factor of the drop fraction, given the number of the mask update, counted from 1, and the number of all updates.
Decay = Callable[[int, int], float]


def cosine(progress: float) -> float:
    """Return (1 + cos(pi * progress)) / 2, which falls from 1 to 0.

    Reference: Evci et al., Rigging the Lottery: Making All Tickets Winners, 2020, https://arxiv.org/abs/1911.11134
    """
    return (1 + math.cos(math.pi * progress)) / 2


def cubic(progress: float) -> float:
    """Return (1 - progress)^3, which falls from 1 to 0, fast at first.

    Reference: Zhu and Gupta, To Prune, or Not to Prune, 2017, https://arxiv.org/abs/1710.01878
    """
    return (1 - progress) ** 3


def sigmoid(progress: float) -> float:
    """Return the factor that falls from 1 to 0 along a sigmoid, slowly at both ends.

    It is 1 / (1 + exp(6 * (2 * progress - 1))), shifted and scaled so that it begins at 1 and ends at 0.

    Reference: Zhang et al., Brain Network Science Modelling of Sparse Neural Networks Enables Transformers and LLMs to
    Perform as Fully Connected, 2025, https://arxiv.org/abs/2501.19107; the 6 is that of its published code.
    """
    return 0.5 - math.tanh(3 * (2 * progress - 1)) / (2 * math.tanh(3))


def constant_decay(update: int, n_updates: int) -> float:
    """Return 1: every update drops the same fraction."""
    return 1.0


def cosine_decay(update: int, n_updates: int) -> float:
    """Return the factor that falls along half a cosine and would be 0 one interval after the last update."""
    return cosine(update / (n_updates + 1))


def cosine_decay_of_0_1(update: int, n_updates: int) -> float:
    """Return the factor of version 0.1, which is 0 at the last update, so that this update drops nothing."""
    return cosine(update / n_updates)


# Decays of the drop fraction, by the name that `prune_decay` gives.
DECAYS: dict[str, Decay] = {
    "constant": constant_decay,
    "cosine": cosine_decay,
    "cosine_0.1": cosine_decay_of_0_1,
}
