"""The section of plots: the metric over the most important hyperparameters."""

import re
from functools import partial

import plotly.graph_objects as go

from analysis.output.html import folded, table
from analysis.output.html_report.figures import capitalized, figure
from analysis.output.html_report.results import Results
from analysis.output.tables import pivot, with_index_as_columns
from analysis.plots import plot_axis, plot_parallel, plot_pruned_fractions, plot_rounds, plot_sweeps, plot_tickets
from analysis.plots._lib.style import cut
from analysis.pruning.lottery import rounds

# Nobody reads a page of a hundred plots.
SHOWN_AXES = 5
# The most characters above an axis of parallel coordinates.
LABEL = 20
# Hyperparameters that the first plot of a study shows besides its axis and lines.
DRAWN_FIRST = {"sweeps": ("sparsity", "pruning"), "tickets": ("prune_ratio", "prune_iter", "criterion", "init")}


def plots(results: Results) -> str:
    """Return the most important plot first, then those of the other hyperparameters; empty without any."""
    if not results.axes or not results.has_values:
        return ""
    first = {"sweeps": _of_sweeps, "tickets": _of_tickets, "trials": _of_trials}[results.kind]
    shown = {results.x, results.lines, *DRAWN_FIRST.get(results.kind, ())}
    parts = [first(results), _numbers(results)]
    parts += [_by(results, name) for name in results.axes[:SHOWN_AXES] if name not in shown]
    if results.kind == "trials" and len(results.axes) > 2:
        parts.append(figure("All hyperparameters together", partial(_parallel, results), results.names))
    return "\n".join(filter(None, parts))


def _by(results: Results, lines: str | None) -> str:
    """Return the metric over the axis of the first plot, with a line for each value of another hyperparameter."""
    assert results.x is not None
    names, metric, x = results.names, results.metric, results.x
    rows, remark = results.at_best_setting(x, lines)
    heading = f"{capitalized(names.short(metric))} by {names.short(x)}" + (
        f" and {names.short(lines)}" if lines else ""
    )
    draw = partial(plot_axis, rows, x, metric, lines, lowest=results.lowest)
    if results.kind == "sweeps" and lines:
        draw = partial(plot_sweeps, rows, metric, lines)
    return figure(heading, draw, names, remark)


def _parallel(results: Results) -> go.Figure:
    """Return parallel coordinates, the most important hyperparameter beside the metric."""
    shown = results.axes[:SHOWN_AXES][::-1]
    fig = plot_parallel(results.rows, results.metric, shown, lowest=results.lowest)
    for dimension, name in zip(fig.data[0].dimensions, [*shown, results.metric], strict=True):
        plain = results.names.short(name)
        dimension.label = plain if len(plain) <= LABEL else cut(name, LABEL)
    return fig


def _of_trials(results: Results) -> str:
    return _by(results, results.lines)


def _of_sweeps(results: Results) -> str:
    metrics = [results.metric]
    loss = re.sub(r"_(acc|r2)", "_loss", results.metric)
    if loss != results.metric and loss in results.rows and results.rows[loss].notna().any():
        metrics.append(loss)
    heading = capitalized(f"{' and '.join(map(results.names.short, metrics))} by sparsity")
    lines = results.lines or "pruning"
    rows, remark = results.at_best_setting("sparsity", lines)
    return figure(heading, partial(plot_sweeps, rows, metrics, lines), results.names, remark)


def _of_tickets(results: Results) -> str:
    name = capitalized(results.names.short(results.metric))
    parts = [figure(f"{name} of the tickets", lambda: plot_tickets(results.rows, results.metric), results.names)]
    if results.history is not None:
        every = rounds(results.history)
        # The tickets that prune most, in most rounds: their rounds pass through all densities.
        most = every[every["prune_iter"] == every["prune_iter"].max()]
        most = most[most["prune_ratio"] == most["prune_ratio"].max()]
        if most["round"].max() > 1 and results.metric in every:
            heading = f"{name} in each round of the tickets with most rounds and the highest fraction pruned"
            lines = ["criterion", "init"] if most["criterion"].nunique() > 1 else "init"
            parts.append(figure(heading, lambda: plot_rounds(most, results.metric, lines), results.names))
        draw = partial(plot_pruned_fractions, every)
        parts.append(folded("Was the requested fraction pruned?", figure("", draw, results.names)))
    return "".join(parts)


def _numbers(results: Results) -> str:
    """Return the numbers of the first plot, folded."""
    x, lines, metric = results.x, results.lines, results.metric
    assert x is not None
    rows = results.rows if results.kind == "tickets" else results.at_best_setting(x, lines)[0]
    if lines is None:
        return folded("The numbers of this plot", table(results.summary(rows, x), {x: results.names.header(x)}))
    cells = with_index_as_columns(pivot(rows, x, lines, metric))
    headers = {str(name): f"{results.names.short(lines)} {str(name).partition('=')[2]}" for name in cells.columns[1:]}
    return folded("The numbers of this plot", table(cells, {x: results.names.header(x), **headers}))
