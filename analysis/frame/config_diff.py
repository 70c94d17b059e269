"""Differences between the configurations of trials or experiments."""

import math
from collections.abc import Sequence

import pandas as pd

from analysis.frame.checks import check_columns
from analysis.frame.matching import cell_of_each, values_of
from analysis.frame.schema import hyperparameters
from analysis.frame.values import sort_key

# A trial whose experiment knows no such key.
ABSENT = math.nan


def differences(df: pd.DataFrame, by: str = "experiment_file_name") -> pd.DataFrame:
    """Return the hyperparameters in which experiments differ; with by="trial_dir", those in which trials differ.

    The result has one row for each hyperparameter whose set of values is not the same in all groups, and these columns:
    - `parameter`.
    - one column for each value of `by`: the value of the hyperparameter in that group, a tuple of all values if there
      are several, or NaN if the group does not have the hyperparameter.

    Args:
        df: the trials.
        by: the column that names the group of each trial.

    Raises:
        ValueError: if there is no column `by`.

    Example:
        >>> from analysis import differences, load_example
        >>> df = load_example("quickstart")
        >>> differences(df[df["test_acc_at_best"] > 0.955], by="trial_dir")
          parameter trial_181bf8219341 trial_d64993760708
        0     model        SparseModel                SET
    """
    check_columns(df, [by])
    keys = [sort_key(value) for value in df[by]]
    groups = {value: df[[key == sort_key(value) for key in keys]] for value in values_of(df[by])}
    rows = []
    for name in hyperparameters(df):
        if name == by:
            continue
        found = {group: values_of(part[name]) for group, part in groups.items()}
        of_groups = [[sort_key(value) for value in values] for values in found.values()]
        if any(each != of_groups[0] for each in of_groups):
            rows.append({"parameter": name, **{group: _shown(values) for group, values in found.items()}})
    return pd.DataFrame(rows, columns=["parameter", *groups])


def without_constant(df: pd.DataFrame, keep: Sequence[str] = ()) -> pd.DataFrame:
    """Return the DataFrame without the columns that have a single value.

    Args:
        df: the trials.
        keep: columns that stay even if they have a single value.

    Raises:
        ValueError: if a column of `keep` does not exist.

    Example:
        >>> from analysis import load_example, without_constant
        >>> df = load_example("quickstart")
        >>> df.shape[1], without_constant(df).shape[1]
        (108, 31)
        >>> without_constant(df[["model", "on_perc", "network", "study"]], keep=["study"]).columns.tolist()
        ['model', 'on_perc', 'study']
    """
    check_columns(df, keep)
    return df[[name for name in df.columns if name in keep or len(set(cell_of_each(df, [name]))) > 1]]


def _shown(values: list[object]) -> object:
    if len(values) == 1:
        return values[0]
    return tuple(values) if values else ABSENT
