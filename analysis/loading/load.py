"""Trial folders as DataFrames: one row per trial, or one per trial and epoch."""

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.frame.schema import (
    COPIED_FROM,
    COSTS,
    FIRST_COLUMNS,
    LAST_COLUMNS,
    RUN_COLUMNS,
    STARTS_FROM,
    distinct_names,
    with_schema,
)
from analysis.frame.suggest import unknown
from analysis.frame.summaries import AT_BEST, SUMMARIES
from analysis.frame.values import as_number, sort_key
from analysis.loading import budget
from analysis.loading.chance import is_score, never_left_chance
from analysis.loading.columns import Array, History, is_numeric, joined, numbers, summarise, values_at
from analysis.loading.contents import Contents
from analysis.loading.copied_rows import places_without_copies, with_trained_settings
from analysis.loading.experiment import read_experiment
from analysis.loading.experiment_file import METRIC, QUESTION, joined_facts
from analysis.loading.settings import with_settings
from analysis.loading.trial_dir import BOOKKEEPING, Issue, Trial

PathName = str | os.PathLike[str]

NONE = np.empty(0)
HISTORY_COLUMNS = ["trial_id", "trial_dir", "epoch", "diverged"]


def load(path: PathName, metrics: Sequence[str] | None = None, at_epoch: int | None = None) -> pd.DataFrame:
    """Return one row per trial of a Tune experiment folder, with the columns of `load_many`.

    Args:
        path: the folder, or its URI (s3://...).
        metrics: names of logged values; by default every logged number with "acc", "r2" or "rmse" in its name.
        at_epoch: read the first epochs of each trial only, so that trials that were stopped early can be compared with
            others at an equal budget. A trial is complete if it has that many; later epochs do not count, also not for
            `diverged`. A copy of another trial whose own epochs come later is left out. None: all epochs.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if it holds no trial, or no trial logged one of `metrics`.

    Example:
        >>> from analysis import example_folder, load
        >>> with example_folder("quickstart") as folder:
        ...     df = load(folder, metrics=["val_acc"])
        >>> df[["model", "on_perc", "seed", "val_acc_max", "val_acc_max_epoch", "epochs", "status"]].head(3).round(3)
          model  on_perc  seed  val_acc_max  val_acc_max_epoch  epochs    status
        0  RigL     0.02     0        0.576                  3       8  complete
        1  RigL     0.02     1        0.639                  7       8  complete
        2  RigL     0.02     2        0.826                  6       8  complete
    """
    return load_many([path], metrics, at_epoch)


