"""Objectives of a search: numbers of a trial from its rows, and the direction that is better."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

Direction = Literal["maximize", "minimize"]

SUMMARIES: dict[str, Callable[[Sequence[float]], float]] = {"max": max, "min": min, "last": lambda values: values[-1]}
# Parts of the names of metrics of which low values are better: those of `analysis`, and further costs.
LOW_IS_BETTER = ("loss", "error", "rmse", "_ece", "dead_units", "flops", "density", "time_", "seconds", "cut_off")


def value_of(rows: Sequence[Mapping[str, Any]], objective: str) -> float:
    """Return the value of an objective: a metric and _max, _min or _last, or a metric alone, which is its last value.

    As in `analysis.load`, _max and _min leave out what is not finite, and _last is the value of the last row: NaN for
    a loss that has diverged. It is NaN if no row has the metric.

    Example:
        >>> from dynsparse.search.objectives import value_of
        >>> rows = [{"val_acc": 0.7}, {"val_acc": 0.9}, {"val_acc": 0.8}]
        >>> value_of(rows, "val_acc_max"), value_of(rows, "val_acc")
        (0.9, 0.8)
    """
    metric, summary = metric_and_summary(objective)
    values = [float(row[metric]) for row in rows if isinstance(row.get(metric), int | float)]
    if summary != "last":
        values = [value for value in values if math.isfinite(value)]
    return SUMMARIES[summary](values) if values else math.nan


def has_diverged(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Return True if a loss is NaN or infinite where it was last logged, as in the column `diverged` of a table."""
    last = {name: value for row in rows for name, value in row.items() if "loss" in name}
    return not all(math.isfinite(value) for value in last.values() if isinstance(value, int | float))


def metric_and_summary(objective: str) -> tuple[str, str]:
    """Return the metric of an objective, and a key of SUMMARIES."""
    name, _, summary = objective.rpartition("_")
    return (name, summary) if summary in SUMMARIES else (objective, "last")


def direction(objective: str) -> Direction:
    """Return "minimize" for losses, errors, costs and shares that do not work, else "maximize"."""
    return "minimize" if any(part in objective for part in LOW_IS_BETTER) else "maximize"
