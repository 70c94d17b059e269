"""A metric against sparsity."""

import math
from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from analysis.frame.checks import check_columns
from analysis.plots._lib.groups import SHOWN as TOP
from analysis.plots._lib.groups import add_legend, group_keys, names_of
from analysis.plots._lib.scales import NEAREST, Scale, scale, ticks
from analysis.plots._lib.style import TEXT, escape, label, new_figure, short
from analysis.plots._lib.trials import averaged_over, describe, with_finite
from analysis.plots.axis import best_groups, draw_means
from analysis.stats.aggregate import agg
from analysis.stats.ranking import pareto


def plot_sparsity(
    df: pd.DataFrame,
    metric: str,
    by: str | Sequence[str] | None = None,
    density: str = "on_perc",
    top: int = TOP,
    lowest: bool = False,
) -> go.Figure:
    """A metric against sparsity, 1 - density, as in `plot_axis`, and the Pareto front of the means.

    Right is sparser. A mean is on the front, and ringed, if no other is at least as good and at least as sparse and
    better in one of both. The positions are densities, in falling order, and their ticks say the sparsity: 0.99
    and 0.995 are as far from each other as 0.8 and 0.9.

    Args: see `plot_axis`. `density` is the column of the densities, each in (0, 1].

    Raises: ValueError if a column does not exist, `metric` holds no numbers, no trial has a value, or a density is
    not in (0, 1].
    """
    check_densities(df, density)
    keys = group_keys(df, by, besides=[density, metric])
    df, notes, n_other = best_groups(with_finite(df, metric), keys, metric, top, lowest)
    over = averaged_over(df, [density, *keys])
    text = f"ringed: Pareto front of the means; mean and 95% interval of the mean; {over}".removesuffix("; ")
    fig = new_figure(f"{metric} by sparsity", [describe(df, metric, n_other), *notes, text])
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
    """The rows of an `agg` table that no other beats in its mean and its sparsity, the sparsest first.

    They are the `pareto` rows of the means; that of single trials would be one of the luckiest seeds.
    """
    found = table[table["count"] > 0].reset_index(drop=True)
    means = found[[density, "mean"]].assign(status="complete", trial_dir=found.index)
    return found.loc[pareto(means, "mean", density, lowest)["trial_dir"]].reset_index(drop=True)


def check_densities(df: pd.DataFrame, density: str) -> None:
    """Raises a ValueError if the column does not exist, or a value of it is no density."""
    check_columns(df, [density])
    if not pd.api.types.is_numeric_dtype(df[density]) or pd.api.types.is_bool_dtype(df[density]):
        raise ValueError(f"density must be a column of numbers, got {density!r} of type {df[density].dtype}")
    wrong = df.loc[~((df[density] > 0) & (df[density] <= 1)), density]
    if len(wrong):
        some = ", ".join(map(label, wrong.unique()[:3]))
        raise ValueError(f"{density} must be in (0, 1] in each trial, got {some}; filter these trials first")


def sparsity_ticks(found: Scale) -> dict[str, object]:
    """Ticks at densities, which say the sparsity; from the sparsest on, so many that they do not overlap."""
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
        # From a point of the front on, what is less sparse is at least as good: steps.
        line={"shape": "hv", "color": TEXT, "width": 1, "dash": "dot"},
        marker={"symbol": "circle-open", "size": 17, "color": TEXT, "line": {"width": 2}},
        name="Pareto front",
        legendgroup="Pareto front",
        hovertext=texts,
        hovertemplate="%{hovertext}<br>mean: %{y:.4f}<extra></extra>",
        meta="front",
    )
