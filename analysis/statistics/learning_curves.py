"""Learning curves: a metric over the epochs, by group, and the first epoch that reaches a level."""

from collections.abc import Sequence

import pandas as pd

from analysis.frame.checks import check_columns, check_numbers
from analysis.frame.schema import hyperparameters
from analysis.frame.series import Column, column_name, column_names, with_series
from analysis.frame.values import n_values
from analysis.statistics.aggregate import in_order, key_names, with_t_interval
from analysis.statistics.copies import own_rows

CURVE = ["mean", "std", "low", "high", "count", "diverged"]
TRIAL = ["trial_id", "trial_dir"]
REACHED = ["first_epoch", "reached", "last_epoch"]


def curves(history: pd.DataFrame, by: Column | Sequence[Column], metric: Column) -> pd.DataFrame:
    """Return a metric over the epochs, averaged over the trials of each group.

    Rows are in the order of the keys' values, then of the epochs. The result has these columns:
    - the keys, `epoch`.
    - `mean`; `std` of the sample; `low` and `high`, the 95% t interval of the mean. `std` and the interval are NaN
      for a single trial.
    - `count`, trials with a value in that epoch; `diverged`, trials that are left out because a loss was NaN or
      infinite at their end. To count them, pass `history.drop(columns="diverged")`.

    Failed trials are counted up to the epoch that they reached. Where `count` falls, the curve continues with the
    surviving trials and may jump. A trial that began as a copy of another one counts from its first own epoch on.

    Args:
        history: one row per trial and epoch, as `load_history` gives it.
        by: hyperparameters, as names of columns or as Series of the same rows; an empty list gives one curve of all
            trials.
        metric: the name of a column of numbers, or a Series of the same rows.

    Raises:
        ValueError: if a column does not exist, `metric` holds no numbers, or a Series has no name or other rows.

    Example:
        >>> from analysis import curves, load_example_history
        >>> history = load_example_history("quickstart")
        >>> table = curves(history[history["on_perc"] == 0.1], "model", "val_acc")
        >>> table[table["epoch"] >= 7].drop(columns="diverged").round(3)
                  model  epoch   mean    std    low   high  count
        6          RigL      7  0.926  0.021  0.873  0.979      3
        7          RigL      8  0.910  0.018  0.864  0.955      3
        14          SET      7  0.940  0.014  0.904  0.976      3
        15          SET      8  0.935  0.028  0.865  1.005      3
        22  SparseModel      7  0.914  0.026  0.849  0.980      3
        23  SparseModel      8  0.935  0.035  0.848  1.022      3
    """
    history = own_rows(with_series(history, by, metric))
    metric, keys = column_name(metric), key_names(history, [*column_names(by), "epoch"], taken=CURVE)
    check_numbers(history, metric)
    by_key = [history[name] for name in keys]
    diverged = history["diverged"].eq(True) if "diverged" in history else pd.Series(False, index=history.index)
    groups = history[metric].mask(diverged).groupby(by_key, dropna=False, sort=False)
    table = with_t_interval(groups.agg(["mean", "std", "count"]))
    table["diverged"] = diverged.groupby(by_key, dropna=False, sort=False).sum()
    return in_order(table.reset_index(), keys)


def epochs_to(history: pd.DataFrame, metric: Column, level: float, lowest: bool = False) -> pd.DataFrame:
    """Return the first epoch in which each trial reaches a level of a metric; one row per trial.

    Rows are in the order of the hyperparameters. The result has these columns:
    - `trial_id`, `trial_dir`.
    - the hyperparameters that vary between the trials, without those that changed within one.
    - `first_epoch`; NaN if the trial never reaches the level. A copy of another trial counts that trial's epochs, too.
    - `reached`, True if it does.
    - `last_epoch`, the last epoch of the trial. A trial that stopped early might have reached the level later.

    A mean of `first_epoch` covers only the trials that reached the level: look at the mean of `reached` first.

    Args:
        history: one row per trial and epoch, as `load_history` gives it.
        metric: the name of a column of numbers, or a Series of the same rows.
        level: the value to reach. An equal value counts as reached.
        lowest: True if the metric falls to the level, as a loss does.

    Raises:
        ValueError: if a column does not exist, `metric` holds no numbers, or a Series has no name or other rows.

    Example:
        >>> from analysis import epochs_to, load_example_history
        >>> table = epochs_to(load_example_history("quickstart"), "val_acc", level=0.9)
        >>> table[table["on_perc"] == 0.05].drop(columns=["trial_id", "trial_dir"])
            seed        model  on_perc  first_epoch  reached  last_epoch
        1      0         RigL     0.05          5.0     True           8
        4      0          SET     0.05          NaN    False           8
        7      0  SparseModel     0.05          NaN    False           8
        10     1         RigL     0.05          4.0     True           8
        13     1          SET     0.05          NaN    False           8
        16     1  SparseModel     0.05          NaN    False           8
        19     2         RigL     0.05          NaN    False           8
        22     2          SET     0.05          7.0     True           8
        25     2  SparseModel     0.05          NaN    False           8
        >>> table.groupby("model")["reached"].mean().round(2)
        model
        RigL           0.56
        SET            0.44
        SparseModel    0.33
        Name: reached, dtype: float64
    """
    history, metric = with_series(history, metric), column_name(metric)
    check_columns(history, [*TRIAL, "epoch", metric])
    check_numbers(history, metric)
    trials = history.groupby(TRIAL, dropna=False, sort=False)
    rest = [name for name in hyperparameters(history) if name not in (*TRIAL, "epoch", metric, *REACHED)]
    fixed = [name for name in rest if (trials[name].nunique(dropna=False) <= 1).all()]
    names = [name for name in fixed if n_values(history[name]) > 1]
    is_there = history[metric] <= level if lowest else history[metric] >= level
    table = history[[*TRIAL, *names]].drop_duplicates(TRIAL).set_index(TRIAL)
    keys = [history[name] for name in TRIAL]
    table["first_epoch"] = history["epoch"].where(is_there).groupby(keys, dropna=False).min().astype(float)
    table["reached"] = table["first_epoch"].notna()
    table["last_epoch"] = history["epoch"].groupby(keys, dropna=False).max()
    return in_order(table.reset_index(), [*names, "trial_dir"])
