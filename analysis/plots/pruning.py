"""Plots of metrics over sparsity, and of the training before pruning."""

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go

from analysis.frame.checks import check_columns
from analysis.frame.series import Column, column_name, column_names, with_series
from analysis.plots._lib.groups import add_legend, draw_line, groups, names_of
from analysis.plots._lib.panels import new_panels
from analysis.plots._lib.scales import Scale, epoch_axis, scale
from analysis.plots._lib.style import view
from analysis.plots._lib.trials import averaged_over
from analysis.plots.sparsity import sparsity_ticks
from analysis.pruning.rows import first_training
from analysis.statistics.aggregate import agg, in_order
from analysis.statistics.divergence import is_diverged
from analysis.statistics.learning_curves import curves

MEASURED_ON = ("train", "val", "test")


def plot_sweeps(
    sweeps: pd.DataFrame,
    metrics: Column | Sequence[Column] = ("val_acc", "val_loss"),
    by: Column | Sequence[Column] = "pruning",
    panel: Column = "dataset_name",
) -> go.Figure:
    """Plot metrics over sparsity: means with 95% t intervals, and a row of panels for each metric.

    The horizontal axis is logarithmic in the density, 1 - sparsity, and its ticks show the sparsity, as in
    `plot_sparsity`.

    Args:
        sweeps: one row for each trial, kind of pruning and sparsity, as returned by `sweeps`.
        metrics: one or more columns on the vertical axes.
        by: one or more columns; each combination of their values has its own line.
        panel: the column whose values have their own panels, side by side.

    Raises:
        ValueError: if a column does not exist, or a metric holds no number in any complete row.

    Example:
        >>> from analysis import load_example_history, sweeps
        >>> from analysis.plots import plot_sweeps
        >>> fig = plot_sweeps(sweeps(load_example_history("sweep")))
        >>> [trace.name for trace in fig.data if trace.showlegend]
        ['unit', 'weight']
        >>> fig.layout.yaxis.title.text, fig.layout.yaxis2.title.text
        ('val_acc', 'val_loss')
    """
    sweeps = with_series(sweeps, metrics, by, panel)
    keys, metrics, panel = column_names(by), column_names(metrics), column_name(panel)
    if panel in keys:
        raise ValueError(f"by and panel must be different columns, got {panel!r} for both.")
    check_columns(sweeps, [*keys, panel, "sparsity", *metrics])
    tables = {metric: agg(sweeps, [panel, *keys, "sparsity"], metric) for metric in metrics}
    tables = {metric: table[table["count"] > 0].reset_index(drop=True) for metric, table in tables.items()}
    check_drawn(tables)
    missing = {"incomplete": int((sweeps["status"] != "complete").sum()), "diverged": int(is_diverged(sweeps).sum())}
    reasons = ", ".join(f"{n} {reason}" for reason, n in missing.items() if n)
    notes = [
        f"{len(sweeps) - sum(missing.values())} of {len(sweeps)} rows shown; left out: {reasons}" if reasons else "",
        f"mean and 95% interval of the mean; {averaged_over(sweeps, [*keys, panel, 'sparsity'])}".removesuffix("; "),
    ]
    # 1 - 0.9 is 0.09999999999999998, which would be a value of its own.
    density = (1 - sweeps["sparsity"]).round(10)
    found = scale(density)
    names = names_of(in_order(sweeps, [panel]), [panel])
    fig = new_panels(f"{', '.join(metrics)} by sparsity", [note for note in notes if note], metrics, _distinct(names))
    for i, table in enumerate(tables.values()):
        _draw_over_sparsity(fig, i + 1, table, _distinct(names), panel, keys, found)
    fig.update_xaxes(type=found.kind, autorange="reversed", **sparsity_ticks(found))
    fig.update_xaxes(title_text="sparsity", row=len(metrics))
    add_legend(fig, keys)
    return fig


def _draw_over_sparsity(
    fig: go.Figure, row: int, table: pd.DataFrame, panels: list[str], panel: str, keys: list[str], found: Scale
) -> None:
    of_panel, of_group = names_of(table, [panel]), names_of(table, keys)
    every = groups(of_group)
    for column, name in enumerate(panels, start=1):
        for group in every:
            rows = table[(of_panel == name) & (of_group == group.name)]
            places = found.places((1 - rows["sparsity"]).round(10))
            draw_line(fig, rows, places, group, len(every), "density", row=row, col=column)
    fig.update_yaxes(**view(table["mean"], table), row=row)


def plot_learning(history: pd.DataFrame, panel: Column = "dataset_name") -> go.Figure:
    """Plot training, validation and test accuracy and loss in each epoch: means with 95% t intervals.

    Trials that prune after training are drawn up to the first pruning.

    Args:
        history: one row for each trial and epoch, as returned by `load_history`.
        panel: the column whose values have their own panels, side by side.

    Raises:
        ValueError: if a column does not exist, or there is no accuracy or no loss.

    Example:
        >>> from analysis import load_example_history
        >>> from analysis.plots import plot_learning
        >>> fig = plot_learning(load_example_history("sweep"))
        >>> [trace.name for trace in fig.data if trace.showlegend]
        ['train', 'val']
    """
    history, panel = with_series(history, panel), column_name(panel)
    check_columns(history, ["trial_id", "epoch", panel])
    rows = first_training(history)
    tables = {f"{quantity}": _learned(rows, panel, quantity) for quantity in ("acc", "loss")}
    check_drawn(tables)
    panels, every = _distinct(names_of(in_order(rows, [panel]), [panel])), groups(pd.Series(MEASURED_ON))
    note = f"{rows['trial_id'].nunique()} trials; mean and 95% interval of the mean"
    fig = new_panels("learning curves", [note], ["accuracy", "loss"], panels)
    for row, table in enumerate(tables.values(), start=1):
        of_panel = names_of(table, [panel])
        for column, name in enumerate(panels, start=1):
            for group in every:
                own = table[(of_panel == name) & (table["on"] == group.name)]
                if len(own):
                    draw_line(fig, own, own["epoch"].tolist(), group, len(every), "epoch", "lines", row=row, col=column)
        fig.update_yaxes(**view(table["mean"], table), row=row)
    fig.update_xaxes(**epoch_axis(rows["epoch"]))
    fig.update_xaxes(title_text="", row=1)
    add_legend(fig, ["measured on"])
    return fig


def _learned(rows: pd.DataFrame, panel: str, quantity: str) -> pd.DataFrame:
    """Return the curves of a quantity on each part of the data, which the column `on` names."""
    there = [on for on in MEASURED_ON if f"{on}_{quantity}" in rows]
    tables = [curves(rows, [panel], f"{on}_{quantity}").assign(on=on) for on in there]
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=[panel, "count", "on"])
    return table[table["count"] > 0].reset_index(drop=True)


def check_drawn(tables: Mapping[str, pd.DataFrame]) -> None:
    """Raise a ValueError with the names of the metrics that have nothing to draw."""
    empty = [name for name, table in tables.items() if table.empty]
    if empty:
        raise ValueError(f"Nothing to plot: no complete row has a value of {', '.join(empty)}.")


def _distinct(names: pd.Series) -> list[str]:
    return list(dict.fromkeys(names))
