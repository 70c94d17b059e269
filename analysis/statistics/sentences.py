"""The result of a comparison as a sentence, with what to be careful about."""

from typing import Any

from analysis.frame.matching import listed
from analysis.frame.values import is_missing
from analysis.frame.words import plural
from analysis.statistics.paired_tests import FEWEST

LEVEL = 0.05
# Shares of failed trials that differ by more than this make the groups unlike.
UNLIKE = 0.05


def conclusion(row: dict[str, Any], metric: str, n_rows: int) -> str:
    """Return the meaning of a row of `compare`, followed by its cautions."""
    return " ".join([_finding(row, metric, n_rows), *_cautions(row)])


def _finding(row: dict[str, Any], metric: str, n_rows: int) -> str:
    axis, pairs, difference = row["axis"], row["pairs"], row["difference"]
    a, b = _text(row["a"]), _text(row["b"])
    if pairs == 0:
        return f"{metric} with {axis}={a} and with {b} cannot be compared: {_why_no_pair(row)}."
    if row["are_equal"] and pairs < FEWEST:
        where = f"all {pairs} pairs" if pairs > 1 else "the only pair"
        return f"{metric} with {axis}={a} and with {b} is equal in {where}: too few pairs to tell."
    if row["are_equal"]:
        found = f"{metric} with {axis}={a} and with {b} is equal in all {pairs} pairs"
        return f"{found}: the axis has no effect on it, or nobody reads it."
    if pairs < FEWEST:
        found = f"{metric} with {axis}={b} minus that with {a} is {difference:+.3g} on average"
        found = f"{found} over {plural(pairs, 'pair')}"
        return f"{found}: too few pairs to tell, since fewer than {FEWEST} cannot give p < {LEVEL}."
    after = " after Holm's correction" if n_rows > 1 else ""
    p = f"{_p(row['p_holm'])}{after}"
    if row["p_holm"] <= LEVEL:
        word = "higher" if difference > 0 else "lower"
        numbers = f"95% interval {row['low']:.3g} to {row['high']:.3g}, {pairs} pairs, {p}"
        return f"{metric} is {word} with {axis}={b} than with {a}: {difference:+.3g} ({numbers})."
    between = f"between {row['low']:.3g} and {row['high']:.3g}"
    if row["p"] <= LEVEL:
        alone = f"{difference:+.3g}, {pairs} pairs, {_p(row['p'])} where it is the only question"
        found = f"{metric} with {axis}={b} and with {a}: no difference that stands among {n_rows} comparisons"
        return f"{found} ({alone}, {p}); asked alone it lies {between}."
    found = f"{metric} with {axis}={b} minus that with {a}: {difference:+.3g}, no clear difference"
    return f"{found} (95% interval {row['low']:.3g} to {row['high']:.3g}, {pairs} pairs, {p})."


def _why_no_pair(row: dict[str, Any]) -> str:
    axis = row["axis"]
    for side in "ab":
        if row[f"left_out_{side}"] == row[f"total_{side}"]:
            trials = f"{plural(row[f'total_{side}'], 'trial')} with {axis}={_text(row[side])}"
            all_diverged = row[f"diverged_{side}"] == row[f"total_{side}"]
            return f"none of the {trials} has a value" if not all_diverged else f"of the {trials}, all diverged"
    along = row["along"]
    if along:
        together = f"df.drop(columns={listed(along)}) compares them together"
        return f"{', '.join(along)} never {'has' if len(along) == 1 else 'have'} the same value in both; {together}"
    return f"no two complete trials agree in all of {', '.join(row['others'])}"


def _cautions(row: dict[str, Any]) -> list[str]:
    axis, a, b = row["axis"], _text(row["a"]), _text(row["b"])
    notes = [(axis, a, row["divergence_note_a"]), (axis, b, row["divergence_note_b"])]
    found = [f"With {axis}={value}, {note}." for axis, value, note in notes if note]
    if row["pairs"] == 0:
        return found
    lean = row["b_wins"] - 0.5
    if row["pairs"] >= FEWEST and abs(lean) >= 0.2 and lean * row["difference"] < 0:
        winner, share = (b, row["b_wins"]) if lean > 0 else (a, 1 - row["b_wins"])
        found.append(
            f"Yet it is higher with {axis}={winner} in {share:.0%} of the pairs: a few large differences decide."
        )
    if row["unpaired"]:
        found.append(f"{plural(row['unpaired'], 'complete trial')} without a partner took no part.")
    for side, value in (("a", a), ("b", b)):
        if row[f"chance_note_{side}"]:
            found.append(f"With {axis}={value}, {row[f'chance_note_{side}']}.")
    left_a, left_b, total_a, total_b = (row[name] for name in ("left_out_a", "left_out_b", "total_a", "total_b"))
    if abs(left_a / total_a - left_b / total_b) > UNLIKE:
        verbs = [verb for verb in dict.fromkeys(map(_verb, sorted(row["fates"])))]
        verb = " or ".join(filter(None, [", ".join(verbs[:-1]), verbs[-1]]))
        counts = f"{left_a} of {total_a} with {axis}={a}, {left_b} of {total_b} with {b}"
        found.append(f"Trials {verb} unequally ({counts}), so that the comparison is of survivors.")
    return found


def _verb(fate: str) -> str:
    return {"error": "failed", "diverged": "diverged"}.get(fate, "gave no value")


def _p(p: float) -> str:
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"


def _text(value: Any) -> str:
    return "nothing" if is_missing(value) else str(value)
