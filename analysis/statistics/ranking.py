"""The best trials: by one metric, or by a metric and its cost."""

import pandas as pd

from analysis.frame.checks import check_columns, check_numbers
from analysis.frame.matching import cell_of_each
from analysis.frame.schema import COSTS, varying
from analysis.frame.series import Column, column_name, with_series
from analysis.statistics.aggregate import has_value


def best(df: pd.DataFrame, metric: Column, n: int = 5, lowest: bool = False) -> pd.DataFrame:
    """Return the n complete trials with the highest metric, best first; ties in the order of the hyperparameters.

    There are fewer rows if fewer trials have a finite value. A trial that diverged is never among them, however good it
    was before. The best of many trials is partly the luckiest: run it
    again with other seeds. The result has these columns:
    - the metric.
    - the hyperparameters that vary in `df`.
    - `trial_dir`.

    Args:
        df: the trials.
        metric: the name of a column of numbers, or a Series of the same rows.
        n: the largest number of rows.
        lowest: True if lower values are better.

    Raises:
        ValueError: if a column does not exist, `metric` holds no numbers, or n is not at least 1.

    Example:
        >>> from analysis import best, load_example
        >>> best(load_example("quickstart"), "val_acc_max", n=3).round(3)
           val_acc_max  seed        model  on_perc           trial_dir
        0        0.972     2          SET      0.1  trial_d64993760708
        1        0.972     2  SparseModel      0.1  trial_181bf8219341
        2        0.958     1          SET      0.1  trial_1df17b999366
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}.")
    df, metric = with_series(df, metric), column_name(metric)
    check_columns(df, ["trial_dir"])
    names = list(varying(df, besides=[metric]))
    used = _in_order(df[has_value(df, metric)], names)
    ranked = used.sort_values(metric, ascending=lowest, kind="stable")
    return ranked[[metric, *names, "trial_dir"]].head(n).reset_index(drop=True)


def pareto(df: pd.DataFrame, metric: Column, cost: Column, lowest: bool | None = None) -> pd.DataFrame:
    """Return the Pareto front: complete trials of which no other is better in metric or cost and as good in both.

    Trials that diverged or lack a finite value of one are left out; `plot_pareto` counts them. Rows are ordered by
    cost, and the metric improves from row to row. Trials that are equal in both are all kept. The result has these
    columns:
    - the cost, the metric.
    - the hyperparameters that vary in `df`.
    - `trial_dir`.

    Args:
        df: the trials.
        metric: the name of a column of numbers, or a Series of the same rows.
        cost: likewise; lower values are better: `flops_train`, `flops_inference`, `trial_time`, `on_perc`, ...
        lowest: True if lower values of the metric are better; None decides by the name: low is better for a loss, an
            error or FLOPs.

    Raises:
        ValueError: if a column does not exist or holds no numbers, or if `metric` and `cost` are the same.

    Example:
        >>> from analysis import load_example, pareto
        >>> pareto(load_example("quickstart"), "val_acc_max", "on_perc").round(3)
           on_perc  val_acc_max  seed        model           trial_dir
        0     0.02        0.826     2         RigL  trial_b1aa2a2796ed
        1     0.05        0.931     0         RigL  trial_a106afb6b223
        2     0.10        0.972     2          SET  trial_d64993760708
        3     0.10        0.972     2  SparseModel  trial_181bf8219341
    """
    df = with_series(df, metric, cost)
    metric, cost = column_name(metric), column_name(cost)
    check_columns(df, ["trial_dir"])
    check_cost(df, metric, cost)
    lowest = is_better_low(metric) if lowest is None else lowest
    names = list(varying(df, besides=[metric, cost]))
    used = _in_order(df[has_value(df, metric) & has_value(df, cost)], names)
    gain = -used[metric].astype(float) if lowest else used[metric].astype(float)
    # The highest at each cost, if it is higher than all at lower costs.
    highest = gain.groupby(used[cost]).max()
    is_better = highest > highest.cummax().shift(fill_value=float("-inf"))
    front = used[(gain == used[cost].map(highest)) & used[cost].map(is_better)]
    columns = [cost, metric, *names, "trial_dir"]
    return front.sort_values(cost, kind="stable")[columns].reset_index(drop=True)


def check_cost(df: pd.DataFrame, metric: str, cost: str) -> None:
    """Raise a ValueError if the cost is the metric, does not exist, or holds no numbers."""
    if metric == cost:
        raise ValueError(f"metric and cost must be different columns, got {metric!r} for both.")
    if cost in COSTS and cost not in df:
        raise ValueError(
            f"No trial has logged {cost!r}: version 0.1 of dynsparse and other programs do not count operations. "
            "Run the trials again, or take another cost, such as on_perc or trial_time."
        )
    check_numbers(df, cost)


def _in_order(df: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Sort the trials by their hyperparameters, then by folder."""
    cells = cell_of_each(df, [*names, "trial_dir"])
    return df.iloc[sorted(range(len(df)), key=cells.__getitem__)]


def is_better_low(metric: str) -> bool:
    """Return True if the name of a metric says that lower values are better."""
    return any(word in metric for word in ("loss", "error", "rmse", "_ece", "dead_units")) or metric in COSTS
