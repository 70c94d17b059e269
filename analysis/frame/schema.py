"""The columns of a DataFrame of trials: which are hyperparameters, and which of these vary."""

from collections.abc import Sequence

import pandas as pd

FIRST_COLUMNS = ["Experiment Name"]
RUN_COLUMNS = ["epochs", "experiment_file_name", "trial_time", "mean_epoch_time"]
LAST_COLUMNS = ["status", "error", "diverged", "trial_id", "trial_dir"]
SUMMARIES = ["_max", "_max_epoch", "_min", "_min_epoch", "_median", "_last"]
# Where files are and what computed a trial: nobody's question.
NOT_ASKED = ("data_dir", "device", "engine")


def hyperparameters(df: pd.DataFrame) -> list[str]:
    """The columns of a loaded DataFrame that are not computed; columns that its user added count as such."""
    fixed = {*FIRST_COLUMNS, *RUN_COLUMNS, *LAST_COLUMNS, *df.attrs.get("measured", [])}
    computed = {f"{metric}{summary}" for metric in logged(df) for summary in SUMMARIES}
    return [name for name in df.columns if name not in fixed | computed]


def logged(df: pd.DataFrame) -> list[str]:
    """The metrics that a loaded DataFrame has columns of."""
    names = [str(name) for name in df.columns]
    return [name.removesuffix("_max_epoch") for name in names if name.endswith("_max_epoch")]


def varying(df: pd.DataFrame, besides: Sequence[str] = ()) -> dict[str, int]:
    """The hyperparameters that have several values, and how many: what an average over the trials is over.

    Those that only say where files are or what is logged do not count.
    """
    there = with_config(df)
    found = {name: int(there[name].nunique(dropna=False)) for name in hyperparameters(df) if name not in besides}
    return {name: n for name, n in found.items() if n > 1 and name not in NOT_ASKED}


def with_config(df: pd.DataFrame) -> pd.DataFrame:
    """The trials whose hyperparameters are known: one that has lost its file would give each axis one more value."""
    names = hyperparameters(df)
    return df[df[names].notna().any(axis="columns")] if names else df
