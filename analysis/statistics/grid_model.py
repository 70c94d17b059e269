"""The linear model of the trials of a grid: the checks of the arguments, its axes, and its fit."""

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.frame.checks import check_columns
from analysis.frame.matching import cell_of_each, check_axis, values_of, what_varies
from analysis.frame.schema import NOTED, hyperparameters, varying, with_known_config
from analysis.frame.series import Column, column_name, column_names, with_series
from analysis.frame.suggest import unknown
from analysis.frame.values import sort_key
from analysis.frame.words import plural
from analysis.statistics.aggregate import has_value
from analysis.statistics.design import MOST_COLUMNS, Levels, Numbers, design_matrix, main_and_two_way, n_columns
from analysis.statistics.linear_model import Estimate, Fit, estimate, fit_model

# An axis with more values was sampled, not set in a grid.
MOST_VALUES = 20
ERRORS = ("auto", "pooled")


class GridModel(NamedTuple):
    """A fitted model of a grid, and the trials behind it."""

    trials: pd.DataFrame  # all, including those that are left out
    is_used: pd.Series  # True for each trial that the model is fitted to
    axis: str
    metric: str
    within: list[str]
    others: list[str]  # the other axes of the model, without seed
    level_of: dict[str, dict[Any, int]]  # for each axis, the level of each value in the model, by its sort key
    fit: Fit
    counts: "Counter[tuple[Any, bool]]"  # of trials: the values of axis and within, and whether they are used

    def mean_weights(self, setting: dict[str, Any]) -> Numbers | None:
        """Return the weights of the coefficients in the mean of a setting; None if no used trial has one of its values.

        Shapes: (columns,).
        """
        levels = {name: self.level_of[name].get(sort_key(value)) for name, value in setting.items()}
        known = {name: level for name, level in levels.items() if level is not None}
        return self.fit.design.mean_weights(known) if len(known) == len(levels) else None

    def is_estimable(self, weights: Numbers) -> bool:
        """Return True if the trials determine this combination of the coefficients."""
        return bool(self.fit.design.is_estimable(weights[None]).all())

    def estimate(self, weights: Numbers) -> Estimate:
        """Return a combination of the coefficients with its standard error."""
        return estimate(self.fit, weights)

    def missing(self, setting: dict[str, Any], others: Sequence[str]) -> dict[str, Any]:
        """Return a setting without a used trial, or {}: this setting, or its value of the axis with a value of another.

        Args:
            setting: values of the axis and of `within`.
            others: the other axes to try.
        """
        used = self.trials[self.is_used]
        if not _matches(used, setting).any():
            return setting
        of_value = used[_matches(used, {self.axis: setting[self.axis]})]
        for name in others:
            there = set(map(sort_key, of_value[name]))
            for value in values_of(used[name]):
                if sort_key(value) not in there:
                    return {self.axis: setting[self.axis], name: value}
        return {}

    def n_trials(self, setting: dict[str, Any]) -> tuple[int, int]:
        """Return how many trials of a setting of axis and within are used, and how many are left out."""
        cell = tuple(map(sort_key, setting.values()))
        return self.counts[cell, True], self.counts[cell, False]


def grid_model(
    df: pd.DataFrame, axis: Column, metric: Column, within: Column | Sequence[Column] | None, errors: str
) -> GridModel:
    """Check the arguments of `contrasts`, and fit the model.

    Args:
        df: the trials.
        axis: the hyperparameter whose values are compared.
        metric: the column of numbers.
        within: hyperparameters in whose settings they are compared.
        errors: one of `ERRORS`.

    Raises:
        ValueError: if an argument is wrong, or the trials do not determine the model.
    """
    if errors not in ERRORS:
        raise ValueError(unknown("errors", errors, ERRORS))
    df = with_known_config(with_series(df, axis, metric, within))
    axis, metric, within = column_name(axis), column_name(metric), column_names(within)
    _check(df, axis, metric, within)
    others = list(varying(df, besides=["seed", metric, axis, *within]))
    names = [axis, *within, *others]
    is_used = has_value(df, metric)
    used = _in_order(df[is_used], names, metric)
    _check_numbers(df, used, metric)
    values = {name: values_of(used[name]) for name in names}
    _check_values(values, metric)
    level_of = {name: {sort_key(value): i for i, value in enumerate(values[name])} for name in names}
    levels = {name: _levels(used, name, level_of[name]) for name in names}
    _check_distinct(levels, axis, values)
    joint = [axis, *within]
    terms = main_and_two_way(names, joint)
    n_levels = {name: len(values[name]) for name in names}
    _check_size(n_columns(n_levels, terms), len(used))
    design = design_matrix(levels, n_levels, terms, _seeds(used))
    fit = fit_model(design, used[metric].to_numpy(float), joint, errors == "pooled")
    _check_noise(fit, used)
    counts = Counter(zip(cell_of_each(df, joint), is_used.tolist(), strict=True))
    return GridModel(df, is_used, axis, metric, within, others, level_of, fit, counts)


