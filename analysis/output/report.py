"""One HTML page about an experiment, which opens anywhere: what was asked, what came out, and whether that is real."""

from __future__ import annotations

import html
from collections.abc import Callable
from datetime import datetime
from functools import partial
from string import Template
from typing import Any

import numpy as np
import pandas as pd

from analysis.frame.checks import check_columns, check_numbers
from analysis.frame.schema import MACHINE_COLUMNS, hyperparameters, varying
from analysis.frame.values import sort_key
from analysis.loading.load import issues
from analysis.output.html import folded, table, text
from analysis.output.tables import failures, left_out, pivot
from analysis.plots import (
    plot_axis,
    plot_curves,
    plot_failures,
    plot_importance,
    plot_parallel,
    plot_pivot,
    plot_sparsity,
)
from analysis.stats.aggregate import agg, failure_rates
from analysis.stats.importances import importance
from analysis.stats.pairwise import MOST_VALUES, compare
from analysis.stats.ranking import best, is_better_low
from analysis.stats.survivors import survivorship
from analysis.stats.variance import anova

# Pages of a hundred pictures are read by nobody.
SHOWN_AXES, SHOWN_TRIALS, SHOWN_FAILURES = 6, 10, 50

PAGE = Template(
    """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; --line: #8884; --faint: #888; --fill: #8881; --accent: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --accent: #56b4e9; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 2em auto; padding: 0 1.2em;
  background: Canvas; color: CanvasText; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.2em; border-bottom: 1px solid var(--line); } h3 { margin: 1.6em 0 .3em; }
a { color: var(--accent); } nav a { margin-right: 1em; } .note { color: var(--faint); }
.wide { overflow-x: auto; } table.plain { border-collapse: collapse; font-size: 14px; }
table.plain th, table.plain td { padding: .25em .7em; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
table.plain td.number, table.plain th.number { text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
table.plain tr:hover { background: var(--fill); }
summary { cursor: pointer; color: var(--accent); }
div.dt-container { background: transparent !important; color: inherit !important; }
</style>
<script>document.documentElement.classList.toggle("dark", matchMedia("(prefers-color-scheme: dark)").matches)</script>
<script>$plotly</script>
$tables
</head>
<body>
<h1>$title</h1>
<p class="note">$subtitle</p>
<nav>$links</nav>
$sections
</body>
</html>
"""
)


def report(
    df: pd.DataFrame,
    metric: str,
    history: pd.DataFrame | None = None,
    title: str = "Experiment",
    lowest: bool | None = None,
) -> str:
    """A page about the trials of a DataFrame, as HTML that needs no network and no server.

    What does not apply to them (a comparison without an axis, a failure map without a failure) is left out, and the
    page says why where that tells something. All texts are escaped.

    Args:
        df: as `load` gives it.
        metric: a column of it, for example val_acc_max.
        lowest: whether low values of it are the better ones; None: if it is called a loss or an error.
        history: as `load_history` gives it; without it there are no learning curves.

    Raises: ValueError if `metric` is no column of numbers; ImportError if plotly or itables is missing.
    """
    from plotly.offline import get_plotlyjs

    check_columns(df, [metric, "status"])
    check_numbers(df, metric)
    lowest = is_better_low(metric) if lowest is None else lowest
    axes = [name for name, n in varying(df, besides=["seed"]).items() if n <= MOST_VALUES]
    ranked = _by_importance(df, metric, axes)
    sections = {
        "The question": _question(df),
        "Which is better": _comparisons(df, axes, metric),
        "What matters": _importance(df, ranked, metric, lowest),
        "Each axis": _axes(df, ranked, metric, lowest),
        "Learning curves": _curves(history, ranked, metric, lowest),
        "Best trials": table(best(df, metric, SHOWN_TRIALS, lowest)),
        "Failures and damage": _failures(df, ranked, metric, lowest),
        "All trials": _all_trials(df, metric),
    }
    there = {name: content for name, content in sections.items() if content}
    return PAGE.substitute(
        title=html.escape(title),
        subtitle=html.escape(
            f"{metric}, {'lower' if lowest else 'higher'} is better; {left_out(df)}; {datetime.now():%Y-%m-%d %H:%M}"
        ),
        plotly=get_plotlyjs(),
        tables=_offline_tables(),
        links=" ".join(f'<a href="#{_anchor(name)}">{name}</a>' for name in there),
        sections="\n".join(f'<h2 id="{_anchor(name)}">{name}</h2>\n{content}' for name, content in there.items()),
    )


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")


def _by_importance(df: pd.DataFrame, metric: str, axes: list[str]) -> list[str]:
    """The axes, the most important first; in their own order where there are too few trials to tell."""
    try:
        order = list(importance(df, metric)["parameter"])
    except ValueError:
        return axes
    return sorted(axes, key=lambda name: order.index(name) if name in order else len(order))


def _question(df: pd.DataFrame) -> str:
    several = varying(df)
    rows = [
        {"parameter": name, "values": ", ".join(text(value) for value in sorted(set(df[name]), key=sort_key)[:20])}
        for name in several
    ]
    fixed = [
        {"parameter": name, "value": text(df[name].iloc[0])}
        for name in hyperparameters(df)
        if name not in several and name not in MACHINE_COLUMNS and df[name].notna().any()
    ]
    asked = table(pd.DataFrame(rows)) if rows else "<p>All trials have the same parameters.</p>"
    return asked + folded(f"{len(fixed)} parameters are the same in all trials", table(pd.DataFrame(fixed)))


