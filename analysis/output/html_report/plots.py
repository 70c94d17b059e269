"""The section of plots: the metric over the most important hyperparameters."""

from functools import partial

import plotly.graph_objects as go

from analysis.output.html import folded, table
from analysis.output.html_report.figures import capitalized, figure
from analysis.output.html_report.results import Results
from analysis.output.tables import pivot, with_index_as_columns
from analysis.plots import plot_axis, plot_parallel, plot_pruned_fractions, plot_rounds, plot_sweeps, plot_tickets
from analysis.plots._lib.style import cut
from analysis.pruning.lottery import rounds
from analysis.statistics.aggregate import agg

# Nobody reads a page of a hundred plots.
SHOWN_AXES = 5
# Characters above an axis of parallel coordinates.
LABEL = 20
# What the first plot of a study shows besides its axis and lines.
DRAWN_FIRST = {"sweeps": ("sparsity", "pruning"), "tickets": ("prune_ratio", "prune_iter", "criterion", "init")}


def plots(found: Results) -> str:
    """Return the plot that a reader wants first, and those of the other hyperparameters; empty without any."""
    if not found.axes or not found.has_values:
        return ""
    first = {"sweeps": _of_sweeps, "tickets": _of_tickets, "trials": _of_trials}[found.of]
    shown = {found.x, found.lines, *DRAWN_FIRST.get(found.of, ())}
    parts = [first(found), _numbers(found)]
    parts += [_by(found, name) for name in found.axes[:SHOWN_AXES] if name not in shown]
    if found.of == "trials" and len(found.axes) > 2:
        parts.append(figure("All hyperparameters together", partial(_parallel, found), found.names))
    return "\n".join(filter(None, parts))


def _by(found: Results, lines: str | None) -> str:
    """Return the metric over the axis of the first plot, with a line for each value of another hyperparameter."""
    assert found.x is not None
    names, metric, x = found.names, found.metric, found.x
    rows, remark = found.at_the_best([name for name in (x, lines) if name])
    heading = f"{capitalized(names.short(metric))} by {names.short(x)}" + (
        f" and {names.short(lines)}" if lines else ""
    )
    draw = partial(plot_axis, rows, x, metric, lines, lowest=found.lowest)
    if found.of == "sweeps" and lines:
        draw = partial(plot_sweeps, rows, metric, lines)
    return figure(heading, draw, names, remark)


def _parallel(found: Results) -> go.Figure:
    """Return parallel coordinates, the most important hyperparameter beside the metric."""
    shown = found.axes[:SHOWN_AXES][::-1]
    fig = plot_parallel(found.rows, found.metric, shown, lowest=found.lowest)
    for dimension, name in zip(fig.data[0].dimensions, [*shown, found.metric], strict=True):
        plain = found.names.short(name)
        dimension.label = plain if len(plain) <= LABEL else cut(name, LABEL)
    return fig


def _of_trials(found: Results) -> str:
    return _by(found, found.lines)


def _of_sweeps(found: Results) -> str:
    metrics = [found.metric]
    loss = found.metric.replace("acc", "loss")
    if loss != found.metric and loss in found.rows and found.rows[loss].notna().any():
        metrics.append(loss)
    heading = capitalized(f"{' and '.join(map(found.names.short, metrics))} by sparsity")
    lines = found.lines or "pruning"
    rows, remark = found.at_the_best(["sparsity", lines])
    return figure(heading, partial(plot_sweeps, rows, metrics, lines), found.names, remark)


def _of_tickets(found: Results) -> str:
    name = capitalized(found.names.short(found.metric))
    parts = [figure(f"{name} of the tickets", lambda: plot_tickets(found.rows, found.metric), found.names)]
    if found.history is not None:
        every = rounds(found.history)
        # The tickets that prune most, in most rounds: their rounds pass through all densities.
        most = every[every["prune_iter"] == every["prune_iter"].max()]
        most = most[most["prune_ratio"] == most["prune_ratio"].max()]
        if most["round"].max() > 1 and found.metric in every:
            heading = f"{name} in each round of the tickets with most rounds and the highest fraction pruned"
            lines = ["criterion", "init"] if most["criterion"].nunique() > 1 else "init"
            parts.append(figure(heading, lambda: plot_rounds(most, found.metric, lines), found.names))
        draw = partial(plot_pruned_fractions, every)
        parts.append(folded("Was the requested fraction pruned?", figure("", draw, found.names)))
    return "".join(parts)


def _numbers(found: Results) -> str:
    """Return the numbers of the first plot, folded."""
    x, lines, metric = found.x, found.lines, found.metric
    assert x is not None
    rows = found.rows if found.of == "tickets" else found.at_the_best([name for name in (x, lines) if name])[0]
    if lines is None:
        return folded("The numbers of this plot", table(agg(rows, x, metric), {x: found.names.header(x)}))
    cells = with_index_as_columns(pivot(rows, x, lines, metric))
    headers = {str(name): f"{found.names.short(lines)} {str(name).partition('=')[2]}" for name in cells.columns[1:]}
    return folded("The numbers of this plot", table(cells, {x: found.names.header(x), **headers}))
