"""Sentences about contrasts: one for a row, and one for each pair of values of a table."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.frame.values import is_missing
from analysis.frame.words import joined, value_text
from analysis.statistics.sentences import UNLIKE
from analysis.statistics.significance import LEVEL, p_text


def conclusion(row: Mapping[str, Any], metric: str, within: Sequence[str]) -> str:
    """Return the meaning of a row of `contrasts`, followed by its caution."""
    axis, a, b = row["axis"], value_text(row["a"]), value_text(row["b"])
    where = f" at {setting({name: row[name] for name in within})}" if within else ""
    if is_missing(row["difference"]):
        return f"{metric} with {axis}={a} and with {b}{where} cannot be compared: {_why_not(row, within)}."
    return " ".join(filter(None, [_finding(row, metric, where), _caution(row, where)]))


def contrast_sentences(table: pd.DataFrame, metric: str) -> list[str]:
    """Return the findings of a table of `contrasts`, one sentence for each pair of values.

    With `within`, a sentence lists the settings with a significant difference and those without one. A difference is
    significant if `p_adjusted` is 0.05 or less.

    Args:
        table: the result of `contrasts`.
        metric: the name of the metric.

    Example:
        >>> import textwrap
        >>> from analysis import contrast_sentences, contrasts, load_example
        >>> table = contrasts(load_example("quickstart"), "model", "test_acc_at_best", within="on_perc")
        >>> print(textwrap.fill(contrast_sentences(table, "test_acc_at_best")[1], width=100))
        test_acc_at_best with model=RigL and with SparseModel: at on_perc=0.05 it is higher with RigL by
        0.0981 (95% interval 0.0568 to 0.139, p = 0.014); at on_perc=0.02 and 0.1 there is no clear
        difference.
    """
    within = list(table.columns[: list(table.columns).index("axis")])
    if not within:
        return table["conclusion"].tolist()
    pairs: dict[tuple[str, str], list[Mapping[Any, Any]]] = {}
    for row in table.to_dict("records"):
        pairs.setdefault((repr(row["a"]), repr(row["b"])), []).append(row)
    return [_over_settings(rows, metric, within) for rows in pairs.values()]


def is_of_survivors(row: Mapping[str, Any]) -> bool:
    """Return True if a larger share of the trials is left out with one value than with the other."""
    left_a, left_b = row["left_out_a"], row["left_out_b"]
    total_a, total_b = row["n_a"] + left_a, row["n_b"] + left_b
    return bool(total_a and total_b and abs(left_a / total_a - left_b / total_b) > UNLIKE)


def interaction_sentence(row: Mapping[Any, Any], metric: str, n_rows: int) -> str:
    """Return the meaning of a row of `interactions`."""
    axis, within = row["axis"], row["within"]
    effect = f"the effect of {axis} on {metric}"
    if is_missing(row["p"]):
        return f"Whether {effect} depends on {within} cannot be tested: {_no_trial(row['missing'])}."
    after = " after Holm's correction" if n_rows > 1 else ""
    test = f"F({row['df']}, {row['df_rest']:.3g}) = {row['F']:.3g}, {p_text(row['p_adjusted'])}{after}"
    if row["p_adjusted"] <= LEVEL:
        return f"{effect[0].upper()}{effect[1:]} depends on {within} ({test}): compare its values within {within}."
    return f"No evidence that {effect} depends on {within} ({test})."


def setting(values: Mapping[str, Any]) -> str:
    """Return a setting as text: "on_perc=0.1 and kwinners=True"."""
    return " and ".join(f"{name}={value_text(value)}" for name, value in values.items())


def _finding(row: Mapping[str, Any], metric: str, where: str) -> str:
    axis, a, b, difference = row["axis"], value_text(row["a"]), value_text(row["b"]), row["difference"]
    n_rows, correction = row["n_rows"], row["correction"]
    names = {"holm": " after Holm's correction", "tukey": " after Tukey's correction"}
    p = f"{p_text(row['p_adjusted'])}{names.get(correction, '') if n_rows > 1 else ''}"
    if row["p_adjusted"] <= LEVEL:
        higher, lower = (b, a) if difference > 0 else (a, b)
        return f"{metric} is higher with {axis}={higher} than with {lower}{where}: by {_by(row)}, {p})."
    alone = f"; {p_text(row['p'])} if it were the only question" if row["p"] <= LEVEL else ""
    found = f"{metric} with {axis}={b} minus that with {a}{where}: {difference:+.3g}, no clear difference"
    return f"{found} (95% interval {row['low']:.3g} to {row['high']:.3g}, {p}{alone})."


def _by(row: Mapping[str, Any]) -> str:
    """Return the size of a difference with its interval, and an open bracket."""
    low, high = sorted((abs(row["low"]), abs(row["high"])))
    # The interval does not contain 0: no correction makes p smaller than that of the interval.
    return f"{abs(row['difference']):.3g} (95% interval {low:.3g} to {high:.3g}"


def _caution(row: Mapping[str, Any], where: str) -> str:
    if not is_of_survivors(row):
        return ""
    axis, a, b = row["axis"], value_text(row["a"]), value_text(row["b"])
    left_a, left_b = row["left_out_a"], row["left_out_b"]
    counts = f"{left_a} of {row['n_a'] + left_a} with {axis}={a}, {left_b} of {row['n_b'] + left_b} with {b}"
    return f"Trials{where} are left out unequally ({counts}), so that the comparison is of survivors."


def _why_not(row: Mapping[str, Any], within: Sequence[str]) -> str:
    missing = row["missing"]
    if not missing:
        return "the complete trials do not determine the difference"
    others = [name for name in missing if name != row["axis"] and name not in within]
    fix = f"; filter the trials, or compare within {', '.join(others)}" if others else ""
    return f"{_no_trial(missing)}{fix}"


def _no_trial(missing: Mapping[str, Any]) -> str:
    return f"no complete trial has {setting(missing)}" if missing else "the complete trials do not determine it"


def _over_settings(rows: Sequence[Mapping[Any, Any]], metric: str, within: Sequence[str]) -> str:
    """Return the sentence about one pair of values over the settings of `within`."""
    axis, a, b = rows[0]["axis"], value_text(rows[0]["a"]), value_text(rows[0]["b"])
    parts = []
    for row in (row for row in rows if row["p_adjusted"] <= LEVEL):
        where, higher = setting({name: row[name] for name in within}), b if row["difference"] > 0 else a
        parts.append(f"at {where} it is higher with {higher} by {_by(row)}, {p_text(row['p_adjusted'])})")
    unclear = [row for row in rows if row["p_adjusted"] > LEVEL]
    missing = [row for row in rows if is_missing(row["p_adjusted"])]
    for some, what in ((unclear, "there is no clear difference"), (missing, "they cannot be compared")):
        if some:
            parts.append(f"at {_listed(some, within)} {what}")
    of_survivors = [row for row in rows if not is_missing(row["p_adjusted"]) and is_of_survivors(row)]
    caution = " Trials are left out unequally at {}, so that survivors are compared there."
    unequal = caution.format(_listed(of_survivors, within)) if of_survivors else ""
    return f"{metric} with {axis}={a} and with {b}: {'; '.join(parts)}.{unequal}"


def _listed(rows: Sequence[Mapping[str, Any]], within: Sequence[str]) -> str:
    """Return the settings of the rows as text: "on_perc=0.05 and 0.1"."""
    if len(within) > 1:
        return ", ".join(setting({name: row[name] for name in within}) for row in rows)
    values = [value_text(row[within[0]]) for row in rows]
    return f"{within[0]}={joined(values)}"
