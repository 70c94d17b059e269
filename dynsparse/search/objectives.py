"""Objectives of a search: numbers of a trial from its rows, and the direction that is better."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

Direction = Literal["maximize", "minimize"]

SUMMARIES: dict[str, Callable[[Sequence[float]], float]] = {"max": max, "min": min, "last": lambda values: values[-1]}
# Parts of the names of metrics of which low values are better.
LOW_IS_BETTER = ("loss", "rmse", "flops", "ece")


def value_of(rows: Sequence[Mapping[str, Any]], objective: str) -> float:
    """Return the value of an objective: a metric and _max, _min or _last, or a metric alone, which is its last value.

    It is NaN if no row has the metric.

    Example:
        >>> from dynsparse.search.objectives import value_of
        >>> rows = [{"val_acc": 0.7}, {"val_acc": 0.9}, {"val_acc": 0.8}]
        >>> value_of(rows, "val_acc_max"), value_of(rows, "val_acc")
        (0.9, 0.8)
    """
    name, _, summary = objective.rpartition("_")
    metric, summarise = (name, SUMMARIES[summary]) if summary in SUMMARIES else (objective, SUMMARIES["last"])
    values = [float(row[metric]) for row in rows if isinstance(row.get(metric), int | float)]
    finite = [value for value in values if math.isfinite(value)]
    return summarise(finite) if finite else math.nan


def direction(objective: str) -> Direction:
    """Return "minimize" for losses and costs, else "maximize"."""
    return "minimize" if any(part in objective for part in LOW_IS_BETTER) else "maximize"
