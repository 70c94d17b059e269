"""A grid: a space of keys and values becomes a list of configs, without Ray."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from dynsparse.config import Config, ConfigError, is_default, keys, unknown
from dynsparse.data.own import with_data_dir
from dynsparse.planning.packs import one_of_each_kind
from dynsparse.planning.plan import keys_read
from dynsparse.sampling import SamplingError, check_domains, has_domain, samples

# Keys whose value decides whether a trial reads other keys.
DECIDING_KEYS = ("model", "network", "kwinners", "study", "rules", "optim_alg", "lr_schedule", "test_noise")


class ExperimentError(ValueError):
    """An experiment that cannot be run. The message says what to change."""


def expand(space: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the trials of a space as flat dicts; the last axis varies fastest.

    Raises: ExperimentError, naming the key.
    """
    options = [[_group(name, option) for option in _options(name, value)] for name, value in space.items()]
    for groups in itertools.product(*options):
        trial: dict[str, Any] = {}
        for group in groups:
            twice = trial.keys() & group.keys()
            if twice:
                raise ExperimentError(f"{', '.join(sorted(twice))} is given twice in the space. Keep one of them.")
            trial.update(group)
        yield trial


def sample_spaces(space: Mapping[str, Any], search_seed: int, n_samples: int) -> Iterator[dict[str, Any]]:
    """Yield the space of each sample, with drawn values in place of Ray Tune's domains.

    Raises: ExperimentError.
    """
    if not has_domain(space):
        if n_samples != 1:
            raise ExperimentError(
                f"num_samples must be 1 if no value of the space is drawn, got {n_samples}. To repeat trials, give "
                f"seed=tune.grid_search(range({n_samples})); to draw values, give domains such as tune.uniform(0.01, "
                "0.5)."
            )
        yield dict(space)
        return
    try:
        check_domains(space)
        yield from samples(space, search_seed, n_samples)
    except SamplingError as error:
        raise ExperimentError(str(error)) from error


def count_trials(space: Mapping[str, Any], overrides: Mapping[str, Sequence[Any]]) -> int:
    """Return the number of trials of a space, without expanding it.

    If `overrides` replace a key within a group of keys, some of these trials become equal and are counted once only
    when the grid is expanded.
    """
    own = math.prod(_n_options(value) for name, value in space.items() if name not in overrides)
    return own * math.prod(map(len, overrides.values()))


def _listed(values: Any) -> list[Any] | None:
    """Return the values of a list, a range, an array or another iterable; None for other values."""
    if hasattr(values, "tolist"):
        values = values.tolist()
    return None if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable) else list(values)


def _n_options(value: Any) -> int:
    listed = _listed(value["grid_search"]) if isinstance(value, dict) and value.keys() == {"grid_search"} else None
    if listed is not None:
        return sum(map(_n_options, listed))
    if isinstance(value, dict | list | tuple):
        return math.prod(map(_n_options, value.values() if isinstance(value, dict) else value))
    return 1


def _group(name: str, option: Any) -> dict[str, Any]:
    """Return the keys that an option sets: a dict sets its own keys, any other value sets `name`."""
    return option if isinstance(option, dict) else {name: option}


def _options(name: str, value: Any) -> list[Any]:
    """Return all values that a part of the space stands for."""
    if isinstance(value, dict) and value.keys() == {"grid_search"}:
        listed = _listed(value["grid_search"])
        if listed is None:
            raise ExperimentError(f"{name}: tune.grid_search takes a list, got {value['grid_search']!r}.")
        if not listed:
            raise ExperimentError(f"{name}: tune.grid_search([]) has no values. Give it at least one.")
        return [option for each in listed for option in _options(name, each)]
    if isinstance(value, dict):
        return list(expand(value))
    if isinstance(value, list | tuple):
        return [list(option) for option in itertools.product(*(_options(name, each) for each in value))]
    if type(value).__module__.startswith("ray."):
        raise ExperimentError(
            f"{name} must be a fixed value, tune.grid_search([...]) or a domain such as tune.uniform, got {value!r}."
        )
    return [value]


def grid_configs(
    spaces: Iterable[Mapping[str, Any]],
    defaults: Mapping[str, Any],
    overrides: Mapping[str, Sequence[Any]],
    limit: int | None = None,
    folder: Path | None = None,
) -> list[Config]:
    """Return the configs of spaces in their order; the last axis varies fastest.

    A trial of several spaces, which samples with few values may have, is returned once.

    Args:
        spaces: key to value, as `sample_spaces` yields them.
        defaults: key to value, for keys that the space does not give.
        overrides: key to the values that replace what the space gives, wherever it gives it.
        limit: expand only the first trials, as many as this; None: all.
        folder: the folder in which own data are looked up; None: the working directory.

    Raises: ExperimentError for a grid without trials or with one trial twice; ConfigError with all problems of all
    trials.
    """
    configs: dict[Config, None] = {}
    problems: dict[str, None] = {}
    for space in spaces:
        n_left = None if limit is None else limit - len(configs)
        if n_left == 0:
            break
        new, wrong = _configs_of(space, defaults, overrides, n_left, folder)
        problems.update(wrong)
        if not problems:
            _check_distinct(new)
        configs.update(dict.fromkeys(new))
    if problems:
        raise ConfigError("\n".join(problems))
    if not configs:
        raise ExperimentError("The grid has no trials: an axis has no values. Give each axis at least one value.")
    return list(configs)


