"""Plot of a metric over its cost."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.frame.matching import cell_of_each
from analysis.frame.schema import COSTS, varying
from analysis.frame.series import Column, column_name, with_series
from analysis.frame.words import plural
from analysis.plots._lib.groups import SHOWN as TOP
from analysis.plots._lib.groups import add_legend, group_keys, groups, mean_texts, names_of
from analysis.plots._lib.scales import LOG_RATIO
from analysis.plots._lib.style import TEXT, escape, label, new_figure, short, view
from analysis.plots._lib.trials import describe, drawn, hover, with_finite
from analysis.plots.axis import best_groups
from analysis.statistics.aggregate import agg, has_value
from analysis.statistics.ranking import check_cost, is_better_low, pareto

UNITS = ["", "k", "M", "G", "T", "P"]


def plot_pareto(
    df: pd.DataFrame,
    metric: Column,
    cost: Column = "flops_train",
    by: Column | Sequence[Column] | None = None,
    top: int = TOP,
    lowest: bool | None = None,
) -> go.Figure:
    """Plot a metric over its cost, with the Pareto front of the settings.

    A setting is a combination of all hyperparameters that vary except `seed`. Its trials are faint points, and its
    mean has the 95% interval of the metric. A mean on the Pareto front has a ring: no other is at least as good and at
    most as costly, and better in one of the two. Single trials would select lucky seeds. The axis is logarithmic if the
    costs span a factor of 10. FLOPs are operations per example, in units that suit them.

    The front is that of all settings. A note counts the settings on it whose groups are not shown.

    Args:
        df: one row for each trial, as returned by `load`.
        metric: the column on the vertical axis.
        cost: the column on the horizontal axis; lower values are better.
        by: one or more columns; each combination of their values is a group with its own colour.
        top: the largest number of groups to show: first those on the front, then those with the best mean over all
            their trials.
        lowest: True if low values of the metric are better; None decides by its name.

    Raises:
        ValueError: if a column does not exist or holds no numbers, if no complete trial has both values, or if `metric`
            and `cost` are the same.

    Example:
        >>> from analysis import load_example
        >>> from analysis.plots import plot_pareto
        >>> fig = plot_pareto(load_example("quickstart"), "test_acc_at_best", "on_perc", by="model")
        >>> [trace.name for trace in fig.data if trace.showlegend]
        ['RigL', 'SET', 'SparseModel', 'Pareto front']
        >>> fig.data[-1].x.round(3).tolist()
        [0.02, 0.05, 0.1]
    """
    df = with_series(df, metric, cost, by)
    metric, cost = column_name(metric), column_name(cost)
    check_cost(df, metric, cost)
    lowest = is_better_low(metric) if lowest is None else lowest
    keys = group_keys(df, by, besides=[metric, cost])
    df = with_finite(df, metric)
    without_cost = has_value(df, metric) & ~np.isfinite(df[cost].astype(float))
    with_cost = df[~without_cost].reset_index(drop=True)
    if without_cost.any() and not has_value(with_cost, metric).any():
        raise ValueError(f"Nothing to plot: no complete trial with a finite {metric} has a finite {cost}.")
    missing = f"{without_cost.sum()} of {plural(len(df), 'trial')} left out without a finite {cost}; of the others, "
    means = _means(with_cost, metric, cost, keys)
    front = _front(means, lowest)
    df, notes, n_other = best_groups(with_cost, keys, metric, top, lowest, first=front[keys])
    is_shown = pd.Series(cell_of_each(means, keys), means.index).isin(set(cell_of_each(df, keys)))
    if n_hidden := int((~is_shown[front.index]).sum()):
        notes.append(f"{n_hidden} of {plural(len(front), 'setting')} on the front in groups that are not shown")
    visible = means[is_shown | means.index.isin(front.index)]
    shown = (missing if without_cost.any() else "") + describe(df, metric, n_other)
    title, factor = _unit(cost, float(visible["cost_"].max()))
    what = "large points: mean of each setting over its seeds, and 95% interval; rings: Pareto front of the means"
    fig = new_figure(f"{metric} by {cost}", [shown, *notes, what])
    _draw_groups(fig, df, means[is_shown], metric, cost, keys, factor)
    _draw_front(fig, front, factor)
    spread = visible["cost_"].min() > 0 and visible["cost_"].max() >= LOG_RATIO * visible["cost_"].min()
    # One digit at 1, 2 and 5 of each decade: plotly's own ticks of a short logarithmic axis are crowded.
    fig.update_xaxes(title_text=escape(title), **({"type": "log", "dtick": "D2"} if spread else {}))
    fig.update_yaxes(title_text=escape(metric), **view(pd.concat([drawn(df, metric)[metric], front["mean"]]), visible))
    add_legend(fig, keys)
    fig.update_layout(showlegend=True)
    return fig


def _means(df: pd.DataFrame, metric: str, cost: str, keys: Sequence[str]) -> pd.DataFrame:
    """Return one row for each setting with a value: `agg` of the metric, `cost_`, the keys, and a text `setting_`."""
    trials = drawn(df, metric)
    names = list(dict.fromkeys([*keys, *varying(trials, besides=["seed", metric])]))
    cells = cell_of_each(trials, names)
    number = {cell: i for i, cell in enumerate(dict.fromkeys(sorted(cells)))}
    trials = trials.assign(setting_=[number[cell] for cell in cells])
    first = trials.drop_duplicates("setting_").set_index("setting_").sort_index()
    table = agg(trials, "setting_", metric)
    texts = ["<br>".join(f"{short(name)}: {short(label(row[name]))}" for name in names) for _, row in first.iterrows()]
    costs = trials.groupby("setting_")[cost].mean().to_numpy()
    return table.assign(cost_=costs, text_=texts, **{key: first[key].to_numpy() for key in keys})


def _unit(cost: str, largest: float) -> tuple[str, float]:
    """Return the title of the axis of costs, and by what the costs are divided."""
    if cost not in COSTS:
        return cost, 1.0
    if cost.endswith("_ratio"):
        return f"{cost} (1: dense network)", 1.0
    step = min(len(UNITS) - 1, max(0, int(np.log10(max(largest, 1.0)) // 3)))
    return f"{cost} ({UNITS[step]}FLOPs per example)", 1000.0**step


def _draw_groups(
    fig: go.Figure, df: pd.DataFrame, means: pd.DataFrame, metric: str, cost: str, keys: list[str], factor: float
) -> None:
    trials = drawn(df, metric)
    texts = pd.Series(hover(trials), index=trials.index)
    trial_names, names = names_of(trials, keys), names_of(means, keys)
    for group in groups(names):
        points, rows = trials[trial_names == group.name], means[names == group.name]
        fig.add_scatter(
            x=points[cost] / factor,
            y=points[metric],
            mode="markers",
            marker={"color": group.colour, "opacity": 0.4, "size": 5, "symbol": group.symbol},
            hovertext=list(texts[points.index]),
            hovertemplate="%{hovertext}<br>cost: %{x:.4g}<br>value: %{y:.4g}<extra></extra>",
            meta="trials",
            **group.legend(is_shown=False),
        )
        found = zip(mean_texts(rows, group), rows["text_"], strict=True)
        fig.add_scatter(
            x=rows["cost_"] / factor,
            y=rows["mean"],
            mode="markers",
            error_y={"array": (rows["high"] - rows["mean"]).fillna(0.0), "thickness": 1.5, "width": 4},
            marker={"color": group.colour, "size": 9, "symbol": group.symbol},
            hovertext=["<br>".join(part for part in parts if part) for parts in found],
            hovertemplate="%{hovertext}<br>cost: %{x:.4g}<extra></extra>",
            meta="means",
            **group.legend(),
        )


def _front(means: pd.DataFrame, lowest: bool) -> pd.DataFrame:
    """Return the rows of the settings on the Pareto front, by increasing cost."""
    points = means[["cost_", "mean"]].assign(status="complete", trial_dir=means.index)
    return means.loc[pareto(points, "mean", "cost_", lowest)["trial_dir"]]


def _draw_front(fig: go.Figure, rows: pd.DataFrame, factor: float) -> None:
    fig.add_scatter(
        x=(rows["cost_"] / factor).to_numpy(),
        y=rows["mean"],
        mode="lines+markers",
        # The best mean at a cost or less is constant between two points of the front: steps.
        line={"shape": "hv", "color": TEXT, "width": 1, "dash": "dot"},
        marker={"symbol": "circle-open", "size": 17, "color": TEXT, "line": {"width": 2}},
        name="Pareto front",
        legendgroup="Pareto front",
        hovertext=list(rows["text_"]),
        hovertemplate="<b>Pareto front</b><br>%{hovertext}<br>mean: %{y:.4f}<extra></extra>",
        meta="front",
        showlegend=True,
    )
