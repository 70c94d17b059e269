"""Critical-difference diagram: mean ranks of methods over data sets, with bars over those that do not differ."""

import math
from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from analysis.frame.series import Column, column_name, column_names, with_series
from analysis.frame.suggest import unknown
from analysis.frame.values import sort_key
from analysis.frame.words import plural
from analysis.plots._lib.style import CHARACTER, COLOURS, TEXT, cut, escape, labels, new_figure
from analysis.plots._lib.trials import describe, drawn, with_finite
from analysis.statistics.rank_tests import compare_ranks, friedman
from analysis.statistics.ranks import mean_ranks
from analysis.statistics.significance import LEVEL

# The tests whose p values can decide which values have a bar in common, and their columns.
TESTS = {"nemenyi": "p_nemenyi", "wilcoxon": "p_holm"}
# In pixels: between two labels, between two bars, and below the axis.
ROW, LEVEL_GAP, BELOW = 26, 14, 20
# Share of the axis between the outermost ranks and the labels.
PAD = 0.05


def plot_critical_difference(
    df: pd.DataFrame,
    axis: Column,
    metric: Column,
    *,
    blocks: Column | Sequence[Column] | None = "dataset_name",
    lowest: bool | None = None,
    test: str = "nemenyi",
) -> go.Figure:
    """Draw the mean rank of each value of a hyperparameter, and a bar over the values that do not differ at 5%.

    The best values are on the left. The numbers are those of `mean_ranks` and `compare_ranks`. Values without a bar in
    common differ significantly; a bar is no proof that values are equal. With few data sets, one bar joins all.

    Args:
        df: one row for each trial, as returned by `load`.
        axis: a hyperparameter, such as "model".
        metric: the column by which the values are ranked.
        blocks: the columns of which each combination of values is a block, in which the values are ranked; None takes
            all hyperparameters that vary, except the axis and `seed`.
        lowest: True if lower values are better; None decides by the name.
        test: "nemenyi" joins values whose mean ranks differ by less than the critical difference, "wilcoxon" those
            that Wilcoxon's test with Holm's correction does not tell apart.

    Raises:
        ValueError: as for `mean_ranks`, or if there is no such test.

    Reference:
        Demšar, "Statistical comparisons of classifiers over multiple data sets", 2006,
        https://www.jmlr.org/papers/v7/demsar06a.html

    Example:
        >>> from analysis import load_example
        >>> from analysis.plots import plot_critical_difference
        >>> fig = plot_critical_difference(
        ...     load_example("quickstart"), "model", "test_acc_at_best", blocks=["on_perc", "seed"]
        ... )
        >>> [annotation.text for annotation in fig.layout.annotations]
        ['RigL  <b>1.67</b>', 'SET  <b>1.78</b>', '<b>2.56</b>  SparseModel', 'critical difference 1.10']
    """
    if test not in TESTS:
        raise ValueError(unknown("test", test, list(TESTS)))
    df = with_series(df, axis, metric, blocks)
    axis, metric = column_name(axis), column_name(metric)
    names = None if blocks is None else column_names(blocks)
    df = with_finite(df, metric)
    drawn(df, metric)
    ranks = mean_ranks(df, axis, metric, blocks=names, lowest=lowest)
    pairs = compare_ranks(df, axis, metric, blocks=names, lowest=lowest)
    [whole] = friedman(df, axis, metric, blocks=names, lowest=lowest).to_dict("records")
    of_what = f" of {', '.join(names)}" if names else ""
    by = {"nemenyi": "Nemenyi's test", "wilcoxon": "Wilcoxon's test with Holm's correction"}[test]
    left_out = whole["left_out_blocks"]
    notes = [
        describe(df, metric),
        f"mean ranks over {whole['blocks']} blocks{of_what}; 1 is the best"
        + (f"; {plural(left_out, 'block')} without a value left out" if left_out else ""),
        whole["conclusion"].removeprefix(f"{metric}: "),
        f"bars join values that do not differ at {LEVEL:.0%} by {by}",
    ]
    joined = bars(ranks[axis].tolist(), ranks["rank"].tolist(), pairs, TESTS[test])
    critical = whole["critical_difference"] if test == "nemenyi" else None
    if critical is not None and critical > whole["values"] - 1:
        notes.append(f"critical difference {critical:.2f}: more than mean ranks can differ")
        critical = None
    return _draw(ranks, axis, joined, critical, metric, notes)


