"""Axes: linear, logarithmic or categorical, depending on the values of a column."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pandas as pd

from analysis.frame.checks import is_numeric
from analysis.frame.values import sort_key
from analysis.plots._lib.style import label, labels, short

# An axis is logarithmic only if the largest value is at least this many times the smallest.
LOG_RATIO = 10
TICKS = 15
# Tick labels overlap if ticks are closer than this share of the axis.
NEAREST = 0.03


@dataclass(frozen=True)
class Scale:
    """An axis: its kind ("linear", "log" or "category"), the values in order, and their texts."""

    kind: str
    values: list[Any]
    texts: list[str]

    def places(self, column: Iterable[Any]) -> list[Any]:
        """Return the coordinate of each value: the number itself, or the text of a category."""
        if self.kind != "category":
            return [float(value) for value in column]
        return [self.texts[i] for i in self.positions(column)]

    def positions(self, column: Iterable[Any]) -> list[int]:
        """Return the rank of each value in the order of the axis."""
        number = {key_of(value): i for i, value in enumerate(self.values)}
        return [number[key_of(value)] for value in column]

    def layout(self) -> dict[str, Any]:
        """Return plotly's settings of the axis: a tick at each value, unless the values are many or too close."""
        if self.kind == "category":
            order = {"categoryorder": "array", "categoryarray": self.texts}
            return {"type": "category", **order, **ticks(self.texts, self.texts)}
        return {"type": self.kind, **(ticks(self.values, self.texts) if self._has_room() else {})}

    def _has_room(self) -> bool:
        places = [math.log(value) for value in self.values] if self.kind == "log" else self.values
        gaps = [after - before for before, after in pairwise(places)]
        return len(places) <= TICKS and (not gaps or min(gaps) > NEAREST * (places[-1] - places[0]))


def scale(column: pd.Series) -> Scale:
    """Return the axis that suits the values.

    Numbers have a linear axis; a logarithmic one if all are positive, they span a factor of 10 or more, and their
    logarithms are spaced more evenly. Booleans, strings, tuples and values of several types are categories; so is
    a column with a missing value.
    """
    distinct = {key_of(value): value for value in column}
    values = [distinct[key] for key in sorted(distinct)]
    if not is_numeric(column) or not all(math.isfinite(value) for value in values):
        return Scale("category", values, labels(values))
    return Scale("log" if _suits_log(values) else "linear", values, [label(value) for value in values])


def key_of(value: Any) -> tuple[Any, ...]:
    """Return the key by which values are compared and sorted; all missing values have the same."""
    return sort_key(value)


def ticks(places: list[Any], texts: list[str]) -> dict[str, Any]:
    """Return plotly's settings for ticks at these places, with long texts cut."""
    return {"tickmode": "array", "tickvals": places, "ticktext": [short(text) for text in texts]}


def epoch_axis(epochs: pd.Series) -> dict[str, Any]:
    """Return plotly's settings of an axis of epochs: whole numbers only, also if the epochs are few."""
    return {"title_text": "epoch", **({"dtick": 1} if epochs.max() - epochs.min() < TICKS else {})}


def _suits_log(values: list[Any]) -> bool:
    if len(values) < 3 or values[0] <= 0 or values[-1] < LOG_RATIO * values[0]:
        return False
    return _unevenness([math.log(value) for value in values]) < _unevenness(values)


def _unevenness(places: list[float]) -> float:
    gaps = [after - before for before, after in pairwise(places)]
    return max(gaps) / min(gaps)
