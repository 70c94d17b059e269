"""Pruning after training: what was measured at each sparsity, and where accuracy falls."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.frame.checks import check_columns, check_numbers
from analysis.frame.schema import metrics, with_schema
from analysis.pruning.rows import (
    TESTED,
    TRIAL,
    in_full,
    of_study,
    of_trial,
    on_test_set,
    settings,
    told_apart,
)
from analysis.stats.aggregate import agg, has_value

AXES = ["pruning", "sparsity"]
# Accuracies are counts over some thousand examples: what differs by less is equal but for rounding.
ROUNDING = 1e-9


def sweeps(history: pd.DataFrame, retrained: int | None = None) -> pd.DataFrame:
    """One row for each trial with `study="sweep"`, kind of pruning, and sparsity.

    Columns: the hyperparameters as in `load`; `pruning`, `sparsity`; all that was logged in that row; of the trained
    network, before any pruning, `val_acc_trained`, `val_loss_trained`, and likewise of `test_*`; `status` ("incomplete"
    where the trial has not come so far), `trial_id`, `trial_dir`. Rows are in the order of the history, of the trial's
    `prune_kinds` and of its `sparsities`. A trial that has logged nothing is in no history: see `failures`.

    The verbs and plots take it like what `load` gives: `pruning` and `sparsity` are axes, and what was measured is
    none. The DataFrame carries along which columns those are, through filters and pandas.concat too.

    Args:
        history: as `load_history` gives it.
        retrained: after so many epochs of retraining, 0 for right after pruning; None for the last of each trial.

    Raises: ValueError if no trial has that study, none has pruned yet, or none retrains for so long.
    """
    rows = of_study(history, "sweep", [*AXES, "retrained"])
    most = int(rows["retrain_epochs"].max())
    if retrained is not None and not 0 <= retrained <= most:
        raise ValueError(f"retrained must be from 0 to {most}, the epochs that trials retrain for, got {retrained}")
    names = settings(rows)
    wanted = rows["retrain_epochs"] if retrained is None else retrained
    is_pruned = rows["pruning"].notna()
    logged = [name for name in metrics(rows) if name not in (*AXES, "retrained")]
    found = rows.loc[is_pruned & (rows["retrained"] == wanted), [*TRIAL, *AXES, *logged]].assign(complete=True)
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
    """Loss and accuracy on the test set at each sparsity, mean over the trials: a line is one of the blog's table.

    Columns: those of `by`, `dataset`, `pruning`, `sparsity`, `test_loss`, `test_accuracy`, their sample deviations
    `test_loss_std` and `test_accuracy_std`, `count` (of trials with an accuracy) and `incomplete` (of those left out).
    Where a trial holds data out for val_* it is test_* that counts, else val_* is the test set. Rows are in the order
    of the values.

    Args:
        sweeps: as `sweeps` gives it.
        by: hyperparameters beside the data set that are not to be averaged over.

    Raises: ValueError if a column does not exist.
    """
    check_columns(sweeps, ["dataset_name", "val_fraction", *AXES, "val_acc", "val_loss"])
    frame = sweeps.assign(accuracy_=on_test_set(sweeps, "acc"), loss_=on_test_set(sweeps, "loss"))
    keys = [*by, "dataset_name", *AXES]
    accuracy, loss = agg(frame, keys, "accuracy_"), agg(frame, keys, "loss_")
    table = accuracy[keys].rename(columns={"dataset_name": "dataset"})
    table["test_loss"], table["test_accuracy"] = loss["mean"], accuracy["mean"]
    table["test_loss_std"], table["test_accuracy_std"] = loss["std"], accuracy["std"]
    return table.assign(count=accuracy["count"], incomplete=accuracy["incomplete"])


def sparsity_at_fall(sweeps: pd.DataFrame, points: float = 0.01, metric: str = "val_acc") -> pd.DataFrame:
    """The sparsity at which accuracy has fallen by so much below that of the trained network, for each trial and kind.

    Between two sparsities accuracy is taken to lie on a line. Where it falls, rises and falls again, the first
    fall counts. `agg` over it gives the mean over seeds and its interval, `compare` the difference between the kinds.

    Columns: the hyperparameters, `pruning`; `trained`, the metric of the trained network; `sparsity_at_fall`, nan
    where accuracy never fell so far; `never_fell`; `highest_sparsity` of the sweep, of which alone a trial that
    never fell tells that it is too low; `status` ("incomplete" if a sparsity is missing), `trial_id`, `trial_dir`.

    Args:
        sweeps: as `sweeps` gives it.
        points: how much, as a fraction: 0.01 is one point of accuracy.

    Raises: ValueError if a column does not exist, or `points` is not above 0.
    """
    if not points > 0:
        raise ValueError(f"points must be above 0, got {points}; 0.01 is one point of accuracy")
    check_columns(sweeps, [*AXES, *TRIAL, "status", metric, f"{metric}_trained"])
    check_numbers(sweeps, metric)
    found = []
    for keys, rows in sweeps.groupby([*TRIAL, "pruning"], sort=False, dropna=False):
        whole = bool(has_value(sweeps.loc[rows.index], metric).all())
        rows = rows.sort_values("sparsity")
        trained = rows[f"{metric}_trained"].iloc[0]
        sparsities, values = [0.0, *rows["sparsity"]], [trained, *rows[metric]]
        fall = _first_below(np.array(sparsities), np.array(values), trained - points) if whole else math.nan
        status = "complete" if whole else "incomplete"
        found.append([*keys, trained, fall, whole and math.isnan(fall), sparsities[-1], status])
    names = of_trial(sweeps, besides=AXES)
    measured = ["trained", "sparsity_at_fall", "never_fell", "highest_sparsity"]
    falls = pd.DataFrame(found, columns=[*TRIAL, "pruning", *measured, "status"])
    falls = sweeps[[*names, *TRIAL]].drop_duplicates(TRIAL).merge(falls, on=TRIAL)
    axes = [*names, "pruning"]
    return with_schema(falls[[*axes, *measured, "status", *TRIAL]], axes, measured, sweeps)


def _first_below(sparsities: np.ndarray, values: np.ndarray, level: float) -> float:
    """Where the line through the values first comes down to a level; nan if it does not."""
    for i in range(1, len(values)):
        if values[i] <= level + ROUNDING:
            # A rise at the same sparsity, as retraining at sparsity 0 may give, has no line.
            share = (values[i - 1] - level) / (values[i - 1] - values[i])
            return float(sparsities[i - 1] + min(share, 1.0) * (sparsities[i] - sparsities[i - 1]))
    return math.nan


def mean_sparsity_at_fall(falls: pd.DataFrame, by: Sequence[str] | None = None) -> pd.DataFrame:
    """The mean of `sparsity_at_fall` over the trials of each kind of pruning, with its 95% t interval, as in `agg`.

    Columns: those of `by`, `pruning`, `mean`, `std`, `low`, `high`, `count` (of trials that fell), `never_fell`,
    `incomplete`, and `conclusion`, a sentence. Trials that never fell have no place in the mean, which is too low
    for that; the sentence says so. The interval ends at 0 and 1, where sparsities do.

    Args:
        by: hyperparameters that are not averaged over; by default the data set, and all that vary but `seed`.

    Raises: ValueError if a column does not exist.
    """
    by = told_apart(falls) if by is None else list(by)
    table = agg(falls, [*by, "pruning"], "sparsity_at_fall").rename(columns={"without_value": "never_fell"})
    table = table[[*by, "pruning", "mean", "std", "low", "high", "count", "never_fell", "incomplete"]]
    table[["low", "high"]] = table[["low", "high"]].clip(0, 1)
    return table.assign(conclusion=[_fall_in_words(row, by) for row in table.to_dict("records")])


def _fall_in_words(row: dict[Any, Any], by: Sequence[str]) -> str:
    where = ", ".join([*(str(row[name]) for name in by), f"{row['pruning']} pruning"])
    count, never = row["count"], row["never_fell"]
    total = count + never
    if not total:
        return f"{where}: no trial is complete."
    if not count:
        return f"{where}: accuracy fell so far in none of {total} trials."
    interval = "" if pd.isna(row["low"]) else f"95% interval {row['low']:.3g} to {row['high']:.3g}, "
    text = f"{where}: accuracy has fallen at sparsity {row['mean']:.3g} ({interval}{count} of {total} trials)."
    return f"{text} The other {never} never fell so far, so that the mean is too low." if never else text
