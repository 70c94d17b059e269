"""Analysis of variance: the share of each axis of a full grid in the variance of a metric."""

import itertools
import math
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from analysis.frame.matching import cell_of_each, values_of, what_varies
from analysis.frame.schema import varying, with_known_config
from analysis.frame.series import Column, column_name, with_series
from analysis.frame.values import is_missing, sort_key
from analysis.frame.words import joined
from analysis.statistics.aggregate import has_value
from analysis.statistics.drawn import drawn_hyperparameters

REST = "rest"


def anova(df: pd.DataFrame, metric: Column) -> pd.DataFrame:
    """Return the share of each axis of a full grid, and of each pair of axes, in the variance of a metric.

    A grid is full if it has each combination of the axes equally often. Then the shares are exact, do not depend on the
    order of the axes, and add up to 1. The axes are the hyperparameters that vary, except `seed`: seeds are replicates.
    A pair such as `kwinners:on_perc` is an interaction: the effect of one axis depends on the value of the other.

    The result has one row for each term, in the order of the columns, and last the row `rest`, for the noise between
    seeds and interactions of three or more axes. It has these columns:
    - `term`; `df`, degrees of freedom.
    - `sum_of_squares`; `share`, sum_of_squares / total. A share is NaN if the metric is constant.
    - `F`, the mean square of the term / that of the rest; its `p`. Both are NaN for the rest, and if the rest has no
      degree of freedom.

    F and p assume that the rest is noise: independent, normal, and of the same size everywhere. Accuracies close to 1
    do not have such noise, and trials that share a seed are not independent. The shares need no assumption.

    Args:
        df: the trials.
        metric: the name of a column of numbers, or a Series of the same rows.

    Raises:
        ValueError: if a column does not exist, `metric` holds no numbers, nothing varies, or the grid is not full. The
            message says which combination is missing and what to filter.

    Reference:
        Fisher, "Statistical Methods for Research Workers", 1925, chapter 7.

    Example:
        >>> from analysis import anova, load_example
        >>> anova(load_example("quickstart"), "test_acc_at_best").round(3)
                    term  df  sum_of_squares  share       F      p
        0          model   2           0.096  0.072   8.238  0.003
        1        on_perc   2           1.025  0.772  88.382  0.000
        2  model:on_perc   4           0.102  0.077   4.398  0.012
        3           rest  18           0.104  0.079     NaN    NaN
    """
    df, metric = with_series(df, metric), column_name(metric)
    df = with_known_config(df)
    used = df[has_value(df, metric)]
    # Of all trials: a value with which every trial failed is missing, too.
    axes = list(varying(df, besides=[metric, "seed"]))
    if not axes:
        raise ValueError(f"No hyperparameter varies except seed. {what_varies(df, metric)}")
    levels = [values_of(df[name]) for name in axes]
    shape = tuple(map(len, levels))
    cells = cell_of_each(used, axes)
    counts = Counter(cells)
    n_each = max(counts.values(), default=0)
    if len(used) != math.prod(shape) * n_each or not n_each:
        problem = _drawn(df, metric, axes) or _not_full(df, axes, levels, counts, max(n_each, 1))
        raise ValueError(problem)
    places = [{sort_key(value): i for i, value in enumerate(values)} for values in levels]
    index = [tuple(place[key] for place, key in zip(places, cell, strict=True)) for cell in cells]
    order = sorted(range(len(used)), key=lambda i: (index[i], used[metric].iloc[i]))
    numbers = used[metric].to_numpy(float)[order].reshape(*shape, n_each)
    return _table(numbers, axes)


