"""Schedules: functions of progress, which runs from 0 at the start to 1 at the last mask update."""

import math
from collections.abc import Callable

Schedule = Callable[[float], float]


def constant(progress: float) -> float:
    """Return 1 at all times."""
    return 1.0


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


# Schedules of the drop fraction over the mask updates, by the name that `prune_decay` gives.
DECAYS: dict[str, Schedule] = {"constant": constant, "cosine": cosine}