def load_many(
    paths: Iterable[PathName], metrics: Sequence[str] | None = None, at_epoch: int | None = None
) -> pd.DataFrame:
    """Return one row per trial of several Tune experiment folders, including failed and unfinished trials.

    Rows are ordered by experiment, then by the hyperparameters, `seed` last. `issues` lists damaged files. The result
    has these columns, in this order:
    - `Experiment Name`: the trial's tag, or the name of its folder if it has none.
    - for each metric `_max`, `_max_epoch` (the row, counted from 0), `_min`, `_min_epoch`, `_median` and `_last`.
      Missing values are left out, except in `_last`, which is the value of the last row.
    - `test_acc_at_best`, if trials logged `val_acc` and `test_acc`: the test accuracy of the first epoch with the
      highest validation accuracy; likewise `test_r2_at_best`. Other metrics and other choices: `at_best`.
    - `flops_inference`, `flops_train`, `flops_inference_ratio`, `flops_train_ratio`, if any trial logged them: the
      values of the last row. They are metrics, and lower is better.
    - `epochs`, the last training_iteration.
    - `experiment_file_name`, the path as given, which distinguishes experiments.
    - `trial_time`, `mean_epoch_time`: in minutes.
    - every hyperparameter under its own name. Inner dicts are flattened with "/", lists are tuples. A hyperparameter
      with the name of another column is called `config/<name>`, or `config/config/<name>` if there is one of that name.
      `seed` always exists. Of one that changed within the trial it is the last value. The text of a function or another
      object has no address: "<function reward>".
    - `starts_from`, if a trial began as a copy of another one: the other trial and the number of rows that the copy has
      from it ("1f2e3d4c5b6a@5"). The settings of the copy hold from the next row on. It is no hyperparameter.
    - `status`: "complete", "error", "stopped" (early, by a rule) or "incomplete".
    - `error`: the last line of the error, or why the trial was stopped; missing if there was neither.
    - `diverged`: True if a loss is NaN or infinite where it was last logged. A loss has "loss" in its name.
    - `at_chance`: True if the trial never left chance level: no accuracy in any row has odds more than 1.25 times those
      of a guess, which means above 0.122 for 10 classes; in a regression, no R² is above 0.01. False if there is
      neither, or no key `num_classes`.
    - `trial_id`; `trial_dir`, the name of the trial's folder.

    Args:
        paths: the folders, or their URIs (s3://...).
        metrics: names of logged values; by default every logged number with "acc", "r2" or "rmse" in its name.
        at_epoch: read the first epochs of each trial only, so that trials that were stopped early can be compared with
            others at an equal budget. A trial is complete if it has that many; later epochs do not count, also not for
            `diverged`. A copy of another trial whose own epochs come later is left out. None: all epochs.

    Raises:
        FileNotFoundError: if a folder does not exist.
        ValueError: if a folder holds no trial, or no trial logged one of `metrics`.

    Example:
        >>> from analysis import example_folder, load_many
        >>> with example_folder("quickstart") as first, example_folder("sweep") as second:
        ...     df = load_many([first, second])
        >>> df["study"].value_counts().to_dict()
        {'train': 27, 'sweep': 5}
    """
    contents, configs, experiments = _read_all(paths, at_epoch)
    trials, history = contents.trials, contents.history
    chosen = _chosen_metrics(history, metrics, lambda name: is_score(name, history.columns[name]))
    summaries = {name: summarise(_numbers(history, name), history.starts) for name in chosen}
    of_metrics = {
        f"{name}{summary}": values
        for name in chosen
        for summary, values in zip(SUMMARIES, summaries[name], strict=True)
    }
    first, last = history.starts[:-1], history.starts[1:] - 1
    for name in ("acc", "r2"):
        if {f"val_{name}", f"test_{name}"} <= summaries.keys():
            chosen_rows = first + summaries[f"val_{name}"].highest_at
            of_metrics[f"test_{name}{AT_BEST}"] = values_at(_numbers(history, f"test_{name}"), chosen_rows)
    for name in COSTS:
        if name in history.columns and is_numeric(history.columns[name]):
            of_metrics[name] = np.where(first <= last, _numbers(history, name)[last], math.nan)
    taken = {*FIRST_COLUMNS, *of_metrics, *RUN_COLUMNS, *LAST_COLUMNS}
    names = distinct_names([*configs, "seed"], taken, "config/")
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
        "at_chance": never_left_chance(trials, history),
        "trial_id": [trial.trial_id for trial in trials],
        "trial_dir": [trial.trial_dir for trial in trials],
    }
    contents = contents._replace(issues=contents.issues + _not_numbers(contents, chosen))
    df = _table(columns, contents, _order(trials, configs, experiments))
    return with_schema(df, _settings(names), list(of_metrics))


def load_history(path: PathName, metrics: Sequence[str] | None = None) -> pd.DataFrame:
    """Return one row per trial and epoch of a Tune experiment folder.

    Rows are ordered as in `load`, then by epoch. The result has these columns:
    - `trial_id`, `trial_dir`; `epoch`, the training_iteration.
    - every logged value except Tune's own bookkeeping, numbers as numbers. A value with the name of another column is
      called `result/<name>`.
    - `copied_from`, if trials began as copies of others: the trial that trained the row; missing in a trial's own rows.
    - the hyperparameters as in `load`. One that changed within the trial, as in population-based training, has the
      value with which each row was trained, if the rows have their config or `copied_from`.
    - `diverged`, of the trial, as in `load`.

    Args:
        path: the folder, or its URI (s3://...).
        metrics: names of logged values; by default all.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if it holds no trial, or no trial logged one of `metrics`.

    Example:
        >>> from analysis import example_folder, load_history
        >>> with example_folder("quickstart") as folder:
        ...     history = load_history(folder)
        >>> history[["trial_id", "epoch", "train_loss", "val_acc", "model", "on_perc"]].tail(3).round(3)
                 trial_id  epoch  train_loss  val_acc        model  on_perc
        213  181bf8219341      6       0.179    0.938  SparseModel      0.1
        214  181bf8219341      7       0.112    0.944  SparseModel      0.1
        215  181bf8219341      8       0.082    0.972  SparseModel      0.1
    """
    contents, configs, experiments = _read_all([path])
    history = contents.history
    trials = with_trained_settings(contents.trials, history)
    chosen = _chosen_metrics(history, metrics, lambda name: True)
    called = distinct_names(chosen, HISTORY_COLUMNS, "result/")
    names = distinct_names([*configs, "seed"], {*HISTORY_COLUMNS, *called.values()}, "config/")
    numeric = dict.fromkeys(name for name in chosen if is_numeric(history.columns[name]))
    of_trials = {
        "trial_id": [trial.trial_id for trial in trials],
        "trial_dir": [trial.trial_dir for trial in trials],
        **{names[key]: configs.get(key, [math.nan] * len(trials)) for key in names},
    }
    repeated = _frame(of_trials).loc[np.repeat(np.arange(len(trials)), np.diff(history.starts))]
    columns: dict[str, Any] = {
        "trial_id": repeated.pop("trial_id").array,
        "trial_dir": repeated.pop("trial_dir").array,
        "epoch": _epochs(history),
        **{
            called[name]: _numbers(history, name) if name in numeric else history.columns[name].tolist()
            for name in chosen
        },
        **{names[key]: _in_each_row(repeated[names[key]], key, trials, history.starts) for key in names},
        "diverged": np.repeat([trial.diverged for trial in trials], np.diff(history.starts)),
    }
    contents = contents._replace(issues=contents.issues + _not_numbers(contents, numeric))
    df = _table(columns, contents, history.rows_of(_order(trials, configs, experiments)))
    return with_schema(df, _settings(names), [name for name in called.values() if name != COPIED_FROM])