def _table(numbers: np.ndarray, axes: list[str]) -> pd.DataFrame:
    """Return the analysis of an array with one dimension for each axis, and the replicates last."""
    from scipy.special import fdtrc

    # A constant metric has no variance; its mean may differ from it by a rounding error.
    is_constant = np.ptp(numbers) == 0
    centred = np.zeros_like(numbers) if is_constant else numbers - numbers.mean()
    effects: dict[tuple[int, ...], np.ndarray] = {}
    rest = centred
    for term in [*((i,) for i in range(len(axes))), *itertools.combinations(range(len(axes)), 2)]:
        mean = centred.mean(axis=tuple(i for i in range(centred.ndim) if i not in term), keepdims=True)
        # An interaction is the joint effect without the effect of each axis.
        effects[term] = mean - sum(effects[i,] for i in term) if len(term) > 1 else mean
        rest = rest - effects[term]
    rows = [
        [
            ":".join(axes[i] for i in term),
            math.prod(numbers.shape[i] - 1 for i in term),
            float((each**2).sum() * (numbers.size / each.size)),
        ]
        for term, each in effects.items()
    ]
    rest_df = numbers.size - 1 - sum(int(row[1]) for row in rows)
    rows.append([REST, rest_df, float((rest**2).sum()) if rest_df else 0.0])
    table = pd.DataFrame(rows, columns=["term", "df", "sum_of_squares"])
    total = float((centred**2).sum())
    table["share"] = table["sum_of_squares"] / total
    with np.errstate(divide="ignore", invalid="ignore"):
        noise = np.float64(table["sum_of_squares"].iloc[-1]) / rest_df
        table["F"] = (table["sum_of_squares"] / table["df"] / noise).where(table["term"] != REST)
    # If the rest is 0, F is infinite and p is 0; if the term is 0 too, both are NaN.
    table["p"] = fdtrc(table["df"], rest_df, table["F"])
    return table


def _drawn(df: pd.DataFrame, metric: str, axes: list[str]) -> str:
    """Return the message that drawn hyperparameters are no factors; "" if there are none."""
    found = drawn_hyperparameters(df, metric)
    if not found.names:
        return ""
    leave_out = f", or leave them out with df.drop(columns={found.all})" if set(axes) - set(found.all) else ""
    return (
        f"Drawn hyperparameters ({joined(found.names)}) cannot be factors of anova, because each value is in one "
        f"sample only: use importance or fanova{leave_out}."
    )


def _not_full(
    df: pd.DataFrame, axes: list[str], levels: list[list[Any]], counts: "Counter[tuple[Any, ...]]", n_each: int
) -> str:
    """Return the message that names a combination without enough trials, and what to filter."""
    n_combinations = math.prod(map(len, levels))
    n_short = n_combinations - sum(count == n_each for count in counts.values())
    # The product may be huge where values were drawn; one that is missing comes soon.
    combinations = itertools.product(*levels)
    first = next(each for each in combinations if counts[tuple(map(sort_key, each))] < n_each)
    key = tuple(map(sort_key, first))
    settings = ", ".join(f"{name}={value!r}" for name, value in zip(axes, first, strict=True))
    others = sum(cell == key for cell in cell_of_each(df, axes)) - counts[key]
    failed = f" ({others} failed, incomplete, diverged or without a value)" if others else ""
    has = f"{settings} has {counts[key]} of {n_each} complete trials{failed}"
    short = f"{n_short} of {n_combinations} combinations lack trials"
    return f"anova needs a full grid, but {short}: {has}. {_fix(df, axes, levels, counts, n_each)}"


def _fix(
    df: pd.DataFrame, axes: list[str], levels: list[list[Any]], counts: "Counter[tuple[Any, ...]]", n_each: int
) -> str:
    """Suggest an axis to leave out because another one fixes its value, or the value that lacks most trials."""
    tried = set(cell_of_each(df, axes))
    for a, b in itertools.permutations(range(len(axes)), 2):
        if len({(cell[a], cell[b]) for cell in tried}) == len(levels[a]):
            return f"{axes[b]} follows from {axes[a]}. Leave it out with df.drop(columns=[{axes[b]!r}])."
    # The value whose combinations lack the largest share of their trials.
    worst = (1.0, 0, None)
    for i, values in enumerate(levels):
        size = n_each * math.prod(len(other) for j, other in enumerate(levels) if j != i)
        for value in values:
            share = sum(count for cell, count in counts.items() if cell[i] == sort_key(value)) / size
            if share < worst[0] and len(values) > 1:
                worst = (share, i, value)
    _, i, value = worst
    condition = f"df[{axes[i]!r}].notna()" if is_missing(value) else f"df[{axes[i]!r}] != {value!r}"
    return f"Filter the trials, starting with df[{condition}], or keep only the values without missing trials."
