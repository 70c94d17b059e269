"""`Experiment`: a named grid together with the question it answers, as a user's file defines it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dynsparse.config import Config
from dynsparse.config.functions import with_functions_in_folder
from dynsparse.config.python_files import FileImportError, load_file
from dynsparse.grid import (
    ExperimentError,
    axes,
    axes_without_effect,
    check_axes,
    count_trials,
    expand,
    grid_configs,
    sample_spaces,
)

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
        space: key to value. A value may be `tune.grid_search([...])` or a domain, such as `tune.uniform(0.01, 0.5)`, or
            contain them at any depth. A dict, alone or as a value of a grid, sets several keys together:
            {"model": "RigL", "prune_decay": "cosine"}.
        num_samples: number of samples that are drawn from the domains. Each is combined with each point of the grid.
        search_seed: other seeds give other samples.
        epochs: number of epochs of each trial, unless the space gives it.
        cpus_per_trial: number of CPUs that Ray reserves for each trial.
        gpus_per_trial: number of GPUs that Ray reserves for each trial; may be a fraction.
        inert: axes that are allowed to have no effect. Any other axis that no trial reads is an error.
        run_options: options of `run` that this experiment is meant for, such as {"scheduler": "asha", "grace": 2} or
            {"searcher": "optuna", "repeats": 3}. Those of a command or of a call replace them.
        metric: column of the results that answers the question. None: val_acc_max, or val_r2_max if the space has
            loss="mse".
        file: path of the file that defines the experiment; `load_experiment` sets it, for messages only.
        folder: folder in which relative paths of data files, and of files of functions, start. None: that of the
            experiment file, or the working directory if there is none.

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
    num_samples: int = 1
    search_seed: int = 0
    cpus_per_trial: float = 1
    gpus_per_trial: float = 0
    inert: tuple[str, ...] = ()
    run_options: Mapping[str, Any] = field(default_factory=dict)
    metric: str | None = None
    folder: str | Path | None = None
    file: str | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        check_name(self.name)
        if not isinstance(self.space, Mapping):
            raise ExperimentError(f"space must be a dict of keys and values, got {self.space!r}.")
        if not isinstance(self.run_options, Mapping):
            raise ExperimentError(f"run_options must be a dict of options and values, got {self.run_options!r}.")
        if self.metric is None:
            object.__setattr__(self, "metric", "val_r2_max" if self.space.get("loss") == "mse" else "val_acc_max")
        for name, least in [("num_samples", 1), ("search_seed", 0)]:
            count = getattr(self, name)
            if not isinstance(count, int) or isinstance(count, bool) or count < least:
                raise ExperimentError(f"{name} must be a whole number of at least {least}, got {count!r}.")
        for name, number in [("cpus_per_trial", self.cpus_per_trial), ("gpus_per_trial", self.gpus_per_trial)]:
            if not isinstance(number, int | float) or number < 0:
                raise ExperimentError(f"{name} must be a number of at least 0, got {number!r}.")

    def count(self, overrides: Mapping[str, Sequence[Any]] | None = None) -> int:
        """Return the number of trials of the grid without expanding it. See `configs` for `overrides`.

        Samples with equal values are counted each, although they are one trial.
        """
        return self.num_samples * count_trials(self.space, _lists(overrides))

    def configs(self, overrides: Mapping[str, Sequence[Any]] | None = None, limit: int | None = None) -> list[Config]:
        """Return the trials of the grid in its order; the last axis varies fastest.

        Args:
            overrides: key to the values that replace what the space gives; several values are an axis.
            limit: return only the first trials, as many as this; None: all. The others are not checked.

        Raises: ExperimentError for a grid without trials, for keys given twice and for axes without effect;
        ConfigError with all problems of all trials.
        """
        folder = Path(self.folder or ".").absolute()
        drawn = sample_spaces(self.space, self.search_seed, self.num_samples)
        given = with_functions_in_folder(_lists(overrides), folder)
        spaces = (with_functions_in_folder(each, folder) for each in drawn)
        configs = grid_configs(spaces, {"epochs": self.epochs}, given, limit, folder)
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
    try:
        module = load_file(path, f"experiment_file_{path.stem}")
    except FileImportError as error:
        raise ExperimentError(str(error)) from error.__cause__
    experiment = getattr(module, "experiment", None)
    if not isinstance(experiment, Experiment):
        problem = "defines no `experiment`" if experiment is None else f"has an `experiment` that is {experiment!r}"
        raise ExperimentError(
            f"{path} {problem}. Add experiment = Experiment(name=..., question=..., space=dict(...))."
        )
    folder = path.resolve().parent if experiment.folder is None else experiment.folder
    return replace(experiment, folder=folder, file=str(path.resolve()))
