"""The section of learning curves: one line for each method, at one density in each panel."""

from functools import partial

import numpy as np

from analysis.frame.matching import values_of
from analysis.frame.summaries import summarised
from analysis.frame.values import sort_key
from analysis.output.html_report.figures import capitalized, figure, note
from analysis.output.html_report.results import Results
from analysis.plots import plot_curves, plot_learning

# Panels beside each other on one page.
MOST_PANELS = 4


def learning_curves(results: Results) -> str:
    """Return the learning curves; empty without a history of the metric."""
    history = results.history
    if history is None or history.empty:
        return ""
    if results.kind != "trials":
        text = "Before anything is pruned, in training, validation and test."
        return note(text) + figure("", lambda: plot_learning(history), results.names)
    logged = next((name for name in (summarised(results.metric), results.metric) if name in history), None)
    if logged is None:
        return ""
    lines, panel = (results.lines, results.x) if results.lines else (results.x, None)
    rows, remark = results.at_best_setting(lines, panel)
    names = results.names
    if panel is not None:
        values = values_of(rows[panel])
        chosen = [values[i] for i in np.unique(np.linspace(0, len(values) - 1, MOST_PANELS).round().astype(int))]
        keys = set(map(sort_key, chosen))
        rows = rows[[sort_key(value) in keys for value in rows[panel]]]
        if len(chosen) < len(values):
            remark = f"{len(chosen)} of {len(values)} values of {names.full(panel)}. {remark}".strip()
    shown = history[history["trial_dir"].isin(rows["trial_dir"])]
    heading = f"{capitalized(names.short(logged))} by epoch"
    draw = partial(plot_curves, shown, logged, lines, lowest=results.lowest, panel=panel)
    return figure(heading, draw, names, remark)
