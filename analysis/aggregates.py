"""Statistics over trials: functions for groupby and pivot_table, and tidy aggregates with counts."""

import math
from collections.abc import Sequence

import pandas as pd

from analysis.names import unknown
from analysis.values import sort_key

NOTHING = "–"
LEFT_OUT = ["failed", "incomplete", "without_value"]
STATISTICS = ["mean", "std", "min", "max", "count", *LEFT_OUT]
RATES = ["failed", "total", "rate"]


def mean_and_std(s: pd.Series) -> str:
    """Mean and sample standard deviation as text, as in "0.971 ± 0.003"; for pandas.pivot_table.

    A single value has no deviation and gives "0.971 (n=1)"; no value gives "–". Missing values take no part.
    """
    mean, std, count = s.mean(), s.std(), int(s.count())
    return format_mean(mean, std, count, [f"n={count}"] if count and math.isnan(std) else [])


def round_mean(s: pd.Series) -> int | float:
    """The mean rounded to a whole number, a half to the even one; nan if there is no value."""
    mean = s.mean()
    return round(mean) if math.isfinite(mean) else mean


def stats(s: pd.Series) -> list[float]:
    """[min, max, mean, sample standard deviation], rounded to 3 digits; nan where values are too few."""
    return [round(float(value), 3) for value in (s.min(), s.max(), s.mean(), s.std())]


def format_mean(mean: float, std: float, count: int, notes: Sequence[str] = ()) -> str:
    """The text of one cell: "0.971 ± 0.003", "0.971" if std is nan, "–" without values; then the notes."""
    text = NOTHING if count == 0 else f"{mean:.3f}" if math.isnan(std) else f"{mean:.3f} ± {std:.3f}"
    return f"{text} ({', '.join(notes)})" if notes else text


def agg(df: pd.DataFrame, by: str | Sequence[str], metric: str) -> pd.DataFrame:
    """Statistics of a column over the complete trials of each group.

    Columns: the keys, then `mean`, `std` (of the sample; nan for one trial), `min`, `max`, `count`, and how
    many trials of the group were left out: `failed` (status "error"), `incomplete` (unfinished) and
    `without_value` (complete, but the value is missing). The four counts add up to the group. A group in
    which no trial is complete is a row too; so is a missing key. Rows are in the order of the keys' values.

    Raises: ValueError if a column does not exist, or `metric` holds no numbers.
    """
    by = key_names(df, by, taken=STATISTICS)
    check_columns(df, [metric, "status"])
    if not pd.api.types.is_numeric_dtype(df[metric]):
        raise ValueError(f"metric must be a column of numbers, got {metric!r} of type {df[metric].dtype}")
    keys = [df[name] for name in by]
    is_complete, has_failed = df["status"] == "complete", df["status"] == "error"
    values = df[metric].where(is_complete)
    left_out = dict(zip(LEFT_OUT, (has_failed, ~is_complete & ~has_failed, is_complete & values.isna()), strict=True))
    result = values.groupby(keys, dropna=False, sort=False).agg(["mean", "std", "min", "max", "count"])
    for name, is_left_out in left_out.items():
        result[name] = is_left_out.groupby(keys, dropna=False, sort=False).sum()
    return _in_order(result.reset_index(), by)


def failure_rates(df: pd.DataFrame, by: str | Sequence[str]) -> pd.DataFrame:
    """How many trials of each group failed: the keys, `failed` (status "error"), `total`, `rate` in [0, 1].

    Unfinished trials count in `total` only. Rows are in the order of the keys' values.

    Raises: ValueError if a column does not exist.
    """
    by = key_names(df, by, taken=RATES)
    check_columns(df, ["status"])
    has_failed = df["status"] == "error"
    groups = has_failed.groupby([df[name] for name in by], dropna=False, sort=False)
    result = groups.agg(["sum", "size", "mean"]).set_axis(RATES, axis="columns")
    return _in_order(result.reset_index(), by)


def key_names(df: pd.DataFrame, by: str | Sequence[str], taken: Sequence[str]) -> list[str]:
    """The group keys as a list. They exist, each is named once, and none is in `taken`."""
    names = [by] if isinstance(by, str) else list(by)
    check_columns(df, names)
    if not names or len(set(names)) < len(names):
        raise ValueError(f"group keys must be at least one column, each named once, got {names}")
    clash = [name for name in names if name in taken]
    if clash:
        raise ValueError(f"group keys {clash} are called like columns of the result; rename them first")
    return names


def check_columns(df: pd.DataFrame, names: Sequence[str]) -> None:
    """Raises a ValueError that names the near matches if one of the columns does not exist."""
    wrong = [name for name in names if name not in df.columns]
    if wrong:
        raise ValueError("; ".join(unknown("column", name, [str(c) for c in df.columns]) for name in wrong))


def _in_order(df: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The rows by the values of the keys; pandas itself cannot sort values of different kinds."""
    rows = list(zip(*(df[key] for key in keys), strict=True))
    order = sorted(range(len(df)), key=lambda i: [sort_key(value) for value in rows[i]])
    return df.iloc[order].reset_index(drop=True)