def _matches(trials: pd.DataFrame, setting: dict[str, Any]) -> pd.Series:
    keys = [sort_key(value) for value in setting.values()]
    rows = cell_of_each(trials, list(setting))
    return pd.Series([list(row) == keys for row in rows], index=trials.index, dtype=bool)


def _in_order(used: pd.DataFrame, names: Sequence[str], metric: str) -> pd.DataFrame:
    """Sort the trials, so that rounding does not depend on the order of the rows."""
    keys = [name for name in [*names, "seed", metric] if name in used]
    cells = cell_of_each(used, keys)
    return used.iloc[sorted(range(len(used)), key=lambda i: cells[i])]


def _levels(used: pd.DataFrame, name: str, level_of: dict[Any, int]) -> Levels:
    return np.array([level_of[sort_key(value)] for value in used[name]], dtype=np.intp)


def _seeds(used: pd.DataFrame) -> Levels | None:
    if "seed" not in used or "seed" not in hyperparameters(used):
        return None
    return _levels(used, "seed", {sort_key(seed): i for i, seed in enumerate(values_of(used["seed"]))})


def _check(df: pd.DataFrame, axis: str, metric: str, within: list[str]) -> None:
    check_columns(df, within)
    for argument, names in (("axis", [axis]), ("within", within)):
        if "seed" in names:
            fix = "Seeds are the repeats from which the noise is estimated. Name a hyperparameter that you set."
            raise ValueError(f"{argument} must not be 'seed'. {fix} {what_varies(df, metric)}")
    check_axis(df, axis, metric)
    wrong = [name for name in within if name in (axis, metric, "status")]
    if wrong or len(set(within)) < len(within):
        must = f"within must be hyperparameters other than axis, {axis!r}, each named once"
        raise ValueError(f"{must}, got {within}. {what_varies(df, metric)}")


def _check_numbers(df: pd.DataFrame, used: pd.DataFrame, metric: str) -> None:
    if used.empty:
        has = f"has none in {plural(len(df), 'trial')}"
        raise ValueError(f"{metric} must have a value in some complete trial, but {has}. See failures(df).")
    if not np.ptp(used[metric].to_numpy(float)):
        value = used[metric].iloc[0]
        fix = "Choose another metric."
        raise ValueError(f"{metric} must vary between trials, but is {value} in all {len(used)} complete ones. {fix}")


def _check_values(values: dict[str, list[Any]], metric: str) -> None:
    for name, found in values.items():
        if len(found) > MOST_VALUES:
            hint = f"Filter the trials, or use correlation(df, {metric!r}) for an axis of numbers."
            raise ValueError(f"{name} must have at most {MOST_VALUES} values, but has {len(found)}. {hint}")


def _check_distinct(levels: dict[str, Levels], axis: str, values: dict[str, list[Any]]) -> None:
    """Raise a ValueError if the value of one axis determines that of another: their effects cannot be told apart."""
    varied = [name for name in levels if levels[name].any()]
    for a, b in itertools.permutations(varied, 2):
        if len(set(zip(levels[a].tolist(), levels[b].tolist(), strict=True))) == len(set(levels[a].tolist())):
            drop = b if b != axis else a
            noted = next((name for name in (b, a) if name in NOTED), None)
            fix = (
                f"Leave one of them out, for example with df.drop(columns=[{drop!r}]), or take the trials of one "
                "value, with `select` or --where."
            )
            if noted is not None:
                # Without the hash, trials of the old data or network and of the new one would be pooled.
                most = values[noted][int(np.bincount(levels[noted]).argmax())]
                text = repr(most) if isinstance(most, str) else str(most)
                example = f'--where "{noted} == {text}"'
                fix = f"Take the trials of one {noted}, with `select` or --where, such as {example}."
            raise ValueError(f"{b} must vary independently of {a}, but follows from it. {fix}")


def _check_size(n_columns: int, n_trials: int) -> None:
    if n_columns > MOST_COLUMNS:
        fix = "Filter the trials, or leave hyperparameters out with df.drop(columns=[...])."
        must = f"The model of the grid must have at most {MOST_COLUMNS} coefficients"
        raise ValueError(f"{must}, but has {n_columns} for {plural(n_trials, 'trial')}. {fix}")


def _check_noise(fit: Fit, used: pd.DataFrame) -> None:
    if fit.df > 0:
        return
    model = f"has as many coefficients as there are complete trials ({len(used)})"
    seeds = values_of(used["seed"]) if "seed" in used else []
    has = f"Now there {'is' if len(seeds) == 1 else 'are'} {plural(len(seeds), 'seed')}: {', '.join(map(str, seeds))}."
    fix = "Add at least one seed to the grid and run the same command again."
    needs = f"The noise needs repeated settings, but the model {model}."
    raise ValueError(f"{needs} {has} {fix}" if seeds else f"{needs} {fix}")