def _settings(names: Mapping[str, str]) -> list[str]:
    """Return the columns of keys that are settings of the trials."""
    return [column for key, column in names.items() if key != STARTS_FROM]


def issues(df: pd.DataFrame) -> pd.DataFrame:
    """Return the damage found in the folders that a DataFrame was loaded from; no rows if all files are whole.

    The information stays with the DataFrame when it is filtered. pandas.concat drops it, so load several experiments
    with `load_many`. The result has these columns:
    - `trial_dir`, the trial's folder; missing if the file belongs to the experiment.
    - `file`, `problem`.

    Args:
        df: the result of `load`, `load_many` or `load_history`.

    Example:
        >>> from analysis import example_folder, issues, load
        >>> with example_folder("sweep") as folder:
        ...     params = min(folder.glob("*/params.json"))
        ...     _ = params.write_text("{")
        ...     df = load(folder)
        >>> issues(df)
                    trial_dir         file                                                          problem
        0  trial_34157cc62028  params.json  not one whole JSON object; the trial's hyperparameters are lost
    """
    return pd.DataFrame(df.attrs.get("issues", []), columns=list(Issue._fields))


def _read_all(
    paths: Iterable[PathName], at_epoch: int | None = None
) -> tuple[Contents, dict[str, list[Any]], list[str]]:
    """Return the contents of all experiments, the configs as columns, and the path of each trial's experiment."""
    if isinstance(paths, (str, os.PathLike)):
        raise ValueError(f"paths must be a list of folders, got {paths!r}. Use load for a single folder.")
    names = [os.fspath(path) for path in paths]
    if not names:
        raise ValueError("paths must hold at least one experiment folder, got none.")
    parts = [read_experiment(name) for name in names]
    trials = [trial for part in parts for trial in part.trials]
    experiments = [name for name, part in zip(names, parts, strict=True) for _ in part.trials]
    history = parts[0].history if len(parts) == 1 else joined([part.history for part in parts])
    if at_epoch is not None:
        trials, history = budget.at_epoch(trials, history, at_epoch)
        places = places_without_copies(history, at_epoch)
        trials, experiments = [trials[place] for place in places], [experiments[place] for place in places]
        history = history.take(places)
    trials, configs, found = with_settings(trials)
    contents = Contents(
        trials,
        history,
        [*found, *(issue for part in parts for issue in part.issues)],
        joined_facts([part.facts for part in parts]),
    )
    return contents, configs, experiments


def _in_each_row(repeated: pd.Series, key: str, trials: Sequence[Trial], starts: Array) -> Any:
    """Return the values of a hyperparameter in all rows, from those of the trials; some changed within a trial."""
    changed = [place for place, trial in enumerate(trials) if key in trial.config_by_row]
    if not changed:
        return repeated.array
    values = repeated.tolist()
    for place in changed:
        values[starts[place] : starts[place + 1]] = trials[place].config_by_row[key]
    return values


