"""A small grid of trials with made-up results, as `load` would give it."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd


def grid(value: Callable[..., float], **axes: Sequence[Any]) -> pd.DataFrame:
    """One complete trial for each combination; `value` takes them by name and gives val_acc_max."""
    rows = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    df = pd.DataFrame({name: pd.Series([row[name] for row in rows]) for name in axes})
    df.insert(0, "val_acc_max", [float(value(**row)) for row in rows])
    df["constant"], df["status"] = 1, "complete"
    return df.assign(trial_id=[f"{i:x}" for i in range(len(df))], trial_dir=[f"T_{i:05d}" for i in range(len(df))])


def noisy(seed: int, spread: float = 0.01, **effects: float) -> Callable[..., float]:
    """0.9 + the effects times the values of their axes + normal noise."""
    rng = np.random.default_rng(seed)
    return lambda **row: 0.9 + sum(by * row[name] for name, by in effects.items()) + rng.normal(0, spread)


def fail(df: pd.DataFrame, where: pd.Series, status: str = "error") -> pd.DataFrame:
    """The trials with another status; a failed one has whatever value it got to."""
    return df.assign(status=df["status"].mask(where, status))


def shuffled(df: pd.DataFrame) -> pd.DataFrame:
    return df.sample(frac=1, random_state=3)
