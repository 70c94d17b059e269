"""The state of a browser of trials, as plain data: which trials, columns, order and groups it shows."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.frame.checks import check_columns, check_numbers
from analysis.frame.matching import values_of
from analysis.frame.schema import logged, metrics, varying
from analysis.frame.summaries import SUMMARIES
from analysis.frame.values import is_missing, n_values, sort_key
from analysis.statistics.ranking import is_better_low

# A column with more values has no list to select from; search for it in the table.
MOST_VALUES = 40


@dataclass(frozen=True)
class View:
    """What a browser shows.

    Attributes:
        metric: the metric of the heat map and the curves.
        filters: the values that are shown, for each column of which not all values are shown.
        columns: the columns of the table.
        sort_by: the column that orders the table.
        descending: True if the highest value of that column comes first.
        rows: the column whose values are the rows of the heat map.
        across: the column whose values are its columns.
        curves_by: the column of whose values each has a learning curve.
    """

    metric: str
    filters: Mapping[str, tuple[Any, ...]]
    columns: tuple[str, ...]
    sort_by: str
    descending: bool
    rows: str
    across: str
    curves_by: str


class Choices(NamedTuple):
    """What the views of a DataFrame can be made of; `filters` has the values of each column that has a list."""

    metrics: list[str]
    columns: list[str]
    filters: dict[str, list[Any]]
    groups: list[str]  # of the heat map
    curve_groups: list[str]


def choices_of(df: pd.DataFrame, metric: str | None) -> Choices:
    """Return what can be chosen for a DataFrame of trials; `metric` is the first of the metrics unless it is None.

    Raises:
        ValueError: if a column does not exist, `metric` holds no numbers, or `df` has no metric.
    """
    summaries = [f"{name}{end}" for name in logged(df) for end in SUMMARIES]
    usual = [name for name in ("val_acc_max", "val_r2_max", *summaries) if name in df]
    if metric is None and not usual:
        raise ValueError("The DataFrame has no metric. Name a column of numbers: browse(df, metric='my_column').")
    first = usual[0] if metric is None else metric
    check_columns(df, [first, "status", "trial_dir"])
    check_numbers(df, first)
    several = list(varying(df))
    short = [name for name in dict.fromkeys([*several, "status"]) if n_values(df[name]) <= MOST_VALUES]
    filters = {name: [plain(value) for value in values_of(df[name])] for name in short}
    filters = {name: values for name, values in filters.items() if all(map(is_plain, values))}
    keys = [name for name in several if name in filters]
    return Choices(
        metrics=list(dict.fromkeys([first, *usual])),
        columns=[name for name in df.columns if isinstance(name, str) and name],
        filters=filters,
        groups=keys or ["status"],
        curve_groups=[*keys, "trial_dir"],
    )


def first_view(df: pd.DataFrame, choices: Choices) -> View:
    """Return the view with which a browser starts: all trials, the best first, with the columns that vary."""
    # The heat map shows means over the seeds, not one row for each seed.
    groups = [name for name in choices.groups if name != "seed"] or choices.groups
    metric = choices.metrics[0]
    return View(
        metric=metric,
        filters={},
        columns=usual_columns(df, metric),
        sort_by=metric,
        descending=not is_better_low(metric),
        rows=groups[-1],
        across=groups[0],
        curves_by=groups[0] if groups[0] in choices.curve_groups else "trial_dir",
    )


def usual_columns(df: pd.DataFrame, metric: str) -> tuple[str, ...]:
    """Return the columns of a table that nobody has changed."""
    names = [metric, *varying(df), "status", "epochs", "trial_dir"]
    return tuple(name for name in dict.fromkeys(names) if name in df)


def with_metric(view: View, metric: str) -> View:
    """Return the view with another metric, also in the table: in the place of the old one, and in the order."""
    columns = view.columns
    if metric not in columns:
        columns = tuple(metric if name == view.metric else name for name in columns)
    if view.sort_by != view.metric:
        return replace(view, metric=metric, columns=columns)
    return replace(view, metric=metric, columns=columns, sort_by=metric, descending=not is_better_low(metric))


def sorted_by(df: pd.DataFrame, view: View, column: str) -> View:
    """Return the view in the order of a column, or in the opposite order if that orders it already.

    The best value of a metric comes first, and the lowest of another column.
    """
    if column == view.sort_by:
        return replace(view, descending=not view.descending)
    return replace(view, sort_by=column, descending=column in metrics(df) and not is_better_low(column))


def shown_trials(df: pd.DataFrame, view: View) -> pd.DataFrame:
    """Return the trials of a view in its order, numbered from 0. Ties stay in their order."""
    holds = np.ones(len(df), dtype=bool)
    for name, values in view.filters.items():
        wanted = {sort_key(value) for value in values}
        holds &= np.array([sort_key(value) in wanted for value in df[name]], dtype=bool)
    key = as_text if has_no_order(df[view.sort_by]) else None
    trials = df[holds].sort_values(view.sort_by, ascending=not view.descending, kind="stable", key=key)
    return trials.reset_index(drop=True)


def has_no_order(column: pd.Series) -> bool:
    """Return True if the values of a column cannot be sorted, such as numbers and texts; they are sorted as text."""
    try:
        column.sort_values()
    except TypeError:
        return True
    return False


def as_text(column: pd.Series) -> pd.Series:
    """Return the values of a column as text."""
    return column.astype(str)


def fitted(view: View, current: View, choices: Choices) -> tuple[View, list[str]]:
    """Return the part of a view that can be shown, and the names that it has and these trials do not.

    Args:
        view: a view of the same experiment at another time, or of another one.
        current: the view to take the missing parts from.
        choices: what there is now.
    """
    filters, lost = dict[str, tuple[Any, ...]](), list[str]()
    for name, values in view.filters.items():
        there = choices.filters.get(name, [])
        kept = _among(values, there)
        if not there or (values and not kept):
            lost.append(name)
        elif len(kept) < len(there):
            filters[name] = kept
    columns = tuple(name for name in dict.fromkeys(view.columns) if name in choices.columns)
    lost += [name for name in view.columns if name not in columns]
    if view.sort_by not in choices.columns:
        lost.append(view.sort_by)
        view = replace(view, sort_by=current.sort_by, descending=current.descending)
    for part, names in _allowed(choices).items():
        if getattr(view, part) not in names:
            lost.append(getattr(view, part))
            view = replace(view, **{part: getattr(current, part)})
    return replace(view, filters=filters, columns=columns or current.columns), list(dict.fromkeys(lost))


def _allowed(choices: Choices) -> dict[str, list[str]]:
    """Return the columns that the metric and the groups of a view can be."""
    return {
        "metric": choices.metrics,
        "rows": choices.groups,
        "across": choices.groups,
        "curves_by": choices.curve_groups,
    }


def _among(values: Sequence[Any], there: Sequence[Any]) -> tuple[Any, ...]:
    """Return those of the values that are there, in the order in which they are there."""
    wanted = {sort_key(value) for value in values}
    return tuple(value for value in there if sort_key(value) in wanted)


def experiment_folders(df: pd.DataFrame) -> list[str]:
    """Return the folders of the experiments; none if one is not a folder here, such as that of a packaged example."""
    paths = list(dict.fromkeys(df["experiment_file_name"])) if "experiment_file_name" in df else []
    return paths if all(isinstance(path, str) and os.path.isdir(path) for path in paths) else []


def plain(value: Any) -> Any:
    """Return a value as Python and JSON have it; a missing one is None."""
    if is_missing(value):
        return None
    return value.item() if isinstance(value, np.generic) else value


def is_plain(value: Any) -> bool:
    """Return True for a value that JSON has: None, a bool, a number, a text, or a tuple of such values."""
    if isinstance(value, tuple):
        return all(map(is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))
