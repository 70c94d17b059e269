"""The contrasts of one hyperparameter, within each value of the strongest other one."""

import contextlib
import math
from dataclasses import dataclass

import pandas as pd

from analysis.output.html_report.results import Results
from analysis.statistics.contrasts import contrasts
from analysis.statistics.interactions import interactions
from analysis.statistics.power import power

# An axis of more values has too many pairs to read: its plot says more.
MOST_VALUES = 10
# The probability to find a difference that a grid should have.
POWER = 0.8


@dataclass(frozen=True)
class Comparison:
    """The contrasts of a hyperparameter.

    Args:
        axis: the hyperparameter.
        within: the strongest other one, within whose values the axis is compared; None if there is no other.
        table: the result of `contrasts`; None if the trials allow none.
        power: the result of `power`, for the first hyperparameter; None for the others, or if the trials allow none.
        p_interaction: p of the test that the differences depend on `within`; NaN if there is none.
        problem: why the trials allow none.
    """

    axis: str
    within: str | None
    table: pd.DataFrame | None
    power: pd.DataFrame | None
    p_interaction: float = math.nan
    problem: str = ""


def compare_axes(found: Results) -> list[Comparison]:
    """Return the comparisons of all axes with few values: first the lines of the first plot, then by importance."""
    first = [found.lines] if found.lines else []
    axes = [name for name in dict.fromkeys([*first, *found.axes]) if found.rows[name].nunique() <= MOST_VALUES]
    if found.of == "sweeps":
        axes = [name for name in axes if name not in ("pruning", "sparsity")]
    return [_comparison(found, axis, with_power=axis == axes[0]) for axis in axes]


def _comparison(found: Results, axis: str, *, with_power: bool) -> Comparison:
    within = found.x if axis != found.x else found.lines
    try:
        compared = contrasts(found.rows, axis, found.metric, within=within)
    except ValueError as error:
        return Comparison(axis, within, None, None, problem=str(error))
    needed, p = None, math.nan
    with contextlib.suppress(ValueError):
        needed = power(found.rows, axis, found.metric, within=within, power=POWER) if with_power else None
    if within:
        with contextlib.suppress(ValueError):
            tests = interactions(found.rows, axis, found.metric)
            p = float(tests.set_index("within")["p_adjusted"][within])
    return Comparison(axis, within, compared, needed, p)
