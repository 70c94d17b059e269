"""Comparison of the values of a hyperparameter, in pairs of trials that differ in nothing else."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.frame.matching import cell_of_each, check_axis, others, pairs_to_compare, values_of
from analysis.frame.schema import with_known_config
from analysis.frame.series import Column, column_name, column_names, with_series
from analysis.frame.values import sort_key
from analysis.statistics.aggregate import has_value
from analysis.statistics.chance import chance_note, is_at_chance
from analysis.statistics.copies import is_copy
from analysis.statistics.divergence import divergence_note, is_diverged
from analysis.statistics.paired_tests import effect, equivalence_test, holm, sign_flip_test, t_test, without_rounding
from analysis.statistics.sentences import conclusion

# 190 comparisons. An axis with more is one that was drawn, not a grid.
MOST_VALUES = 20


def compare(
    df: pd.DataFrame,
    axis: Column | Sequence[Column],
    metric: Column,
    *,
    against: Any = None,
    margin: float | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare the values of a hyperparameter two at a time by their effect on a metric, in pairs of trials.

    A pair is a complete trial with value a and one with value b that agree in every other hyperparameter that varies,
    `seed` included; `data_dir`, `device` and `engine` may differ. Trials that agree in all of them, such as those of
    an experiment that was run twice, are averaged first.

    The result has one row for each axis and two of its values, in the order of the values, with these columns:
    - `axis`, `a`, `b`, `pairs`.
    - `mean_a`, `mean_b`: means of the metric over the pairs.
    - `difference` (b - a) and its 95% interval `low`, `high`; `p` of Student's paired t test. NaN for a single pair.
    - `p_holm`, p corrected for the number of rows by Holm's method. Compare all axes of a grid in one call.
    - `p_sign` of the sign-flip test, which assumes no distribution; NaN for fewer than 6 pairs. It is not corrected.
    - `p_equivalent`, if a margin is given: a small one shows that the difference is smaller than the margin, either
      way (two one-sided t tests, with Holm's correction for the number of rows).
    - `effect`: Cohen's d of the differences, mean / standard deviation.
    - `b_wins`: share of the pairs in which b is higher; a tie counts half.
    - `unpaired`: complete trials without a partner.
    - `left_out_a`, `left_out_b`: trials with that value that failed, are unfinished, diverged, or have a NaN or
      infinite metric.
    - `diverged_a`, `diverged_b`: those of them that diverged.
    - `at_chance_a`, `at_chance_b`: complete trials with that value that never left chance level. They are compared.
    - `conclusion`: the result in a sentence.

    The t test assumes independent pairs with normal differences. From 6 pairs on, the sign-flip test checks the second:
    where both disagree, the sentence says so. Pairs of one grid share seeds and settings, so they hold less information
    than independent pairs. Take a p near 0.05, or a difference that only one setting of another axis shows, as a hint.
    An average over the grid hides that an axis may help in one setting and harm in another, and with few seeds the
    pairs of one setting are too few: `contrasts` compares within each setting, with the noise of the whole grid.

    To compare a new method with each baseline, or each method with one baseline, name it as `against`. It is then
    `a` in each row, and Holm's correction is for fewer rows: 7 instead of 28 for 8 methods.

    A large p is no evidence of equality. Name the largest difference that would not matter as `margin`, and
    `p_equivalent` tests for that.

    Args:
        df: the trials.
        axis: one or more hyperparameters, as names of columns or as Series of the same rows. Each is compared on its
            own.
        metric: the name of a column of numbers, or a Series of the same rows.
        against: the value of the axis with which all others are compared, or its text; None compares all pairs.
        margin: the smallest difference that matters, above 0, in units of the metric; None tests no equivalence.
        seed: seed of the sign patterns that are drawn for more than 16 pairs.

    Raises:
        ValueError: if a column does not exist, `metric` holds no numbers, an axis has one value or more than 20,
            `against` is no value of the axis or given with several axes, the margin is not above 0, or a Series has no
            name or other rows.

    Example:
        >>> import textwrap
        >>> from analysis import compare, load_example
        >>> df = load_example("quickstart")
        >>> table = compare(df, "model", "test_acc_at_best")
        >>> table[["a", "b", "pairs", "difference", "low", "high", "p", "p_holm"]].round(3)
              a            b  pairs  difference    low   high      p  p_holm
        0  RigL          SET      9      -0.073 -0.167  0.021  0.111    0.14
        1  RigL  SparseModel      9      -0.146 -0.289 -0.003  0.047    0.14
        2   SET  SparseModel      9      -0.073 -0.147  0.002  0.055    0.14
        >>> print(textwrap.fill(table["conclusion"][1], width=100))
        test_acc_at_best with model=SparseModel minus that with RigL: -0.146, not enough evidence of a
        difference (95% interval -0.289 to -0.00263, 9 pairs, paired t test: p = 0.14 after Holm's
        correction; p = 0.047 if it were the only question).

        Each other method against RigL, with Holm's correction for two comparisons:

        >>> compare(df, "model", "test_acc_at_best", against="RigL")[["a", "b", "difference", "p", "p_holm"]].round(3)
              a            b  difference      p  p_holm
        0  RigL          SET      -0.073  0.111   0.111
        1  RigL  SparseModel      -0.146  0.047   0.094

        A Series can be the metric. One with the name of a hyperparameter takes its place:

        >>> is_dense = (df["on_perc"] >= 0.1).rename("on_perc")
        >>> compare(df, is_dense, df["val_acc_last"])[["axis", "a", "b", "pairs", "difference"]].round(3)
              axis      a     b  pairs  difference
        0  on_perc  False  True      9       0.265
    """
    df = with_series(df, axis, metric)
    axes, metric = column_names(axis), column_name(metric)
    if not axes or len(set(axes)) < len(axes):
        raise ValueError(f"axis must be at least one hyperparameter, each named once, got {axes}.")
    if against is not None and len(axes) > 1:
        raise ValueError(f"against takes a single axis, got {axes}. Call compare once for each axis.")
    if margin is not None and not 0 < margin < math.inf:
        raise ValueError(f"margin must be above 0, in units of {metric}, got {margin!r}.")
    df = with_known_config(df)
    for name in axes:
        check_axis(df, name, metric)
        n_values = len(values_of(df[name]))
        if n_values > MOST_VALUES:
            hint = f"Filter the trials, or use correlation(df, {metric!r}) for an axis of numbers."
            raise ValueError(f"{name} must have at most {MOST_VALUES} values, but has {n_values}. {hint}")
    rows = [row for name in axes for row in _rows(df, name, metric, against, margin, seed)]
    corrected = [holm(np.array([row[name] for row in rows])) for name in ("p", "p_equivalent")]
    for row, p_holm, p_equivalent in zip(rows, *corrected, strict=True):
        row["p_holm"], row["p_equivalent"] = float(p_holm), float(p_equivalent)
        row["conclusion"] = conclusion(row, metric, len(rows), margin)
    columns = ["axis", "a", "b", "pairs", "mean_a", "mean_b", "difference", "low", "high", "p", "p_holm", "p_sign"]
    columns += [*([] if margin is None else ["p_equivalent"]), "effect", "b_wins", "unpaired", "left_out_a"]
    columns += ["left_out_b", "diverged_a", "diverged_b", "at_chance_a", "at_chance_b", "conclusion"]
    # Values of different kinds stay what they are: pandas would turn [1, 0.5] into two floats.
    return pd.DataFrame(rows, columns=columns).astype({"a": object, "b": object})


