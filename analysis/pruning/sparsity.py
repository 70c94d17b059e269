"""Pruning after training: the metrics at each sparsity, and the sparsity at which accuracy falls."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.frame.checks import check_columns, check_numbers
from analysis.frame.schema import metrics, with_schema
from analysis.frame.words import setting_text
from analysis.pruning.rows import (
    TESTED,
    TRIAL,
    default_groups,
    in_full,
    is_diverged_row,
    of_study,
    of_trial,
    on_test_set,
    score_in_words,
    settings,
)
from analysis.statistics.aggregate import agg, has_value
from analysis.statistics.divergence import is_diverged

AXES = ["pruning", "sparsity"]
# The columns of `sparsity_summary` for what trials log.
COLUMNS = {"loss": "test_loss", "acc": "test_accuracy", "r2": "test_r2", "rmse": "test_rmse"}
# Accuracies are counts over some thousand examples: a smaller difference is a rounding error.
ROUNDING = 1e-9


def sweeps(history: pd.DataFrame, retrained: int | None = None) -> pd.DataFrame:
    """Return one row for each trial with `study="sweep"`, kind of pruning, and sparsity.

    Rows are in the order of the history, then of the trial's `prune_kinds` and `sparsities`. A trial that has logged
    nothing is in no history: see `failures`. The result has these columns:
    - the hyperparameters as in `load`.
    - `pruning`, "weight" or "unit"; `sparsity`, the fraction pruned.
    - all metrics of that row; NaN where the trial has not got that far.
    - `val_acc_trained`, `val_loss_trained`, and likewise for `test_*`, `*_r2` and `*_rmse`: the trained network before
      any pruning.
    - `status`, "incomplete" where the trial has not got that far; `diverged`, True where a loss is NaN or infinite;
      `trial_id`, `trial_dir`.

    Functions and plots take the result like that of `load`: `pruning` and `sparsity` are hyperparameters in its schema.

    Args:
        history: one row per trial and epoch, as `load_history` gives it.
        retrained: number of epochs of retraining, 0 for right after pruning; None for the last row of each sparsity.

    Raises:
        ValueError: if no trial has that study, no trial has pruned yet, or no trial retrains for that many epochs.

    Example:
        >>> from analysis import load_example_history, sweeps
        >>> df = sweeps(load_example_history("sweep"))
        >>> df[["seed", "pruning", "sparsity", "val_acc", "val_acc_trained", "status"]].head(6).round(3)
           seed pruning  sparsity  val_acc  val_acc_trained    status
        0     0  weight      0.00    0.967            0.967  complete
        1     0  weight      0.25    0.967            0.967  complete
        2     0  weight      0.50    0.964            0.967  complete
        3     0  weight      0.70    0.894            0.967  complete
        4     0  weight      0.80    0.794            0.967  complete
        5     0  weight      0.90    0.736            0.967  complete
    """
    rows = of_study(history, "sweep", [*AXES, "retrained"])
    most = int(rows["retrain_epochs"].max())
    if retrained is not None and not 0 <= retrained <= most:
        raise ValueError(f"retrained must be from 0 to {most}, the epochs that trials retrain for, got {retrained}.")
    names = settings(rows)
    wanted = rows["retrain_epochs"] if retrained is None else retrained
    is_pruned = rows["pruning"].notna()
    logged = [name for name in metrics(rows) if name not in (*AXES, "retrained")]
    found = rows.loc[is_pruned & (rows["retrained"] == wanted), [*TRIAL, *AXES, *logged]]
    found = found.assign(complete=True, diverged=is_diverged_row(rows))
    tested = {name: f"{name}_trained" for name in TESTED if name in rows}
    trained = rows[~is_pruned].drop_duplicates(TRIAL, keep="last")[[*TRIAL, *tested]].rename(columns=tested)
    expected = [
        (trial_id, trial_dir, kind, float(sparsity))
        for trial_id, trial_dir, kinds, sparsities in rows[[*TRIAL, "prune_kinds", "sparsities"]]
        .drop_duplicates(TRIAL)
        .itertuples(index=False)
        for kind, sparsity in itertools.product(kinds, sparsities)
    ]
    return in_full(rows, names, AXES, expected, found.merge(trained, on=TRIAL, how="left"))


def sparsity_summary(sweeps: pd.DataFrame, by: Sequence[str] = ()) -> pd.DataFrame:
    """Return loss and accuracy, or R² and RMSE, on the test set at each sparsity, averaged over the trials.

    If a trial holds out data for val_*, test_* is used; if not, val_* was measured on the test set. Rows are in the
    order of the values. The result has these columns:
    - those of `by`, `dataset`, `pruning`, `sparsity`.
    - `test_loss`, `test_accuracy`: means over the trials.
    - `test_loss_std`, `test_accuracy_std`: sample standard deviations; NaN for a single trial.
    - of regressions, `test_r2` and `test_rmse` in place of `test_accuracy`, and their standard deviations.
    - `count`, trials with a loss; `incomplete`, `diverged`, trials that were left out.

    Args:
        sweeps: the result of `sweeps`.
        by: hyperparameters besides the data set that are not averaged over.

    Raises:
        ValueError: if a column does not exist.

    Example:
        >>> from analysis import load_example_history, sparsity_summary, sweeps
        >>> table = sparsity_summary(sweeps(load_example_history("sweep")))
        >>> table[["pruning", "sparsity", "test_loss", "test_accuracy", "test_accuracy_std", "count"]].round(3)
           pruning  sparsity  test_loss  test_accuracy  test_accuracy_std  count
        0     unit      0.00      0.152          0.959              0.018      5
        1     unit      0.25      0.568          0.791              0.020      5
        2     unit      0.50      1.539          0.467              0.092      5
        3     unit      0.70      2.165          0.314              0.129      5
        4     unit      0.80      2.256          0.240              0.088      5
        5     unit      0.90      2.391          0.159              0.037      5
        6   weight      0.00      0.152          0.959              0.018      5
        7   weight      0.25      0.157          0.959              0.016      5
        8   weight      0.50      0.195          0.945              0.014      5
        9   weight      0.70      0.435          0.876              0.037      5
        10  weight      0.80      0.739          0.815              0.047      5
        11  weight      0.90      1.485          0.598              0.123      5
    """
    check_columns(sweeps, ["dataset_name", "val_fraction", *AXES, "val_loss"])
    measured = {name: column for name, column in COLUMNS.items() if f"val_{name}" in sweeps}
    frame = sweeps.assign(**{f"{name}_": on_test_set(sweeps, name) for name in measured})
    keys = [*by, "dataset_name", *AXES]
    of_each = {column: agg(frame, keys, f"{name}_") for name, column in measured.items()}
    losses = of_each["test_loss"]
    table = losses[keys].rename(columns={"dataset_name": "dataset"})
    table = table.assign(**{column: found["mean"] for column, found in of_each.items()})
    table = table.assign(**{f"{column}_std": found["std"] for column, found in of_each.items()})
    return table.assign(**{name: losses[name] for name in ("count", "incomplete", "diverged")})


def sparsity_at_fall(sweeps: pd.DataFrame, points: float = 0.01, metric: str = "val_acc") -> pd.DataFrame:
    """Return the sparsity at which accuracy has fallen by some points, for each trial and kind of pruning.

    The fall is measured from the trained network, and accuracy is interpolated linearly between two sparsities. If it
    falls, rises and falls again, the first fall counts. `agg` of the result gives the mean over seeds and its interval,
    `compare` the difference between the kinds. The result has these columns:
    - the hyperparameters, `pruning`.
    - `trained`, the metric of the trained network.
    - `sparsity_at_fall`; NaN if accuracy never fell by that much.
    - `never_fell`, True in that case; `highest_sparsity` of the sweep, up to which accuracy did not fall.
    - `status`, "incomplete" if a sparsity is missing; `diverged`, True if a loss is NaN or infinite at any sparsity;
      `trial_id`, `trial_dir`.

    Args:
        sweeps: the result of `sweeps`.
        points: the fall, as a fraction: 0.01 is one point of accuracy.
        metric: the accuracy, or R²; higher is better.

    Raises:
        ValueError: if a column does not exist, or `points` is not above 0.

    Example:
        >>> from analysis import load_example_history, sparsity_at_fall, sweeps
        >>> falls = sparsity_at_fall(sweeps(load_example_history("sweep")), points=0.05)
        >>> falls[["seed", "pruning", "trained", "sparsity_at_fall", "never_fell"]].head(4).round(3)
           seed pruning  trained  sparsity_at_fall  never_fell
        0     0  weight    0.967             0.636       False
        1     0    unit    0.967             0.067       False
        2     1  weight    0.975             0.550       False
        3     1    unit    0.975             0.076       False
    """
    if not points > 0:
        raise ValueError(f"points must be above 0, such as 0.01 for one point of accuracy, got {points}.")
    check_columns(sweeps, [*AXES, *TRIAL, "status", metric, f"{metric}_trained"])
    check_numbers(sweeps, metric)
    found = []
    for keys, rows in sweeps.groupby([*TRIAL, "pruning"], sort=False, dropna=False):
        diverged = bool(is_diverged(rows).any())
        whole = bool(has_value(rows, metric).all())
        rows = rows.sort_values("sparsity")
        trained = rows[f"{metric}_trained"].iloc[0]
        sparsities, values = [0.0, *rows["sparsity"]], [trained, *rows[metric]]
        fall = _first_below(np.array(sparsities), np.array(values), trained - points) if whole else math.nan
        status = "complete" if whole or diverged else "incomplete"
        found.append([*keys, trained, fall, whole and math.isnan(fall), sparsities[-1], status, diverged])
    names = of_trial(sweeps, besides=AXES)
    measured = ["trained", "sparsity_at_fall", "never_fell", "highest_sparsity"]
    fates = ["status", "diverged"]
    falls = pd.DataFrame(found, columns=[*TRIAL, "pruning", *measured, *fates])
    falls = sweeps[[*names, *TRIAL]].drop_duplicates(TRIAL).merge(falls, on=TRIAL)
    axes = [*names, "pruning"]
    return with_schema(falls[[*axes, *measured, *fates, *TRIAL]], axes, measured, sweeps)


def _first_below(sparsities: np.ndarray, values: np.ndarray, level: float) -> float:
    """Return the sparsity at which the line through the values first falls to a level; NaN if it does not."""
    for i in range(1, len(values)):
        if values[i] <= level + ROUNDING:
            # A rise at the same sparsity, as retraining at sparsity 0 may give, has no line.
            share = (values[i - 1] - level) / (values[i - 1] - values[i])
            return float(sparsities[i - 1] + min(share, 1.0) * (sparsities[i] - sparsities[i - 1]))
    return math.nan


def mean_sparsity_at_fall(
    falls: pd.DataFrame, by: Sequence[str] | None = None, metric: str = "val_acc"
) -> pd.DataFrame:
    """Return the mean of `sparsity_at_fall` over the trials of each kind of pruning, with its 95% t interval.

    The result has these columns:
    - those of `by`, `pruning`.
    - `mean`, `std`, `low`, `high` as in `agg`. The interval is cut off at 0 and 1.
    - `count`, trials whose accuracy fell; `never_fell`, trials whose accuracy did not; `incomplete`, `diverged`.
    - `conclusion`, a sentence.

    Trials that never fell are left out, so the mean is too low if there are any; the sentence says so.

    Args:
        falls: the result of `sparsity_at_fall`.
        by: hyperparameters that are not averaged over; by default the data set, and all that vary except `seed`.
        metric: the metric that fell, for the sentence.

    Raises:
        ValueError: if a column does not exist.

    Example:
        >>> from analysis import load_example_history, mean_sparsity_at_fall, sparsity_at_fall, sweeps
        >>> falls = sparsity_at_fall(sweeps(load_example_history("sweep")), points=0.05)
        >>> mean_sparsity_at_fall(falls)[["pruning", "mean", "low", "high", "count", "never_fell"]].round(3)
          pruning   mean    low   high  count  never_fell
        0    unit  0.075  0.060  0.090      5           0
        1  weight  0.621  0.515  0.728      5           0
    """
    by = default_groups(falls) if by is None else list(by)
    table = agg(falls, [*by, "pruning"], "sparsity_at_fall").rename(columns={"without_value": "never_fell"})
    table = table[[*by, "pruning", "mean", "std", "low", "high", "count", "never_fell", "incomplete", "diverged"]]
    table[["low", "high"]] = table[["low", "high"]].clip(0, 1)
    return table.assign(
        conclusion=[_fall_in_words(row, by, score_in_words(metric)) for row in table.to_dict("records")]
    )


def _fall_in_words(row: dict[Any, Any], by: Sequence[str], score: str) -> str:
    where = ", ".join(filter(None, [setting_text(by, row), f"{row['pruning']} pruning"]))
    count, never = row["count"], row["never_fell"]
    total = count + never
    if not total:
        return f"{where}: no trial is complete."
    if not count:
        return f"{where}: {score} fell so far in none of {total} trials."
    interval = "" if pd.isna(row["low"]) else f"95% interval {row['low']:.3g} to {row['high']:.3g}, "
    text = f"{where}: {score} has fallen at sparsity {row['mean']:.3g} ({interval}{count} of {total} trials)."
    return f"{text} The other {never} never fell so far, so that the mean is too low." if never else text
