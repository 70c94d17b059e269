"""Trial folders as DataFrames: one row per trial, or one per trial and epoch."""

import math
import os
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Any

import pandas as pd

from analysis.folders import Issue, Trial, read_experiment
from analysis.names import unknown
from analysis.values import as_number, is_number, sort_key

PathName = str | os.PathLike[str]

FIRST_COLUMNS = ["Experiment Name"]
RUN_COLUMNS = ["epochs", "experiment_file_name", "trial_time", "mean_epoch_time"]
LAST_COLUMNS = ["status", "error", "diverged", "trial_id", "trial_dir"]
HISTORY_COLUMNS = ["trial_id", "trial_dir", "epoch"]
SUMMARIES = ["_max", "_max_epoch", "_min", "_min_epoch", "_median", "_last"]

# What Tune adds to every row; everything else in a row is a metric.
BOOKKEEPING = {
    "date",
    "done",
    "checkpoint_dir_name",
    "episodes_this_iter",
    "episodes_total",
    "experiment_id",
    "experiment_tag",
    "hostname",
    "iterations_since_restore",
    "node_ip",
    "pid",
    "should_checkpoint",
    "time_since_restore",
    "time_this_iter_s",
    "time_total_s",
    "timestamp",
    "timesteps_since_restore",
    "timesteps_this_iter",
    "timesteps_total",
    "trainable_name",
    "training_iteration",
    "trial_id",
    "trial_log_path",
    "warmup_time",
}


def load(path: PathName, metrics: Sequence[str] | None = None) -> pd.DataFrame:
    """One row per trial of a Tune experiment folder, with the columns of `load_many`."""
    return load_many([path], metrics)


def load_many(paths: Iterable[PathName], metrics: Sequence[str] | None = None) -> pd.DataFrame:
    """One row per trial of several Tune experiment folders, failed and unfinished ones included.

    Columns, in this order:
    - `Experiment Name`: the trial's tag, else the name of its folder.
    - for each metric `_max`, `_max_epoch` (the row, counted from 0), `_min`, `_min_epoch`, `_median` and
      `_last`. Missing values take no part, except in `_last`, which is that of the last row.
    - `epochs` (the last training_iteration), `experiment_file_name` (the path as given, which tells
      experiments apart), `trial_time` and `mean_epoch_time` in minutes.
    - every hyperparameter under its own name. Inner dicts are unfolded with "/", lists are tuples. One that
      has the name of another column is called `config/<name>`. `seed` is always there.
    - `status` ("complete", "error", "incomplete"), `error` (its last line, missing if there was none), `diverged`
      (a loss is NaN or infinite in the last row), `trial_id`, `trial_dir` (the name of the trial's folder).

    Rows are ordered by experiment, then by the hyperparameters, `seed` last. What was damaged is
    told by `issues`.

    Args:
        metrics: names of logged values; by default every logged number with "acc" in its name.

    Raises: FileNotFoundError if there is no such folder; ValueError if it holds no trial, or if no trial
    logged one of `metrics`.
    """
    trials, found = _read_all(paths)
    chosen = _chosen_metrics(trials, metrics, lambda name: "acc" in name and _is_numeric(trials, name))
    computed = [f"{name}{summary}" for name in chosen for summary in SUMMARIES]
    names = _column_names(trials, {*FIRST_COLUMNS, *computed, *RUN_COLUMNS, *LAST_COLUMNS})
    columns = [*FIRST_COLUMNS, *computed, *RUN_COLUMNS, *names.values(), *LAST_COLUMNS]
    rows = [
        [
            trial.name,
            *(value for name in chosen for value in _summarise(_numbers(trial, name))),
            _epoch(trial.rows[-1], len(trial.rows)) if trial.rows else 0,
            trial.experiment,
            *_minutes(trial),
            *(trial.config.get(key, math.nan) for key in names),
            *(trial.status, trial.error, _has_diverged(trial), trial.trial_id, trial.trial_dir),
        ]
        for trial in trials
    ]
    return _table(rows, columns, found + _not_numbers(trials, chosen))


def load_history(path: PathName, metrics: Sequence[str] | None = None) -> pd.DataFrame:
    """One row per trial and epoch of a Tune experiment folder.

    Columns: `trial_id`, `trial_dir`, `epoch` (the training_iteration); every logged value but Tune's own
    bookkeeping, numbers as numbers; then the hyperparameters as in `load`. A logged value called like one of
    the first three is `result/<name>`. Rows are ordered as in `load`, then by epoch.

    Args and Raises: see `load_many`; by default all metrics.
    """
    trials, found = _read_all([path])
    chosen = _chosen_metrics(trials, metrics, lambda name: True)
    logged = {name: f"result/{name}" if name in HISTORY_COLUMNS else name for name in chosen}
    names = _column_names(trials, {*HISTORY_COLUMNS, *logged.values()})
    numeric = [name for name in chosen if _is_numeric(trials, name)]
    columns = [*HISTORY_COLUMNS, *logged.values(), *names.values()]
    rows = []
    for trial in trials:
        numbers = {name: _numbers(trial, name) for name in numeric}
        config = [trial.config.get(key, math.nan) for key in names]
        for i, row in enumerate(trial.rows):
            values = [numbers[name][i] if name in numbers else row.get(name) for name in chosen]
            rows.append([trial.trial_id, trial.trial_dir, _epoch(row, i + 1), *values, *config])
    return _table(rows, columns, found + _not_numbers(trials, numeric))