def _order(trials: Sequence[Trial], configs: Mapping[str, list[Any]], experiments: Sequence[str]) -> list[int]:
    """Return the places of the trials, sorted by experiment, then by their hyperparameters, `seed` last."""
    place_of = {name: place for place, name in reversed(list(enumerate(experiments)))}
    seed_last = sorted(configs, key="seed".__eq__)
    # A value that all trials share orders nothing.
    varying = [configs[key] for key in seed_last if not _is_constant(configs[key])]
    keys = zip(
        [place_of[experiment] for experiment in experiments],
        *([sort_key(value) for value in column] for column in varying),
        [trial.trial_id for trial in trials],
        [trial.trial_dir for trial in trials],
        strict=True,
    )
    return sorted(range(len(trials)), key=list(keys).__getitem__)


def _is_constant(values: list[Any]) -> bool:
    return values.count(values[0]) == len(values)


def _chosen_metrics(history: History, metrics: Sequence[str] | None, is_default: Callable[[str], bool]) -> list[str]:
    choices = [name for name in history.columns if name not in BOOKKEEPING]
    if metrics is None:
        return [name for name in choices if is_default(name)]
    if isinstance(metrics, str):
        raise ValueError(f"metrics must be a list of names, got {metrics!r}. Write [{metrics!r}].")
    # If every row is lost there is nothing to choose from, and that is not the caller's mistake.
    wrong = [name for name in metrics if choices and name not in choices]
    if wrong:
        raise ValueError(" ".join(unknown("metric", name, choices) for name in wrong))
    return list(dict.fromkeys(metrics))


def _numbers(history: History, name: str) -> Array:
    """Return a logged value as numbers; NaN where nothing was logged under that name."""
    values = history.columns.get(name)
    return np.full(int(history.starts[-1]), math.nan) if values is None else numbers(values)


def _not_numbers(contents: Contents, names: Iterable[str]) -> list[Issue]:
    """Return the values of numeric metrics that are not numbers, one issue for each trial and metric."""
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
    """Return the training_iteration of each row, or its place in its trial, counted from 1. Shapes: (rows,)."""
    n_rows = int(history.starts[-1])
    places = np.arange(n_rows) - np.repeat(history.starts[:-1], np.diff(history.starts)) + 1
    iterations = _numbers(history, "training_iteration")
    if iterations.dtype.kind == "i":
        return iterations
    # A float holds integers up to 2**53.
    is_count = np.abs(iterations) <= 2.0**53
    return np.where(is_count, np.where(is_count, iterations, 0), places).astype(np.int64)


def _minutes(history: History) -> dict[str, Array]:
    """Return the time of each trial, and its mean per row; NaN if no time was logged."""
    seconds = _numbers(history, "time_this_iter_s")
    if COPIED_FROM in history.columns:
        # These rows were trained by another trial, which has their times.
        seconds = np.where(pd.isna(history.columns[COPIED_FROM]), seconds, math.nan)
    trial = np.repeat(np.arange(len(history.starts) - 1), np.diff(history.starts))
    by_trial = pd.Series(seconds, dtype=float).groupby(trial)
    every = np.arange(len(history.starts) - 1)
    total = by_trial.sum(min_count=1).reindex(every).to_numpy() / 60
    return {"trial_time": total, "mean_epoch_time": total / by_trial.count().reindex(every).to_numpy()}


def _table(columns: dict[str, Any], contents: Contents, order: Sequence[int] | Array) -> pd.DataFrame:
    df = _frame(columns).take(order).reset_index(drop=True)
    df.attrs[QUESTION], df.attrs[METRIC] = contents.facts
    # Plain tuples, because pandas copies and compares attrs, and fails on a DataFrame there.
    df.attrs["issues"] = [tuple(issue) for issue in contents.issues]
    # Empty folders, and copies of a trial, have an issue but no row.
    named = {issue.trial_dir for issue in contents.issues if issue.trial_dir is not None}
    df.attrs["unread_folders"] = sorted(named - set(df["trial_dir"])) if "trial_dir" in df else []
    return df


def _frame(columns: Mapping[str, Any]) -> pd.DataFrame:
    try:
        return pd.DataFrame(columns)
    except OverflowError:  # pandas 2 refuses an integer that no float can hold.
        return pd.DataFrame({name: _column(values) for name, values in columns.items()})


def _column(values: Any) -> pd.Series:
    try:
        return pd.Series(values)
    except OverflowError:
        return pd.Series(values, dtype=object)