class _Side(NamedTuple):
    """The trials with one value of the axis."""

    means: dict[tuple[Any, ...], float]  # of the metric in each cell of the other hyperparameters
    cells: list[tuple[Any, ...]]  # of each trial that is compared
    cells_of_copies: list[tuple[Any, ...]]  # of those that began as copies of others
    counts: dict[str, Any]  # for the row and its conclusion, by the name of the column without _a or _b
    fates: set[str]  # of the trials that are left out


def _side(trials: pd.DataFrame, axis: str, metric: str, names: Sequence[str]) -> _Side:
    is_used, diverged = has_value(trials, metric), is_diverged(trials)
    used = trials[is_used]
    cells = cell_of_each(used, names)
    # What became of the trials that are left out: their status if they are not complete.
    fates = trials["status"].mask(trials["status"] == "complete", "no value").mask(diverged, "diverged")
    counts = {
        "left_out": int((~is_used).sum()),
        "diverged": int(diverged.sum()),
        "at_chance": int(is_at_chance(used).sum()),
        "total": len(trials),
        "chance_note": chance_note(used, besides=[axis, metric]),
        "divergence_note": divergence_note(trials, besides=[axis, metric]),
    }
    copies = [cell for cell, is_one in zip(cells, is_copy(used), strict=True) if is_one]
    return _Side(_means(cells, used[metric].astype(float).tolist()), cells, copies, counts, set(fates[~is_used]))


