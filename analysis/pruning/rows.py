"""Rows of the studies that prune: their settings, and the rows that each trial should have."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.frame.checks import check_columns
from analysis.frame.schema import RUN_COLUMNS, distinct_names, has_schema, hyperparameters, varying, with_schema

# The columns that identify a trial. Trials of several experiments may share an id, but not a folder.
TRIAL = ["trial_id", "trial_dir"]
# What says how good a network is: the accuracy of a classification, or R² of a regression.
SCORES = {"acc": "accuracy", "r2": "R²"}
TESTED = [f"{part}_{name}" for part in ("val", "test") for name in (*SCORES, "loss", "rmse")]


def of_study(history: pd.DataFrame, study: str, columns: Sequence[str]) -> pd.DataFrame:
    """Return the rows of the trials of a study.

    Raises:
        ValueError: if no trial has the study, no trial has logged the columns of the study yet, or the DataFrame has
            lost its schema.
    """
    check_columns(history, [*TRIAL, "epoch", "study"])
    if not has_schema(history):
        raise ValueError(
            "The history has lost its schema: its metrics are unknown. Pass it as load_history returns it."
        )
    rows = history[history["study"] == study].reset_index(drop=True)
    if rows.empty:
        found = sorted(map(str, history["study"].unique()))
        raise ValueError(f"No trial has study={study!r}. Studies in this history: {', '.join(found) or 'none'}.")
    missing = [name for name in columns if name not in rows]
    if missing:
        raise ValueError(f"No trial with study={study!r} has logged {', '.join(missing)} yet. Load it again later.")
    return rows


def first_training(history: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a history that come before any pruning; all rows of trials that do not prune after training.

    Args:
        history: one row per trial and epoch, as `load_history` gives it.

    Example:
        >>> from analysis import first_training, load_example_history
        >>> history = load_example_history("sweep")
        >>> len(history), len(first_training(history))
        (85, 25)
        >>> first_training(history).groupby("epoch")["val_acc"].mean().round(3)
        epoch
        1    0.731
        2    0.909
        3    0.932
        4    0.949
        5    0.959
        Name: val_acc, dtype: float64
    """
    rows = history
    if "pruning" in rows:
        rows = rows[rows["pruning"].isna()]
    if "round" in rows:
        rows = rows[rows["round"].fillna(0) == 0]
    return rows.reset_index(drop=True)


def default_groups(frame: pd.DataFrame) -> list[str]:
    """Return the default groups: the data set, and all hyperparameters that vary except `seed`."""
    axes = ["dataset_name", "seed", "pruning", "sparsity", "round"]
    return ["dataset_name", *varying(frame, besides=axes)]


def settings(rows: pd.DataFrame) -> dict[str, str]:
    """Return the columns of a history that are hyperparameters, each with its name in `load`."""
    return distinct_names(hyperparameters(rows), RUN_COLUMNS, "config/")


def in_full(
    rows: pd.DataFrame, names: dict[str, str], keys: Sequence[str], expected: Sequence[Any], found: pd.DataFrame
) -> pd.DataFrame:
    """Return one row for each expected combination: settings, keys, metrics, `status`, `diverged`, and the trial.

    Args:
        rows: the history of the study.
        names: its `settings`.
        keys: the columns of the study that identify a row within a trial.
        expected: (trial_id, trial_dir, *keys) of each row, in order.
        found: the rows that were logged: TRIAL, the keys, `complete`, `diverged`, and the metrics.
    """
    of_trials = rows[[*TRIAL, *names]].drop_duplicates(TRIAL).rename(columns=names)
    frame = pd.DataFrame(list(expected), columns=[*TRIAL, *keys])
    frame = frame.merge(of_trials, on=TRIAL, how="left").merge(found, on=[*TRIAL, *keys], how="left")
    frame["status"] = frame["complete"].eq(True).map({True: "complete", False: "incomplete"})
    measured = [str(name) for name in found if name not in (*TRIAL, *keys, "complete", "diverged")]
    axes = [*names.values(), *keys]
    frame["diverged"] = frame["diverged"].eq(True)
    return with_schema(frame[[*axes, *measured, "status", "diverged", *TRIAL]], axes, measured, rows)


def is_diverged_row(rows: pd.DataFrame) -> pd.Series:
    """Mark the rows in which the loss on the validation or test set is NaN or infinite."""
    found = pd.Series(False, index=rows.index)
    if "val_loss" in rows:
        found |= ~np.isfinite(rows["val_loss"].astype(float))
    if "test_loss" in rows and "val_fraction" in rows:
        # Without data that are held out, no trial logs a test loss.
        found |= (rows["val_fraction"] > 0) & ~np.isfinite(rows["test_loss"].astype(float))
    return found


def of_trial(frame: pd.DataFrame, besides: Sequence[str]) -> list[str]:
    """Return the settings in a study's DataFrame: its hyperparameters without the study's own axes."""
    return [name for name in hyperparameters(frame) if name not in besides]


def score_in_words(metric: str) -> str:
    """Return what a metric is called in a sentence: "accuracy", or "R²"."""
    return next((words for name, words in SCORES.items() if f"_{name}" in metric), metric)


def on_test_set(frame: pd.DataFrame, quantity: str) -> pd.Series:
    """Return a metric such as `test_acc`; val_* if no data was held out, because it is then of the test set."""
    if f"test_{quantity}" not in frame:
        return frame[f"val_{quantity}"]
    return frame[f"test_{quantity}"].where(frame["val_fraction"] > 0, frame[f"val_{quantity}"])
