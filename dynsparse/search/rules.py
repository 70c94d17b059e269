"""The table of rules, and the options that choose one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Protocol

from ray.tune.schedulers import TrialScheduler

from dynsparse.config import Config, keys, unknown
from dynsparse.data.own import is_regression
from dynsparse.planning.packs import PER_TRIAL
from dynsparse.search.asha import Asha
from dynsparse.search.median import MedianStopping
from dynsparse.search.tune_rule import REFUSED, TuneRule

# Schedulers that train in rounds: between two rounds, they compare all trials of a bracket, or of a population.
HYPERBAND = "hyperband"
PBT = "pbt"
SCHEDULERS_IN_ROUNDS = (HYPERBAND, PBT)
# Larger ones would mean the same, and overflow.
LARGEST_FACTOR = 1e6


class Rule(Protocol):
    """A rule of early stopping; higher values are better."""

    def learn(self, trial: str, epoch: int, value: float) -> None:
        """Note the value of a trial after an epoch, counted from 1."""

    def reason_to_stop(self, trial: str, epoch: int, value: float) -> str | None:
        """Return why a trial stops after an epoch; None if it goes on.

        The trial's own earlier values at this epoch do not count, so that a question may be repeated.
        """


@dataclass(frozen=True)
class StoppingOptions:
    """Options of early stopping.

    Args:
        scheduler: a row of `RULES`, "hyperband", "pbt", or a scheduler object of Ray Tune that only stops trials.
        grace: number of epochs before the first decision, at least 1; of "pbt" also between two.
        reduction_factor: of "asha" and "hyperband": about one of this many trials goes on at each rung; of "pbt": about
            one of this many is replaced.
        group_by: trials that differ only in this key are judged together, by their mean, and stop or go on together;
            None: each trial alone.

    Raises: ValueError for values that are not allowed, with all problems.
    """

    scheduler: str | TrialScheduler
    grace: int = 1
    reduction_factor: float = 3.0
    group_by: str | None = None

    def __post_init__(self) -> None:
        if problems := [*self._scheduler_problems(), *self._problems()]:
            raise ValueError("\n".join(problems))

    def _problems(self) -> Iterator[str]:
        if not isinstance(self.grace, Integral) or isinstance(self.grace, bool) or self.grace < 1:
            yield f"grace must be a whole number of epochs, at least 1, got {self.grace!r}."
        factor = self.reduction_factor
        if not isinstance(factor, Real) or not 1 < factor <= LARGEST_FACTOR:
            yield f"reduction_factor must be a number larger than 1 and at most {LARGEST_FACTOR:g}, got {factor!r}."
        if self.group_by is None:
            return
        if self.group_by not in list(keys()):
            yield unknown("key in group_by", self.group_by, keys())
        elif self.group_by not in PER_TRIAL:
            yield (
                "group_by must be a key in which the trials of a pack may differ, because a group is trained as one "
                f"pack, got {self.group_by!r}. Usually it is 'seed'."
            )
        elif self.scheduler == PBT:
            yield (
                f"group_by must not be given with scheduler='pbt', got {self.group_by!r}: each seed has a "
                "population of its own, and a copy is one trial. Leave it out."
            )

    def _scheduler_problems(self) -> Iterator[str]:
        if not isinstance(self.scheduler, TrialScheduler):
            known = (*RULES, *SCHEDULERS_IN_ROUNDS)
            if not isinstance(self.scheduler, str) or self.scheduler not in known:
                yield f"{unknown('scheduler', self.scheduler, known)} A scheduler object of Ray Tune is also allowed."
            return
        for kind, instead in REFUSED.items():
            if isinstance(self.scheduler, kind):
                yield f"A scheduler of Ray Tune must only stop trials, and {self.scheduler_name} {instead}."
        if (self.grace, self.reduction_factor) != (StoppingOptions.grace, StoppingOptions.reduction_factor):
            yield (
                f"grace and reduction_factor must not be given with a scheduler object, got grace={self.grace} and "
                f"reduction_factor={self.reduction_factor}. Give them to {self.scheduler_name}."
            )

    @property
    def scheduler_name(self) -> str:
        """The scheduler, for messages."""
        return self.scheduler if isinstance(self.scheduler, str) else type(self.scheduler).__name__

    @property
    def own_metric(self) -> str | None:
        """The metric of a scheduler object, if it has one. Low values may be better."""
        return None if isinstance(self.scheduler, str) else self.scheduler.metric

    def metric(self, config: Config) -> str:
        """Return the metric by which a trial is judged."""
        return self.own_metric or metric_of(config)


def metric_of(config: Config) -> str:
    """Return the metric by which a trial is judged, unless a scheduler has one of its own. High values are better."""
    return "val_r2" if is_regression(config) else "val_acc"


RULES: dict[str, Callable[[StoppingOptions], Rule]] = {
    "asha": lambda options: Asha(options.grace, options.reduction_factor),
    "median": lambda options: MedianStopping(options.grace),
}


def rule_of(options: StoppingOptions, trials: Mapping[str, Config]) -> Rule:
    """Return a rule without any values.

    Args:
        options: the rule.
        trials: name to configuration of each trial.
    """
    if isinstance(options.scheduler, str):
        return RULES[options.scheduler](options)
    metric = options.metric(next(iter(trials.values())))
    return TuneRule(options.scheduler, trials, metric)
