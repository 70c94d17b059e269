"""The configs of trials as settings: what says only how a value was written is removed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from analysis.frame.settings import ADDRESS, setting
from analysis.frame.values import sort_key
from analysis.loading.trial_dir import Issue, Trial

TEXTS = (str, tuple)


def with_settings(trials: Sequence[Trial]) -> tuple[list[Trial], dict[str, list[Any]], list[Issue]]:
    """Return the trials with `setting` of each hyperparameter, the hyperparameters as columns, and the issues.

    A trial without a hyperparameter has NaN in its column. There is one issue if some trials differ in addresses
    only: two functions of one name, such as two lambdas, have the same text without their addresses.
    """
    columns = _columns(trials)
    # A value is a text or a list of texts if it needs a change; few values are distinct.
    by_row_of_all = (values for trial in trials for values in trial.config_by_row.values())
    lists = chain(columns.values(), by_row_of_all)
    texts = {value for values in lists for value in set(values) if type(value) in TEXTS}
    changed = {value: new for value in texts if (new := setting(value)) is not value}
    if not changed:
        return list(trials), columns, []
    result = list(trials)
    originals: dict[object, list[Trial]] = {}  # trials by their settings
    for place, trial in enumerate(trials):
        config = {key: _replaced(value, changed) for key, value in trial.config.items()}
        by_row = {key: [_replaced(value, changed) for value in each] for key, each in trial.config_by_row.items()}
        result[place] = replace(trial, config=config, config_by_row=by_row)
        key = frozenset((name, sort_key(value)) for name, value in config.items())
        originals.setdefault(key, []).append(trial)
    for group in originals.values():
        # The first trial with each list of addresses.
        by_address = {str(_addresses(trial)): trial for trial in reversed(group)}
        if len(by_address) > 1:
            *_, other, one = by_address.values()
            return result, _columns(result), [Issue(None, "params.json", _problem(one, other))]
    return result, _columns(result), []


def _columns(trials: Sequence[Trial]) -> dict[str, list[Any]]:
    """Return for each key of the configs the values of all trials; NaN for a trial without the key."""
    configs = [trial.config for trial in trials]
    # If all trials have the same keys, as in most experiments, the values are transposed at once.
    kinds = dict.fromkeys(map(tuple, configs))
    if len(kinds) == 1:
        by_key = zip(*(config.values() for config in configs), strict=True)
        return dict(zip(configs[0], map(list, by_key), strict=True))
    return {key: [config.get(key, math.nan) for config in configs] for key in dict.fromkeys(chain.from_iterable(kinds))}


def _replaced(value: Any, changed: Mapping[Any, Any]) -> Any:
    return changed.get(value, value) if type(value) in TEXTS else value


def _addresses(trial: Trial) -> dict[str, list[str]]:
    """Return the addresses in each hyperparameter that has any."""
    found = {key: ADDRESS.findall(str(value)) for key, value in trial.config.items()}
    return {key: addresses for key, addresses in found.items() if addresses}


def _problem(one: Trial, other: Trial) -> str:
    of_one, of_other = _addresses(one), _addresses(other)
    names = ", ".join(key for key in of_one if of_one[key] != of_other.get(key))
    return (
        f"trials such as {one.trial_dir} and {other.trial_dir} differ only in memory addresses in {names}; they count "
        "as repeats of one setting"
    )
