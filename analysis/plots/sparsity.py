"""Plot of a metric over sparsity."""

import math
from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from analysis.frame.checks import check_columns, is_numeric
from analysis.frame.series import Column, column_name, with_series
from analysis.plots._lib.groups import SHOWN as TOP
from analysis.plots._lib.groups import add_legend, group_keys, names_of
from analysis.plots._lib.scales import NEAREST, Scale, scale, ticks
from analysis.plots._lib.style import TEXT, escape, label, new_figure, short
from analysis.plots._lib.trials import averaged_over, describe, with_finite
from analysis.plots.axis import best_groups, draw_means
from analysis.statistics.aggregate import agg
from analysis.statistics.ranking import pareto


def plot_sparsity(
    df: pd.DataFrame,
    metric: Column,
    by: Column | Sequence[Column] | None = None,
    density: Column = "on_perc",
    top: int = TOP,
    lowest: bool = False,
) -> go.Figure:
    """Plot a metric over sparsity, which is 1 - density, with the Pareto front of the means.

    Means, intervals and trials are drawn as in `plot_axis`; sparser networks are on the right. The means on the Pareto
    front have a ring: no other mean is at least as good and at least as sparse, and better in one of the two. The axis
    is linear or logarithmic in the density, and its ticks show the sparsity: on a logarithmic one 0.99 and 0.995 are
    as far apart as 0.8 and 0.9.

    Args:
        df: one row for each trial, as returned by `load`.
        metric: the column on the vertical axis.
        by: one or more columns; each combination of their values is a group with its own colour.
        density: the column of densities, each in (0, 1].
        top: the largest number of groups to show: those with the best mean over all their trials.
        lowest: True if low values are better.

    Raises:
        ValueError: if a column does not exist, `metric` holds no numbers, no complete trial has a value, or a density
            is not in (0, 1].

    Example:
        >>> from analysis import load_example
        >>> from analysis.plots import plot_sparsity
        >>> fig = plot_sparsity(load_example("quickstart"), "test_acc_at_best", by="model")
        >>> fig.layout.xaxis.ticktext
        ('0.98', '0.95', '0.9')
        >>> fig.data[-1].name, fig.data[-1].x
        ('Pareto front', array([0.02, 0.05, 0.1 ]))
    """
    df = with_series(df, metric, by, density)
    metric, density = column_name(metric), column_name(density)
    check_densities(df, density)
    keys = group_keys(df, by, besides=[density, metric])
    df, notes, n_other = best_groups(with_finite(df, metric), keys, metric, top, lowest)
    means = f"mean and 95% interval of the mean; {averaged_over(df, [density, *keys])}".removesuffix("; ")
    notes = [describe(df, metric, n_other), *notes, means, "rings: Pareto front of the means"]
    fig = new_figure(f"{metric} by sparsity", notes)
    found = scale(df[density])
    draw_means(fig, df, density, metric, keys, found)
    _draw_front(fig, front(agg(df, [*keys, density], metric), density, lowest), density, keys)
    fig.update_xaxes(
        title_text=f"sparsity = 1 - {escape(density)}", type=found.kind, autorange="reversed", **sparsity_ticks(found)
    )
    add_legend(fig, keys)
    fig.update_layout(showlegend=True)
    return fig


def front(table: pd.DataFrame, density: str, lowest: bool = False) -> pd.DataFrame:
    """Return the rows of an `agg` table that are on the Pareto front of mean and sparsity, the sparsest first.

    The front is that of the means, because a front of single trials would select lucky seeds.
    """
    found = table[table["count"] > 0].reset_index(drop=True)
    means = found[[density, "mean"]].assign(status="complete", trial_dir=found.index)
    return found.loc[pareto(means, "mean", density, lowest)["trial_dir"]].reset_index(drop=True)


def check_densities(df: pd.DataFrame, density: str) -> None:
    """Raise a ValueError if the column does not exist, or a value is not a density."""
    check_columns(df, [density])
    if not is_numeric(df[density]):
        raise ValueError(f"density must be a column of numbers, got {density!r} of type {df[density].dtype}.")
    wrong = df.loc[~((df[density] > 0) & (df[density] <= 1)), density]
    if len(wrong):
        some = ", ".join(map(label, wrong.unique()[:3]))
        raise ValueError(f"{density} must be in (0, 1] in each trial, got {some}. Filter these trials out first.")


def sparsity_ticks(found: Scale) -> dict[str, object]:
    """Return ticks at densities whose texts are sparsities; ticks that would overlap a sparser one are left out."""
    places = [math.log(value) for value in found.values] if found.kind == "log" else found.values
    shown: list[int] = []
    for i, place in enumerate(places):
        if not shown or place - places[shown[-1]] >= NEAREST * (places[-1] - places[0]):
            shown.append(i)
    densities = [found.values[i] for i in shown]
    return ticks(densities, [label(1 - density) for density in densities])


def _draw_front(fig: go.Figure, rows: pd.DataFrame, density: str, keys: list[str]) -> None:
    names = names_of(rows, keys)
    texts = [
        "<br>".join(["<b>Pareto front</b>", *([short(name)] if name else []), f"sparsity {label(1 - place)}"])
        for name, place in zip(names, rows[density], strict=True)
    ]
    fig.add_scatter(
        x=rows[density],
        y=rows["mean"],
        mode="lines+markers",
        # The best mean at a sparsity or higher is constant between two points of the front: steps.
        line={"shape": "hv", "color": TEXT, "width": 1, "dash": "dot"},
        marker={"symbol": "circle-open", "size": 17, "color": TEXT, "line": {"width": 2}},
        name="Pareto front",
        legendgroup="Pareto front",
        hovertext=texts,
        hovertemplate="%{hovertext}<br>mean: %{y:.4f}<extra></extra>",
        meta="front",
    )
