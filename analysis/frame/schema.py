"""The schema of a DataFrame of trials: which columns are hyperparameters, and which are metrics.

It is decided when the trials are loaded and kept in `df.attrs`, as tuples of column names. pandas carries `attrs`
through filters, sorting, `assign`, `copy` and `query`; `merge` and `concat` keep them only where all parts have the
same.
"""

from collections.abc import Collection, Iterable, Sequence

import pandas as pd

from analysis.frame.checks import check_columns, check_numbers
from analysis.frame.summaries import AT_BEST, SUMMARIES
from analysis.frame.values import hashable, n_values, sort_key

# The bookkeeping columns of `load`.
FIRST_COLUMNS = ["Experiment Name"]
RUN_COLUMNS = ["epochs", "experiment_file_name", "trial_time", "mean_epoch_time"]
LAST_COLUMNS = ["status", "error", "diverged", "at_chance", "trial_id", "trial_dir"]
# Logged costs of a trial, each a column with the value of its last row. Lower is better.
COSTS = ("flops_inference", "flops_inference_ratio", "flops_train", "flops_train_ratio")
# Hyperparameters that say where files are and what computes a trial: results do not depend on them.
MACHINE_COLUMNS = ("data_dir", "device", "engine")
# Facts that a trial notes of what other keys name, and these keys. Sizes of the data, too, follow the name of the data.
OF_DATA = ("dataset_name", "target", "loss")
NOTED = {
    "network_hash": ("network",),
    "model_hash": ("model",),
    **dict.fromkeys(("data_hash", "input_size", "num_classes", "input_shape"), OF_DATA),
}
# For trials that began as copies of others: the key that names the other trial and the number of copied rows, and the
# column of a history that names the trial that trained a row. Neither is a setting.
STARTS_FROM, COPIED_FROM = "starts_from", "copied_from"
# The entries of `attrs` that hold the schema.
HYPERPARAMETERS, METRICS = "hyperparameters", "metrics"


def hyperparameters(df: pd.DataFrame) -> list[str]:
    """Return the columns that are hyperparameters, in the order of the columns.

    They are the hyperparameters of the schema that are still columns. A column that you added or renamed does not
    count; declare it with `as_trials`. Without a schema, as after a `concat` of different experiments, every column
    that `load` did not compute counts as a hyperparameter.

    Example:
        >>> import pandas as pd
        >>> from analysis import as_trials, hyperparameters
        >>> df = as_trials(pd.DataFrame({"density": [0.1, 0.2], "accuracy": [0.91, 0.94]}), ["density"], ["accuracy"])
        >>> hyperparameters(df.assign(percent=100 * df["accuracy"]))
        ['density']
    """
    if HYPERPARAMETERS in df.attrs:
        return _still_there(df, HYPERPARAMETERS)
    other = {*FIRST_COLUMNS, *RUN_COLUMNS, *LAST_COLUMNS, STARTS_FROM, *metrics(df)}
    return [name for name in df.columns if name not in other]


def metrics(df: pd.DataFrame) -> list[str]:
    """Return the columns that are metrics: of `load` the summaries such as `val_acc_max`, of a history what was logged.

    Without a schema they are the summaries and costs of `load`, known by their names.

    Example:
        >>> import pandas as pd
        >>> from analysis import as_trials, metrics
        >>> metrics(as_trials(pd.DataFrame({"density": [0.1], "accuracy": [0.91]}), ["density"], ["accuracy"]))
        ['accuracy']
    """
    if METRICS in df.attrs:
        return _still_there(df, METRICS)
    summaries = {*COSTS, *(f"{name}{summary}" for name in logged(df) for summary in [*SUMMARIES, AT_BEST])}
    return [name for name in df.columns if name in summaries]


def logged(df: pd.DataFrame) -> list[str]:
    """Return the logged values of which a DataFrame of `load` has summaries.

    Example:
        >>> import pandas as pd
        >>> from analysis import logged
        >>> logged(pd.DataFrame({"val_acc_max": [0.9], "val_acc_max_epoch": [3]}))
        ['val_acc']
    """
    names = _still_there(df, METRICS) if METRICS in df.attrs else [str(name) for name in df.columns]
    return [name.removesuffix("_max_epoch") for name in names if name.endswith("_max_epoch")]