def _configs_of(
    space: Mapping[str, Any],
    defaults: Mapping[str, Any],
    overrides: Mapping[str, Sequence[Any]],
    limit: int | None,
    folder: Path | None,
) -> tuple[list[Config], dict[str, None]]:
    """Return the configs of a space, and the problems of those that cannot be made, in order."""
    _check_overrides(space, overrides)
    configs = []
    problems: dict[str, None] = {}
    for values in itertools.islice(_values_of_trials(space, defaults, overrides), limit):
        try:
            configs.append(Config.of(values if folder is None else with_data_dir(values, folder)))
        except ConfigError as error:
            problems.update(dict.fromkeys(str(error).splitlines()))
    return configs, problems


def _check_overrides(space: Mapping[str, Any], overrides: Mapping[str, Sequence[Any]]) -> None:
    """Check that no override has the name of a group of keys. Raises: ExperimentError."""
    for name in overrides:
        if name in space and name not in keys():
            group = sorted({key for option in _options(name, space[name]) for key in _group(name, option)} - {name})
            raise ExperimentError(
                f"{name} is a group of keys in the space and has no value of its own. Set its keys instead: "
                f"{', '.join(group)}."
            )


def _values_of_trials(
    space: Mapping[str, Any], defaults: Mapping[str, Any], overrides: Mapping[str, Sequence[Any]]
) -> Iterator[dict[str, Any]]:
    combinations = [dict(zip(overrides, values, strict=True)) for values in itertools.product(*overrides.values())]
    seen: set[str] = set()
    for trial in expand(space):
        rest = {name: value for name, value in {**defaults, **trial}.items() if name not in overrides}
        if overrides:
            # Trials that differed only in a key that is replaced have become equal.
            text = repr(sorted(rest.items()))
            if text in seen:
                continue
            seen.add(text)
        for combination in combinations:
            yield {**rest, **combination}


def _check_distinct(configs: Sequence[Config]) -> None:
    seen: set[Config] = set()
    for config in configs:
        if config in seen:
            values = ", ".join(f"{name}={getattr(config, name)}" for name in axes(configs))
            raise ExperimentError(
                f"The grid contains the same trial twice{f' ({values})' if values else ''}. Remove the repeated value "
                "from its axis."
            )
        seen.add(config)


def axes(configs: Sequence[Config]) -> dict[str, list[Any]]:
    """Return the keys in which configs differ, with their values in the order of the grid."""
    varying = {}
    for name in keys():
        column = list(map(attrgetter(name), configs))
        # Counting is much faster than collecting the values, and most keys have one.
        if column and column.count(column[0]) < len(column):
            varying[name] = list(dict.fromkeys(column))
    return varying


def independent_axes(configs: Sequence[Config]) -> list[str]:
    """Return the axes without those that follow from another one, as the input size does from the data set.

    Of axes that follow from each other, the first is returned.
    """
    columns = {name: [getattr(config, name) for config in configs] for name in axes(configs)}
    independent = []
    for place, (name, values) in enumerate(columns.items()):
        causes = [
            other
            for other_place, (other, others) in enumerate(columns.items())
            if other != name and _follows(others, values) and (other_place < place or not _follows(values, others))
        ]
        if not causes:
            independent.append(name)
    return independent


def _follows(causes: Sequence[Any], values: Sequence[Any]) -> bool:
    """Return True if each cause has one value only."""
    return len(set(zip(causes, values, strict=True))) == len(set(causes))


def check_axes(configs: Sequence[Config], inert: Sequence[str]) -> None:
    """Check that each axis has an effect on some trial.

    Args:
        configs: the trials of a grid.
        inert: axes that are allowed to have no effect.

    Raises: ExperimentError for axes without effect and for unknown keys in `inert`.
    """
    problems = [unknown("key in inert", name, keys()) for name in inert if name not in keys()]
    for name in axes_without_effect(configs):
        if name not in inert:
            problems.append(
                f"The axis {name} has no effect: no trial reads it ({_deciding_settings(configs, name)}). "
                f"Give {name} a single value, or list it in the experiment's `inert`."
            )
    if problems:
        raise ExperimentError("\n".join(problems))


def _deciding_settings(configs: Sequence[Config], axis: str) -> str:
    """Return the values of DECIDING_KEYS, without the axis itself, such as "model='SET' or 'RigL', kwinners=False"."""
    names = [name for name in DECIDING_KEYS if name != axis]
    values = {name: list(dict.fromkeys(getattr(config, name) for config in configs)) for name in names}
    return ", ".join(f"{name}={' or '.join(map(repr, each))}" for name, each in values.items())


def axes_without_effect(configs: Sequence[Config]) -> list[str]:
    """Return the axes that no trial reads."""
    unread = list(axes(configs))
    for config in one_of_each_kind(configs) if unread else []:
        read = keys_read(config)
        unread = [name for name in unread if name not in read]
    # A key that differs, but has its default everywhere, follows another one, as the input size does from the data set.
    return [name for name in unread if not all(is_default(config, name) for config in configs)]
