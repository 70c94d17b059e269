"""`Experiment`: a named grid together with the question it answers, as a user's file defines it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any

from dynsparse.config import Config
from dynsparse.grid import ExperimentError, axes, axes_without_effect, check_axes, count_trials, expand, grid_configs

__all__ = [
    "Experiment",
    "ExperimentError",
    "axes",
    "axes_without_effect",
    "check_name",
    "expand",
    "load_experiment",
]


@dataclass(frozen=True)
class Experiment:
    """A named grid and the question it answers.

    Args:
        name: name of the results folder.
        question: the question that the grid answers, in one sentence.
        space: key to value. A value may be `tune.grid_search([...])`, or contain one at any depth. A dict, alone or as
            a value of a grid, sets several keys together: {"model": "RigL", "prune_decay": "cosine"}.
        epochs: number of epochs of each trial, unless the space gives it.
        cpus_per_trial: number of CPUs that Ray reserves for each trial.
        gpus_per_trial: number of GPUs that Ray reserves for each trial; may be a fraction.
        inert: axes that are allowed to have no effect. Any other axis that no trial reads is an error.
        metric: column of the results that answers the question.
        file: path of the file that defines the experiment; `load_experiment` sets it, for messages only.

    Raises: ExperimentError for a value that is not allowed.

    Example:
        >>> from ray import tune
        >>> experiment = Experiment(
        ...     name="density",
        ...     question="How much accuracy does a lower density cost?",
        ...     space={
        ...         "dataset_name": "digits",
        ...         "model": "SET",
        ...         "on_perc": tune.grid_search([0.05, 0.1]),
        ...         "seed": tune.grid_search([0, 1, 2]),
        ...     },
        ...     epochs=10,
        ... )
        >>> [(config.on_perc, config.seed) for config in experiment.configs()]
        [(0.05, 0), (0.05, 1), (0.05, 2), (0.1, 0), (0.1, 1), (0.1, 2)]
    """

    name: str
    question: str
    space: Mapping[str, Any]
    epochs: int = 30
    cpus_per_trial: float = 1
    gpus_per_trial: float = 0
    inert: tuple[str, ...] = ()
    metric: str = "val_acc_max"
    file: str | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        check_name(self.name)
        if not isinstance(self.space, Mapping):
            raise ExperimentError(f"space must be a dict of keys and values, got {self.space!r}.")
        for name, number in [("cpus_per_trial", self.cpus_per_trial), ("gpus_per_trial", self.gpus_per_trial)]:
            if not isinstance(number, int | float) or number < 0:
                raise ExperimentError(f"{name} must be a number of at least 0, got {number!r}.")

    def count(self, overrides: Mapping[str, Sequence[Any]] | None = None) -> int:
        """Return the number of trials of the grid without expanding it. See `configs` for `overrides`."""
        return count_trials(self.space, _lists(overrides))

    def configs(self, overrides: Mapping[str, Sequence[Any]] | None = None, limit: int | None = None) -> list[Config]:
        """Return the trials of the grid in its order; the last axis varies fastest.

        Args:
            overrides: key to the values that replace what the space gives; several values are an axis.
            limit: return only the first trials, as many as this; None: all. The others are not checked.

        Raises: ExperimentError for a grid without trials, for keys given twice and for axes without effect;
        ConfigError with all problems of all trials.
        """
        configs = grid_configs(self.space, {"epochs": self.epochs}, _lists(overrides), limit)
        check_axes(configs, self.inert)
        return configs


def _lists(overrides: Mapping[str, Sequence[Any]] | None) -> dict[str, Sequence[Any]]:
    return {name: each if isinstance(each, list | tuple) else [each] for name, each in (overrides or {}).items()}


def check_name(name: object) -> None:
    """Check that an experiment's name can be the name of a folder. Raises: ExperimentError."""
    if not isinstance(name, str) or not name.strip() or name.startswith(".") or set(name) & set("/\\"):
        raise ExperimentError(f"name must be a valid folder name (no / or \\, no leading dot), got {name!r}.")


def load_experiment(path: str | Path) -> Experiment:
    """Return the `experiment` that a Python file defines.

    Raises: ExperimentError if the file does not exist, cannot be imported, or defines no experiment.
    """
    path = Path(path)
    if not path.is_file():
        files = sorted(path.parent.glob("*.py")) if path.parent.is_dir() else []
        others = ", ".join(each.name for each in files if each.stem != "__init__")
        hint = f" Files in {path.parent}: {others}." if others else ""
        raise ExperimentError(f"The experiment file {str(path)!r} does not exist.{hint}")
    if path.suffix != ".py":
        raise ExperimentError(f"{str(path)!r} is not a Python file. The name of an experiment file ends in .py.")
    name = f"experiment_file_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_ScriptLoader(name, str(path)))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # As for a script: a dataclass in the file looks up its module, and files in the same folder can be imported.
    sys.modules[spec.name] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ExperimentError(
            f"{path} cannot be imported: {type(error).__name__}: {error}{_line_of(error, path)}"
        ) from error
    experiment = getattr(module, "experiment", None)
    if not isinstance(experiment, Experiment):
        problem = "defines no `experiment`" if experiment is None else f"has an `experiment` that is {experiment!r}"
        raise ExperimentError(
            f"{path} {problem}. Add experiment = Experiment(name=..., question=..., space=dict(...))."
        )
    return replace(experiment, file=str(path.resolve()))


class _ScriptLoader(SourceFileLoader):
    """A loader that always compiles the source, as Python does for a script.

    Python takes the bytecode that it has kept if the file has the same size and the same time in whole seconds. It
    would miss an edit within the same second.
    """

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _line_of(error: BaseException, path: Path) -> str:
    """Return the line of the file in which an error was raised, or "" if it is unknown or part of the message."""
    if isinstance(error, SyntaxError):
        return ""
    line = None
    trace = error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).resolve() == path.resolve():
            line = trace.tb_lineno
        trace = trace.tb_next
    return f" (line {line})" if line else ""
