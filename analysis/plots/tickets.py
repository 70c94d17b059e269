"""Plots of lottery tickets: over the fraction pruned, and in each round."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.frame.checks import check_columns, check_numbers
from analysis.frame.series import Column, column_name, column_names, with_series
from analysis.plots._lib.groups import Group, add_legend, draw_line, groups, names_of
from analysis.plots._lib.panels import new_panels
from analysis.plots._lib.scales import scale
from analysis.plots._lib.style import TEXT, view
from analysis.plots._lib.trials import averaged_over
from analysis.plots.pruning import check_drawn
from analysis.plots.sparsity import sparsity_ticks
from analysis.pruning.lottery import ALGORITHM, pruned_fractions
from analysis.statistics.aggregate import LEFT_OUT, agg

ROUNDING = 1e-12


def plot_pruned_fractions(rounds: pd.DataFrame) -> go.Figure:
    """Plot the fraction that was pruned over the requested fraction, and their difference, by number of rounds.

    A point is the mean over the trials; the title says by how much the trials differ. On the dotted lines the actual
    fraction is the requested one.

    Args:
        rounds: one row for each trial and round, as returned by `rounds`.

    Raises:
        ValueError: if a column does not exist, or no trial has finished its last round.

    Example:
        >>> from analysis import load_example_history, rounds
        >>> from analysis.plots import plot_pruned_fractions
        >>> fig = plot_pruned_fractions(rounds(load_example_history("tickets")))
        >>> [trace.name for trace in fig.data if trace.meta == "actual"]
        ['1', '3']
    """
    table = pruned_fractions(rounds)
    check_drawn({"pruned": table})
    widest = float(table["spread"].max())
    same = "the same in all trials" if widest < ROUNDING else f"trials differ by {widest:.2g} at most"
    notes = [f"dotted: actual equals requested; {same}"]
    fig = new_panels("fraction pruned: requested and actual", notes, ["actual", "actual - requested"], [""])
    lines = {"actual": [0.0, 1.0], "difference": [0.0, 0.0]}
    names = names_of(table, ["prune_iter"])
    for row, (name, ends) in enumerate(lines.items(), start=1):
        fig.add_scatter(
            x=[0.0, 1.0],
            y=ends,
            mode="lines",
            line={"color": TEXT, "dash": "dot", "width": 1},
            hoverinfo="skip",
            showlegend=False,
            meta="requested",
            row=row,
            col=1,
        )
        for group in groups(names):
            _draw_fractions(fig, table[names == group.name], name, group, row)
    fig.update_xaxes(range=[0, 1.02])
    fig.update_xaxes(title_text="requested", row=2)
    add_legend(fig, ["prune_iter"])
    return fig


def _draw_fractions(fig: go.Figure, rows: pd.DataFrame, name: str, group: Group, row: int) -> None:
    texts = [
        f"<b>prune_iter {group.name}</b><br>requested: {wanted:.4f}<br>actual: {actual:.4f}<br>n={count}"
        for wanted, actual, count in zip(rows["wanted"], rows["actual"], rows["count"], strict=True)
    ]
    fig.add_scatter(
        x=rows["wanted"],
        y=rows[name],
        mode="lines+markers",
        # Open markers of different shapes can be read where points of several rounds overlap.
        marker={"color": group.colour, "symbol": f"{group.symbol}-open", "size": 10, "line": {"width": 2}},
        line={"color": group.colour, "dash": group.dash, "width": 1},
        hovertext=texts,
        hovertemplate="%{hovertext}<extra></extra>",
        meta=name,
        **group.legend(is_shown=row == 1),
        row=row,
        col=1,
    )


def plot_tickets(tickets: pd.DataFrame, metric: Column = "val_acc_max", panel: Column = "prune_iter") -> go.Figure:
    """Plot a metric over the fraction pruned, with a line for each algorithm: means with 95% t intervals.

    Args:
        tickets: one row for each trial, as returned by `tickets`.
        metric: the column on the vertical axis.
        panel: the column whose values have their own panels, side by side.

    Raises:
        ValueError: if a column does not exist, or `metric` holds no number for any complete ticket.

    Example:
        >>> from analysis import load_example_history, tickets
        >>> from analysis.plots import plot_tickets
        >>> fig = plot_tickets(tickets(load_example_history("tickets")))
        >>> [panel.text for panel in fig.layout.annotations]
        ['prune_iter=1', 'prune_iter=3']
        >>> [trace.name for trace in fig.data if trace.showlegend]
        ['l1, original', 'l1, reinit']
    """
    tickets = with_series(tickets, metric, panel)
    metric, panel = column_name(metric), column_name(panel)
    keys = [panel, *ALGORITHM, "prune_ratio"]
    table = agg(tickets, keys, metric)
    n_missing = int(table[LEFT_OUT].to_numpy().sum())
    table = table[table["count"] > 0].reset_index(drop=True)
    check_drawn({metric: table})
    reasons = f"{n_missing} incomplete, diverged or without a value"
    shown = f"{table['count'].sum()} of {len(tickets)} tickets shown; left out: {reasons}"
    notes = [shown] if n_missing else []
    notes.append(f"mean and 95% interval of the mean; {averaged_over(tickets, keys)}".removesuffix("; "))
    of_panel, of_group = names_of(table, [panel]), names_of(table, ALGORITHM)
    panels, every = list(dict.fromkeys(of_panel)), groups(of_group)
    found = scale((1 - table["prune_ratio"]).round(10))
    fig = new_panels(f"{metric} by fraction pruned", notes, [metric], [f"{panel}={name}" for name in panels])
    for column, name in enumerate(panels, start=1):
        for group in every:
            rows = table[(of_panel == name) & (of_group == group.name)]
            places = found.places((1 - rows["prune_ratio"]).round(10))
            draw_line(fig, rows, places, group, len(every), "density", row=1, col=column)
    fig.update_yaxes(**view(table["mean"], table))
    fig.update_xaxes(type=found.kind, autorange="reversed", title_text="prune_ratio", **sparsity_ticks(found))
    add_legend(fig, [", ".join(ALGORITHM)])
    return fig


def plot_rounds(
    rounds: pd.DataFrame, metric: Column = "val_acc_max", by: Column | Sequence[Column] = "init"
) -> go.Figure:
    """Plot a metric in each round over the fraction pruned so far: means with 95% t intervals.

    The dotted line is the mean of the dense networks. The horizontal axis is logarithmic in the density, and its ticks
    show the sparsity, as in `plot_sparsity`: rounds that prune the same share of the remaining weights are equally far
    apart.

    Args:
        rounds: one row for each trial and round, as returned by `rounds`. Select one `prune_ratio` and one
            `prune_iter`, or the means are taken over all of them.
        metric: the column on the vertical axis.
        by: one or more columns; each combination of their values has its own line.

    Raises:
        ValueError: if a column does not exist, `metric` holds no numbers, or no row has a value.

    Example:
        >>> from analysis import load_example_history, rounds
        >>> from analysis.plots import plot_rounds
        >>> frame = rounds(load_example_history("tickets"))
        >>> fig = plot_rounds(frame[(frame["prune_iter"] == 3) & (frame["prune_ratio"] == 0.95)])
        >>> [trace.name for trace in fig.data if trace.showlegend]
        ['original', 'reinit']
    """
    rounds = with_series(rounds, metric, by)
    metric, lines = column_name(metric), column_names(by)
    check_columns(rounds, [*lines, "round", "pruned"])
    check_numbers(rounds, metric)
    keys = [*lines, "round"]
    table = agg(rounds, keys, metric).assign(pruned=agg(rounds, keys, "pruned")["mean"])
    table = table[table["count"] > 0].reset_index(drop=True)
    check_drawn({metric: table})
    means = f"mean and 95% interval of the mean; {averaged_over(rounds, keys)}".removesuffix("; ")
    notes = [means, "dotted: mean of the dense networks"]
    fig = new_panels(f"{metric} by fraction pruned", notes, [metric], [""], height=380)
    names = names_of(table, lines)
    every = groups(names)
    for group in every:
        rows = table[names == group.name]
        draw_line(fig, rows, (1 - rows["pruned"]).tolist(), group, len(every), "density", row=1, col=1)
    is_dense = table["round"] == 0
    level = float(np.average(table["mean"][is_dense], weights=table["count"][is_dense]))
    fig.add_hline(level, line={"color": TEXT, "dash": "dot", "width": 1.5}, layer="below")
    # The densities of the rounds have many digits; ticks are at rounded ones.
    found = scale((1 - table["pruned"]).map(lambda density: float(f"{density:.2g}")))
    fig.update_yaxes(**view(table["mean"], table))
    fig.update_xaxes(type=found.kind, autorange="reversed", title_text="fraction pruned", **sparsity_ticks(found))
    add_legend(fig, lines)
    return fig
