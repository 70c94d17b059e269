"""Differences between the configurations of trials or experiments."""

import math
from collections.abc import Sequence

import pandas as pd

from analysis.frame.checks import check_columns
from analysis.frame.matching import cell_of_each, values_of
from analysis.frame.schema import hyperparameters

# A trial whose experiment knows no such key.
ABSENT = math.nan


def differences(df: pd.DataFrame, by: str = "experiment_file_name") -> pd.DataFrame:
    """The hyperparameters in which experiments differ; with by="trial_dir", those in which trials do.

    One row for each hyperparameter whose set of values is not the same in all groups: `parameter`, then one column for
    each value of `by`, with the value in that group, or the tuple of all its values where there are several. What a
    group does not know is missing.

    Raises: ValueError if there is no column `by`.
    """
    check_columns(df, [by])
    groups = {value: df[df[by].map(lambda each, value=value: each == value)] for value in values_of(df[by])}
    rows = []
    for name in hyperparameters(df):
        if name == by:
            continue
        found = {group: values_of(part[name]) for group, part in groups.items()}
        keys = [
            cell_of_each(pd.DataFrame({name: pd.Series(values, dtype=object)}), [name]) for values in found.values()
        ]
        if any(key != keys[0] for key in keys):
            rows.append({"parameter": name, **{group: _shown(values) for group, values in found.items()}})
    return pd.DataFrame(rows, columns=["parameter", *groups])


def without_constant(df: pd.DataFrame, keep: Sequence[str] = ()) -> pd.DataFrame:
    """The columns that have several values; and those to be kept, whatever they have.

    Raises: ValueError if a column to be kept does not exist.
    """
    check_columns(df, keep)
    return df[[name for name in df.columns if name in keep or len(set(cell_of_each(df, [name]))) > 1]]


def _shown(values: list[object]) -> object:
    if len(values) == 1:
        return values[0]
    return tuple(values) if values else ABSENT
