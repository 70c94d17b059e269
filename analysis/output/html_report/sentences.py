"""Sentences about a comparison: which differences are clear, which are not, and how many seeds would show more."""

from typing import Any

import numpy as np

from analysis.frame.values import is_missing
from analysis.frame.words import joined, plural
from analysis.output.html_report.comparison import POWER, Comparison
from analysis.output.html_report.figures import capitalized
from analysis.output.html_report.names import Names
from analysis.output.html_report.results import Results
from analysis.plots._lib.style import label
from analysis.statistics.contrast_sentences import is_of_survivors
from analysis.statistics.significance import LEVEL, p_text

# What a sentence names: differences, pairs of values, places.
NAMED, PLACES = 3, 5


def needed(compared: Comparison, names: Names) -> str:
    """Return the smallest difference that the grid could show, and the seeds that half of it needs; "" if unknown."""
    rows = compared.power
    if rows is None or not np.isfinite(rows["smallest_difference"]).any():
        return ""
    rows = rows[np.isfinite(rows["smallest_difference"])].sort_values("smallest_difference")
    sizes = [f"{size:.2g}" for size in rows["smallest_difference"]]
    size = sizes[0]
    if size != sizes[-1]:
        ends = [_at(row, compared, names) for row in rows.iloc[[0, -1]].to_dict("records")]
        size = f"{size}{ends[0]}, or {sizes[-1]}{ends[1]},"
    seeds = round(float(rows["seeds"].max()))
    most = rows["seeds_needed"][np.isfinite(rows["seeds_needed"])].max()
    more = "" if is_missing(most) else f" Half as much needs {most:.0f} seeds, {most - seeds:.0f} more than now."
    return f"With {plural(seeds, 'seed')}, a difference of {size} is found with a probability of {POWER:.0%}.{more}"


def interaction(compared: Comparison, names: Names) -> str:
    """Return whether the differences depend on the hyperparameter within which they stand; "" if unknown."""
    p = compared.p_interaction
    if not compared.within or is_missing(p):
        return ""
    effect = f"the effect of {names.short(compared.axis)} depends on {names.short(compared.within)} ({p_text(p)})."
    return capitalized(effect) if p <= LEVEL else f"No evidence that {effect}"


def survivors(compared: Comparison) -> str:
    """Return how many comparisons are of survivors; "" if none is."""
    rows = [] if compared.table is None else compared.table.to_dict("records")
    n = sum(is_of_survivors({str(name): value for name, value in row.items()}) for row in rows)
    if not n:
        return ""
    of = f"{n} of {plural(len(rows), 'comparison')}"
    return f"In {of} more trials of one value are left out than of the other, so that survivors are compared."


def clear_differences(compared: Comparison, found: Results) -> str:
    """Return the largest differences that are clear."""
    names, rows = found.names, compared.table
    if rows is None:
        return ""
    clear = rows[rows["p_adjusted"] <= LEVEL]
    if clear.empty:
        return f"None of {plural(len(rows), 'comparison')} of {_axis(compared, names)}."
    largest = clear.sort_values("difference", key=abs, ascending=False, kind="stable").head(NAMED)
    parts = []
    for row in largest.to_dict("records"):
        b, a = _values(row, names)
        higher, lower = (b, a) if row["difference"] > 0 else (a, b)
        low, high = sorted((abs(row["low"]), abs(row["high"])))
        size = f"{abs(row['difference']):.2g} (95% interval {low:.2g} to {high:.2g})"
        parts.append(f"{higher} is higher than {lower}{_at(row, compared, names)} by {size}")
    count = f"{len(clear)} of {plural(len(rows), 'comparison')} of {_axis(compared, names)}"
    largest_of = ", the largest first" if len(clear) > 1 else ""
    return f"{count}{largest_of}: {'; '.join(parts)}."


def open_questions(compared: Comparison, found: Results) -> str:
    """Return which values could not be told apart, and how many seeds would be needed."""
    names, rows = found.names, compared.table
    if rows is None:
        return f"{names.full(compared.axis)} could not be compared. {compared.problem}"
    missing = int(rows["p_adjusted"].isna().sum())
    no_trials = f" {missing} cannot be made, because complete trials are missing." if missing else ""
    n = f"{plural(len(rows), 'comparison')} of {_axis(compared, names)}"
    unclear = rows[rows["p_adjusted"] > LEVEL]
    if unclear.empty:
        return f"Nothing among {n}." if not missing else f"Of {n},{no_trials}"
    places: dict[str, list[str]] = {}
    for row in unclear.to_dict("records"):
        value = label(row[compared.within]) if compared.within else ""
        places.setdefault(" or ".join(_values(row, names)[::-1]), []).append(value)
    # A pair that is unclear at more places comes first.
    pairs = [_pair(pair, found_at, compared, found) for pair, found_at in sorted(places.items(), key=_most_places)]
    shown = pairs[:NAMED] + ([f"{plural(len(pairs) - NAMED, 'more pair')}"] if len(pairs) > NAMED else [])
    return f"{len(unclear)} of {n}: {'; '.join(shown)}.{no_trials} {needed(compared, names)}".strip()


def _most_places(pair: tuple[str, list[str]]) -> int:
    return -len(pair[1])


def _pair(pair: str, places: list[str], compared: Comparison, found: Results) -> str:
    """Return a pair of values with the places where it is unclear: "SET or RigL at density 0.02 and 0.1"."""
    if not compared.within:
        return pair
    name = found.names.short(compared.within)
    if len(places) > 1 and len(places) == found.rows[compared.within].nunique():
        return f"{pair} at every {name}"
    return f"{pair} at {name} {_listed(places)}"


def _axis(compared: Comparison, names: Names) -> str:
    where = f" within each {names.short(compared.within)}" if compared.within else ""
    return f"{names.short(compared.axis)}{where}"


def _values(row: Any, names: Names) -> tuple[str, str]:
    """Return the values b and a as text; True and False with what they are of."""
    of = f"{names.short(row['axis'])} " if isinstance(row["a"], bool) else ""
    return f"{of}{label(row['b'])}", f"{of}{label(row['a'])}"


def _at(row: Any, compared: Comparison, names: Names) -> str:
    return f" at {names.short(compared.within)} {label(row[compared.within])}" if compared.within else ""


def _listed(parts: list[str]) -> str:
    """Return some of the texts, joined: "a", "a and b", "a, b, c, d and 3 more"."""
    shown = [*parts[:PLACES], *([f"{len(parts) - PLACES} more"] if len(parts) > PLACES else [])]
    return joined(shown)
