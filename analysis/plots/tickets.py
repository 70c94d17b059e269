"""What lottery tickets reach: over the fraction that is pruned, and round by round."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.frame.checks import check_columns, check_numbers
from analysis.plots._lib.groups import Group, add_legend, groups, names_of
from analysis.plots._lib.panels import draw_line, new_panels
from analysis.plots._lib.scales import scale
from analysis.plots._lib.style import TEXT, view
from analysis.plots._lib.trials import averaged_over
from analysis.plots.pruning import check_drawn
from analysis.plots.sparsity import sparsity_ticks
from analysis.pruning.lottery import ALGORITHM, pruned_fractions
from analysis.stats.aggregate import agg

ROUNDING = 1e-12


def plot_pruned_fractions(rounds: pd.DataFrame) -> go.Figure:
    """The fraction that was pruned over the one that was to be pruned, and how far off it is, by number of rounds.

    A point is the mean over the trials; the title says how far they are apart. On the dotted lines both are the same.

    Args:
        rounds: as `rounds` gives it.

    Raises: ValueError if a column does not exist, or no trial has come to its last round.
    """
    table = pruned_fractions(rounds)
    check_drawn({"pruned": table})
    widest = float(table["spread"].max())
    same = "the same in all trials" if widest < ROUNDING else f"trials differ by {widest:.2g} at most"
    notes = [f"dotted: actual is as wanted; {same}"]
    fig = new_panels("fraction pruned, wanted and actual", notes, ["actual", "actual - wanted"], [""])
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
            meta="wanted",
            row=row,
            col=1,
        )
        for group in groups(names):
            _draw_fractions(fig, table[names == group.name], name, group, row)
    fig.update_xaxes(range=[0, 1.02])
    fig.update_xaxes(title_text="wanted", row=2)
    add_legend(fig, ["prune_iter"])
    return fig


def _draw_fractions(fig: go.Figure, rows: pd.DataFrame, name: str, group: Group, row: int) -> None:
    texts = [
        f"<b>prune_iter {group.name}</b><br>wanted: {wanted:.4f}<br>actual: {actual:.4f}<br>n={count}"
        for wanted, actual, count in zip(rows["wanted"], rows["actual"], rows["count"], strict=True)
    ]
    fig.add_scatter(
        x=rows["wanted"],
        y=rows[name],
        mode="lines+markers",
        # Open, and of different shapes: points of several rounds lie upon each other.
        marker={"color": group.colour, "symbol": f"{group.symbol}-open", "size": 10, "line": {"width": 2}},
        line={"color": group.colour, "dash": group.dash, "width": 1},
        hovertext=texts,
        hovertemplate="%{hovertext}<extra></extra>",
        meta=name,
        **group.legend(is_shown=row == 1),
        row=row,
        col=1,
    )


def plot_tickets(tickets: pd.DataFrame, metric: str = "val_acc_max", panel: str = "prune_iter") -> go.Figure:
    """A metric over the fraction that was to be pruned, a line for each algorithm: means and 95% t intervals.

    Args:
        tickets: as `tickets` gives it.
        panel: the hyperparameter each of whose values has a panel.

    Raises: ValueError if a column does not exist, or `metric` holds no numbers or none for any complete ticket.
    """
    keys = [panel, *ALGORITHM, "prune_ratio"]
    table = agg(tickets, keys, metric)
    n_missing = int(table[["failed", "incomplete", "without_value"]].to_numpy().sum())
    table = table[table["count"] > 0].reset_index(drop=True)
    check_drawn({metric: table})
    shown = (
        f"{table['count'].sum()} of {len(tickets)} tickets shown; left out: {n_missing} incomplete or without a value"
    )
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
            draw_line(fig, rows, places, group, (1, column), "density", len(every))
    fig.update_yaxes(**view(table["mean"], table))
    fig.update_xaxes(type=found.kind, autorange="reversed", title_text="prune_ratio", **sparsity_ticks(found))
    add_legend(fig, [", ".join(ALGORITHM)])
    return fig


def plot_rounds(rounds: pd.DataFrame, metric: str = "val_acc_max", by: Sequence[str] = ("init",)) -> go.Figure:
    """A metric in each round over the fraction that is pruned by then; dotted: that of the dense networks.

    Means over the trials and their 95% t intervals. The positions are densities in falling order, and their ticks say
    the sparsity, as in `plot_sparsity`: rounds that prune the same share of what is left have the same distance.

    Args:
        rounds: as `rounds` gives it, of one `prune_ratio` and one `prune_iter`, or the means are over several.
        by: what has a line of its own.

    Raises: ValueError if a column does not exist, `metric` holds no numbers, or no row has a value.
    """
    check_columns(rounds, [*by, "round", "pruned"])
    check_numbers(rounds, metric)
    keys = [*by, "round"]
    table = agg(rounds, keys, metric).assign(pruned=agg(rounds, keys, "pruned")["mean"])
    table = table[table["count"] > 0].reset_index(drop=True)
    check_drawn({metric: table})
    note = f"dotted: the dense networks; mean and 95% interval of the mean; {averaged_over(rounds, keys)}"
    fig = new_panels(f"{metric} by fraction pruned", [note.removesuffix("; ")], [metric], [""], height=380)
    names = names_of(table, by)
    every = groups(names)
    for group in every:
        rows = table[names == group.name]
        draw_line(fig, rows, (1 - rows["pruned"]).tolist(), group, (1, 1), "density", len(every))
    is_dense = table["round"] == 0
    level = float(np.average(table["mean"][is_dense], weights=table["count"][is_dense]))
    fig.add_hline(level, line={"color": TEXT, "dash": "dot", "width": 1.5}, layer="below")
    # Ticks at densities of two digits: those of the rounds have many, and the ticks need not lie on them.
    found = scale((1 - table["pruned"]).map(lambda density: float(f"{density:.2g}")))
    fig.update_yaxes(**view(table["mean"], table))
    fig.update_xaxes(type=found.kind, autorange="reversed", title_text="fraction pruned", **sparsity_ticks(found))
    add_legend(fig, by)
    return fig
