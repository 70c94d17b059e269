"""Sentences about a comparison: which differences are clear, which are not, and how many seeds would show more."""

from typing import Any

import numpy as np

from analysis.frame.values import is_missing, n_values
from analysis.frame.words import joined, plural, value_text
from analysis.output.html_report.comparison import POWER, Comparison
from analysis.output.html_report.figures import capitalized
from analysis.output.html_report.names import Names
from analysis.output.html_report.results import Results
from analysis.plots._lib.style import label
from analysis.statistics.contrast_sentences import is_of_survivors
from analysis.statistics.significance import LEVEL, p_text

# How many differences or pairs of values a sentence names, and how many places for each pair.
NAMED, PLACES = 3, 5


def needed(comparison: Comparison, names: Names) -> str:
    """Return the smallest difference that the grid could show, and the seeds that half of it needs; "" if unknown."""
    rows = comparison.power
    if rows is None or not np.isfinite(rows["smallest_difference"]).any():
        return ""
    rows = rows[np.isfinite(rows["smallest_difference"])].sort_values("smallest_difference")
    sizes = [f"{size:.2g}" for size in rows["smallest_difference"]]
    size = sizes[0]
    if size != sizes[-1]:
        ends = [_of_pair(row, comparison, names) for row in rows.iloc[[0, -1]].to_dict("records")]
        size = f"{size}{ends[0]}, or {sizes[-1]}{ends[1]},"
    seeds, repeat = round(float(rows["seeds"].max())), comparison.repeat
    most = rows["seeds_needed"][np.isfinite(rows["seeds_needed"])].max()
    more = "" if is_missing(most) else f" Half of it needs {most:.0f} {repeat}s, {most - seeds:.0f} more than now."
    return f"With {plural(seeds, repeat)}, a difference of {size} is found with a probability of {POWER:.0%}.{more}"


def interaction(comparison: Comparison, names: Names) -> str:
    """Return whether the differences depend on the hyperparameter within which they are taken; "" if unknown."""
    p = comparison.p_interaction
    if not comparison.within or is_missing(p):
        return ""
    effect = f"the effect of {names.short(comparison.axis)} depends on {names.short(comparison.within)} ({p_text(p)})."
    return capitalized(effect) if p <= LEVEL else f"No evidence that {effect}"


def survivors(comparison: Comparison) -> str:
    """Return how many comparisons are of survivors; "" if none is."""
    rows = [] if comparison.table is None else comparison.table.to_dict("records")
    n = sum(is_of_survivors({str(name): value for name, value in row.items()}) for row in rows)
    if not n:
        return ""
    of = f"{n} of {plural(len(rows), 'comparison')}"
    return f"In {of}, more trials of one value are left out than of the other, so these are comparisons of survivors."


def clear_differences(comparison: Comparison, results: Results) -> str:
    """Return the largest differences that are clear."""
    names, rows = results.names, comparison.table
    if rows is None:
        return ""
    clear = rows[rows["p_adjusted"] <= LEVEL]
    if clear.empty:
        return f"None of {plural(len(rows), 'comparison')} of {_axis(comparison, names)}."
    largest = clear.sort_values("difference", key=abs, ascending=False, kind="stable").head(NAMED)
    parts = []
    for row in largest.to_dict("records"):
        b, a = _values(row, names)
        higher, lower = (b, a) if row["difference"] > 0 else (a, b)
        low, high = sorted((abs(row["low"]), abs(row["high"])))
        size = f"{abs(row['difference']):.2g} (95% interval {low:.2g} to {high:.2g})"
        parts.append(f"{higher} is higher than {lower}{_at(row, comparison, names)} by {size}")
    count = f"{len(clear)} of {plural(len(rows), 'comparison')} of {_axis(comparison, names)}"
    largest_of = ", the largest first" if len(clear) > 1 else ""
    return f"{count}{largest_of}: {'; '.join(parts)}. {survivors(comparison)}".strip()


def open_questions(comparison: Comparison, results: Results) -> str:
    """Return which differences remain unclear, and how many seeds would be needed."""
    names, rows = results.names, comparison.table
    if rows is None:
        return f"{names.full(comparison.axis)} could not be compared. {comparison.problem}"
    missing = int(rows["p_adjusted"].isna().sum())
    no_trials = f" {missing} cannot be made, because complete trials are missing." if missing else ""
    n = f"{plural(len(rows), 'comparison')} of {_axis(comparison, names)}"
    unclear = rows[rows["p_adjusted"] > LEVEL]
    if unclear.empty:
        return f"Nothing among {n}." if not missing else f"Of {n},{no_trials}"
    places: dict[str, list[str]] = {}
    for row in unclear.to_dict("records"):
        value = _value(row[comparison.within]) if comparison.within else ""
        places.setdefault(" or ".join(_values(row, names)[::-1]), []).append(value)
    # The pair that is unclear at most places comes first.
    in_order = sorted(places.items(), key=lambda item: -len(item[1]))
    pairs = [_pair(pair, values, comparison, results) for pair, values in in_order]
    shown = pairs[:NAMED] + ([f"{plural(len(pairs) - NAMED, 'more pair')}"] if len(pairs) > NAMED else [])
    return f"{len(unclear)} of {n}: {'; '.join(shown)}.{no_trials} {needed(comparison, names)}".strip()


def _pair(pair: str, places: list[str], comparison: Comparison, results: Results) -> str:
    """Return a pair of values with the places where it is unclear: "SET or RigL at density 0.02 and 0.1"."""
    if not comparison.within:
        return pair
    name = results.names.short(comparison.within)
    if len(places) > 1 and len(places) == n_values(results.rows[comparison.within]):
        return f"{pair} at every {name}"
    return f"{pair} at {name} {_listed(places)}"


def _axis(comparison: Comparison, names: Names) -> str:
    where = f" within each {names.short(comparison.within)}" if comparison.within else ""
    return f"{names.short(comparison.axis)}{where}"


def _values(row: Any, names: Names) -> tuple[str, str]:
    """Return the values b and a as text; True and False with what they are of."""
    of = f"{names.short(row['axis'])} " if isinstance(row["a"], bool) else ""
    return f"{of}{_value(row['b'])}", f"{of}{_value(row['a'])}"


def _at(row: Any, comparison: Comparison, names: Names) -> str:
    return f" at {names.short(comparison.within)} {_value(row[comparison.within])}" if comparison.within else ""


def _of_pair(row: Any, comparison: Comparison, names: Names) -> str:
    b, a = _values(row, names)
    return f" between {a} and {b}{_at(row, comparison, names)}"


def _listed(parts: list[str]) -> str:
    """Return some of the texts, joined: "a", "a and b", "a, b, c, d and 3 more"."""
    shown = [*parts[:PLACES], *([f"{len(parts) - PLACES} more"] if len(parts) > PLACES else [])]
    return joined(shown)


def _value(value: Any) -> str:
    """Return a value for a sentence: None, which a table shows as a dash, by its name."""
    return value_text(None) if is_missing(value) else label(value)
