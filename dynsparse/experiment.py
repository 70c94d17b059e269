"""`Experiment`: a named grid together with the question it answers. A grid becomes a list of configurations here,
without Ray."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynsparse.config import Config, ConfigError, keys, unknown
from dynsparse.planning.plan import keys_read


class ExperimentError(ValueError):
    """An experiment that cannot be run as it stands; the message says what to change."""


@dataclass(frozen=True)
class Experiment:
    """A grid and the question it answers.

    Args:
        name: of the results' folder.
        question: what the grid is to answer, in a sentence.
        space: key to value; a value may be, or hold at any depth, `tune.grid_search([...])`. A dict, alone or as a
            value of a grid, is a group of keys that belong together: {"model": "RigL", "prune_decay": "cosine"}.
        epochs: of each trial.
        cpus_per_trial, gpus_per_trial: what Ray sets aside for each trial.
        inert: axes that are known to have no effect; any other axis that no trial reads is refused.
        metric: the column of the results that answers the question.

    Raises: ExperimentError for a name that cannot be a folder's, or a space that is no dict.
    """

    name: str
    question: str
    space: Mapping[str, Any]
    epochs: int = 30
    cpus_per_trial: float = 1
    gpus_per_trial: float = 0
    inert: tuple[str, ...] = ()
    metric: str = "val_acc_max"

    def __post_init__(self) -> None:
        check_name(self.name)
        if not isinstance(self.space, Mapping):
            raise ExperimentError(f"space must be a dict of keys and values, got {self.space!r}")
        for each in ("cpus_per_trial", "gpus_per_trial"):
            if not isinstance(getattr(self, each), int | float) or getattr(self, each) < 0:
                raise ExperimentError(f"{each} must be a number of at least 0, got {getattr(self, each)!r}")

    def configs(self, overrides: Mapping[str, Sequence[Any]] | None = None) -> list[Config]:
        """The trials of the grid, in its order; the last axis varies fastest.

        Args:
            overrides: key to the values that replace what the space says; several values are an axis.

        Raises: ExperimentError for a grid without trials, for keys given twice and for axes without effect;
        ConfigError with all problems of all trials.
        """
        overrides = {k: v if isinstance(v, list | tuple) else [v] for k, v in (overrides or {}).items()}
        trials = [{"epochs": self.epochs, **trial} for trial in expand(self.space)]
        trials = [{k: v for k, v in trial.items() if k not in overrides} for trial in trials]
        distinct = list({repr(sorted(trial.items())): trial for trial in trials}.values()) if overrides else trials
        combinations = [dict(zip(overrides, values, strict=True)) for values in itertools.product(*overrides.values())]
        configs, problems = [], {}
        for trial in distinct:
            for combination in combinations:
                try:
                    configs.append(Config.of({**trial, **combination}))
                except ConfigError as error:
                    problems.update(dict.fromkeys(str(error).splitlines()))
        if problems:
            raise ConfigError("\n".join(problems))
        if not configs:
            raise ExperimentError(f"the grid of {self.name!r} has no trial: an axis has no values")
        if len(set(configs)) < len(configs):
            twice = next(config for i, config in enumerate(configs) if config in configs[:i])
            values = ", ".join(f"{name}={getattr(twice, name)}" for name in axes(configs))
            raise ExperimentError(f"the grid has one trial twice ({values}): a value stands twice in its axis")
        self._refuse_axes_without_effect(configs)
        return configs

    def _refuse_axes_without_effect(self, configs: Sequence[Config]) -> None:
        known = keys()
        wrong = [unknown("key in `inert`:", name, known) for name in self.inert if name not in known]
        without = [name for name in axes_without_effect(configs) if name not in self.inert]
        for name in without:
            readers = ", ".join(sorted({f"model={c.model!r}, network={c.network!r}" for c in configs}))
            wrong.append(
                f"the axis {name} has no effect: no trial reads it ({readers}, rules={configs[0].rules!r}). "
                f"Give {name} one value, or name it in the experiment's `inert` if that is meant"
            )
        if wrong:
            raise ExperimentError("\n".join(wrong))


def check_name(name: object) -> None:
    """Raises: ExperimentError for what cannot be the name of a folder."""
    if not isinstance(name, str) or not name.strip() or name.startswith(".") or set(name) & set("/\\"):
        raise ExperimentError(f"a name is a folder's: text without / that does not begin with a dot, got {name!r}")


def expand(space: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The trials of a space as flat dicts. Raises: ExperimentError, naming the key."""
    options = [[_group(name, option) for option in _options(name, value)] for name, value in space.items()]
    for groups in itertools.product(*options):
        trial: dict[str, Any] = {}
        for group in groups:
            twice = trial.keys() & group.keys()
            if twice:
                raise ExperimentError(f"{', '.join(sorted(twice))} is given twice in the space; keep one")
            trial.update(group)
        yield trial


