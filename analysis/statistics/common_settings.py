"""The settings in which most of some trials stand, such as those that diverged."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.frame.schema import varying
from analysis.frame.values import sort_key
from analysis.frame.words import plural, value_text

# A setting is named if at least this share of its trials is marked.
MOST = 0.75
# Settings of more hyperparameters are not searched, and more settings are not listed.
LONGEST, SHOWN = 3, 5
# A hyperparameter with more values was drawn: no value says where the marked trials stand.
MOST_VALUES = 20


class Setting(NamedTuple):
    """Values of hyperparameters, and how many of the complete trials with these values are marked."""

    values: dict[str, Any]
    marked: int
    total: int

    def __str__(self) -> str:
        """Return text such as "model=SET and on_perc=0.02 (3 of 3)"."""
        values = (f"{name}={value_text(value)}" for name, value in self.values.items())
        return f"{' and '.join(values)} ({self.marked} of {self.total})"


def note_on(df: pd.DataFrame, is_marked: pd.Series, besides: Sequence[str], what: str, treatment: str) -> str:
    """Return "3 of 12 complete trials diverged and are left out: ...", with the settings; "" if no trial is marked.

    Args:
        df: the trials.
        is_marked: True for some of the complete trials.
        besides: hyperparameters that the settings do not name.
        what: what the marked trials did, such as "diverged".
        treatment: what is done with them, such as "left out".
    """
    n, total = int(is_marked.sum()), int((df["status"] == "complete").sum())
    if not n:
        return ""
    where = listed_settings(common_settings(df, is_marked, besides))
    return f"{n} of {plural(total, 'complete trial')} {what} and {'is' if n == 1 else 'are'} {treatment}{where}"


def common_settings(df: pd.DataFrame, is_marked: pd.Series, besides: Sequence[str] = ()) -> list[Setting]:
    """Return the settings that cover all marked trials, those of few hyperparameters first.

    A setting is a combination of values in which at least three quarters of the complete trials are marked. Trials
    outside such settings are covered by the values of single hyperparameters that have most of them. The list is empty
    if no hyperparameter varies except `seed` and those with more than 20 values.

    Args:
        df: the trials.
        is_marked: True for some of the complete trials.
        besides: hyperparameters that the settings do not name.
    """
    is_complete = df["status"] == "complete"
    marked = is_marked[is_complete].to_numpy(bool)
    df = df[is_complete]
    names = [name for name, n in varying(df, besides=["seed", *besides]).items() if n <= MOST_VALUES]
    open_ = marked.copy()
    found: list[Setting] = []
    for share, longest in ((MOST, LONGEST), (0.0, 1)):
        for size in range(1, min(longest, len(names)) + 1):
            if open_.any():
                found += _settings(df, list(itertools.combinations(names, size)), marked, open_, share)
    return sorted(found, key=lambda setting: len(setting.values))


def _settings(
    df: pd.DataFrame, combinations: list[tuple[str, ...]], marked: np.ndarray, open_: np.ndarray, share: float
) -> list[Setting]:
    """Return the settings of these hyperparameters that have the share, and unmark their trials in `open_`."""
    candidates = []
    for names in combinations:
        cells: dict[Any, list[int]] = {}
        for place, cell in enumerate(zip(*(map(sort_key, df[name]) for name in names), strict=True)):
            cells.setdefault(cell, []).append(place)
        candidates += [
            (names, places) for places in cells.values() if open_[places].any() and marked[places].mean() >= share
        ]
    found = []
    # First the one that covers most trials at chance, then the one with the largest share of them.
    for names, places in sorted(candidates, key=lambda each: (-open_[each[1]].sum(), -marked[each[1]].mean())):
        if open_[places].any():
            open_[places] = False
            values = {name: df[name].iloc[places[0]] for name in names}
            found.append(Setting(values, int(marked[places].sum()), len(places)))
    return found


def listed_settings(settings: Sequence[Setting]) -> str:
    """Return text such as ": on_perc=0.02 (9 of 9), model=SET and on_perc=0.05 (3 of 3)"; "" for no setting."""
    more = f", and {len(settings) - SHOWN} more" if len(settings) > SHOWN else ""
    return f": {', '.join(map(str, settings[:SHOWN]))}{more}" if settings else ""
