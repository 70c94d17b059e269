"""Plot of a metric over the epochs."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.frame.checks import check_columns, check_numbers
from analysis.frame.series import Column, column_name, with_series
from analysis.plots._lib.groups import SHOWN as TOP
from analysis.plots._lib.groups import (
    Group,
    add_band,
    add_legend,
    best,
    check_top,
    group_keys,
    groups,
    mean_texts,
    names_of,
    note,
)
from analysis.plots._lib.scales import epoch_axis
from analysis.plots._lib.style import escape, new_figure, view
from analysis.stats.learning_curves import curves


def plot_curves(
    history: pd.DataFrame,
    by: Column | Sequence[Column] | None,
    metric: Column,
    top: int = TOP,
    lowest: bool = False,
) -> go.Figure:
    """Plot the mean of a metric in each epoch, with its 95% interval as a band and one line for each group.

    The numbers are those of `curves`. A trial counts up to its last epoch. Where a band widens or ends, fewer trials
    are left; hover over the line to read how many.

    Args:
        history: one row for each trial and epoch, as returned by `load_history`.
        by: one or more columns; each combination of their values is a group. None draws one curve for all trials.
        metric: the column on the vertical axis.
        top: the largest number of groups to show: those with the best mean in their last epoch.
        lowest: True if low values are better.

    Raises:
        ValueError: if a column does not exist, `metric` holds no numbers, or all its values are missing.
    """
    history = with_series(history, by, metric)
    metric = column_name(metric)
    check_columns(history, ["epoch", "trial_id", metric])
    check_numbers(history, metric)
    check_top(top)
    keys = group_keys(history, by, besides=["epoch", metric])
    history = history.assign(**{metric: history[metric].replace([np.inf, -np.inf], np.nan)}).reset_index(drop=True)
    if history[metric].notna().sum() == 0:
        raise ValueError(f"Nothing to plot: the column {metric!r} has no finite value.")
    table = curves(history, keys, metric)
    table = table[table["count"] > 0].reset_index(drop=True)
    names = names_of(table, keys)
    last = table.groupby(names, sort=False)["mean"].last()
    shown = best(last, top, lowest)
    notes = [
        _describe(history, keys, metric, shown),
        note(len(last), len(shown), keys, f"last {metric}"),
        "mean over the trials of each group, and 95% interval of the mean",
    ]
    fig = new_figure(f"{metric} by epoch", [text for text in notes if text])
    for group in groups(names[names.isin(shown)]):
        _draw(fig, table[names == group.name], group, len(shown))
    rows = table[names.isin(shown)]
    fig.update_xaxes(**epoch_axis(rows["epoch"]))
    fig.update_yaxes(title_text=escape(metric), **view(rows["mean"], rows))
    add_legend(fig, keys)
    return fig


def _describe(history: pd.DataFrame, keys: list[str], metric: str, shown: list[str]) -> str:
    trials = _trials(history)
    all_trials, with_value = set(trials), set(trials[history[metric].notna()])
    is_shown = history[metric].notna() & names_of(history, keys).isin(shown)
    drawn = set(trials[is_shown])
    parts = {
        f"without a finite {metric}": len(all_trials - with_value),
        "in groups that are not shown": len(with_value - drawn),
    }
    reasons = ", ".join(f"{n} {reason}" for reason, n in parts.items() if n)
    total = f"{len(all_trials)} trial{'s' if len(all_trials) != 1 else ''}"
    return f"{len(drawn)} of {total} shown; left out: {reasons}" if reasons else f"all {total} shown"


def _trials(history: pd.DataFrame) -> pd.Series:
    """Return the id and the folder of each row's trial: trials of several experiments may share an id."""
    names = [name for name in ("trial_id", "trial_dir") if name in history]
    return pd.Series(list(zip(*(history[name] for name in names), strict=True)), index=history.index)


def _draw(fig: go.Figure, rows: pd.DataFrame, group: Group, n_bands: int) -> None:
    band = rows[rows["low"].notna()]
    add_band(fig, band["epoch"], band["low"], band["high"], group, n_bands)
    fig.add_scatter(
        x=rows["epoch"],
        y=rows["mean"],
        # A single epoch would be a line without length.
        mode="lines" if len(rows) > 1 else "markers",
        line={"color": group.colour, "dash": group.dash, "width": 2},
        hovertext=mean_texts(rows, group),
        hovertemplate="epoch %{x}<br>%{hovertext}<extra></extra>",
        meta="means",
        **group.legend(),
    )
