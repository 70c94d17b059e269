"""Functions from progress to a value. Progress runs from 0 at the start to 1 at the last mask update that counts."""

import math
from collections.abc import Callable

Schedule = Callable[[float], float]


def constant(progress: float) -> float:
    """1 at all times."""
    return 1.0


def cosine(progress: float) -> float:
    """Half a cosine wave from 1 down to 0.

    Reference: Evci et al., Rigging the Lottery: Making All Tickets Winners, 2020, https://arxiv.org/abs/1911.11134
    """
    return (1 + math.cos(math.pi * progress)) / 2


def cubic(progress: float) -> float:
    """(1 - progress)^3: falls fast at first, while there is much to spare.

    Reference: Zhu and Gupta, To Prune, or Not to Prune, 2017, https://arxiv.org/abs/1710.01878
    """
    return (1 - progress) ** 3


# How the drop fraction may fall over the mask updates.
DECAYS: dict[str, Schedule] = {"constant": constant, "cosine": cosine}
