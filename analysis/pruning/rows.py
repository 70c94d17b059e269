"""What the rows of all studies have in common: which columns are settings, and which rows there should be."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis.frame.checks import check_columns
from analysis.frame.schema import RUN_COLUMNS, has_schema, hyperparameters, varying, with_schema

# What tells trials apart: the folder too, since trials of several experiments may share an id.
TRIAL = ["trial_id", "trial_dir"]
TESTED = ["val_acc", "val_loss", "test_acc", "test_loss"]


def of_study(history: pd.DataFrame, study: str, columns: Sequence[str]) -> pd.DataFrame:
    """The rows of the trials of a study.

    Raises: ValueError if no trial has it, none has come so far that the study's own columns are there, or the
    DataFrame has lost which columns were measured.
    """
    check_columns(history, [*TRIAL, "epoch", "study"])
    if not has_schema(history):
        raise ValueError("it is not known which columns were measured: take the history as load_history gives it")
    rows = history[history["study"] == study].reset_index(drop=True)
    if rows.empty:
        found = sorted(map(str, history["study"].unique()))
        raise ValueError(f"no trial has study={study!r}; the studies of this history: {', '.join(found) or 'none'}")
    missing = [name for name in columns if name not in rows]
    if missing:
        raise ValueError(f"no row has {', '.join(missing)} yet: no trial with study={study!r} has come so far")
    return rows


def first_training(history: pd.DataFrame) -> pd.DataFrame:
    """The rows of a history that come before any pruning; all of them where trials do not prune after training."""
    rows = history
    if "pruning" in rows:
        rows = rows[rows["pruning"].isna()]
    if "round" in rows:
        rows = rows[rows["round"].fillna(0) == 0]
    return rows.reset_index(drop=True)


def told_apart(frame: pd.DataFrame) -> list[str]:
    """What is not averaged over unless it is asked for: the data set, and all hyperparameters that vary but `seed`."""
    axes = ["dataset_name", "seed", "pruning", "sparsity", "round"]
    return ["dataset_name", *varying(frame, besides=axes)]


def settings(rows: pd.DataFrame) -> dict[str, str]:
    """The columns of a history that are hyperparameters, and what `load` calls them."""
    return {name: f"config/{name}" if name in RUN_COLUMNS else name for name in hyperparameters(rows)}


def in_full(
    rows: pd.DataFrame, names: dict[str, str], keys: Sequence[str], expected: Sequence[Any], found: pd.DataFrame
) -> pd.DataFrame:
    """A row for each that is expected: the settings of its trial, the keys, what was measured, `status`, the trial.

    Args:
        rows: the history of the study. names: its `settings`.
        expected: (trial_id, trial_dir, *keys) of each row, in order.
        found: what there is of them: TRIAL, the keys, `complete`, and what was measured.
    """
    of_trials = rows[[*TRIAL, *names]].drop_duplicates(TRIAL).rename(columns=names)
    frame = pd.DataFrame(list(expected), columns=[*TRIAL, *keys])
    frame = frame.merge(of_trials, on=TRIAL, how="left").merge(found, on=[*TRIAL, *keys], how="left")
    frame["status"] = frame["complete"].eq(True).map({True: "complete", False: "incomplete"})
    measured = [str(name) for name in found if name not in (*TRIAL, *keys, "complete")]
    axes = [*names.values(), *keys]
    return with_schema(frame[[*axes, *measured, "status", *TRIAL]], axes, measured, rows)


def of_trial(frame: pd.DataFrame, besides: Sequence[str]) -> list[str]:
    """The settings in a study's DataFrame: its hyperparameters, but for the study's own axes."""
    return [name for name in hyperparameters(frame) if name not in besides]


def on_test_set(frame: pd.DataFrame, quantity: str) -> pd.Series:
    """`test_acc` or `test_loss` where data was held out for val_*; where not, val_* is of the test set."""
    if f"test_{quantity}" not in frame:
        return frame[f"val_{quantity}"]
    return frame[f"test_{quantity}"].where(frame["val_fraction"] > 0, frame[f"val_{quantity}"])
