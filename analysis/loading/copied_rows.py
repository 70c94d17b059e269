"""The rows that a trial has from another one, as the copies of population-based training have."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from analysis.frame.schema import COPIED_FROM, STARTS_FROM
from analysis.frame.values import sort_key
from analysis.loading.columns import Array, History
from analysis.loading.trial_dir import Trial


def places_without_copies(history: History, epoch: int) -> list[int]:
    """Return the places of the trials, without copies whose own training begins after an epoch."""
    n_trials = len(history.starts) - 1
    copied = history.columns.get(COPIED_FROM)
    if copied is None:
        return list(range(n_trials))
    rows = history.starts[:-1] + epoch - 1
    return [
        place
        for place, (row, end) in enumerate(zip(rows, history.starts[1:], strict=True))
        if row >= end or not isinstance(copied[row], str)
    ]


def with_trained_settings(trials: Sequence[Trial], history: History) -> list[Trial]:
    """Return the trials with the settings of each row: those of a copied row are those with which it was trained.

    Args:
        trials: all trials of one folder.
        history: their rows.
    """
    copied = history.columns.get(COPIED_FROM)
    if copied is None:
        return list(trials)
    by_dir = {trial.trial_dir: trial for trial in trials}
    of_each = zip(trials, history.starts[:-1], history.starts[1:], strict=True)
    return [_with_trained_settings(trial, copied[first:end], by_dir) for trial, first, end in of_each]


def _with_trained_settings(trial: Trial, copied: Array, by_dir: dict[str, Trial]) -> Trial:
    # If the folder of the other trial is lost, its settings are not known.
    configs = [by_dir.get(name, trial).config for name in copied]
    changed: dict[str, list[Any]] = {
        key: [config.get(key) for config in configs]
        for key, own in trial.config.items()
        if key != STARTS_FROM and any(sort_key(config.get(key)) != sort_key(own) for config in _distinct(configs))
    }
    return replace(trial, config_by_row=trial.config_by_row | changed)


def _distinct(configs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return each config once; those of one trial are one object."""
    return list({id(config): config for config in configs}.values())
