"""The sections about single trials: the best ones, those with problems, and all of them."""

import html
from functools import partial

import pandas as pd

from analysis.frame.matching import values_of
from analysis.frame.schema import MACHINE_COLUMNS, hyperparameters, varying
from analysis.frame.words import plural
from analysis.loading.load import issues
from analysis.output.html import folded, table, text
from analysis.output.html_report.figures import figure, note
from analysis.output.html_report.results import Results
from analysis.output.tables import failures
from analysis.plots import plot_failures
from analysis.plots._lib.style import label
from analysis.statistics.aggregate import failure_rates
from analysis.statistics.chance import is_at_chance
from analysis.statistics.common_settings import common_settings
from analysis.statistics.divergence import is_diverged
from analysis.statistics.ranking import best
from analysis.statistics.survivors import survivorship

SHOWN_BEST, SHOWN_FAILURES, SHOWN_AXES = 10, 50, 3
# A page with more rows would be slow to open.
SHOWN_TRIALS = 2000


def best_trials(results: Results) -> str:
    """Return a table of the best trials; empty if the table of all trials is as short."""
    if results.kind == "sweeps" or len(results.rows) <= SHOWN_BEST:
        return ""
    rows = best(results.rows, results.metric, SHOWN_BEST, results.lowest)
    luck = "The best of many trials is partly the luckiest: the best setting, above, is a mean over seeds."
    has_seeds = "seed" in results.rows and results.rows["seed"].nunique() > 1 and bool(results.axes)
    return table(rows, _headers(results, rows)) + (note(luck) if has_seeds and len(rows) else "")


def _headers(results: Results, rows: pd.DataFrame) -> dict[str, str]:
    return {str(name): results.names.header(str(name)) for name in rows}


def problems(results: Results) -> str:
    """Return the trials that failed, stopped, diverged or never left chance level, and damaged files."""
    df = results.trials
    parts = []
    failed = failures(df) if {"epochs", "error", "trial_dir"} <= set(df) else pd.DataFrame()
    if len(failed):
        shown = f", the first {SHOWN_FAILURES} of {len(failed)}" if len(failed) > SHOWN_FAILURES else ""
        headers = _headers(results, failed)
        rows = table(failed.head(SHOWN_FAILURES), headers)
        parts.append(f'<h3>Trials that are left out{shown}</h3><div class="tall">{rows}</div>')
    parts += _rates(results)
    parts += [_marked(df, is_diverged(df), "Trials that diverged", "diverged. No number on this page includes them.")]
    kept = "never left chance level. All numbers on this page include them."
    parts += [_marked(df, is_at_chance(df), "Trials that never left chance level", kept)]
    damage = issues(df)
    if len(damage):
        parts.append(f"<h3>Damaged files</h3>{table(damage.head(SHOWN_FAILURES))}")
    # A rule of early stopping ends a trial on purpose.
    n_stopped = int((df["status"] == "stopped").sum())
    ended = f"All trials are complete or were stopped early ({n_stopped})" if n_stopped else "All trials are complete"
    fine = f"{ended}, none diverged or stayed at chance level, and no file is damaged."
    return "\n".join(filter(None, parts)) or f"<p>{fine}</p>"


def _rates(results: Results) -> list[str]:
    """Return the failure rates of each axis, and their effect on comparisons."""
    df = results.trials
    axes = [name for name in results.axes if name in varying(df)]
    if not (df["status"] == "error").any() or not axes:
        return []
    parts = []
    if len(axes) > 1:
        draw = partial(plot_failures, df, axes[1], axes[0])
        parts.append(figure("Share of trials that failed", draw, results.names))
    for axis in axes[:SHOWN_AXES]:
        name = results.names.full(axis)
        rates = table(failure_rates(df, axis), {axis: name})
        if results.kind == "trials":
            effect = table(survivorship(df, axis, results.metric, lowest=results.lowest), {axis: name})
            rates += note("How leaving out the failed trials changes a comparison:") + effect
        parts.append(folded(f"Failures by {name}", rates))
    return parts


def _marked(df: pd.DataFrame, is_marked: pd.Series, heading: str, fate: str) -> str:
    """Return how many complete trials are marked, and a list of the settings that they share."""
    if not is_marked.any():
        return ""
    of = f"{is_marked.sum()} of {plural(int((df['status'] == 'complete').sum()), 'complete trial')}"
    items = "".join(f"<li>{html.escape(str(setting))}</li>" for setting in common_settings(df, is_marked))
    where = f" They have these settings:</p><ul>{items}</ul>" if items else "</p>"
    return f"<h3>{heading}</h3><p>{of} {fate}{where}"


def all_trials(results: Results) -> str:
    """Return a table of all trials that can be sorted and searched, and the hyperparameters that all share."""
    df = results.trials
    if results.kind == "tickets":
        # The metric of the last round instead of the best of all rounds.
        last = results.rows.set_index("trial_dir")[results.metric]
        df = df.assign(**{results.metric: last.reindex(df["trial_dir"]).to_numpy()})
    metric = [results.metric] if results.metric in df else []
    names = dict.fromkeys([*varying(df), *metric, "epochs", "status", "trial_dir"])
    shown = df[[name for name in names if name in df]]
    cut = (
        f"The first {SHOWN_TRIALS} of {len(df)} trials. analysis.load has all of them."
        if len(df) > SHOWN_TRIALS
        else ""
    )
    rows = table(shown.head(SHOWN_TRIALS), _headers(results, shown), "plain sortable")
    return (note(cut) if cut else "") + f'<div class="tall">{rows}</div>' + fixed(df)


def fixed(df: pd.DataFrame) -> str:
    """Return the hyperparameters with the same value in all trials, folded."""
    several = varying(df)
    rows = [
        {"hyperparameter": name, "value": text(df[name].iloc[0])}
        for name in hyperparameters(df)
        if name not in several and name not in MACHINE_COLUMNS and df[name].notna().any()
    ]
    names = "1 hyperparameter is" if len(rows) == 1 else f"{len(rows)} hyperparameters are"
    return folded(f"{names} the same in all trials", table(pd.DataFrame(rows)))


def grid(results: Results) -> str:
    """Return the values of the hyperparameters that vary, as a list."""
    rows = results.rows
    several = {name: values_of(rows[name]) for name in varying(rows)}
    if not several:
        return ""
    lines = []
    for name in [*results.axes, *(name for name in several if name not in results.axes)]:
        values = several[name]
        shown = ", ".join(map(label, values[:8])) + (f", ... ({len(values)} values)" if len(values) > 8 else "")
        lines.append(f"<dt>{html.escape(results.names.full(name))}</dt><dd>{html.escape(shown)}</dd>")
    return f'<dl class="grid">{"".join(lines)}</dl>'
