"""The sections of the HTML report. Each function returns HTML, empty if the section does not apply to the trials."""

import html
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from itables import to_html_datatable

from analysis.frame.matching import values_of
from analysis.frame.schema import MACHINE_COLUMNS, hyperparameters, varying
from analysis.frame.summaries import summarised
from analysis.frame.values import sort_key
from analysis.frame.words import plural
from analysis.loading.load import issues
from analysis.output.html import folded, table, text, with_texts
from analysis.output.tables import failures, pivot, with_index_as_columns
from analysis.plots import (
    plot_axis,
    plot_curves,
    plot_failures,
    plot_importance,
    plot_parallel,
    plot_pivot,
    plot_sparsity,
)
from analysis.statistics.aggregate import agg, failure_rates
from analysis.statistics.chance import is_at_chance
from analysis.statistics.common_settings import common_settings
from analysis.statistics.divergence import is_diverged
from analysis.statistics.importances import importance
from analysis.statistics.pairwise import compare
from analysis.statistics.ranking import best
from analysis.statistics.survivors import survivorship
from analysis.statistics.variance import anova

# Nobody reads a page of a hundred plots.
SHOWN_AXES, SHOWN_TRIALS, SHOWN_FAILURES = 6, 10, 50


def by_importance(df: pd.DataFrame, metric: str, axes: list[str]) -> list[str]:
    """Return the axes, the most important first; in their own order if there are too few trials to tell."""
    try:
        order = list(importance(df, metric)["parameter"])
    except ValueError:
        return axes
    return sorted(axes, key=lambda name: order.index(name) if name in order else len(order))


def parameters(df: pd.DataFrame) -> str:
    """Return a table of the hyperparameters that vary, and a folded one of the others."""
    several = varying(df)
    rows = [
        {"parameter": name, "values": ", ".join(text(value) for value in values_of(df[name])[:20])} for name in several
    ]
    fixed = [
        {"parameter": name, "value": text(df[name].iloc[0])}
        for name in hyperparameters(df)
        if name not in several and name not in MACHINE_COLUMNS and df[name].notna().any()
    ]
    asked = table(pd.DataFrame(rows)) if rows else "<p>All trials have the same hyperparameters.</p>"
    return asked + folded(f"{len(fixed)} hyperparameters are the same in all trials", table(pd.DataFrame(fixed)))


def comparisons(df: pd.DataFrame, axes: list[str], ranked: list[str], metric: str, lowest: bool) -> str:
    """Return the conclusions of `compare` for each axis, its means within another axis, and all numbers, folded."""
    if not axes:
        return ""
    compared = compare(df, axes, metric)
    n = plural(len(compared), "comparison")
    parts = [_note(f"Trials are compared in pairs that differ in one hyperparameter only; corrected for {n}.")]
    for axis in axes:
        rows = compared[compared["axis"] == axis]
        sentences = [f"<li>{html.escape(sentence)}</li>" for sentence in rows["conclusion"]]
        parts.append(f"<h3>{html.escape(axis)}</h3>")
        if len(sentences) <= 3:
            parts.append(f"<ul>{''.join(sentences)}</ul>")
        else:
            # The largest difference says whether the axis has any effect; the others are there to look up.
            widest = int(np.nan_to_num(rows["difference"].abs().to_numpy(), nan=-1).argmax())
            parts.append(f"<ul>{sentences[widest]}</ul>")
            parts.append(folded(f"all {len(sentences)} pairs of values", f"<ul>{''.join(sentences)}</ul>"))
        strongest = next((name for name in ranked if name != axis), None)
        if strongest:
            parts.append(_within(df, axis, strongest, metric, lowest, compared=bool(rows["pairs"].any())))
    return "\n".join(parts) + folded("all numbers", table(compared.drop(columns="conclusion")))


def _within(df: pd.DataFrame, axis: str, other: str, metric: str, lowest: bool, *, compared: bool) -> str:
    """Return the means of an axis within each value of another one, and which value is best where, if that differs.

    A comparison over all trials hides that an axis may help at one value of the other and harm at another.
    """
    means = agg(df, [other, axis], metric).dropna(subset="mean").sort_values("mean", ascending=lowest, kind="stable")
    best_of: dict[str, list[str]] = {}
    for value in values_of(means[other]):
        first = means[[sort_key(each) == sort_key(value) for each in means[other]]].iloc[0]
        best_of.setdefault(text(first[axis]), []).append(text(value))
    note = f"Within each {other}:"
    if len(best_of) > 1:
        where = ", ".join(f"{winner} at {' and '.join(values)}" for winner, values in best_of.items())
        note = f"The {axis} with the best mean depends on {other}: {where}."
    if compared:
        note = f"The comparison is over all trials. {note}"
    return _note(note) + table(with_index_as_columns(pivot(df, axis, other, metric)))


