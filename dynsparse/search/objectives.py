"""Objectives of a search: numbers of a trial from its rows, and the direction that is better."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

Direction = Literal["maximize", "minimize"]

Summary = Callable[[Sequence[float]], float]

SUMMARIES: dict[str, Summary] = {"max": max, "min": min, "last": lambda values: values[-1]}
# Parts of the names of metrics of which low values are better.
LOW_IS_BETTER = ("loss", "rmse", "ece", "flops", "density", "time_", "dead_units", "cut_off_outputs")


def value_of(rows: Sequence[Mapping[str, Any]], objective: str) -> float:
    """Return the value of an objective: a metric and _max, _min or _last, or a metric alone, which is its last value.

    It is NaN if no row has the metric.

    Example:
        >>> from dynsparse.search.objectives import value_of
        >>> rows = [{"val_acc": 0.7}, {"val_acc": 0.9}, {"val_acc": 0.8}]
        >>> value_of(rows, "val_acc_max"), value_of(rows, "val_acc")
        (0.9, 0.8)
    """
    metric, summarise = metric_and_summary(objective)
    values = [float(row[metric]) for row in rows if isinstance(row.get(metric), int | float)]
    finite = [value for value in values if math.isfinite(value)]
    return summarise(finite) if finite else math.nan


def metric_and_summary(objective: str) -> tuple[str, Summary]:
    """Return the metric of an objective, and the function that makes one number of its values."""
    name, _, summary = objective.rpartition("_")
    return (name, SUMMARIES[summary]) if summary in SUMMARIES else (objective, SUMMARIES["last"])


def direction(objective: str) -> Direction:
    """Return "minimize" for losses, costs and shares that do not work, else "maximize"."""
    return "minimize" if any(part in objective for part in LOW_IS_BETTER) else "maximize"
