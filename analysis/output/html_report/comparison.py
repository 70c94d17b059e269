"""The contrasts of one hyperparameter, within each value of the strongest other one."""

import contextlib
import math
from dataclasses import dataclass

import pandas as pd

from analysis.frame.values import n_values
from analysis.output.html_report.results import Results
from analysis.statistics.contrasts import contrasts
from analysis.statistics.interactions import interactions
from analysis.statistics.power import power

# An axis with more values has too many pairs to read; its plot shows them.
MOST_VALUES = 10
# The power for which seeds are counted.
POWER = 0.8


@dataclass(frozen=True)
class Comparison:
    """The contrasts of a hyperparameter.

    Args:
        axis: the hyperparameter.
        within: the strongest other hyperparameter, within whose values the axis is compared; None if there is none.
        table: the result of `contrasts`; None if the trials cannot be compared.
        power: the result of `power` for the first hyperparameter; None for the others, or if it cannot be computed.
        p_interaction: p of the test that the differences depend on `within`; NaN if there is no test.
        problem: why the trials cannot be compared.
    """

    axis: str
    within: str | None
    table: pd.DataFrame | None
    power: pd.DataFrame | None
    p_interaction: float = math.nan
    problem: str = ""


def compare_axes(results: Results) -> list[Comparison]:
    """Return the comparisons of all axes with few values: first the lines of the first plot, then by importance.

    Nothing is compared if the values were drawn.
    """
    if results.drawn:
        return []
    first = [results.lines] if results.lines else []
    axes = [name for name in dict.fromkeys([*first, *results.axes]) if n_values(results.rows[name]) <= MOST_VALUES]
    if results.kind == "sweeps":
        axes = [name for name in axes if name not in ("pruning", "sparsity")]
    return [_comparison(results, axis, with_power=axis == axes[0]) for axis in axes]


def _comparison(results: Results, axis: str, *, with_power: bool) -> Comparison:
    within = results.x if axis != results.x else results.lines
    try:
        compared = contrasts(results.rows, axis, results.metric, within=within)
    except ValueError as error:
        return Comparison(axis, within, None, None, problem=str(error))
    needed, p = None, math.nan
    with contextlib.suppress(ValueError):
        needed = power(results.rows, axis, results.metric, within=within, power=POWER) if with_power else None
    if within:
        with contextlib.suppress(ValueError):
            tests = interactions(results.rows, axis, results.metric)
            p = float(tests.set_index("within")["p_adjusted"][within])
    return Comparison(axis, within, compared, needed, p)
