"""Trial folders as DataFrames: one row per trial, or one per trial and epoch."""

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.frame.schema import FIRST_COLUMNS, LAST_COLUMNS, RUN_COLUMNS, SUMMARIES, with_schema
from analysis.frame.suggest import unknown
from analysis.frame.values import as_number, sort_key
from analysis.loading.columns import Array, History, is_numeric, joined, numbers, summarise
from analysis.loading.contents import Contents
from analysis.loading.experiment import read_experiment
from analysis.loading.trial_dir import BOOKKEEPING, Issue, Trial

PathName = str | os.PathLike[str]

NONE = np.empty(0)
HISTORY_COLUMNS = ["trial_id", "trial_dir", "epoch"]


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
    contents, experiments = _read_all(paths)
    trials, history = contents.trials, contents.history
    configs = _config_columns(trials)
    chosen = _chosen_metrics(history, metrics, lambda name: "acc" in name and is_numeric(history.columns[name]))
    of_metrics = {
        f"{name}{summary}": values
        for name in chosen
        for summary, values in zip(SUMMARIES, summarise(_numbers(history, name), history.starts), strict=True)
    }
    names = _column_names(configs, {*FIRST_COLUMNS, *of_metrics, *RUN_COLUMNS, *LAST_COLUMNS})
    first, last = history.starts[:-1], history.starts[1:] - 1
    epochs = _epochs(history)
    columns = {
        FIRST_COLUMNS[0]: [trial.name for trial in trials],
        **of_metrics,
        "epochs": np.where(first <= last, epochs[last] if len(epochs) else 0, 0),
        "experiment_file_name": experiments,
        **_minutes(history),
        **{names[key]: configs.get(key, [math.nan] * len(trials)) for key in names},
        "status": [trial.status for trial in trials],
        "error": [trial.error for trial in trials],
        "diverged": [trial.diverged for trial in trials],
        "trial_id": [trial.trial_id for trial in trials],
        "trial_dir": [trial.trial_dir for trial in trials],
    }
    df = _table(columns, contents.issues + _not_numbers(contents, chosen), _order(trials, configs, experiments))
    return with_schema(df, list(names.values()), list(of_metrics))


def load_history(path: PathName, metrics: Sequence[str] | None = None) -> pd.DataFrame:
    """One row per trial and epoch of a Tune experiment folder.

    Columns: `trial_id`, `trial_dir`, `epoch` (the training_iteration); every logged value but Tune's own
    bookkeeping, numbers as numbers; then the hyperparameters as in `load`. A logged value called like one of
    the first three is `result/<name>`. Rows are ordered as in `load`, then by epoch.

    Args and Raises: see `load_many`; by default all metrics.
    """
    contents, experiments = _read_all([path])
    trials, history = contents.trials, contents.history
    configs = _config_columns(trials)
    chosen = _chosen_metrics(history, metrics, lambda name: True)
    called = {name: f"result/{name}" if name in HISTORY_COLUMNS else name for name in chosen}
    names = _column_names(configs, {*HISTORY_COLUMNS, *called.values()})
    numeric = [name for name in chosen if is_numeric(history.columns[name])]
    of_trials = {
        "trial_id": [trial.trial_id for trial in trials],
        "trial_dir": [trial.trial_dir for trial in trials],
        **{names[key]: configs.get(key, [math.nan] * len(trials)) for key in names},
    }
    repeated = pd.DataFrame(of_trials).loc[np.repeat(np.arange(len(trials)), np.diff(history.starts))]
    columns: dict[str, Any] = {
        "trial_id": repeated.pop("trial_id").array,
        "trial_dir": repeated.pop("trial_dir").array,
        "epoch": _epochs(history),
        **{
            called[name]: _numbers(history, name) if name in numeric else history.columns[name].tolist()
            for name in chosen
        },
        **{str(name): repeated[name].array for name in repeated},
    }
    df = _table(
        columns,
        contents.issues + _not_numbers(contents, numeric),
        history.rows_of(_order(trials, configs, experiments)),
    )
    return with_schema(df, list(names.values()), list(called.values()))


def issues(df: pd.DataFrame) -> pd.DataFrame:
    """What was damaged in the folders that a DataFrame was loaded from: `trial_dir`, `file`, `problem`.

    `trial_dir` is missing where the file belongs to the experiment. The DataFrame carries this along when it
    is filtered; pandas.concat drops it, so load several experiments with `load_many`.
    """
    return pd.DataFrame(df.attrs.get("issues", []), columns=list(Issue._fields))


def _read_all(paths: Iterable[PathName]) -> tuple[Contents, list[str]]:
    """Return the contents of all experiments together, and for each trial the path of its experiment."""
    if isinstance(paths, (str, os.PathLike)):
        raise ValueError(f"paths is a list of folders, got {paths!r}; load takes a single one")
    names = [os.fspath(path) for path in paths]
    if not names:
        raise ValueError("paths is empty; give at least one experiment folder")
    parts = [read_experiment(name) for name in names]
    contents = Contents(
        [trial for part in parts for trial in part.trials],
        parts[0].history if len(parts) == 1 else joined([part.history for part in parts]),
        [issue for part in parts for issue in part.issues],
    )
    return contents, [name for name, part in zip(names, parts, strict=True) for _ in part.trials]