def issues(df: pd.DataFrame) -> pd.DataFrame:
    """What was damaged in the folders that a DataFrame was loaded from: `trial_dir`, `file`, `problem`.

    `trial_dir` is missing where the file belongs to the experiment. The DataFrame carries this along when it
    is filtered; pandas.concat drops it, so load several experiments with `load_many`.
    """
    return pd.DataFrame(df.attrs.get("issues", []), columns=list(Issue._fields))


def hyperparameters(df: pd.DataFrame) -> list[str]:
    """The columns of a loaded DataFrame that are not computed; columns that its user added count as such."""
    fixed = {*FIRST_COLUMNS, *RUN_COLUMNS, *LAST_COLUMNS}
    metrics = {name.removesuffix("_max_epoch") for name in df.columns if name.endswith("_max_epoch")}
    computed = {f"{metric}{summary}" for metric in metrics for summary in SUMMARIES}
    return [name for name in df.columns if name not in fixed | computed]


def _read_all(paths: Iterable[PathName]) -> tuple[list[Trial], list[Issue]]:
    if isinstance(paths, (str, os.PathLike)):
        raise ValueError(f"paths is a list of folders, got {paths!r}; load takes a single one")
    trials: list[Trial] = []
    found: list[Issue] = []
    for path in paths:
        more_trials, more_issues = read_experiment(path)
        trials += more_trials
        found += more_issues
    if not trials:
        raise ValueError("paths is empty; give at least one experiment folder")
    return _in_order(trials), found


def _in_order(trials: list[Trial]) -> list[Trial]:
    experiments = list(dict.fromkeys(trial.experiment for trial in trials))
    keys = dict.fromkeys(key for trial in trials for key in trial.config)
    seed_last = sorted(keys, key="seed".__eq__)

    def place(trial: Trial) -> tuple[Any, ...]:
        values = tuple(sort_key(trial.config.get(key)) for key in seed_last)
        return (experiments.index(trial.experiment), values, trial.trial_id, trial.trial_dir)

    return sorted(trials, key=place)


def _chosen_metrics(trials: list[Trial], metrics: Sequence[str] | None, is_default: Callable[[str], bool]) -> list[str]:
    logged = dict.fromkeys(name for trial in trials for row in trial.rows for name in row)
    choices = [name for name in logged if name not in BOOKKEEPING]
    if metrics is None:
        return [name for name in choices if is_default(name)]
    if isinstance(metrics, str):
        raise ValueError(f"metrics is a list of names, got {metrics!r}; write [{metrics!r}]")
    # Where every row is lost there is nothing to choose from, and that is no mistake of the caller.
    wrong = [name for name in metrics if choices and name not in choices]
    if wrong:
        raise ValueError("; ".join(unknown("metric", name, choices) for name in wrong))
    return list(dict.fromkeys(metrics))


def _column_names(trials: list[Trial], taken: set[str]) -> dict[str, str]:
    """The column of each hyperparameter, `seed` included."""
    keys = dict.fromkeys([*(key for trial in trials for key in trial.config), "seed"])
    return {key: f"config/{key}" if key in taken else key for key in keys}


def _is_numeric(trials: list[Trial], name: str) -> bool:
    return any(is_number(row.get(name)) for trial in trials for row in trial.rows)


def _numbers(trial: Trial, name: str) -> list[float]:
    """The metric in each row, nan where it is missing or no number."""
    numbers = [as_number(row.get(name)) for row in trial.rows]
    return [math.nan if number is None else number for number in numbers]


def _has_diverged(trial: Trial) -> bool:
    """Whether a logged value with "loss" in its name is NaN or infinite in the last row."""
    last = trial.rows[-1] if trial.rows else {}
    losses = [as_number(value) for name, value in last.items() if "loss" in name and value not in (None, "")]
    return any(loss is not None and not math.isfinite(loss) for loss in losses)


def _not_numbers(trials: list[Trial], names: list[str]) -> list[Issue]:
    """Values of numeric metrics that are no numbers, one issue for each trial and metric."""
    found = []
    for trial in trials:
        for name in names:
            wrong = [row[name] for row in trial.rows if name in row and as_number(row[name]) is None]
            if wrong:
                problem = f"{name} is not a number in {len(wrong)} rows, first {wrong[0]!r}"
                found.append(Issue(trial.trial_dir, "result.json", problem))
    return found


def _summarise(numbers: list[float]) -> list[float]:
    """The values of SUMMARIES. Of equal values the first counts."""
    present = [(number, i) for i, number in enumerate(numbers) if not math.isnan(number)]
    if not present:
        return [math.nan] * len(SUMMARIES)
    highest = max(present, key=lambda pair: pair[0])
    lowest = min(present, key=lambda pair: pair[0])
    return [*highest, *lowest, median(number for number, _ in present), numbers[-1]]


def _epoch(row: dict[str, Any], position: int) -> int:
    """The row's training_iteration; its position, counted from 1, if it has none."""
    iteration = as_number(row.get("training_iteration"))
    return int(iteration) if iteration is not None and math.isfinite(iteration) else position


def _minutes(trial: Trial) -> tuple[float, float]:
    """The time of all rows of the trial, and of the mean row; nan if no time was logged."""
    seconds = [second for second in _numbers(trial, "time_this_iter_s") if not math.isnan(second)]
    return (sum(seconds) / 60, sum(seconds) / 60 / len(seconds)) if seconds else (math.nan, math.nan)


def _table(rows: list[list[Any]], columns: list[str], found: list[Issue]) -> pd.DataFrame:
    df = pd.DataFrame(rows, columns=columns)
    # Plain tuples: pandas compares and copies what is in attrs, and chokes on a DataFrame there.
    df.attrs["issues"] = [tuple(issue) for issue in found]
    return df