def _comparisons(df: pd.DataFrame, axes: list[str], metric: str) -> str:
    if not axes:
        return ""
    compared = compare(df, axes, metric)
    parts = [
        f'<p class="note">Pairs of trials that differ in nothing else; {len(compared)} comparisons, corrected together.'
        "</p>"
    ]
    for axis in axes:
        rows = compared[compared["axis"] == axis]
        sentences = [f"<li>{html.escape(sentence)}</li>" for sentence in rows["conclusion"]]
        parts.append(f"<h3>{html.escape(axis)}</h3>")
        if len(sentences) <= 3:
            parts.append(f"<ul>{''.join(sentences)}</ul>")
        else:
            # The two that are furthest apart say whether there is anything; the others are there to look up.
            widest = int(np.nan_to_num(rows["difference"].abs().to_numpy(), nan=-1).argmax())
            parts.append(f"<ul>{sentences[widest]}</ul>")
            parts.append(folded(f"all {len(sentences)} pairs of values", f"<ul>{''.join(sentences)}</ul>"))
    return "\n".join(parts) + folded("the numbers", table(compared.drop(columns="conclusion")))


def _importance(df: pd.DataFrame, ranked: list[str], metric: str, lowest: bool) -> str:
    parts = [_picture(lambda: plot_importance(df, metric))]
    try:
        shares = anova(df, metric)
        parts.append("<h3>Share of the variance</h3>" + table(shares.sort_values("share", ascending=False).head(12)))
    except ValueError as error:
        parts.append(f'<p class="note">No exact shares of the variance: {html.escape(str(error))}.</p>')
    if len(ranked) >= 2:
        rows, columns = ranked[1], ranked[0]
        parts.append(_picture(lambda: plot_pivot(df, rows, columns, metric)))
        parts.append(folded("the same as a table", table(pivot(df, rows, columns, metric).reset_index())))
    if len(ranked) >= 3:
        parts.append(_picture(lambda: plot_parallel(df, metric, lowest=lowest)))
    return "\n".join(parts)


def _axes(df: pd.DataFrame, ranked: list[str], metric: str, lowest: bool) -> str:
    parts = []
    for axis in ranked[:SHOWN_AXES]:
        parts.append(_picture(partial(plot_axis, df, axis, metric, lowest=lowest)))
        if axis == "on_perc":
            parts.append(_picture(lambda: plot_sparsity(df, metric, lowest=lowest)))
        parts.append(folded(f"{axis} as a table", table(agg(df, axis, metric))))
    return "\n".join(parts)


def _curves(history: pd.DataFrame | None, ranked: list[str], metric: str, lowest: bool) -> str:
    if history is None:
        return ""
    names = [metric, *(metric.removesuffix(end) for end in ("_max", "_min", "_last", "_median"))]
    logged = next((name for name in reversed(names) if name in history), None)
    if logged is None:
        return ""
    return "\n".join(_picture(partial(plot_curves, history, by, logged, lowest=lowest)) for by in ranked[:2])


def _failures(df: pd.DataFrame, ranked: list[str], metric: str, lowest: bool) -> str:
    parts = []
    failed = failures(df)
    if len(failed):
        shown = f", the first {SHOWN_FAILURES} of {len(failed)}" if len(failed) > SHOWN_FAILURES else ""
        parts.append(f"<h3>Trials that are not complete{shown}</h3>" + table(failed.head(SHOWN_FAILURES)))
    if (df["status"] == "error").any() and ranked:
        if len(ranked) >= 2:
            parts.append(_picture(lambda: plot_failures(df, ranked[1], ranked[0])))
        for axis in ranked[:SHOWN_AXES]:
            parts.append(f"<h3>Failures by {html.escape(axis)}</h3>" + table(failure_rates(df, axis)))
            parts.append(
                folded(
                    "what leaving them out does to a comparison", table(survivorship(df, axis, metric, lowest=lowest))
                )
            )
    damage = issues(df)
    if len(damage):
        parts.append(f"<h3>Damaged files</h3>{table(damage.head(SHOWN_FAILURES))}")
    return "\n".join(parts) or "<p>Every trial is complete, and no file is damaged.</p>"


def _all_trials(df: pd.DataFrame, metric: str) -> str:
    """A table to sort and to search."""
    from itables import to_html_datatable

    names = [*varying(df), metric, "epochs", "status", "trial_dir"]
    shown = df[list(dict.fromkeys(names))].copy()
    for name in [name for name in shown if pd.api.types.is_object_dtype(shown[name])]:
        shown[name] = shown[name].map(text)
    return str(
        to_html_datatable(
            shown, connected=False, allow_html=False, maxBytes=0, showIndex=False, classes="display compact"
        )
    )


def _offline_tables() -> str:
    import itables
    from itables.javascript import generate_init_offline_itables_html

    return str(generate_init_offline_itables_html(itables.options.dt_bundle))


def _picture(draw: Callable[[], Any]) -> str:
    """A figure; where it cannot be drawn of these trials, why."""
    try:
        fig = draw()
    except ValueError as error:
        return f'<p class="note">Not drawn: {html.escape(str(error))}.</p>'
    content = fig.to_html(full_html=False, include_plotlyjs=False, config={"responsive": True})
    return f'<div class="wide">{content}</div>'
