"""ASHA: asynchronous successive halving."""

from __future__ import annotations

import numpy as np


class Asha:
    """Stops a trial at a rung unless it is as good as the best share of those that reached the rung before it.

    Rungs are the epochs grace, grace * factor, grace * factor^2 and so on. At a rung, a trial stops if its value is
    below the 1 - 1 / factor quantile of the earlier values there. The first trial at a rung goes on. A value that is
    not finite stops a trial at any rung, and does not count for others.

    Differences from the paper: as in Ray Tune, a trial that may go on never waits, and one that has stopped is not
    resumed when later trials turn out worse.

    Args:
        grace: epoch of the first rung, at least 1.
        factor: of the trials at a rung, about one in `factor` goes on; larger than 1.

    Example:
        >>> from dynsparse.search import Asha
        >>> rule = Asha(grace=1, factor=3)
        >>> rule.learn("a", 1, 0.9)
        >>> rule.reason_to_stop("b", 1, 0.8)
        '0.8 at epoch 1 is below 0.9, which the best 1/3 of 1 other trial reach'

    Reference:
        Liam Li, Kevin Jamieson, Afshin Rostamizadeh, Ekaterina Gonina, Jonathan Ben-tzur, Moritz Hardt, Benjamin Recht
        and Ameet Talwalkar, A System for Massively Parallel Hyperparameter Tuning, 2018,
        https://arxiv.org/abs/1810.05934
    """

    def __init__(self, grace: int, factor: float) -> None:
        self._grace, self._factor = grace, factor
        self._rungs: dict[int, dict[str, float]] = {}  # epoch -> name of a trial -> its value

    def learn(self, trial: str, epoch: int, value: float) -> None:
        """Note the value of a trial after an epoch."""
        if self._is_rung(epoch):
            self._rungs.setdefault(epoch, {})[trial] = value

    def reason_to_stop(self, trial: str, epoch: int, value: float) -> str | None:
        """Return why a trial stops after an epoch; None if it goes on."""
        if not self._is_rung(epoch):
            return None
        if not np.isfinite(value):
            return f"the value at epoch {epoch} is not finite"
        others = [each for name, each in self._rungs.get(epoch, {}).items() if name != trial]
        # R² of a regression that diverges is -inf, and between two of them numpy interpolates NaN.
        numbers = [each for each in others if np.isfinite(each)]
        if not numbers:
            return None
        cutoff = float(np.percentile(numbers, (1 - 1 / self._factor) * 100))
        if value >= cutoff:
            return None
        trials = f"{len(numbers)} other trial{'s' * (len(numbers) > 1)}"
        return (
            f"{value:.4g} at epoch {epoch} is below {cutoff:.4g}, which the best 1/{self._factor:g} of {trials} reach"
        )

    def _is_rung(self, epoch: int) -> bool:
        rung: float = self._grace
        while round(rung) < epoch:
            rung *= self._factor
        return round(rung) == epoch