def as_trials(df: pd.DataFrame, hyperparameters: Sequence[str], metrics: Sequence[str] | None = None) -> pd.DataFrame:
    """Return a copy of a DataFrame of your own, or of a changed one, with a schema: one row for each trial.

    The columns `status` ("complete"), `trial_id` and `trial_dir` (the number of the row) are added if they are missing:
    comparisons and plots need them. Lists among the hyperparameters become tuples.

    Args:
        df: one row for each trial.
        hyperparameters: the columns that are axes.
        metrics: the columns that were measured; None keeps those that are known already.

    Raises:
        ValueError: if a column does not exist, is in both lists, or a metric holds no numbers.

    Example:
        >>> import pandas as pd
        >>> from analysis import as_trials, compare
        >>> df = pd.DataFrame({"density": [0.1, 0.2], "seed": [0, 0], "accuracy": [0.91, 0.94]})
        >>> df = as_trials(df, hyperparameters=["density", "seed"], metrics=["accuracy"])
        >>> compare(df, "density", "accuracy")["difference"].round(3).tolist()
        [0.03]
    """
    measured = _still_there(df, METRICS) if metrics is None else metrics
    for kind, names in (("hyperparameters", hyperparameters), ("metrics", measured)):
        if isinstance(names, str):
            raise ValueError(f"{kind} must be a list of columns, got {names!r}. Write [{names!r}].")
    check_columns(df, [*hyperparameters, *measured])
    both = sorted(set(hyperparameters) & set(measured))
    if both:
        raise ValueError(f"A column is a hyperparameter or a metric, not both; got {both} as both.")
    for name in measured:
        check_numbers(df, name)
    trials = df.copy()
    for name in hyperparameters:
        if pd.api.types.is_object_dtype(trials[name]):
            trials[name] = trials[name].map(hashable)
    numbers = [str(number) for number in range(len(df))]
    for name, values in {"status": "complete", "trial_id": numbers, "trial_dir": numbers}.items():
        if name not in trials:
            trials[name] = values
    return with_schema(trials, hyperparameters, measured, df)


def with_schema(
    df: pd.DataFrame, hyperparameters: Sequence[str], metrics: Sequence[str], source: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Set the schema of a DataFrame in place, and return it. The other entries of `attrs` come from `source`."""
    df.attrs = {
        **(source.attrs if source is not None else df.attrs),
        HYPERPARAMETERS: tuple(hyperparameters),
        METRICS: tuple(metrics),
    }
    return df


def has_schema(df: pd.DataFrame) -> bool:
    """Return True if the DataFrame knows its hyperparameters and metrics."""
    return HYPERPARAMETERS in df.attrs and METRICS in df.attrs


def varying(df: pd.DataFrame, besides: Sequence[str] = ()) -> dict[str, int]:
    """Return the hyperparameters with several values, and how many: what a mean over the trials is taken over.

    `data_dir`, `device` and `engine` are left out, since results do not depend on them. So are hashes, such as
    `network_hash`, and sizes of the data, unless they differ between trials that name the same network or data.

    Args:
        df: the trials; those whose configuration is lost are left out.
        besides: hyperparameters to leave out.

    Example:
        >>> import pandas as pd
        >>> from analysis import as_trials, varying
        >>> df = pd.DataFrame({"density": [0.1, 0.2, 0.2], "width": 100, "seed": [0, 0, 1]})
        >>> varying(as_trials(df, hyperparameters=["density", "width", "seed"]))
        {'density': 2, 'seed': 2}
    """
    known = with_known_config(df)
    counts = {name: n_values(known[name]) for name in hyperparameters(df) if name not in besides}
    several = {name: n for name, n in counts.items() if n > 1 and name not in MACHINE_COLUMNS}
    return {name: n for name, n in several.items() if not _follows(known, name)}


def _follows(df: pd.DataFrame, name: str) -> bool:
    """Return True for a column of NOTED that has one value for each combination of the keys that it belongs to."""
    keys = [key for key in NOTED.get(name, ()) if key in df]
    if not keys:
        return False
    causes, effects = list(zip(*(df[key].map(sort_key) for key in keys), strict=True)), df[name].map(sort_key)
    return len(set(zip(causes, effects, strict=True))) == len(set(causes))


def with_known_config(df: pd.DataFrame) -> pd.DataFrame:
    """Return the trials with any hyperparameter: one that lost its params.json would add a value to every axis."""
    names = hyperparameters(df)
    return df[df[names].notna().any(axis="columns")] if names else df


def distinct_names(names: Iterable[str], taken: Collection[str], prefix: str) -> dict[str, str]:
    """Return a column for each name: the name itself or, if that column is taken, the name after the prefix.

    A column that has been given to another name is taken, too; the prefix is then repeated.

    Example:
        >>> from analysis.frame.schema import distinct_names
        >>> distinct_names(["epochs", "lr", "config/epochs"], taken=["epochs"], prefix="config/")
        {'epochs': 'config/config/epochs', 'lr': 'lr', 'config/epochs': 'config/epochs'}
    """
    names = list(dict.fromkeys(names))
    used = {*taken, *names}
    columns = {}
    for name in names:
        column = name
        while column in taken or (column != name and column in used):
            column = prefix + column
        used.add(column)
        columns[name] = column
    return columns


def _still_there(df: pd.DataFrame, entry: str) -> list[str]:
    names = set(df.attrs.get(entry, ()))
    return [name for name in df.columns if name in names]
