"""Selection without the test set: choose an epoch by a validation metric, and report the test set there."""

import numpy as np
import pandas as pd

from analysis.frame.checks import check_columns, check_numbers
from analysis.frame.schema import hyperparameters, metrics, with_schema
from analysis.frame.series import Column, column_name, with_series
from analysis.frame.summaries import AT_BEST, summarised
from analysis.statistics.ranking import is_better_low

TRIAL = ["trial_id", "trial_dir"]


def at_best(
    df: pd.DataFrame, history: pd.DataFrame, metric: Column, by: Column = "val_acc", lowest: bool | None = None
) -> pd.DataFrame:
    """Return the trials with one more column: the metric in the epoch in which another metric is best.

    The column is called `<metric>_at_best_<by>` and is a metric like the others, for `agg`, `compare`, plots. Of equal
    epochs the first is taken. The value is NaN where a trial never logged a finite `by`, or not `metric` in that epoch.

    The best of many epochs is biased: it was chosen partly for its noise. Choose the epoch on held-out examples
    (`val_fraction`) and report the test set in that epoch. `load` does so for accuracy: `test_acc_at_best`.

    Args:
        df: the trials.
        history: one row per trial and epoch, as `load_history` gives it.
        metric: the column of the history to report, or a Series of its rows.
        by: the column of the history that chooses the epoch, or a Series of its rows.
        lowest: True if low values of `by` are better; None decides by its name: low is better for a loss or an error.

    Raises:
        ValueError: if a column does not exist or holds no numbers, or a Series has no name or other rows.

    Example:
        >>> from analysis import at_best, load_example, load_example_history
        >>> df, history = load_example("quickstart"), load_example_history("quickstart")
        >>> df = at_best(df, history, "test_acc", by="val_loss")
        >>> df[["model", "on_perc", "test_acc_at_best", "test_acc_at_best_val_loss"]].tail(3).round(3)
                  model  on_perc  test_acc_at_best  test_acc_at_best_val_loss
        24  SparseModel      0.1             0.942                      0.942
        25  SparseModel      0.1             0.933                      0.936
        26  SparseModel      0.1             0.961                      0.961
    """
    history, metric, by = with_series(history, metric, by), column_name(metric), column_name(by)
    check_columns(df, TRIAL)
    check_columns(history, [*TRIAL, "epoch", metric, by])
    check_numbers(history, metric)
    check_numbers(history, by)
    is_low = is_better_low(by) if lowest is None else lowest
    there = history[np.isfinite(history[by].astype(float))].sort_values(
        [by, "epoch"], ascending=[is_low, True], kind="stable"
    )
    first = there.drop_duplicates(TRIAL).set_index(TRIAL)[metric]
    name = f"{metric}_at_best_{by}"
    trials = df.assign(**{name: first.reindex(pd.MultiIndex.from_frame(df[TRIAL])).to_numpy(float)})
    return with_schema(trials, hyperparameters(df), [*metrics(df), name], df)


def selection_note(df: pd.DataFrame, metric: str) -> str:
    """Return a warning if a metric is the best epoch on the test set, else "".

    Without `val_fraction`, metrics that begin with `val_` are measured on the test set.
    """
    logged = summarised(metric)
    is_best = metric == f"{logged}{'_min' if is_better_low(logged) else '_max'}"
    if not is_best or not (logged.startswith("test_") or (logged.startswith("val_") and not holds_out(df))):
        return ""
    last = f"{logged}_last"
    return (
        f"{metric} is the best of all epochs on the test set, so it is too high as a result to report. "
        f"Report {last}, or train with val_fraction=0.1 and report test_{logged.split('_', 1)[1]}_at_best."
    )


def holds_out(df: pd.DataFrame) -> bool:
    """Return True if `val_*` is measured on held-out examples, False if on the test set (`val_fraction` is 0)."""
    return bool(df["val_fraction"].fillna(0).ne(0).any()) if "val_fraction" in df else True


def validation_metric(df: pd.DataFrame, metric: str) -> str:
    """Return the validation metric that chooses a setting whose test metric is reported.

    It is `metric` itself if that is not measured on the test set, if no examples are held out, or if the validation
    metric was not loaded.
    """
    logged = summarised(metric)
    on, _, quantity = logged.partition("_")
    if on != "test" or not holds_out(df):
        return metric
    name = f"val_{quantity}"
    ends = [metric.removeprefix(logged), "_min" if is_better_low(name) else "_max"]
    return next((f"{name}{end}" for end in ends if end != AT_BEST and f"{name}{end}" in df), metric)