def _config_columns(trials: Sequence[Trial]) -> dict[str, list[Any]]:
    """Return for each key the values of all trials; NaN for a trial without the key."""
    # Trials of one experiment mostly have the same keys: each different list of keys is looked at once.
    keys = dict.fromkeys(key for several in dict.fromkeys(tuple(trial.config) for trial in trials) for key in several)
    return {key: [trial.config.get(key, math.nan) for trial in trials] for key in keys}


def _order(trials: Sequence[Trial], configs: Mapping[str, list[Any]], experiments: Sequence[str]) -> list[int]:
    """Return the places of the trials, sorted by experiment, then by their hyperparameters, `seed` last."""
    place_of = {name: place for place, name in reversed(list(enumerate(experiments)))}
    seed_last = sorted(configs, key="seed".__eq__)
    # A value that all trials share orders nothing.
    varying = [configs[key] for key in seed_last if not _is_constant(configs[key])]

    def key(place: int) -> tuple[Any, ...]:
        trial = trials[place]
        values = tuple(sort_key(column[place]) for column in varying)
        return (place_of[experiments[place]], values, trial.trial_id, trial.trial_dir)

    return sorted(range(len(trials)), key=key)


def _is_constant(values: list[Any]) -> bool:
    return values.count(values[0]) == len(values)


def _chosen_metrics(history: History, metrics: Sequence[str] | None, is_default: Callable[[str], bool]) -> list[str]:
    choices = [name for name in history.columns if name not in BOOKKEEPING]
    if metrics is None:
        return [name for name in choices if is_default(name)]
    if isinstance(metrics, str):
        raise ValueError(f"metrics is a list of names, got {metrics!r}; write [{metrics!r}]")
    # Where every row is lost there is nothing to choose from, and that is no mistake of the caller.
    wrong = [name for name in metrics if choices and name not in choices]
    if wrong:
        raise ValueError("; ".join(unknown("metric", name, choices) for name in wrong))
    return list(dict.fromkeys(metrics))


def _column_names(configs: Mapping[str, list[Any]], taken: set[str]) -> dict[str, str]:
    """The column of each hyperparameter, `seed` included."""
    return {key: f"config/{key}" if key in taken else key for key in dict.fromkeys([*configs, "seed"])}


def _numbers(history: History, name: str) -> Array:
    """A logged value as numbers; nan where nothing was logged under that name."""
    values = history.columns.get(name)
    return np.full(int(history.starts[-1]), math.nan) if values is None else numbers(values)


def _not_numbers(contents: Contents, names: list[str]) -> list[Issue]:
    """Values of numeric metrics that are no numbers, one issue for each trial and metric."""
    found = []
    objects = {name: column for name in names if (column := contents.history.columns.get(name, NONE)).dtype == object}
    for name, column in objects.items():
        for trial, first, end in zip(
            contents.trials, contents.history.starts, contents.history.starts[1:], strict=False
        ):
            wrong = [value for value in column[first:end] if as_number(value) is None]
            if wrong:
                problem = f"{name} is not a number in {len(wrong)} rows, first {wrong[0]!r}"
                found.append(Issue(trial.trial_dir, "result.json", problem))
    return found


def _epochs(history: History) -> Array:
    """The training_iteration of each row; its place in its trial, counted from 1, if it has none. Shapes: (rows,)."""
    n_rows = int(history.starts[-1])
    places = np.arange(n_rows) - np.repeat(history.starts[:-1], np.diff(history.starts)) + 1
    iterations = _numbers(history, "training_iteration")
    if iterations.dtype.kind == "i":
        return iterations
    return np.where(np.isfinite(iterations), np.nan_to_num(iterations), places).astype(np.int64)


def _minutes(history: History) -> dict[str, Array]:
    """The time of all rows of each trial, and of its mean row; nan if no time was logged."""
    seconds = _numbers(history, "time_this_iter_s")
    trial = np.repeat(np.arange(len(history.starts) - 1), np.diff(history.starts))
    by_trial = pd.Series(seconds, dtype=float).groupby(trial)
    every = np.arange(len(history.starts) - 1)
    total = by_trial.sum(min_count=1).reindex(every).to_numpy() / 60
    return {"trial_time": total, "mean_epoch_time": total / by_trial.count().reindex(every).to_numpy()}


def _table(columns: dict[str, Any], found: list[Issue], order: Sequence[int] | Array) -> pd.DataFrame:
    df = pd.DataFrame(columns).take(order).reset_index(drop=True)
    # Plain tuples: pandas compares and copies what is in attrs, and chokes on a DataFrame there.
    df.attrs["issues"] = [tuple(issue) for issue in found]
    return df
