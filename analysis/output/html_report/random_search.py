"""Drawn hyperparameters in a report: their samples are the blocks in which the values of a grid are compared."""

import pandas as pd

from analysis.frame.matching import cell_of_each
from analysis.frame.schema import hyperparameters, metrics, with_schema
from analysis.frame.words import joined
from analysis.output.html_report.names import Names
from analysis.statistics.aggregate import has_value
from analysis.statistics.copies import is_copy
from analysis.statistics.drawn import Drawn


def one_row_each(
    rows: pd.DataFrame, drawn: Drawn, axes: list[str], metric: str, chosen_by: str, *, lowest: bool
) -> pd.DataFrame:
    """Return one row for each combination of the axes and each sample, with the number of the sample as its seed.

    The metric is the mean over the seeds, because repetitions of a sample are no further samples. After
    population-based training, the row is the best trial of each population, because its members have common ancestors;
    it keeps its seed.

    Args:
        rows: the rows of the report.
        drawn: the drawn hyperparameters.
        axes: the other hyperparameters that vary, without `seed`.
        metric: the metric of the report.
        chosen_by: the metric that chooses the best trial.
        lowest: True if low values of it are better.
    """
    rows = rows.reset_index(drop=True)
    is_used, has_copies = has_value(rows, metric), is_copy(rows).any()
    block = [name for name in ["seed"] if name in rows] if has_copies else drawn.all
    cells = pd.Series(_numbers(rows, [*axes, *block]), index=rows.index)
    if has_copies:
        order = rows[chosen_by].where(is_used).sort_values(ascending=lowest, kind="stable", na_position="last").index
        found = rows
    else:
        means = rows[metric].where(is_used).groupby(cells).transform("mean")
        order = (~is_used).sort_values(kind="stable").index
        found = rows.assign(seed=_numbers(rows, drawn.all))
        found[metric] = means.where(is_used, rows[metric])
    first = cells.loc[order].drop_duplicates().index
    names = dict.fromkeys([name for name in hyperparameters(rows) if name not in drawn.all] + ["seed"])
    return with_schema(found.loc[sorted(first)].drop(columns=drawn.all), list(names), metrics(rows))


def _numbers(rows: pd.DataFrame, names: list[str]) -> list[int]:
    """Return a number for each row, the same for equal combinations of values, in the order of the values."""
    cells = cell_of_each(rows, names)
    numbers = {cell: number for number, cell in enumerate(sorted(set(cells)))}
    return [numbers[cell] for cell in cells]


def drawn_note(rows: pd.DataFrame, found: Drawn, names: Names, chosen_by: str, *, is_compared: bool) -> str:
    """Return the sentences about drawn hyperparameters in the section of comparisons.

    Args:
        rows: the rows of the report.
        found: the drawn hyperparameters.
        names: the plain names of columns.
        chosen_by: the metric that chooses the best trial of a population.
        is_compared: True if other hyperparameters are compared.
    """
    which = joined(list(map(names.full, found.names)))
    if not is_compared:
        return (
            f"Each value of {which} is in one setting only, as in a random search: comparisons need a grid, and "
            "analysis.importance and analysis.fanova tell which hyperparameters matter."
        )
    instead = "For these, use analysis.importance and analysis.fanova."
    if is_copy(rows).any():
        return (
            f"The members of each population differ in {which}, as in population-based training. {instead} The values "
            f"of other hyperparameters are compared by one trial of each population, the best by {chosen_by}."
        )
    return (
        f"Each value of {which} is in one sample only, as in a random search. {instead} The values of other "
        "hyperparameters are compared within each sample, by the mean over its seeds."
    )
