"""Schedulers of Ray Tune as rules of early stopping."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from ray.tune.experiment import Trial
from ray.tune.schedulers import (
    HyperBandScheduler,
    PopulationBasedTraining,
    PopulationBasedTrainingReplay,
    ResourceChangingScheduler,
    TrialScheduler,
)

from dynsparse.config import Config

# Schedulers that pause trials or change their settings, and what to do instead.
REFUSED: dict[type[TrialScheduler], str] = {
    HyperBandScheduler: "pauses trials. Give scheduler='hyperband' with grace and reduction_factor",
    PopulationBasedTraining: "changes settings while trials train. Give scheduler='pbt' with its options",
    PopulationBasedTrainingReplay: "changes settings while trials train. Leave the scheduler out",
    ResourceChangingScheduler: "changes the resources of trials. Give the scheduler inside it",
}
EPOCH = "training_iteration"  # the key of a result that has the epoch


class SchedulerError(Exception):
    """A scheduler cannot decide. No trial has failed: the run ends, and the same command resumes it."""


class TuneRule:
    """A rule that asks a scheduler of Ray Tune which trials stop.

    The scheduler is given the epoch (`training_iteration`) and its metric, and nothing else: decisions by time would
    differ when a run is repeated. It is copied, so that the object of the user stays as it is. Each epoch of a trial is
    shown to it once, because schedulers do not expect a result twice; the answer is kept.

    Args:
        scheduler: the scheduler. Without a metric, it maximizes `metric`.
        trials: name to configuration of each trial, in the order in which the scheduler gets them.
        metric: the metric of the values that the rule is told.

    Raises: SchedulerError.

    Example:
        >>> from dynsparse.config import Config
        >>> from dynsparse.search.tune_rule import TuneRule
        >>> from ray.tune.schedulers import ASHAScheduler
        >>> config = Config.of({"dataset_name": "digits", "model": "SET"})
        >>> rule = TuneRule(ASHAScheduler(), {"a": config, "b": config}, "val_acc")
        >>> rule.learn("a", 1, 0.9)
        >>> rule.reason_to_stop("b", 1, 0.8)
        'AsyncHyperBandScheduler stops it at epoch 1, where val_acc is 0.8'
    """

    def __init__(self, scheduler: TrialScheduler, trials: Mapping[str, Config], metric: str) -> None:
        self._name, self._metric = type(scheduler).__name__, metric
        self._answers: dict[tuple[str, int], str] = {}
        self._trials: dict[str, Trial] = {}
        self._scheduler = self._call(copy.deepcopy, scheduler)
        if scheduler.metric is None and not self._call(self._scheduler.set_search_properties, metric, "max"):
            raise SchedulerError(
                f"{self._name} must have both a metric and a mode, or neither, which means metric={metric!r} and "
                "mode='max'. Got only a mode."
            )
        for name, config in trials.items():
            trial = Trial(self._name, config=config.values(), trial_id=name, stub=True, _setup_default_resource=False)
            trial.status = Trial.RUNNING
            self._trials[name] = trial
            with _numpy_seed(name):
                self._call(self._scheduler.on_trial_add, _Controller(self._trials), trial)

    def learn(self, trial: str, epoch: int, value: float) -> None:
        """Note the value of a trial after an epoch."""
        self._answer(trial, epoch, value)

    def reason_to_stop(self, trial: str, epoch: int, value: float) -> str | None:
        """Return why a trial stops after an epoch; None if it goes on. Raises: SchedulerError."""
        answer = self._answer(trial, epoch, value)
        if answer == TrialScheduler.CONTINUE:
            return None
        if answer != TrialScheduler.STOP:
            raise SchedulerError(
                f"A scheduler must answer CONTINUE or STOP, and {self._name} answered {answer}: trials cannot be "
                "paused. Give one that only stops trials, or scheduler='hyperband'."
            )
        return f"{self._name} stops it at epoch {epoch}, where {self._metric} is {value:.4g}"

    def _answer(self, trial: str, epoch: int, value: float) -> str:
        if (trial, epoch) not in self._answers:
            result = _Result({EPOCH: epoch, self._metric: value}, self._name)
            self._answers[trial, epoch] = self._call(
                self._scheduler.on_trial_result, _Controller(self._trials), self._trials[trial], result
            )
        return self._answers[trial, epoch]

    def _call(self, action: Callable[..., Any], *args: Any) -> Any:
        """Call code of the scheduler, which may be the user's own. Raises: SchedulerError."""
        try:
            return action(*args)
        except SchedulerError:
            raise
        except Exception as error:
            raise SchedulerError(f"The scheduler {self._name} raised {type(error).__name__}: {error}") from error


def check_tune_scheduler(scheduler: TrialScheduler, config: Config, metric: str) -> None:
    """Show a copy of a scheduler a first result, so that its problems are found before a run.

    Args:
        scheduler: the scheduler.
        config: a trial.
        metric: the metric by which trials are judged.

    Raises: SchedulerError.
    """
    TuneRule(scheduler, {"first": config}, metric).reason_to_stop("first", 1, 0.5)


def epoch_of_stop(scheduler: TrialScheduler, config: Config, metric: str) -> int | None:
    """Return the epoch before the last one at which a scheduler stops a trial that is alone and improves; None if none.

    Args:
        scheduler: the scheduler.
        config: the trial.
        metric: the metric by which trials are judged.
    """
    stops = [0]
    # Low or high values are better: a trial that gets worse may be stopped.
    for sign in (1, -1):
        rule = TuneRule(scheduler, {"alone": config}, metric)
        epochs = range(1, config.epochs)
        try:
            stop = next((each for each in epochs if rule.reason_to_stop("alone", each, sign * each)), None)
        except SchedulerError:
            # It may be due to the values, which are made up. The run reports it.
            return None
        if stop is None:
            return None
        stops.append(stop)
    return max(stops)


class _Controller:
    """The part of a Tune controller that schedulers ask."""

    def __init__(self, trials: Mapping[str, Trial]) -> None:
        self._trials = trials

    def get_trials(self) -> list[Trial]:
        """Return all trials."""
        return list(self._trials.values())

    def get_live_trials(self) -> list[Trial]:
        """Return the trials that wait for resources: none, so that no trial makes room for another."""
        return []


class _Result(dict[str, Any]):
    """A result for a scheduler. A key that it does not have is an error: schedulers would ignore the result."""

    def __init__(self, values: Mapping[str, Any], scheduler: str) -> None:
        super().__init__(values)
        self._scheduler = scheduler

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or self.__missing__(key)

    def __missing__(self, key: object) -> Any:
        raise SchedulerError(
            f"A scheduler can only decide by {' and '.join(self)}, and {self._scheduler} asks for {key!r}. Decisions "
            f"by time would differ when a run is repeated. Give time_attr={EPOCH!r}, and the metric to decide by."
        )

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key. Raises: SchedulerError for a key that it does not have."""
        return self[key]


@contextmanager
def _numpy_seed(name: str) -> Iterator[None]:
    """Seed numpy's global generator: ASHA draws the bracket of a trial from it, and must draw it again in a resume."""
    state = np.random.get_state()
    np.random.seed(int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]))
    try:
        yield
    finally:
        np.random.set_state(state)
