"""Importance of hyperparameters by functional analysis of variance, as Optuna computes it."""

import math
import warnings
from typing import Any

import pandas as pd

from analysis.frame.matching import values_of, what_varies
from analysis.frame.schema import varying
from analysis.frame.series import Column, column_name, with_series
from analysis.frame.values import sort_key
from analysis.statistics.aggregate import has_value
from analysis.statistics.ranking import is_better_low

TOP_SHARE = 0.1
# A number with at most this many values counts as a category.
FEW_VALUES = 10
# Positive numbers are taken as their logarithms if the largest is at least this many times the smallest.
WIDE = 100


def fanova(df: pd.DataFrame, metric: Column, *, higher_is_better: bool | None = None) -> pd.DataFrame:
    """Return how much a metric depends on each hyperparameter over the whole space, and among the best trials.

    It suits the drawn values of a search; for a full grid, `anova` is exact. The result has one row for each
    hyperparameter that varies among the complete trials, with these columns, of which both shares add up to 1:
    - `parameter`.
    - `fanova`: share of the variance of a random forest's prediction that the hyperparameter explains alone, over the
      whole space. A key that only tells bad settings from worse ones counts in full.
    - `ped_anova`: how much the values of the best tenth of the trials differ from those of all trials: which keys
      matter for being among the best.
    - `n`, the trials that count; `left_out`, those that failed, are unfinished, were stopped early, diverged, or have a
      NaN or infinite metric.

    Positive numbers that span two powers of ten or more, such as learning rates, are taken as their logarithms: else
    the largest tenth of their range would be nearly all of the space.

    Rows are in descending order of `fanova`. Both are estimates from a limited number of trials: compare each with
    that of `seed`, if seeds vary.

    Args:
        df: the trials.
        metric: the name of a column of numbers, or a Series of the same rows.
        higher_is_better: False for losses and costs; None: as the name of the metric says.

    Raises:
        ValueError: if a column does not exist, nothing varies, or fewer than 10 trials have a value.
        ImportError: if Optuna is not installed.

    References:
        Hutter, Hoos and Leyton-Brown, "An Efficient Approach for Assessing Hyperparameter Importance", 2014,
        https://proceedings.mlr.press/v32/hutter14.html

        Watanabe, Bansal and Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary
        Subspaces", 2023, https://arxiv.org/abs/2304.10255

    Example:
        >>> from analysis import fanova, load_example
        >>> fanova(load_example("quickstart"), "test_acc_at_best").round(1)
          parameter  fanova  ped_anova   n  left_out
        0   on_perc     0.9        0.7  27         0
        1     model     0.1        0.3  27         0
        2      seed     0.0        0.1  27         0
    """
    try:
        # Only this function needs it.
        import optuna
    except ImportError as error:
        raise ImportError(
            f"fanova needs the package optuna, which cannot be imported ({error}). Install it: pip install "
            "'dynsparse[search]'."
        ) from error
    df, metric = with_series(df, metric), column_name(metric)
    used = df[has_value(df, metric)]
    names = list(varying(used, besides=[metric]))
    if not names:
        raise ValueError(f"No hyperparameter varies among the {len(used)} complete trials. {what_varies(df, metric)}")
    if len(used) < 10:
        raise ValueError(f"fanova needs at least 10 complete trials with a value of {metric}, got {len(used)}.")
    highest = not is_better_low(metric) if higher_is_better is None else higher_is_better
    columns = {name: _distribution_and_values(used[name], optuna.distributions) for name in names}
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize" if highest else "minimize")
    optuna.logging.set_verbosity(before)
    study.add_trials(
        [
            optuna.create_trial(
                params={name: values[place] for name, (_, values) in columns.items()},
                distributions={name: distribution for name, (distribution, _) in columns.items()},
                value=float(value),
            )
            for place, value in enumerate(used[metric])
        ]
    )
    evaluators = {
        "fanova": optuna.importance.FanovaImportanceEvaluator(seed=0),
        "ped_anova": optuna.importance.PedAnovaImportanceEvaluator(target_quantile=TOP_SHARE),
    }
    with warnings.catch_warnings():
        # Optuna 4 marks PED-ANOVA as experimental.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        shares = {
            column: optuna.importance.get_param_importances(study, evaluator=evaluator)
            for column, evaluator in evaluators.items()
        }
    table = pd.DataFrame(
        {"parameter": names, **{column: [of[name] for name in names] for column, of in shares.items()}}
    )
    table = table.assign(n=len(used), left_out=len(df) - len(used))
    return table.sort_values("fanova", ascending=False, kind="stable", ignore_index=True)


def _distribution_and_values(column: pd.Series, distributions: Any) -> tuple[Any, list[Any]]:
    """Return the distribution of a hyperparameter and the values of the trials: numbers, or places among the values."""
    present, values = list(column), values_of(column)
    numeric = [isinstance(value, (int, float)) and not isinstance(value, bool) for value in present]
    is_number = all(numeric) and not column.isna().any()
    # The density of few values, such as seeds, is no curve.
    if is_number and len(values) > FEW_VALUES:
        numbers = [float(value) for value in present]
        if min(numbers) > 0 and max(numbers) >= WIDE * min(numbers):
            numbers = [math.log10(value) for value in numbers]
        return distributions.FloatDistribution(min(numbers), max(numbers)), numbers
    places = {sort_key(value): place for place, value in enumerate(values)}
    found = [places.setdefault(sort_key(value), len(places)) for value in present]
    return distributions.CategoricalDistribution(list(range(len(places)))), found
