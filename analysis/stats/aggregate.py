"""Statistics over trials: functions for groupby and pivot_table, and tidy aggregates with counts."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import pandas as pd

from analysis.frame.checks import check_columns, check_numbers
from analysis.frame.values import sort_key

NOTHING = "–"
LEFT_OUT = ["failed", "incomplete", "without_value"]
STATISTICS = ["mean", "std", "low", "high", "min", "max", "count", *LEFT_OUT]
RATES = ["failed", "total", "rate", "low", "high"]
# Of every interval of this package.
CONFIDENCE = 0.95


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

    Columns: the keys, then `mean`, `std` (of the sample; nan for one trial), `low` and `high` (the 95% t interval
    of the mean; nan for one trial), `min`, `max`, `count`, and how many trials of the group were left out: `failed`
    (status "error"), `incomplete` (unfinished) and `without_value` (complete, but the value is missing). The four
    counts add up to the group. A group in which no trial is complete is a row too; so is a missing key. Rows are
    in the order of the keys' values.

    The interval takes the trials of a group for independent draws. Where they differ in more than the seed, it
    says how well the mean over such settings is known, not how well that of one setting is.

    Raises: ValueError if a column does not exist, or `metric` holds no numbers.
    """
    by = key_names(df, by, taken=STATISTICS)
    check_columns(df, [metric, "status"])
    check_numbers(df, metric)
    keys = [df[name] for name in by]
    is_complete, has_failed = df["status"] == "complete", df["status"] == "error"
    values = df[metric].where(has_value(df, metric))
    left_out = dict(zip(LEFT_OUT, (has_failed, ~is_complete & ~has_failed, is_complete & values.isna()), strict=True))
    result = values.groupby(keys, dropna=False, sort=False).agg(["mean", "std", "min", "max", "count"])
    result = with_t_interval(result)
    for name, is_left_out in left_out.items():
        result[name] = is_left_out.groupby(keys, dropna=False, sort=False).sum()
    return in_order(result.reset_index(), by)


def failure_rates(df: pd.DataFrame, by: str | Sequence[str]) -> pd.DataFrame:
    """How many trials of each group failed.

    Columns: the keys, `failed` (status "error"), `total`, `rate` in [0, 1], `low` and `high` (its 95% interval,
    after Wilson: never empty, even if none or all failed). Unfinished trials count in `total` only. Rows are in
    the order of the keys' values.

    Raises: ValueError if a column does not exist.

    Reference: Wilson, "Probable inference, the law of succession, and statistical inference", 1927,
    https://doi.org/10.1080/01621459.1927.10502953
    """
    by = key_names(df, by, taken=RATES)
    check_columns(df, ["status"])
    has_failed = df["status"] == "error"
    groups = has_failed.groupby([df[name] for name in by], dropna=False, sort=False)
    result = groups.agg(["sum", "size", "mean"]).set_axis(RATES[:3], axis="columns")
    result["low"], result["high"] = _wilson(result["rate"], result["total"])
    return in_order(result.reset_index(), by)


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


def has_value(df: pd.DataFrame, metric: str) -> pd.Series:
    """Which trials a statistic can use: they are complete, and the metric is a finite number.

    Raises: ValueError if there is no such metric, it holds no numbers, or there is no column `status`.
    """
    check_columns(df, [metric, "status"])
    check_numbers(df, metric)
    return (df["status"] == "complete") & np.isfinite(df[metric].astype(float))


def with_t_interval(table: pd.DataFrame) -> pd.DataFrame:
    """The table with `low` and `high` after `std`: the 95% t interval of `mean`, of `count` values; nan for one.

    Reference: Student, "The probable error of a mean", 1908, https://doi.org/10.1093/biomet/6.1.1
    """
    # scipy is imported by those who need it: `import analysis` and `load` do without.
    from scipy.special import stdtrit

    half = stdtrit(table["count"] - 1.0, (1 + CONFIDENCE) / 2) * table["std"] / np.sqrt(table["count"])
    place = list(table.columns).index("std") + 1
    columns = [*table.columns[:place], "low", "high", *table.columns[place:]]
    return table.assign(low=table["mean"] - half, high=table["mean"] + half)[columns]


def _wilson(rate: pd.Series, total: pd.Series) -> tuple[pd.Series, pd.Series]:
    """The 95% interval of a rate: all rates from which this one is no further than 1.96 of their deviations."""
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    middle = (rate + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z * np.sqrt(rate * (1 - rate) / total + z**2 / (4 * total**2)) / (1 + z**2 / total)
    return (middle - half).clip(lower=0.0), (middle + half).clip(upper=1.0)


def in_order(df: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The rows by the values of the keys; pandas itself cannot sort values of different kinds."""
    rows = list(zip(*(df[key] for key in keys), strict=True))
    order = sorted(range(len(df)), key=lambda i: [sort_key(value) for value in rows[i]])
    return df.iloc[order].reset_index(drop=True)
