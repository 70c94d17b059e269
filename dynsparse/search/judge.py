"""The judge: decides which trials of a run stop, from their values and those of all other trials of the folder."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

from ray.tune.schedulers import TrialScheduler

from dynsparse.config import Config, keys
from dynsparse.experiment import ExperimentError
from dynsparse.io.storage import Folder
from dynsparse.planning.packs import WIDEST, group_into_packs
from dynsparse.results.trial_folder import State, TrialFolder, folder_name, identity
from dynsparse.search.hyperband import HyperBand
from dynsparse.search.rules import HYPERBAND, StoppingOptions, rule_of
from dynsparse.search.tune_rule import SchedulerError, check_tune_scheduler, epoch_of_stop

READ_THREADS = 32


class Measurement(NamedTuple):
    """The value of a trial after an epoch, counted from 1; higher is better."""

    epoch: int
    value: float


class Judge:
    """Decides which trials stop. Trials of a group share their value, the mean of those that report together.

    Args:
        options: the rule, and what makes a group.
        configs: all trials of the grid.
        folder: the folder of the experiment; the rows of its trials are read.

    Raises: OSError if the storage fails.
    """

    def __init__(self, options: StoppingOptions, configs: Sequence[Config], folder: Folder) -> None:
        self._groups = {identity(config): group_of(config, options.group_by) for config in configs}
        firsts: dict[str, Config] = {}
        for config in configs:
            firsts.setdefault(self._groups[identity(config)], config)
        self._rule = rule_of(options, firsts)
        self._stopped: dict[str, str] = {}  # group -> reason
        histories = read_histories(folder, configs, options)
        values: dict[tuple[str, int], list[float]] = {}
        for config, (history, reason) in zip(configs, histories, strict=True):
            group = self._groups[identity(config)]
            for epoch, value in history:
                values.setdefault((group, epoch), []).append(value)
            if reason is not None:
                self._stopped[group] = reason
        n_epochs = {group: epoch for group, epoch in sorted(values)}
        # Schedulers of Ray Tune decide by the order. A trial that will be judged again comes after those that have
        # trained longer.
        for (group, epoch), each in sorted(values.items(), key=lambda item: -n_epochs[item[0][0]]):
            self._rule.learn(group, epoch, _mean(each))

    def judge(self, reports: Mapping[str, Measurement]) -> dict[str, str]:
        """Return the trials that stop, with the reason.

        Args:
            reports: the newest value of each trial of a pack, by its identity. A group is judged by those of its
                trials that are in here.
        """
        together: dict[tuple[str, int], list[str]] = {}
        for trial, measured in reports.items():
            together.setdefault((self._groups[trial], measured.epoch), []).append(trial)
        stops: dict[str, str] = {}
        for (group, epoch), trials in together.items():
            value = _mean([reports[trial].value for trial in trials])
            reason = self._stopped.get(group) or self._rule.reason_to_stop(group, epoch, value)
            self._rule.learn(group, epoch, value)
            if reason is not None:
                self._stopped[group] = reason
                stops.update(dict.fromkeys(trials, reason))
        return stops


def check_scheduler(configs: Sequence[Config], options: StoppingOptions) -> str | None:
    """Check that a rule can judge trials. Return warnings, if it would look at the test set or stop all trials.

    Raises: ExperimentError for a study whose rows are no epochs of one training.
    """
    studies = {config.study for config in configs} - {"train"}
    if studies:
        raise ExperimentError(
            f"scheduler={options.scheduler_name!r} is for study='train' only, got "
            f"{', '.join(sorted(map(repr, studies)))}: accuracies before and after a pruning are not comparable. Leave "
            "the scheduler out."
        )
    metric, warnings = options.metric(configs[0]), []
    if isinstance(options.scheduler, TrialScheduler):
        try:
            check_tune_scheduler(options.scheduler, configs[0], metric)
            warnings += _warning_of_stops(configs, options.scheduler, metric)
        except SchedulerError as error:
            raise ExperimentError(str(error)) from error
    elif options.scheduler == HYPERBAND:
        hyperband_of(configs, options)
    if any(config.val_fraction == 0 for config in configs):
        warnings.append(
            f"warning: {options.scheduler_name} stops trials by {metric}, which is measured on the test set because "
            "val_fraction is 0. Set val_fraction=0.1 to keep the test set for the result."
        )
    return "\n".join(warnings) or None


def _warning_of_stops(configs: Sequence[Config], scheduler: TrialScheduler, metric: str) -> list[str]:
    """Return a warning if a scheduler object stops each trial, however good; else nothing."""
    epochs = []
    for config in configs:
        epoch = epoch_of_stop(scheduler, config, metric)
        if epoch is None:
            return []
        epochs.append(epoch)
    name, needed = type(scheduler).__name__, max(config.epochs for config in configs)
    return [
        f"warning: {name} stops all trials at epoch {max(epochs)} at the latest, and none will be complete. Give it a "
        f"max_t of at least {needed}, or lower epochs."
    ]


def hyperband_of(configs: Sequence[Config], options: StoppingOptions) -> HyperBand:
    """Return HyperBand over the groups of some trials. Raises: ExperimentError if their epochs do not fit it."""
    epochs = epochs_of_all(configs, options)
    groups = list(dict.fromkeys(group_of(config, options.group_by) for config in configs))
    try:
        return HyperBand(options.grace, options.reduction_factor, epochs, groups)
    except ValueError as error:
        raise ExperimentError(str(error)) from error


def epochs_of_all(configs: Sequence[Config], options: StoppingOptions) -> int:
    """Return the epochs of trials that are compared between rounds. Raises: ExperimentError if they differ."""
    epochs = sorted({config.epochs for config in configs})
    if len(epochs) > 1:
        raise ExperimentError(
            f"scheduler={options.scheduler_name!r} needs trials of equally many epochs, got "
            f"{', '.join(map(str, epochs))}. Run each number with a --name of its own."
        )
    return epochs[0]


def group_of(config: Config, key: str | None) -> str:
    """Return a name that is equal for trials that differ only in a key; None: a name for each trial."""
    if key is None:
        return identity(config)
    same: dict[str, Any] = {key: keys()[key].default}
    return identity(replace(config, **same))


def packs_of(
    configs: Sequence[Config], largest: int, options: StoppingOptions | None, largest_group: int = WIDEST
) -> list[list[int]]:
    """Return the packs in which trials are trained, by their places. Trials that are judged together are one pack.

    Args:
        configs: the trials.
        largest: number of trials in a pack without groups.
        options: of early stopping, if any.
        largest_group: number of trials in the pack of a group. Larger groups are several packs.
    """
    if options is not None and options.group_by is not None:
        groups: dict[str, list[int]] = {}
        for place, config in enumerate(configs):
            groups.setdefault(group_of(config, options.group_by), []).append(place)
        return [
            group[start : start + largest_group]
            for group in groups.values()
            for start in range(0, len(group), largest_group)
        ]
    return group_into_packs(configs, largest) if largest > 1 else [[place] for place in range(len(configs))]


def read_histories(
    folder: Folder, configs: Sequence[Config], options: StoppingOptions
) -> list[tuple[list[Measurement], str | None]]:
    """Return the values of each trial in the folder, and why it has stopped, if it has. Raises: OSError."""

    def read(config: Config) -> tuple[list[Measurement], str | None]:
        trial, metric = TrialFolder(folder.sub(folder_name(config))), options.metric(config)
        reason = trial.stop_reason() if trial.state(config) is State.STOPPED else None
        if trial.mistrust is not None:
            return [], None
        values = [row.get(metric) for row in trial.rows()]
        return [
            Measurement(epoch, float(value) if isinstance(value, int | float) else math.nan)
            for epoch, value in enumerate(values, start=1)
        ], reason

    with ThreadPoolExecutor(READ_THREADS) as threads:
        return list(threads.map(read, configs))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
