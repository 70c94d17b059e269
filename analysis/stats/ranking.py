"""The trials that did best: by one metric, or by what it costs."""

import pandas as pd

from analysis.frame.checks import check_columns, check_numbers
from analysis.frame.matching import cell_of_each
from analysis.frame.schema import varying
from analysis.stats.aggregate import has_value


def best(df: pd.DataFrame, metric: str, n: int = 5, lowest: bool = False) -> pd.DataFrame:
    """The n complete trials with the highest metric, best first; ties in the order of the hyperparameters.

    Columns: the metric, the hyperparameters that vary in `df`, `trial_dir`. Fewer rows if fewer trials have a
    finite value. The best of many is partly the luckiest: run it again with other seeds.

    Args:
        lowest: whether lower is better.

    Raises: ValueError if a column does not exist, `metric` holds no numbers, or n is not at least 1.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    check_columns(df, ["trial_dir"])
    names = list(varying(df, besides=[metric]))
    used = _in_order(df[has_value(df, metric)], names)
    ranked = used.sort_values(metric, ascending=lowest, kind="stable")
    return ranked[[metric, *names, "trial_dir"]].head(n).reset_index(drop=True)


def pareto(df: pd.DataFrame, metric: str, cost: str, lowest: bool = False) -> pd.DataFrame:
    """The complete trials that no other beats: a higher metric at no more cost, or no less of it at lower cost.

    Columns: the cost, the metric, the hyperparameters that vary in `df`, `trial_dir`. Rows are ordered by cost,
    which is better when lower; so the metric rises from row to row. Trials equal in both are all kept.

    Args:
        cost: any column of numbers: `trial_time`, `on_perc`, ...
        lowest: whether lower values of the metric are better, too.

    Raises: ValueError if a column does not exist or holds no numbers, or if `metric` and `cost` are the same.
    """
    check_columns(df, ["trial_dir"])
    if metric == cost:
        raise ValueError(f"metric and cost must be two columns, got {metric!r} twice")
    check_numbers(df, cost)
    names = list(varying(df, besides=[metric, cost]))
    used = _in_order(df[has_value(df, metric) & has_value(df, cost)], names)
    gain = -used[metric].astype(float) if lowest else used[metric].astype(float)
    # The highest at each cost, if it is higher than all at lower costs.
    highest = gain.groupby(used[cost]).max()
    is_better = highest > highest.cummax().shift(fill_value=float("-inf"))
    front = used[(gain == used[cost].map(highest)) & used[cost].map(is_better)]
    columns = [cost, metric, *names, "trial_dir"]
    return front.sort_values(cost, kind="stable")[columns].reset_index(drop=True)


def _in_order(df: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """The trials by their hyperparameters, then by folder, whatever their order was."""
    cells = cell_of_each(df, [*names, "trial_dir"])
    return df.iloc[sorted(range(len(df)), key=cells.__getitem__)]


def is_better_low(metric: str) -> bool:
    """Whether low values of a metric are the better ones, as its name says it."""
    return "loss" in metric or "error" in metric
