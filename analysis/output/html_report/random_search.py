"""Trials of a random search: no two settings differ in one hyperparameter alone, so that nothing can be compared."""

import pandas as pd

from analysis.frame.checks import is_numeric
from analysis.frame.matching import cell_of_each
from analysis.frame.schema import varying, with_known_config
from analysis.frame.words import joined
from analysis.output.html_report.names import Names

# Fewer values may be arms, in which a few hyperparameters change together.
FEWEST = 4


def drawn(df: pd.DataFrame, metric: str) -> list[str]:
    """Return the drawn hyperparameters: those with numbers of which each is in one setting only; [] for a grid.

    Any of them determines all others, so that no effect can be told apart from another. Arms are no random search:
    there, a hyperparameter that holds no number, such as the model, determines the others, too.

    Args:
        df: one row for each trial, including those that are not complete.
        metric: the metric of the report.
    """
    counts = varying(df, besides=["seed", metric])
    if len(counts) < 2:
        return []
    known = with_known_config(df)
    n_settings = len(set(cell_of_each(known, list(counts))))
    names = [name for name, n in counts.items() if n == n_settings >= FEWEST]
    return names if all(is_numeric(known[name]) for name in names) else []


def why_not_compared(found: list[str], names: Names) -> str:
    """Return the sentence about drawn hyperparameters in place of comparisons."""
    which = joined(list(map(names.full, found)))
    return (
        f"Each value of {which} is in one setting only, as in a random search: comparisons need a grid, and "
        "analysis.importance and analysis.fanova tell which hyperparameters matter."
    )
