"""Statistics over trials: functions for groupby and pivot_table, and tidy aggregates with counts."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import pandas as pd

from analysis.frame.checks import check_columns, check_numbers
from analysis.frame.schema import with_schema
from analysis.frame.series import Column, column_name, column_names, with_series
from analysis.frame.values import sort_key
from analysis.frame.words import unsigned_zero
from analysis.statistics.chance import is_at_chance
from analysis.statistics.divergence import is_diverged

NOTHING = "–"
LEFT_OUT = ["failed", "stopped", "incomplete", "diverged", "without_value"]
# What a cell of a table or a heat map notes beside its mean.
NOTED = [*LEFT_OUT, "at_chance"]
STATISTICS = ["mean", "std", "low", "high", "min", "max", "count", *NOTED]
RATES = ["failed", "total", "rate", "low", "high"]
# Of every interval of this package.
CONFIDENCE = 0.95


def mean_and_std(s: pd.Series) -> str:
    """Return the mean and the sample standard deviation as text, as in "0.971 ± 0.003"; for pandas.pivot_table.

    A single value has no deviation and gives "0.971 (n=1)"; no value gives "–". Missing values are left out.

    Example:
        >>> import pandas as pd
        >>> from analysis import load_example, mean_and_std
        >>> mean_and_std(pd.Series([0.96, 0.98]))
        '0.970 ± 0.014'
        >>> df = load_example("quickstart")
        >>> pd.pivot_table(df, index="model", columns="on_perc", values="test_acc_at_best", aggfunc=mean_and_std)
        on_perc               0.02           0.05           0.10
        model
        RigL         0.672 ± 0.168  0.916 ± 0.012  0.935 ± 0.004
        SET          0.493 ± 0.144  0.868 ± 0.020  0.944 ± 0.011
        SparseModel  0.323 ± 0.043  0.818 ± 0.020  0.945 ± 0.014
    """
    mean, std, count = s.mean(), s.std(), int(s.count())
    return format_mean(mean, std, count, [f"n={count}"] if count and math.isnan(std) else [])


def round_mean(s: pd.Series) -> int | float:
    """Return the mean rounded to a whole number, a half to the even one; NaN if there is no value.

    Example:
        >>> import pandas as pd
        >>> from analysis import load_example, round_mean
        >>> round_mean(pd.Series([21, 22, 23]))
        22
        >>> load_example("quickstart").groupby("on_perc").agg({"val_acc_max_epoch": round_mean})
                 val_acc_max_epoch
        on_perc
        0.02                     5
        0.05                     6
        0.10                     5
    """
    mean = s.mean()
    return round(mean) if math.isfinite(mean) else mean


def stats(s: pd.Series) -> list[float]:
    """Return [min, max, mean, sample standard deviation], rounded to 3 digits; NaN where values are too few.

    Example:
        >>> import pandas as pd
        >>> from analysis import load_example, stats
        >>> stats(pd.Series([0.959, 0.971]))
        [0.959, 0.971, 0.965, 0.008]
        >>> load_example("quickstart").groupby("model").agg({"test_acc_at_best": stats})
                                 test_acc_at_best
        model
        RigL         [0.539, 0.939, 0.841, 0.152]
        SET          [0.339, 0.956, 0.768, 0.221]
        SparseModel  [0.294, 0.961, 0.695, 0.286]
    """
    return [round(float(value), 3) for value in (s.min(), s.max(), s.mean(), s.std())]


def format_mean(mean: float, std: float, count: int, notes: Sequence[str] = ()) -> str:
    """Return the text of one cell: "0.971 ± 0.003", "0.971" if std is NaN, "–" without values; then the notes."""
    number = unsigned_zero(f"{mean:.3f}")
    text = NOTHING if count == 0 else number if math.isnan(std) else f"{number} ± {std:.3f}"
    return f"{text} ({', '.join(notes)})" if notes else text


def agg(df: pd.DataFrame, by: Column | Sequence[Column], metric: Column) -> pd.DataFrame:
    """Return statistics of a metric over the complete trials of each group.

    A group in which no trial is complete is a row too; so is a missing key. Rows are in the order of the keys' values.
    The result has these columns:
    - the keys.
    - `mean`; `std` of the sample; `low` and `high`, the 95% t interval of the mean: mean ± t * std / sqrt(count).
      `std` and the interval are NaN for a single trial.
    - `min`, `max`, `count`.
    - `failed` (status "error"), `stopped` (early, by a rule), `incomplete` (unfinished), `diverged` (complete, but a
      loss was NaN or infinite at the end), `without_value` (complete, but the value is missing or infinite): trials
      that were left out. With `count` they add up to the size of the group. To count trials that diverged, pass
      `df.drop(columns="diverged")`.
    - `at_chance`: of the `count` trials, those that never left chance level.

    The interval assumes that the trials of a group are independent draws. If they differ in more than the seed, it
    shows how well the mean over such settings is known, not how well that of one setting is.

    Args:
        df: the trials.
        by: hyperparameters, as names of columns or as Series of the same rows.
        metric: the name of a column of numbers, or a Series of the same rows.

    Raises:
        ValueError: if a column does not exist, `metric` holds no numbers, or a Series has no name or other rows.

    Example:
        >>> from analysis import agg, load_example
        >>> df = load_example("quickstart")
        >>> columns = ["model", "mean", "low", "high", "count", "failed"]
        >>> agg(df[df["on_perc"] == 0.1], "model", "test_acc_at_best")[columns].round(3)
                 model   mean    low   high  count  failed
        0         RigL  0.935  0.925  0.946      3       0
        1          SET  0.944  0.916  0.971      3       0
        2  SparseModel  0.945  0.910  0.981      3       0

        A Series can be the metric or a key:

        >>> late_loss = (df["val_acc_max"] - df["val_acc_last"]).rename("late_loss")
        >>> is_tiny = (df["on_perc"] < 0.05).rename("is_tiny")
        >>> agg(df, is_tiny, late_loss)[["is_tiny", "mean", "max", "count"]].round(3)
           is_tiny   mean    max  count
        0    False  0.017  0.056     18
        1     True  0.022  0.049      9
    """
    df = with_series(df, by, metric)
    by, metric = key_names(df, column_names(by), taken=STATISTICS), column_name(metric)
    check_columns(df, [metric, "status"])
    check_numbers(df, metric)
    keys = [df[name] for name in by]
    is_complete, has_failed, was_stopped = (df["status"] == each for each in ("complete", "error", "stopped"))
    diverged, is_unfinished = is_diverged(df), ~is_complete & ~has_failed & ~was_stopped
    values = df[metric].where(has_value(df, metric))
    fates = has_failed, was_stopped, is_unfinished, diverged, is_complete & values.isna() & ~diverged
    left_out = dict(zip(LEFT_OUT, fates, strict=True))
    result = values.groupby(keys, dropna=False, sort=False).agg(["mean", "std", "min", "max", "count"])
    result = with_t_interval(result)
    for name, is_left_out in left_out.items():
        result[name] = is_left_out.groupby(keys, dropna=False, sort=False).sum()
    result["at_chance"] = (is_at_chance(df) & values.notna()).groupby(keys, dropna=False, sort=False).sum()
    return with_schema(in_order(result.reset_index(), by), by, STATISTICS)


def failure_rates(df: pd.DataFrame, by: Column | Sequence[Column]) -> pd.DataFrame:
    """Return how many trials of each group failed.

    Rows are in the order of the keys' values. The result has these columns:
    - the keys.
    - `failed`, trials with status "error"; `total`, all trials, unfinished ones included.
    - `rate`, failed / total; `low` and `high`, its 95% Wilson interval. The interval is never empty, even if no trial
      or every trial failed.

    Args:
        df: the trials.
        by: hyperparameters, as names of columns or as Series of the same rows.

    Raises:
        ValueError: if a column does not exist, or a Series has no name or other rows.

    Reference:
        Wilson, "Probable inference, the law of succession, and statistical inference", 1927,
        https://doi.org/10.1080/01621459.1927.10502953

    Example:
        >>> from analysis import failure_rates, load_example
        >>> failure_rates(load_example("time_limit"), ["hidden_sizes", "on_perc"]).round(3)
           hidden_sizes  on_perc  failed  total  rate    low   high
        0         (50,)     0.02       0      2   0.0  0.000  0.658
        1         (50,)     0.50       0      2   0.0  0.000  0.658
        2    (100, 100)     0.02       0      2   0.0  0.000  0.658
        3    (100, 100)     0.50       0      2   0.0  0.000  0.658
        4  (2000, 2000)     0.02       2      2   1.0  0.342  1.000
        5  (2000, 2000)     0.50       2      2   1.0  0.342  1.000
    """
    df = with_series(df, by)
    by = key_names(df, column_names(by), taken=RATES)
    check_columns(df, ["status"])
    has_failed = df["status"] == "error"
    groups = has_failed.groupby([df[name] for name in by], dropna=False, sort=False)
    result = groups.agg(["sum", "size", "mean"]).set_axis(RATES[:3], axis="columns")
    result["low"], result["high"] = _wilson(result["rate"], result["total"])
    return with_schema(in_order(result.reset_index(), by), by, RATES)


def key_names(df: pd.DataFrame, by: str | Sequence[str], taken: Sequence[str]) -> list[str]:
    """Return the group keys as a list, after checking that they exist, are named once, and are not in `taken`."""
    names = [by] if isinstance(by, str) else list(by)
    check_columns(df, names)
    if not names or len(set(names)) < len(names):
        raise ValueError(f"Group keys must be at least one column, each named once, got {names}.")
    clash = [name for name in names if name in taken]
    if clash:
        raise ValueError(f"Group keys {clash} have the names of columns of the result. Rename them first.")
    return names


def has_value(df: pd.DataFrame, metric: str) -> pd.Series:
    """Mark the trials that a statistic uses: they are complete, did not diverge, and the metric is a finite number.

    Raises:
        ValueError: if there is no such metric, it holds no numbers, or there is no column `status`.
    """
    check_columns(df, [metric, "status"])
    check_numbers(df, metric)
    return (df["status"] == "complete") & ~is_diverged(df) & np.isfinite(df[metric].astype(float))


def with_t_interval(table: pd.DataFrame) -> pd.DataFrame:
    """Add `low` and `high` after `std`: the 95% t interval of `mean`, of `count` values; NaN for one.

    Reference:
        Student, "The probable error of a mean", 1908, https://doi.org/10.1093/biomet/6.1.1
    """
    # scipy is imported where it is needed: `import analysis` and `load` do without it.
    from scipy.special import stdtrit

    half = stdtrit(table["count"] - 1.0, (1 + CONFIDENCE) / 2) * table["std"] / np.sqrt(table["count"])
    place = list(table.columns).index("std") + 1
    columns = [*table.columns[:place], "low", "high", *table.columns[place:]]
    return table.assign(low=table["mean"] - half, high=table["mean"] + half)[columns]


def _wilson(rate: pd.Series, total: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Return the 95% interval of a rate: all true rates within 1.96 of their own standard errors of this one."""
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    middle = (rate + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z * np.sqrt(rate * (1 - rate) / total + z**2 / (4 * total**2)) / (1 + z**2 / total)
    return (middle - half).clip(lower=0.0), (middle + half).clip(upper=1.0)


def in_order(df: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Sort the rows by the values of the keys; pandas itself cannot sort values of different types."""
    rows = list(zip(*(df[key] for key in keys), strict=True))
    order = sorted(range(len(df)), key=lambda i: [sort_key(value) for value in rows[i]])
    return df.iloc[order].reset_index(drop=True)
