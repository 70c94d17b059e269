"""Tests of interactions of a hyperparameter with the others."""

import itertools
import math
from typing import Any

import numpy as np
import pandas as pd

from analysis.frame.matching import values_of
from analysis.frame.series import Column
from analysis.frame.values import sort_key
from analysis.statistics.contrast_sentences import interaction_sentence
from analysis.statistics.grid_model import GridModel, grid_model
from analysis.statistics.linear_model import joint_test
from analysis.statistics.paired_tests import holm

COLUMNS = ["axis", "within", "df", "df_rest", "F", "p", "p_adjusted", "conclusion"]


def interactions(df: pd.DataFrame, axis: Column, metric: Column, *, errors: str = "auto") -> pd.DataFrame:
    """Test for each other hyperparameter if the effect of an axis depends on it.

    If it does, an average over the grid hides where the axis helps: pass that hyperparameter to `contrasts` as
    `within`. The model and its noise are those of `contrasts`.

    The result has one row for each other hyperparameter that varies, except `seed`, with these columns:
    - `axis`; `within`, the other hyperparameter.
    - `F` of the hypothesis that the differences between the values of the axis are the same for all values of
      `within` (type III); its degrees of freedom `df` and `df_rest`; its `p`.
    - `p_adjusted`: p corrected for the number of rows by Holm's method.
    - `conclusion`: the result in a sentence.

    If the trials do not determine all differences, because a combination has no complete trial, F and p are NaN. `df`
    is 0 if only one value of the axis or of `within` has complete trials. A
    large p is no evidence that there is no interaction.

    Args:
        df: the trials.
        axis: a hyperparameter, as the name of a column or a Series of the same rows.
        metric: the name of a column of numbers, or a Series of the same rows.
        errors: "auto" or "pooled", as in `contrasts`.

    Raises:
        ValueError: as `contrasts`, or if no other hyperparameter varies.

    Example:
        >>> import textwrap
        >>> from analysis import interactions, load_example
        >>> table = interactions(load_example("quickstart"), "model", "test_acc_at_best")
        >>> table[["axis", "within", "df", "df_rest", "F", "p"]].round(3)
            axis   within  df  df_rest       F      p
        0  model  on_perc   4    4.973  16.542  0.004
        >>> print(textwrap.fill(table["conclusion"][0], width=100))
        The effect of model on test_acc_at_best depends on on_perc (F(4, 4.97) = 16.5, p = 0.0044): compare
        its values within on_perc.
    """
    grid = grid_model(df, axis, metric, None, errors)
    if not grid.others:
        raise ValueError(f"Another hyperparameter than {grid.axis} and seed must vary, but none does.")
    rows = [_row(grid, name) for name in grid.others]
    table = pd.DataFrame(rows)
    table["p_adjusted"] = holm(table["p"].to_numpy(float))
    sentences = [interaction_sentence(row, grid.metric, len(rows)) for row in table.to_dict("records")]
    return table.assign(conclusion=sentences)[COLUMNS]


def _row(grid: GridModel, name: str) -> dict[str, Any]:
    design = grid.fit.design
    weights = np.eye(design.matrix.shape[1])[design.terms[grid.axis, name]]
    f = df_rest = p = math.nan
    # If only one value has complete trials, there is no coefficient to test.
    if len(weights) and design.is_estimable(weights).all():
        f, df_rest, p = joint_test(grid.fit, weights, [grid.axis, name])
    return {
        "axis": grid.axis,
        "within": name,
        "df": len(weights),
        "df_rest": df_rest,
        "F": f,
        "p": p,
        # For the conclusion only.
        "missing": {} if not math.isnan(p) else _empty(grid, name),
    }


def _empty(grid: GridModel, name: str) -> dict[str, Any]:
    """Return a combination of the axis and another hyperparameter, or a value of one, without a complete trial."""
    values = values_of(grid.trials.loc[grid.is_used, grid.axis])
    combinations = (grid.missing({grid.axis: value}, [name]) for value in values)
    both = ((each, value) for each in (grid.axis, name) for value in values_of(grid.trials[each]))
    alone = ({each: value} for each, value in both if sort_key(value) not in grid.level_of[each])
    return next(filter(None, itertools.chain(combinations, alone)), {})
