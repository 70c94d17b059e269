"""The table of rules, and the options that choose one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from dynsparse.config import keys, unknown
from dynsparse.planning.packs import PER_TRIAL
from dynsparse.search.asha import Asha
from dynsparse.search.median import MedianStopping


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
        scheduler: a row of `RULES`.
        grace: number of epochs before the first decision, at least 1.
        reduction_factor: of "asha": about one of this many trials goes on at each rung.
        group_by: trials that differ only in this key are judged together, by their mean, and stop or go on together;
            None: each trial alone.

    Raises: ValueError for a value that is not allowed.
    """

    scheduler: str
    grace: int = 1
    reduction_factor: float = 3.0
    group_by: str | None = None

    def __post_init__(self) -> None:
        if self.scheduler not in RULES:
            raise ValueError(unknown("scheduler", self.scheduler, RULES))
        if not isinstance(self.grace, int) or isinstance(self.grace, bool) or self.grace < 1:
            raise ValueError(f"grace must be a whole number of epochs, at least 1, got {self.grace!r}.")
        if not isinstance(self.reduction_factor, int | float) or not self.reduction_factor > 1:
            raise ValueError(f"reduction_factor must be a number larger than 1, got {self.reduction_factor!r}.")
        if self.group_by is not None and self.group_by not in keys():
            raise ValueError(unknown("key in group_by", self.group_by, keys()))
        if self.group_by is not None and self.group_by not in PER_TRIAL:
            raise ValueError(
                "group_by must be a key in which the trials of a pack may differ, because a group is trained as one "
                f"pack, got {self.group_by!r}. Usually it is 'seed'."
            )


RULES: dict[str, Callable[[StoppingOptions], Rule]] = {
    "asha": lambda options: Asha(options.grace, options.reduction_factor),
    "median": lambda options: MedianStopping(options.grace),
}


def rule_of(options: StoppingOptions) -> Rule:
    """Return a rule without any values."""
    return RULES[options.scheduler](options)