def bars(values: Sequence[object], ranks: Sequence[float], pairs: pd.DataFrame, p: str) -> pd.DataFrame:
    """Return the bars: `first` and `last`, their ranks at both ends, and `level`, below which no other one overlaps.

    A bar is a largest run of values, in the order of the ranks, of which no two differ.

    Args:
        values: of the axis, the best first.
        ranks: their mean ranks.
        pairs: the table of `compare_ranks`.
        p: its column of p values.
    """
    differ = {frozenset(map(sort_key, pair)) for pair in pairs.loc[pairs[p] <= LEVEL, ["a", "b"]].values.tolist()}
    rows: list[list[float]] = []
    ends: list[float] = []  # where the last bar of each level ends
    longest = 0
    for first in range(len(values)):
        last = first
        while last + 1 < len(values) and not any(
            frozenset({sort_key(value), sort_key(values[last + 1])}) in differ for value in values[first : last + 1]
        ):
            last += 1
        if last > max(first, longest):
            level = next((i for i, end in enumerate(ends) if end < ranks[first]), len(ends))
            ends[level : level + 1] = [ranks[last]]
            rows.append([ranks[first], ranks[last], level])
            longest = last
    return pd.DataFrame(rows, columns=["first", "last", "level"])


def _draw(
    ranks: pd.DataFrame, axis: str, joined: pd.DataFrame, critical: float | None, metric: str, notes: Sequence[str]
) -> go.Figure:
    """Draw the diagram; vertical coordinates are pixels below the axis of ranks."""
    k = len(ranks)
    n_left = (k + 1) // 2
    left, right = 1 - PAD * (k - 1), k + PAD * (k - 1)
    top_row = BELOW + LEVEL_GAP * (int(joined["level"].max() + 1) if len(joined) else 0)
    scale_at = top_row + ROW * n_left + BELOW
    depth = scale_at if critical is None else scale_at + BELOW
    fig = new_figure(f"mean ranks of {axis} by {metric}", notes, height=depth + 90)
    texts = [cut(text) for text in labels(ranks[axis])]
    widest = CHARACTER * (max(map(len, texts)) + 10)
    fig.update_layout(margin={"l": widest, "r": widest, "t": fig.layout.margin.t + 56, "b": 20})
    for i, (text, rank, best_in) in enumerate(zip(texts, ranks["rank"], ranks["best_in"], strict=True)):
        # From the outside in, so that no two lines cross.
        is_left = i < n_left
        y = -(top_row + ROW * (i if is_left else k - 1 - i))
        end = left if is_left else right
        fig.add_scatter(
            x=[rank, rank, end],
            y=[0, y, y],
            mode="lines",
            line={"color": TEXT, "width": 1.5},
            hovertext=f"<b>{escape(text)}</b><br>mean rank: {rank:.4g}<br>best in {plural(best_in, 'block')}",
            hovertemplate="%{hovertext}<extra></extra>",
            meta="rank",
            name=escape(text),
        )
        name, number = escape(text), f"<b>{rank:.2f}</b>"
        label = f"{name}  {number}" if is_left else f"{number}  {name}"
        side = {"xanchor": "right", "xshift": -4} if is_left else {"xanchor": "left", "xshift": 4}
        fig.add_annotation(x=end, y=y, text=label, showarrow=False, **side)
    for first, last, level in joined.to_numpy():
        y = -(BELOW + LEVEL_GAP * level) + LEVEL_GAP / 2
        # A little longer than the ranks, so that a bar over equal ranks can be seen.
        ends = [first - 0.01 * (k - 1), last + 0.01 * (k - 1)]
        line = {"color": COLOURS[0], "width": 5}
        fig.add_scatter(x=ends, y=[y, y], mode="lines", line=line, hoverinfo="skip", meta="bar")
    if critical is not None:
        fig.add_scatter(
            x=[1, 1 + critical],
            y=[-scale_at, -scale_at],
            mode="lines+markers",
            line={"color": TEXT, "width": 1.5},
            marker={"symbol": "line-ns", "size": 10, "line": {"color": TEXT, "width": 1.5}},
            hoverinfo="skip",
            meta="critical difference",
        )
        text = f"critical difference {critical:.2f}"
        fig.add_annotation(x=1 + critical, y=-scale_at, text=text, showarrow=False, xanchor="left", xshift=8)
    fig.update_traces(showlegend=False)
    # At most ten numbers, from 1.
    ticks = {"tick0": 1, "dtick": math.ceil(k / 10), "tickcolor": TEXT, "showline": True, "showgrid": False}
    fig.update_xaxes(side="top", range=[left, right], title_text="mean rank (1 is the best)", **ticks)
    fig.update_yaxes(range=[-depth, 0], visible=False)
    return fig
