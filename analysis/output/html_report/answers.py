"""The answers at the top of the report, in a few sentences."""

import html
import math
from typing import Any

from analysis.frame.schema import STARTS_FROM
from analysis.frame.values import sort_key
from analysis.frame.words import unsigned_zero, value_text
from analysis.output.html_report.comparison import Comparison
from analysis.output.html_report.figures import capitalized
from analysis.output.html_report.matters import has_repeats, percent
from analysis.output.html_report.results import Results
from analysis.output.html_report.sentences import clear_differences, open_questions
from analysis.output.html_report.studies import answers_of_sweeps, answers_of_tickets
from analysis.statistics.aggregate import CONFIDENCE
from analysis.statistics.variance import REST

# The number of hyperparameters that a sentence names.
NAMED = 3


def answers(results: Results, comparisons: list[Comparison]) -> str:
    """Return the answers as a list: each a question that links to the section with details, and a sentence or two."""
    if results.kind == "sweeps":
        items = answers_of_sweeps(results)
    else:
        items = answers_of_tickets(results) if results.kind == "tickets" else []
        items.append(("What matters most?", "what-matters", _what_matters(results)))
        is_compared = results.axes and results.has_values
        best = ("Which setting is best?", "plots") if is_compared else ("What is the result?", "all-trials")
        items.append((*best, _best(results)))
        if comparisons:
            items.append(("Which differences are clear?", "comparisons", clear_differences(comparisons[0], results)))
            items.append(("What remains unclear?", "comparisons", open_questions(comparisons[0], results)))
    shown = "".join(
        f'<li><a href="#{section}">{question}</a> {html.escape(capitalized(answer))}</li>'
        for question, section, answer in items
        if answer
    )
    return f'<ul class="answers">{shown}</ul>'


def _what_matters(results: Results) -> str:
    names, metric = results.names, results.metric
    if not results.axes:
        return ""
    if results.shares is not None and results.shares["share"].notna().all():
        terms = dict(zip(results.shares["term"], results.shares["share"], strict=True))
        main = [(name, terms.get(name, 0.0)) for name in results.axes]
        pairs = sum(share for name, share in terms.items() if name not in results.rows and name != REST)
        parts = [f"{names.full(name)} {percent(share)}" for name, share in main[:NAMED]]
        parts[0] = f"{names.full(main[0][0])} explains {percent(main[0][1])} of the variance of {metric}"
        if len(main) > 1:
            parts.append(f"{'their interaction' if len(main) == 2 else 'interactions of two'} {percent(pairs)}")
        of_more = "noise between seeds, or interactions of more" if len(main) > 2 else "noise between seeds"
        rest = f"The rest, {percent(max(0.0, terms[REST]))}, is {of_more}."
        return f"{', '.join(parts)}. {rest if has_repeats(results) else 'One trial of each setting shows no noise.'}"
    if results.importances is not None:
        table = results.importances[results.importances["parameter"].isin(results.axes)]
        if len(table):
            largest = table.head(NAMED).to_dict("records")
            shares = [(names.full(str(row["parameter"])), percent(float(row["importance"]))) for row in largest]
            others = "".join(f", {name} {share}" for name, share in shares[1:])
            return f"{shares[0][0]} has {shares[0][1]} of the importance for {metric} in a random forest{others}."
    return ""


def _best(results: Results) -> str:
    """Return the sentence about the best setting."""
    metric, names = results.metric, results.names
    settings, keys = results.settings()
    if not results.has_values:
        return f"No complete trial has a finite {metric}."
    if settings.empty:
        row = results.summary(results.rows.assign(all_=1), "all_").iloc[0].to_dict()
        return f"The {names.full(metric)} is {_mean(row)}."
    row = settings.iloc[0].to_dict()
    values = {name: value_text(row[name]) for name in _in_order(results, keys)}
    answer = f"{names.setting(values)}: {metric} is {_mean(row)}."
    chosen_by = results.selection_metric
    if len(settings) > 1 and chosen_by != metric:
        answer += f" It was chosen among {len(settings)} settings by {chosen_by}, not by the test set."
    elif len(settings) > 1:
        answer += f" The best of {len(settings)} settings is partly the luckiest."
    return answer + _of_copies(results, row, keys)


def _of_copies(results: Results, row: dict[Any, Any], keys: list[str]) -> str:
    """Return a sentence if a trial with the values of `row` began as a copy, else ""."""
    rows = results.rows
    if STARTS_FROM not in rows:
        return ""
    is_setting = [all(sort_key(each[key]) == sort_key(row[key]) for key in keys) for each in rows.to_dict("records")]
    if rows.loc[is_setting, STARTS_FROM].isna().all():
        return ""
    return (
        " A trial of this setting began as a copy of one with other values: analysis.load_history has those of each "
        "epoch."
    )


def _in_order(results: Results, keys: list[str]) -> list[str]:
    return [*(name for name in results.axes if name in keys), *(name for name in keys if name not in results.axes)]


def _mean(row: dict[Any, Any]) -> str:
    """Return a mean with its interval."""
    if row["count"] < 2:
        return f"{row['mean']:.4g} in a single trial, which says nothing about its noise"
    # One end may be cut off.
    half = max(row["high"] - row["mean"], row["mean"] - row["low"])
    # As many decimals as give the interval two digits.
    decimals = max(0, 1 - math.floor(math.log10(half))) if half > 0 else 4
    mean, low, high = (unsigned_zero(f"{row[name]:.{decimals}f}") for name in ("mean", "low", "high"))
    return f"{mean} ({CONFIDENCE:.0%} interval {low} to {high}, mean of {int(row['count'])} trials)"
