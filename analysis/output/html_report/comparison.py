"""The contrasts of one hyperparameter, within each value of the strongest other one."""

import contextlib
import math
from dataclasses import dataclass

import pandas as pd

from analysis.frame.values import n_values
from analysis.output.html_report.random_search import one_row_each
from analysis.output.html_report.results import Results
from analysis.statistics.contrasts import contrasts
from analysis.statistics.copies import is_copy
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
        repeat: what repeats the settings, "seed" or "sample".
    """

    axis: str
    within: str | None
    table: pd.DataFrame | None
    power: pd.DataFrame | None
    p_interaction: float = math.nan
    problem: str = ""
    repeat: str = "seed"


def compare_axes(results: Results) -> list[Comparison]:
    """Return the comparisons of all axes with few values: first the lines of the first plot, then by importance.

    Drawn hyperparameters are not compared. Their samples are the blocks, if other hyperparameters vary.
    """
    rows, repeat, drawn = results.rows, "seed", results.drawn
    axes = [name for name in results.axes if name not in drawn.all]
    if drawn.names and axes:
        chosen_by, lowest = results.selection_metric, results.lowest
        # The chosen trials of populations may all be members that are no copies.
        repeat = "seed" if is_copy(rows).any() else "sample"
        rows = one_row_each(rows, drawn, axes, results.metric, chosen_by, lowest=lowest)
    in_order = [name for name in dict.fromkeys([results.lines, *axes]) if name in axes]
    compared = [name for name in in_order if n_values(rows[name]) <= MOST_VALUES]
    if results.kind == "sweeps":
        compared = [name for name in compared if name not in ("pruning", "sparsity")]
    found = []
    for axis in compared:
        within = next((name for name in (results.x, results.lines, *axes) if name in axes and name != axis), None)
        found.append(_comparison(rows, axis, results.metric, within, repeat, with_power=axis == compared[0]))
    return found


def _comparison(
    rows: pd.DataFrame, axis: str, metric: str, within: str | None, repeat: str, *, with_power: bool
) -> Comparison:
    try:
        compared = contrasts(rows, axis, metric, within=within)
    except ValueError as error:
        return Comparison(axis, within, None, None, problem=str(error), repeat=repeat)
    needed, p = None, math.nan
    with contextlib.suppress(ValueError):
        needed = power(rows, axis, metric, within=within, power=POWER) if with_power else None
    if within:
        with contextlib.suppress(ValueError):
            tests = interactions(rows, axis, metric)
            p = float(tests.set_index("within")["p_adjusted"][within])
    return Comparison(axis, within, compared, needed, p, repeat=repeat)