def _group(name: str, option: Any) -> dict[str, Any]:
    """A dict stands for its own keys, anything else for the key it was given under."""
    return option if isinstance(option, dict) else {name: option}


def _options(name: str, value: Any) -> list[Any]:
    """All values that a part of the space stands for."""
    if isinstance(value, dict) and value.keys() == {"grid_search"}:
        if not isinstance(value["grid_search"], list | tuple):
            raise ExperimentError(f"{name}: tune.grid_search takes a list, got {value['grid_search']!r}")
        if not value["grid_search"]:
            raise ExperimentError(f"{name}: tune.grid_search([]) has no values")
        return [option for each in value["grid_search"] for option in _options(name, each)]
    if isinstance(value, dict):
        return list(expand(value))
    if isinstance(value, list | tuple):
        return [list(option) for option in itertools.product(*(_options(name, each) for each in value))]
    if type(value).__module__.startswith("ray."):
        raise ExperimentError(f"{name}: a grid is made of fixed values and tune.grid_search, got {value!r}")
    return [value]


def axes(configs: Sequence[Config]) -> dict[str, list[Any]]:
    """The keys in which trials differ, and their values in the order of the grid."""
    values = [config.values() for config in configs]
    seen = {name: list(dict.fromkeys(each[name] for each in values)) for name in keys()}
    return {name: found for name, found in seen.items() if len(found) > 1}


def axes_without_effect(configs: Sequence[Config]) -> list[str]:
    """The axes that no trial reads."""
    unread = list(axes(configs))
    for config in configs:
        if not unread:
            # The first trials read them all, most often, and a grid may have a hundred thousand.
            break
        read = keys_read(config)
        unread = [name for name in unread if name not in read]
    return unread


def same_trials(configs: Sequence[Config]) -> list[list[Config]]:
    """Groups of trials that differ only in keys that none of them reads: each group trains the same thing again."""
    groups: dict[Any, list[Config]] = {}
    for config in configs:
        read = keys_read(config)
        what = tuple((name, value) for name, value in config.values().items() if name in read)
        groups.setdefault(what, []).append(config)
    return [group for group in groups.values() if len(group) > 1]


def load_experiment(path: str | Path) -> Experiment:
    """The `experiment` that a Python file defines.

    Raises: ExperimentError if there is no such file, if it cannot be imported, or if it defines none.
    """
    path = Path(path)
    if not path.is_file():
        near = sorted(path.parent.glob("*.py")) if path.parent.is_dir() else []
        there = ", ".join(each.name for each in near if each.stem != "__init__")
        hint = f"; in {path.parent} there are {there}" if there else ""
        raise ExperimentError(f"there is no experiment file {str(path)!r}{hint}")
    spec = importlib.util.spec_from_file_location(f"experiment_file_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ExperimentError(f"{str(path)!r} is no Python file: an experiment file ends in .py")
    module = importlib.util.module_from_spec(spec)
    # As for a script: a dataclass in the file looks up its module, and files beside it can be imported.
    sys.modules[spec.name] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ExperimentError(
            f"{path} does not import: {type(error).__name__}: {error}{_where(error, path)}"
        ) from error
    experiment = getattr(module, "experiment", None)
    if not isinstance(experiment, Experiment):
        found = "defines no `experiment`" if experiment is None else f"has an `experiment` that is {experiment!r}"
        raise ExperimentError(f"{path} {found}; write experiment = Experiment(name=..., question=..., space=dict(...))")
    return experiment


def _where(error: BaseException, path: Path) -> str:
    """The line of the file in which an error was raised, as far as it is known and the error does not say it."""
    if isinstance(error, SyntaxError):
        return ""
    line = None
    trace = error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).resolve() == path.resolve():
            line = trace.tb_lineno
        trace = trace.tb_next
    return f" (line {line})" if line else ""
