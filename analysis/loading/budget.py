"""Trials at an equal budget: the first epochs of each, as if the training had ended there."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from analysis.loading.columns import History
from analysis.loading.trial_dir import Trial


def at_epoch(trials: Sequence[Trial], history: History, epoch: int) -> tuple[list[Trial], History]:
    """Return trials and their rows up to an epoch. Trials that have it are complete, and all others are not.

    A trial that diverged later has not diverged.

    Raises:
        ValueError: if no trial has that many rows.
    """
    n_rows = np.diff(history.starts)
    if not isinstance(epoch, int) or isinstance(epoch, bool) or not 1 <= epoch <= max(n_rows, default=0):
        most = max(n_rows, default=0)
        raise ValueError(f"at_epoch must be a whole number from 1 to {most}, the most that a trial has, got {epoch!r}.")
    place = np.arange(int(history.starts[-1])) - np.repeat(history.starts[:-1], n_rows)
    kept = place < epoch
    rows = {name: column[kept] for name, column in history.columns.items()}
    starts = np.cumsum([0, *np.minimum(n_rows, epoch)])
    found = [
        replace(trial.until(epoch), status="complete", error=None)
        if n >= epoch
        else replace(trial, status="incomplete" if trial.status == "complete" else trial.status)
        for trial, n in zip(trials, n_rows, strict=True)
    ]
    return found, History(starts, rows, history.n_left_out)
