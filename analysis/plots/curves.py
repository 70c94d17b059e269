"""Plot of a metric over the epochs."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.frame.checks import check_columns, check_numbers
from analysis.frame.schema import hyperparameters, metrics
from analysis.frame.series import Column, column_name, with_series
from analysis.frame.words import plural
from analysis.plots._lib.groups import SHOWN as TOP
from analysis.plots._lib.groups import (
    add_legend,
    best,
    check_top,
    draw_line,
    group_keys,
    groups,
    names_of,
    note,
)
from analysis.plots._lib.panels import new_panels
from analysis.plots._lib.scales import epoch_axis
from analysis.plots._lib.style import escape, new_figure, view
from analysis.statistics.learning_curves import curves


def plot_curves(
    history: pd.DataFrame,
    metric: Column,
    by: Column | Sequence[Column] | None = None,
    top: int = TOP,
    lowest: bool = False,
    panel: Column | None = None,
) -> go.Figure:
    """Plot the mean of a metric in each epoch, with its 95% interval as a band and one line for each group.

    The numbers are those of `curves`, without trials that diverged. A trial counts up to its last epoch. Where a band
    widens or ends, fewer trials are left; hover over the line to read how many.

    Args:
        history: one row for each trial and epoch, as returned by `load_history`.
        metric: the column on the vertical axis.
        by: one or more columns; each combination of their values is a group. None draws one curve for all trials.
        top: the largest number of groups to show: those with the best mean in their last epoch.
        lowest: True if low values are better.
        panel: the column whose values have their own panels, side by side; None draws one panel.

    Raises:
        ValueError: if a column does not exist, `metric` holds no numbers, all its values are missing, or the metric is
            given as `by`.

    Example:
        >>> from analysis import load_example_history
        >>> from analysis.plots import plot_curves
        >>> fig = plot_curves(load_example_history("quickstart"), "val_acc", "on_perc")
        >>> [trace.name for trace in fig.data if trace.showlegend]
        ['0.02', '0.05', '0.1']
    """
    _check_order(history, metric, by)
    history = with_series(history, by, metric, panel)
    metric, panels = column_name(metric), [] if panel is None else [column_name(panel)]
    check_columns(history, ["epoch", "trial_id", metric, *panels])
    check_numbers(history, metric)
    check_top(top)
    keys = group_keys(history, by, besides=["epoch", metric, *panels])
    history = _finite(history, metric)
    table = curves(history, [*panels, *keys], metric)
    table = table[table["count"] > 0].reset_index(drop=True)
    names, of_panel = names_of(table, keys), names_of(table, panels)
    # The mean over the panels of the last value of each.
    last = table.groupby([of_panel, names], sort=False)["mean"].last().groupby(level=1, sort=False).mean()
    shown = best(last, top, lowest)
    notes = [
        _describe(history, keys, metric, shown),
        note(len(last), len(shown), keys, f"last {metric}"),
        "mean over the trials of each group, and 95% interval of the mean",
    ]
    fig = _empty(f"{metric} by epoch", [text for text in notes if text], metric, panels, list(dict.fromkeys(of_panel)))
    for column, place in enumerate(dict.fromkeys(of_panel), start=1):
        at = {"row": 1, "col": column} if panels else {}
        for group in groups(names[names.isin(shown)]):
            own = table[(names == group.name) & (of_panel == place)]
            if len(own):
                draw_line(fig, own, own["epoch"].tolist(), group, len(shown), "epoch", "lines", "mean", **at)
    rows = table[names.isin(shown)]
    fig.update_xaxes(**epoch_axis(rows["epoch"]))
    fig.update_yaxes(**view(rows["mean"], rows))
    add_legend(fig, keys)
    return fig


def _finite(history: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the rows without values of trials that diverged. Raises: ValueError if no value is left."""
    diverged = history["diverged"].eq(True) if "diverged" in history else pd.Series(False, index=history.index)
    values = history[metric].replace([np.inf, -np.inf], np.nan).mask(diverged)
    if values.notna().sum() == 0:
        hint = " Pass history.drop(columns='diverged') to plot trials that diverged." if diverged.any() else ""
        raise ValueError(f"Nothing to plot: the column {metric!r} has no finite value.{hint}")
    return history.assign(**{metric: values}).reset_index(drop=True)


def _empty(title: str, notes: list[str], metric: str, panels: list[str], places: list[str]) -> go.Figure:
    """Return a figure of one panel, or of one for each value of the column in `panels`."""
    if panels:
        return new_panels(title, notes, [metric], [f"{panels[0]}={place}" for place in places])
    fig = new_figure(title, notes)
    fig.update_yaxes(title_text=escape(metric))
    return fig


def _check_order(history: pd.DataFrame, metric: object, by: object) -> None:
    """Raise a ValueError if the groups stand before the metric, as in version 0.1."""
    are_swapped = (
        isinstance(metric, str)
        and isinstance(by, str)
        and metric in hyperparameters(history)
        and by in metrics(history)
    )
    if metric is None or isinstance(metric, list | tuple) or are_swapped:
        raise ValueError(
            f"metric must be a logged column and comes before by, got metric={metric!r} and by={by!r}. "
            f"Write plot_curves(history, {by!r}, {metric!r})."
        )


def _describe(history: pd.DataFrame, keys: list[str], metric: str, shown: list[str]) -> str:
    trials = _trials(history)
    all_trials, with_value = set(trials), set(trials[history[metric].notna()])
    diverged = set(trials[history["diverged"].eq(True)]) if "diverged" in history else set()
    is_shown = history[metric].notna() & names_of(history, keys).isin(shown)
    drawn = set(trials[is_shown])
    parts = {
        "diverged": len(diverged),
        f"without a finite {metric}": len(all_trials - with_value - diverged),
        "in groups that are not shown": len(with_value - drawn),
    }
    reasons = ", ".join(f"{n} {reason}" for reason, n in parts.items() if n)
    total = plural(len(all_trials), "trial")
    if reasons:
        return f"{len(drawn)} of {total} shown; left out: {reasons}"
    return f"all {total} shown" if len(all_trials) != 1 else f"{total} shown"


def _trials(history: pd.DataFrame) -> pd.Series:
    """Return the id and the folder of each row's trial: trials of several experiments may share an id."""
    names = [name for name in ("trial_id", "trial_dir") if name in history]
    return pd.Series(list(zip(*(history[name] for name in names), strict=True)), index=history.index)
