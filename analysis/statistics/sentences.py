"""The result of a comparison as a sentence, with what to be careful about."""

from typing import Any

from analysis.frame.matching import listed
from analysis.frame.schema import NOTED
from analysis.frame.words import joined, plural, value_text
from analysis.statistics.paired_tests import FEWEST
from analysis.statistics.significance import LEVEL, p_text

# Groups are unlike if the shares of their trials that are left out differ by more than this.
UNLIKE = 0.05


def conclusion(row: dict[str, Any], metric: str, n_rows: int, margin: float | None) -> str:
    """Return the meaning of a row of `compare`, followed by its cautions."""
    return " ".join([_finding(row, metric, n_rows, margin), *_cautions(row)])


def _finding(row: dict[str, Any], metric: str, n_rows: int, margin: float | None) -> str:
    axis, pairs, difference = row["axis"], row["pairs"], row["difference"]
    a, b = value_text(row["a"]), value_text(row["b"])
    if pairs == 0:
        return f"{metric} with {axis}={a} and with {b} cannot be compared: {_why_no_pair(row)}."
    if row["are_equal"] and pairs < FEWEST:
        where = f"all {pairs} pairs" if pairs > 1 else "the only pair"
        return f"{metric} with {axis}={a} and with {b} is equal in {where}: too few pairs to tell."
    if row["are_equal"]:
        found = f"{metric} with {axis}={a} and with {b} is equal in all {pairs} pairs"
        if row["unpaired_copies"]:
            # The caution about the copies says why the pairs are equal.
            return f"{found}."
        return f"{found}: perhaps the axis has no effect on it, or nobody reads it."
    between = f"{metric} with {axis}={b} minus that with {a}: {difference:+.3g}"
    if pairs == 1:
        return f"{between} in the only pair: too few pairs to tell."
    after = " after Holm's correction" if n_rows > 1 else ""
    sizes = f"95% interval {row['low']:.3g} to {row['high']:.3g}, {pairs} pairs"
    numbers = f"{sizes}, paired t test: {p_text(row['p_holm'])}{after}"
    if margin is not None and row["p_equivalent"] <= LEVEL:
        proof = f"{sizes}, two one-sided t tests: {p_text(row['p_equivalent'])}{after}"
        but = (
            f" Small as it is, the difference is clear: {p_text(row['p_holm'])}{after}."
            if row["p_holm"] <= LEVEL
            else ""
        )
        return f"{between}, equivalent within a margin of {margin:g} ({proof}).{but}"
    if row["p_holm"] <= LEVEL:
        word = "higher" if difference > 0 else "lower"
        is_larger = margin is not None and min(row["low"] * difference, row["high"] * difference) > margin * abs(
            difference
        )
        beyond = f" Its whole interval is beyond the margin of {margin:g}." if is_larger else ""
        return f"{metric} is {word} with {axis}={b} than with {a}: {difference:+.3g} ({numbers}).{beyond}"
    alone = f"; {p_text(row['p'])} if it were the only question" if row["p"] <= LEVEL else ""
    margin_note = f", nor that it is below {margin:g}" if margin is not None else ""
    return f"{between}, not enough evidence of a difference{margin_note} ({numbers}{alone})."


def _why_no_pair(row: dict[str, Any]) -> str:
    axis = row["axis"]
    for side in "ab":
        if row[f"left_out_{side}"] == row[f"total_{side}"]:
            trials = f"{plural(row[f'total_{side}'], 'trial')} with {axis}={value_text(row[side])}"
            all_diverged = row[f"diverged_{side}"] == row[f"total_{side}"]
            return f"none of the {trials} has a value" if not all_diverged else f"of the {trials}, all diverged"
    along = row["along"]
    if along:
        fix = f"df.drop(columns={listed(along)}) compares them together"
        if set(along) & set(NOTED):
            # Without the hash, old data or networks would be compared with new ones.
            fix = "train both on the same data and with the same network and method"
        return f"{', '.join(along)} never {'has' if len(along) == 1 else 'have'} the same value in both; {fix}"
    return f"no two complete trials agree in all of {', '.join(row['others'])}"


def _cautions(row: dict[str, Any]) -> list[str]:
    axis, a, b = row["axis"], value_text(row["a"]), value_text(row["b"])
    notes = [(axis, a, row["divergence_note_a"]), (axis, b, row["divergence_note_b"])]
    found = [f"With {axis}={value}, {note}." for axis, value, note in notes if note]
    if row["pairs"] == 0:
        return found
    found += _assumption(row)
    lean = row["b_wins"] - 0.5
    if row["pairs"] >= FEWEST and abs(lean) >= 0.2 and lean * row["difference"] < 0:
        winner, share = (b, row["b_wins"]) if lean > 0 else (a, 1 - row["b_wins"])
        found.append(
            f"Yet it is higher with {axis}={winner} in {share:.0%} of the pairs: a few large differences decide."
        )
    if row["unpaired"]:
        found.append(f"{plural(row['unpaired'], 'complete trial')} without a partner took no part.")
    if n := row["unpaired_copies"]:
        found.append(
            f"{n} of them began as {'a copy' if n == 1 else 'copies'} of others, so that the pairs are only those "
            "trials that population-based training did not replace. Compare one trial of each population: sort the "
            "complete trials by a validation metric, keep the last of each population with "
            "df.groupby([...]).tail(1), and drop the drawn keys."
        )
    for side, value in (("a", a), ("b", b)):
        if row[f"chance_note_{side}"]:
            found.append(f"With {axis}={value}, {row[f'chance_note_{side}']}.")
    left_a, left_b, total_a, total_b = (row[name] for name in ("left_out_a", "left_out_b", "total_a", "total_b"))
    if abs(left_a / total_a - left_b / total_b) > UNLIKE:
        verb = joined(list(dict.fromkeys(map(_verb, sorted(row["fates"])))), "or")
        counts = f"{left_a} of {total_a} with {axis}={a}, {left_b} of {total_b} with {b}"
        found.append(f"Trials {verb} unequally ({counts}), so that the comparison is of survivors.")
    return found


def _assumption(row: dict[str, Any]) -> list[str]:
    """Return what the t test assumes where nothing can check it, and whether the sign-flip test disagrees."""
    is_found = row["p"] <= LEVEL
    if row["are_equal"]:
        return []
    if 1 < row["pairs"] < FEWEST:
        few = f"The t test assumes normal differences, which {row['pairs']} pairs cannot show."
        return [few] if row["p_holm"] <= LEVEL else []
    if row["pairs"] < FEWEST or is_found == (row["p_sign"] <= LEVEL):
        return []
    but = "finds none" if is_found else "finds one"
    return [f"The sign-flip test, which assumes no distribution, {but} ({p_text(row['p_sign'])}): add seeds."]


def _verb(fate: str) -> str:
    return {"error": "failed", "diverged": "diverged"}.get(fate, "gave no value")
