"""HyperBand: several brackets of successive halving."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

# A quotient that is a whole number may come out a little smaller.
ROUNDING = 1e-9


@dataclass
class Decisions:
    """Decisions about trials, from their values.

    Args:
        stopped: trials that stop, with the reason.
        next_rung: trials that train, with the epoch until which they do before the next decision.
    """

    stopped: dict[str, str] = field(default_factory=dict)
    next_rung: dict[str, int] = field(default_factory=dict)


class HyperBand:
    """Decides which trials of each bracket go on.

    A bracket is a successive halving: all its trials train until its first rung, the best 1 / factor of them until the
    next, and so on. Brackets differ in their first rung; in the last bracket all trials train to their end. Some
    brackets try many trials briefly and others few trials for longer, because it is not known how early good trials can
    be told from bad ones.

    Rungs are the epochs R, R / factor, R / factor^2 and so on, rounded, down to `grace`, where R is `epochs`. Trials
    are dealt to the brackets one by one, so that the brackets have about the proportions of the paper for any number of
    trials, and further trials do not move earlier ones to another bracket.

    Decisions follow from the values at the rungs alone. All trials of a bracket must have arrived, except those that
    have failed, whose places stay empty. Values that are not finite never go on. If two are equal, the names decide.

    Differences from the paper: one bracket of each kind has all its trials, in place of several small ones; at least
    one trial of a bracket goes on. Ray Tune rounds the number that goes on up, the paper and this class down.

    Args:
        grace: smallest epoch of a rung, at least 1.
        factor: of the trials of a bracket, one in `factor` goes on; larger than 1.
        epochs: of a whole training.
        trials: names, in the order in which they are dealt.

    Raises: ValueError if there would be one rung only.

    Example:
        >>> from dynsparse.search import HyperBand
        >>> rule = HyperBand(grace=1, factor=3, epochs=9, trials="abcdefghijklmnopq")
        >>> rule.rungs, [len(bracket) for bracket in rule.brackets]
        ([1, 3, 9], [9, 5, 3])

    Reference:
        Lisha Li, Kevin Jamieson, Giulia DeSalvo, Afshin Rostamizadeh and Ameet Talwalkar, Hyperband: A Novel
        Bandit-Based Approach to Hyperparameter Optimization, 2018, https://jmlr.org/papers/v18/16-558.html
    """

    def __init__(self, grace: int, factor: float, epochs: int, trials: Sequence[str]) -> None:
        n_halvings = math.floor(math.log(epochs / grace) / math.log(factor) + ROUNDING)
        if n_halvings < 1:
            raise ValueError(
                f"scheduler='hyperband' needs epochs of at least grace * reduction_factor = {grace * factor:g}, got "
                f"{epochs}: no trial could stop. Lower them, or raise epochs."
            )
        self._factor = factor
        self.rungs = sorted({round(epochs / factor**halving) for halving in range(n_halvings + 1)})
        weights = [
            math.ceil(len(self.rungs) / (halvings + 1) * factor**halvings - ROUNDING)
            for halvings in reversed(range(len(self.rungs)))
        ]
        self.brackets: list[list[str]] = [[] for _ in weights]  # by the place of their first rung
        for number, trial in enumerate(trials, start=1):
            missing = [
                weight * number / sum(weights) - len(bracket)
                for weight, bracket in zip(weights, self.brackets, strict=True)
            ]
            self.brackets[missing.index(max(missing))].append(trial)

    def decide(self, values: Mapping[str, Mapping[int, float]], failed: Set[str]) -> Decisions:
        """Return which trials stop, and which train until which rung. The others wait, or have arrived at the end.

        Args:
            values: of each trial after the epochs that it has trained; higher is better.
            failed: trials that do not train any more.
        """
        decisions = Decisions()
        for first, bracket in enumerate(self.brackets):
            left = bracket
            for place, rung in enumerate(self.rungs[first:], start=first):
                missing = [trial for trial in left if rung not in values[trial] and trial not in failed]
                decisions.next_rung.update(dict.fromkeys(missing, rung))
                if missing or rung == self.rungs[-1]:
                    break
                arrived = {trial: values[trial][rung] for trial in left if rung in values[trial]}
                left = self._best(arrived, self._n_left(first, place + 1))
                for trial in arrived.keys() - set(left):
                    decisions.stopped[trial] = (
                        f"{arrived[trial]:.4g} at epoch {rung} is not among the best {len(left)} of "
                        f"{len(arrived)} in its bracket"
                        if math.isfinite(arrived[trial])
                        else f"the value at epoch {rung} is not finite"
                    )
        return decisions

    def epochs_after(self, rung: int) -> int:
        """Return how many epochs all trials together train after a rung, if none fails."""
        return sum(
            self._n_left(first, place) * (self.rungs[place] - (self.rungs[place - 1] if place > first else 0))
            for first in range(len(self.rungs))
            for place in range(first, len(self.rungs))
            if self.rungs[place] > rung
        )

    def _n_left(self, first: int, place: int) -> int:
        """Return how many trials of a bracket train until a rung."""
        n_trials = len(self.brackets[first])
        return min(n_trials, max(1, math.floor(n_trials / self._factor ** (place - first) + ROUNDING)))

    def _best(self, values: Mapping[str, float], n: int) -> list[str]:
        finite = [trial for trial, value in values.items() if math.isfinite(value)]
        return sorted(finite, key=lambda trial: (-values[trial], trial))[:n]