def importances(df: pd.DataFrame, ranked: list[str], metric: str, lowest: bool) -> str:
    """Return how much each hyperparameter explains, and plots of the most important ones together."""
    parts = [_plot(lambda: plot_importance(df, metric))]
    try:
        shares = anova(df, metric)
        parts.append("<h3>Share of the variance</h3>" + table(shares.sort_values("share", ascending=False).head(12)))
    except ValueError as error:
        parts.append(_note(f"Exact shares of the variance are not available: {error}"))
    if len(ranked) >= 2:
        rows, columns = ranked[1], ranked[0]
        parts.append(_plot(lambda: plot_pivot(df, rows, columns, metric)))
        parts.append(folded("as a table", table(pivot(df, rows, columns, metric).reset_index())))
    if len(ranked) >= 3:
        parts.append(_plot(lambda: plot_parallel(df, metric, lowest=lowest)))
    return "\n".join(parts)


def effects(df: pd.DataFrame, ranked: list[str], metric: str, lowest: bool) -> str:
    """Return a plot and a folded table for each of the most important hyperparameters."""
    parts = []
    for axis in ranked[:SHOWN_AXES]:
        parts.append(_plot(partial(plot_axis, df, axis, metric, lowest=lowest)))
        if axis == "on_perc":
            parts.append(_plot(lambda: plot_sparsity(df, metric, lowest=lowest)))
        parts.append(folded(f"{axis} as a table", table(agg(df, axis, metric))))
    return "\n".join(parts)


def learning_curves(history: pd.DataFrame | None, ranked: list[str], metric: str, lowest: bool) -> str:
    """Return learning curves by the two most important hyperparameters."""
    if history is None:
        return ""
    names = [summarised(metric), metric]
    logged = next((name for name in names if name in history), None)
    if logged is None:
        return ""
    return "\n".join(_plot(partial(plot_curves, history, logged, by, lowest=lowest)) for by in ranked[:2])


def best_trials(df: pd.DataFrame, metric: str, lowest: bool) -> str:
    """Return a table of the best trials."""
    return table(best(df, metric, SHOWN_TRIALS, lowest))


def failed_trials(df: pd.DataFrame, ranked: list[str], metric: str, lowest: bool) -> str:
    """Return tables and a plot of the trials that failed, diverged, did not finish or learned nothing, and damage."""
    parts = []
    failed = failures(df)
    if len(failed):
        shown = f", the first {SHOWN_FAILURES} of {len(failed)}" if len(failed) > SHOWN_FAILURES else ""
        parts.append(f"<h3>Trials that are left out{shown}</h3>" + table(failed.head(SHOWN_FAILURES)))
    if (df["status"] == "error").any() and ranked:
        if len(ranked) >= 2:
            parts.append(_plot(lambda: plot_failures(df, ranked[1], ranked[0])))
        for axis in ranked[:SHOWN_AXES]:
            parts.append(f"<h3>Failures by {html.escape(axis)}</h3>" + table(failure_rates(df, axis)))
            effect = table(survivorship(df, axis, metric, lowest=lowest))
            parts.append(folded("how leaving out the failed trials changes a comparison", effect))
    parts += [_marked(df, is_diverged(df), "Trials that diverged", "diverged. No number on this page includes them.")]
    kept = "never left chance level. All numbers on this page include them."
    parts += [_marked(df, is_at_chance(df), "Trials at chance level", kept)]
    damage = issues(df)
    if len(damage):
        parts.append(f"<h3>Damaged files</h3>{table(damage.head(SHOWN_FAILURES))}")
    return "\n".join(filter(None, parts)) or "<p>All trials are complete, and no file is damaged.</p>"


def _marked(df: pd.DataFrame, is_marked: pd.Series, heading: str, fate: str) -> str:
    """Return how many complete trials are marked, and a list of the settings in which they stand."""
    if not is_marked.any():
        return ""
    of = f"{is_marked.sum()} of {plural(int((df['status'] == 'complete').sum()), 'complete trial')}"
    items = "".join(f"<li>{html.escape(str(setting))}</li>" for setting in common_settings(df, is_marked))
    return f"<h3>{heading}</h3><p>{of} {fate} They have these settings:</p><ul>{items}</ul>"


def all_trials(df: pd.DataFrame, metric: str) -> str:
    """Return a table of all trials that can be sorted and searched."""
    names = dict.fromkeys([*varying(df), metric, "epochs", "status", "trial_dir"])
    shown = with_texts(df[list(names)])
    options: dict[str, Any] = {"connected": False, "allow_html": False, "maxBytes": 0, "showIndex": False}
    return str(to_html_datatable(shown, classes="display compact", **options))


def _plot(draw: Callable[[], Any]) -> str:
    """Return a plot, or the reason why these trials do not have it."""
    try:
        fig = draw()
    except ValueError as error:
        return _note(f"A plot is left out. {error}")
    content = fig.to_html(full_html=False, include_plotlyjs=False, config={"responsive": True})
    return f'<div class="wide">{content}</div>'


def _note(content: str) -> str:
    return f'<p class="note">{html.escape(content)}</p>'
