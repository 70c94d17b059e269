"""Drawn hyperparameters: their values are those of samples, not of a grid."""

from typing import NamedTuple

import pandas as pd

from analysis.frame.checks import is_numeric
from analysis.frame.schema import STARTS_FROM, varying, with_known_config
from analysis.frame.values import sort_key
from analysis.statistics.copies import is_copy
from analysis.statistics.pairwise import MOST_VALUES

# Fewer values may be arms, in which a few hyperparameters change together.
FEWEST = 4


class Drawn(NamedTuple):
    """The drawn hyperparameters, in the order of the columns."""

    names: list[str]  # those of which each value is in one sample only, or which change in copies
    all: list[str]  # also those whose value follows from the sample, such as a method that is drawn, too


def drawn_hyperparameters(df: pd.DataFrame, metric: str) -> Drawn:
    """Return the drawn hyperparameters; none for a grid.

    Drawn numbers have many digits, and each determines the other drawn values of its sample, so that their effects
    cannot be told apart. Each sample may be combined with each point of a grid. More than 20 such numbers count as
    drawn, even if nothing else is. Arms are no samples: there, numbers have few digits, or a hyperparameter that holds
    no number, such as the model, determines them. What population-based training has changed in a copy is drawn, too.

    Args:
        df: one row for each trial, including those that are not complete.
        metric: the metric, which is no hyperparameter.
    """
    known = with_known_config(df)
    # The values of a copy occur at one point of the grid only.
    trials = known[~is_copy(known)]
    counts = varying(trials, besides=["seed", metric])
    cells = {name: list(map(sort_key, trials[name])) for name in counts}
    n_settings = len(set(zip(*cells.values(), strict=True)))

    def follows(name: str, cause: str) -> bool:
        return name != cause and len(set(zip(cells[name], cells[cause], strict=True))) == counts[cause]

    numbers = [name for name, n in counts.items() if n >= FEWEST and is_numeric(trials[name])]
    others = [name for name in counts if not is_numeric(trials[name])]

    def is_drawn(name: str) -> bool:
        if len(counts) < 2 or not _has_many_digits(trials[name]) or any(follows(name, other) for other in others):
            return False
        is_alone = counts[name] == n_settings or counts[name] > MOST_VALUES
        return is_alone or any(follows(other, name) for other in numbers)

    in_copies = _changed_in_copies(known, list(varying(known, besides=["seed", metric])))
    names = [*filter(is_drawn, numbers), *in_copies]
    following = [name for name in counts if any(follows(name, cause) for cause in names if cause in counts)]
    return Drawn(*([name for name in df.columns if name in found] for found in (names, [*names, *following])))


def _has_many_digits(numbers: pd.Series) -> bool:
    """Return True if most numbers have more than four digits. Drawn ones have six; people type fewer, as in 2048."""
    return bool(numbers.dropna().map(lambda number: float(f"{number:.4g}") != number).mean() > 0.5)


def _changed_in_copies(df: pd.DataFrame, names: list[str]) -> list[str]:
    """Return the hyperparameters in which a copy differs from the trial that it began as."""
    if "trial_id" not in df or not is_copy(df).any():
        return []
    rows = {row["trial_id"]: row for row in df.to_dict("records")}
    origins = {name: str(row[STARTS_FROM]).partition("@")[0] for name, row in rows.items()}
    pairs = [(rows[parent], rows[child]) for child, parent in origins.items() if parent in rows]
    return [name for name in names if any(sort_key(a[name]) != sort_key(b[name]) for a, b in pairs)]
