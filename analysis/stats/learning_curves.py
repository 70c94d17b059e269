"""Learning curves: a metric over the epochs, by group, and when it got somewhere."""

from collections.abc import Sequence

import pandas as pd

from analysis.frame.checks import check_columns, check_numbers
from analysis.frame.schema import hyperparameters
from analysis.stats.aggregate import in_order, key_names, with_t_interval

CURVE = ["mean", "std", "low", "high", "count"]
TRIAL = ["trial_id", "trial_dir"]
REACHED = ["first_epoch", "reached", "last_epoch"]


def curves(history: pd.DataFrame, by: str | Sequence[str], metric: str) -> pd.DataFrame:
    """A metric over the epochs, averaged over the trials of each group.

    Columns: the keys, `epoch`, `mean`, `std` (of the sample), `low` and `high` (the 95% t interval of the mean),
    `count` (trials with a value in that epoch; `std` and the interval are nan for one). Rows are in the order
    of the keys' values, then of the epochs. Failed trials take part as far as they came: where `count` falls, a
    curve goes on with the survivors and may jump.

    Args:
        history: one row per trial and epoch, as `load_history` gives it.
        by: hyperparameters; an empty list gives one curve of all trials.

    Raises: ValueError if a column does not exist, or `metric` holds no numbers.
    """
    keys = key_names(history, [*([by] if isinstance(by, str) else by), "epoch"], taken=CURVE)
    check_numbers(history, metric)
    groups = history[metric].groupby([history[name] for name in keys], dropna=False, sort=False)
    table = groups.agg(["mean", "std", "count"])
    return in_order(with_t_interval(table).reset_index(), keys)


def epochs_to(history: pd.DataFrame, metric: str, level: float, lowest: bool = False) -> pd.DataFrame:
    """The first epoch in which each trial reaches a level of a metric; one row per trial.

    Columns: `trial_id`, `trial_dir`, what varies between the trials but not within one (the hyperparameters),
    `first_epoch` (nan if it never does), `reached`, and `last_epoch`, the last that it ran: one that stopped
    early might have reached the level. Rows are in the order of the hyperparameters. A mean of `first_epoch` is
    of those that reached it only: look at the share that did first.

    Args:
        history: one row per trial and epoch, as `load_history` gives it.
        lowest: whether the metric falls to the level, as a loss does; it is reached when equal, too.

    Raises: ValueError if a column does not exist, or `metric` holds no numbers.
    """
    check_columns(history, [*TRIAL, "epoch", metric])
    check_numbers(history, metric)
    trials = history.groupby(TRIAL, dropna=False, sort=False)
    rest = [name for name in hyperparameters(history) if name not in (*TRIAL, "epoch", metric, *REACHED)]
    fixed = [name for name in rest if (trials[name].nunique(dropna=False) <= 1).all()]
    names = [name for name in fixed if history[name].nunique(dropna=False) > 1]
    is_there = history[metric] <= level if lowest else history[metric] >= level
    table = history[[*TRIAL, *names]].drop_duplicates(TRIAL).set_index(TRIAL)
    keys = [history[name] for name in TRIAL]
    table["first_epoch"] = history["epoch"].where(is_there).groupby(keys, dropna=False).min().astype(float)
    table["reached"] = table["first_epoch"].notna()
    table["last_epoch"] = history["epoch"].groupby(keys, dropna=False).max()
    return in_order(table.reset_index(), [*names, "trial_dir"])
