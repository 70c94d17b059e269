"""The median stopping rule."""

from __future__ import annotations

import math
from statistics import median

LEAST_OTHERS = 3


class MedianStopping:
    """Stops a trial whose best value so far is below the median of the others' means up to the same epoch.

    The mean of a trial is over its epochs from `grace` on. Only trials that have trained for as many epochs count, and
    there must be three of them. A value that is no number is the worst.

    Args:
        grace: the first epoch after which a trial may stop, at least 1.

    Reference:
        Daniel Golovin, Benjamin Solnik, Subhodeep Moitra, Greg Kochanski, John Karro and D. Sculley, Google Vizier: A
        Service for Black-Box Optimization, 2017, https://doi.org/10.1145/3097983.3098043
    """

    def __init__(self, grace: int) -> None:
        self._grace = grace
        self._values: dict[str, dict[int, float]] = {}  # name of a trial -> epoch -> value
        self._means: dict[int, dict[str, float]] = {}  # epoch -> name of a trial -> its mean up to there

    def learn(self, trial: str, epoch: int, value: float) -> None:
        """Note the value of a trial after an epoch."""
        values = self._values.setdefault(trial, {})
        values[epoch] = value
        counted = [each for at, each in values.items() if self._grace <= at <= epoch]
        if counted:
            self._means.setdefault(epoch, {})[trial] = sum(counted) / len(counted)

    def reason_to_stop(self, trial: str, epoch: int, value: float) -> str | None:
        """Return why a trial stops after an epoch; None if it goes on."""
        if epoch < self._grace:
            return None
        means = [each for name, each in self._means.get(epoch, {}).items() if name != trial and math.isfinite(each)]
        if len(means) < LEAST_OTHERS:
            return None
        own = [*self._values.get(trial, {}).values(), value]
        best, middle = max(filter(math.isfinite, own), default=-math.inf), median(means)
        if best >= middle:
            return None
        return (
            f"its best value until epoch {epoch}, {best:.4g}, is below {middle:.4g}, the median of {len(means)} trials"
        )