def _rows(
    df: pd.DataFrame, axis: str, metric: str, against: Any, margin: float | None, seed: int
) -> list[dict[str, Any]]:
    """Return the rows of one axis, with what the conclusion needs, without what depends on all rows."""
    names = others(df, axis, metric)
    places = [sort_key(value) for value in df[axis]]
    values = values_of(df[axis])
    of_value = [df[[place == sort_key(value) for place in places]] for value in values]
    sides = [(value, _side(trials, axis, metric, names)) for value, trials in zip(values, of_value, strict=True)]
    rows = []
    for i, j in pairs_to_compare(values, axis, against):
        (a, side_a), (b, side_b) = sides[i], sides[j]
        in_a, in_b = side_a.means, side_b.means
        # Sorted, so that the same sign patterns are drawn whatever the order of the trials.
        shared = sorted(in_a.keys() & in_b.keys())
        numbers_a, numbers_b = np.array([in_a[cell] for cell in shared]), np.array([in_b[cell] for cell in shared])
        sizes = np.maximum(np.abs(numbers_a), np.abs(numbers_b))
        differences = without_rounding(numbers_b - numbers_a, sizes)
        p, low, high = t_test(differences)
        rows.append(
            {
                "axis": axis,
                "a": a,
                "b": b,
                "pairs": len(shared),
                "mean_a": _mean(numbers_a),
                "mean_b": _mean(numbers_b),
                "difference": float(without_rounding(np.array(_mean(differences)), sizes.max(initial=0.0))),
                "low": low,
                "high": high,
                "p": p,
                "p_sign": sign_flip_test(differences, seed),
                "p_equivalent": math.nan if margin is None else equivalence_test(differences, margin),
                "effect": effect(differences),
                "b_wins": _mean((np.sign(differences) + 1) / 2),
                "unpaired": sum((cell in in_a) != (cell in in_b) for cell in side_a.cells + side_b.cells),
                **{f"{name}_a": count for name, count in side_a.counts.items()},
                **{f"{name}_b": count for name, count in side_b.counts.items()},
                # For the conclusion only.
                "fates": side_a.fates | side_b.fates,
                "are_equal": bool(len(shared)) and not differences.any(),
                "unpaired_copies": sum(
                    (cell in in_a) != (cell in in_b) for cell in side_a.cells_of_copies + side_b.cells_of_copies
                ),
                "others": names,
                "along": [] if shared else _along(df, axis, a, b, names),
            }
        )
    return rows


def _means(cells: Sequence[tuple[Any, ...]], values: Sequence[float]) -> dict[tuple[Any, ...], float]:
    """Return the mean of the trials in each cell; most grids have a single trial in each."""
    numbers: dict[tuple[Any, ...], list[float]] = {}
    for cell, number in zip(cells, values, strict=True):
        numbers.setdefault(cell, []).append(number)
    return {cell: math.fsum(each) / len(each) for cell, each in numbers.items()}


def _mean(numbers: np.ndarray) -> float:
    return float(numbers.mean()) if len(numbers) else math.nan


def _along(df: pd.DataFrame, axis: str, a: Any, b: Any, names: list[str]) -> list[str]:
    """Return the other hyperparameters that have no value in common between a and b."""
    places = [sort_key(value) for value in df[axis]]
    with_a, with_b = (df[[place == sort_key(value) for place in places]] for value in (a, b))
    return [name for name in names if not set(map(sort_key, with_a[name])) & set(map(sort_key, with_b[name]))]
