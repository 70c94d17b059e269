"""`RunOptions`: the options of a run, which the command line and Python share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.logger import CSVLoggerCallback, JsonLoggerCallback
from ray.tune.schedulers import TrialScheduler

from dynsparse.config import unknown
from dynsparse.experiment import Experiment, ExperimentError, check_name
from dynsparse.planning.packs import parse_pack
from dynsparse.search import SCHEDULERS_IN_ROUNDS, SearchOptions, StoppingOptions

# Options that are whole numbers, with their smallest value, and options that are numbers larger than 0, with their
# largest value. In OPTIONAL are those of them that may be None.
COUNTS = {"limit": 1, "max_failures": 0, "checkpoint_epochs": 1}
POSITIVE = {"cpus_per_trial": 1e6, "epoch_seconds": 1e9, "trial_seconds": 1e9}
OPTIONAL = ("limit", *POSITIVE)
FLAGS = ("fresh", "retry_failed", "in_process", "tensorboard", "quiet")
# Options that only Ray can follow.
OF_RAY = ("address", "epoch_seconds")
# What options for trackers must be.
TRACKERS = {
    "wandb": "the name of a project of Weights & Biases",
    "mlflow": "the URI of a tracking server or database, such as sqlite:///mlflow.db",
}
# Options of early stopping, with their defaults, that need a scheduler.
OF_SCHEDULER = {each.name: each.default for each in fields(StoppingOptions) if each.name != "scheduler"}
# Likewise of a search.
OF_SEARCHER = {each.name: each.default for each in fields(SearchOptions) if each.name != "searcher"}
# Options that an experiment cannot give: they belong to one command.
OF_A_COMMAND = ("storage", "name", "limit", "fresh", "retry_failed", "quiet")


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of a run, which do not change the results of its trials.

    Args:
        storage: folder or URI (s3://bucket/folder); the trial folders go to storage/name.
        name: name of the experiment's folder; None: the experiment's name.
        limit: number of trials to run, from the first of the grid; None: all.
        fresh: start over in a new folder.
        retry_failed: run failed trials again.
        cpus_per_trial: CPUs that Ray reserves for each trial, or for each pack; None: as in the experiment.
        gpus_per_trial: GPUs that Ray reserves likewise; None: as in the experiment. A pack on GPUs gets one by default.
        pack: largest number of trials that one process trains together; "off": each trial alone; "auto": on GPUs as
            many as fit, spread over the GPUs; on CPUs each trial alone. Packs change results only by rounding.
        max_failures: how often a trial may die and resume before it has failed.
        checkpoint_epochs: number of epochs between two checkpoints of a trial.
        epoch_seconds: an epoch that takes longer is considered hung, and its process is killed; None: no limit.
        trial_seconds: a trial that takes longer fails; None: no limit.
        scheduler: rule of early stopping, "asha", "median", "hyperband" or a scheduler object of Ray Tune that stops
            trials; "pbt" replaces bad trials by mutated copies of good ones; None: every trial trains to its end, also
            those that a rule has stopped before.
        grace: number of epochs before a rule may stop a trial; of "pbt" also from one exchange to the next.
        reduction_factor: of "asha" and "hyperband": about one of this many trials goes on at each rung; of "pbt": about
            one of this many is replaced.
        group_by: trials that differ only in this key, such as "seed", are trained as one pack and judged by their mean.
        searcher: "optuna" proposes the values that the space gives as domains; None: they are drawn.
        repeats: with a searcher, the number of seeds, from 0, that each setting is trained with.
        objectives: with a searcher, columns such as val_acc_max; the means over the seeds count, and several are traded
            off against each other. Empty: val_acc_max, in a regression val_r2_max.
        in_process: train the trials one after another in this process, without Ray: for small grids, login nodes and
            debuggers.
        address: address of a Ray cluster; None: RAY_ADDRESS, or a local Ray that ends with the run.
        quiet: print warnings and errors only, no progress.
        tensorboard: also write event files for TensorBoard into the trial folders.
        wandb: also write the trials as runs of this project of Weights & Biases.
        mlflow: also write the trials as runs of MLflow: the URI of a server or database, such as sqlite:///mlflow.db.
        callbacks: callbacks of Tune. They see each trial as a trial of Tune, also if it is trained in a pack.

    Raises:
        ExperimentError: If values are not allowed, with all problems.
    """

    storage: str | Path = "results"
    name: str | None = None
    limit: int | None = None
    fresh: bool = False
    retry_failed: bool = False
    cpus_per_trial: float | None = None
    gpus_per_trial: float | None = None
    pack: str | int = "auto"
    max_failures: int = 3
    checkpoint_epochs: int = 5
    epoch_seconds: float | None = None
    trial_seconds: float | None = None
    scheduler: str | TrialScheduler | None = None
    grace: int = StoppingOptions.grace
    reduction_factor: float = StoppingOptions.reduction_factor
    group_by: str | None = StoppingOptions.group_by
    searcher: str | None = None
    repeats: int = SearchOptions.repeats
    objectives: Sequence[str] = SearchOptions.objectives
    in_process: bool = False
    address: str | None = None
    tensorboard: bool = False
    wandb: str | None = None
    mlflow: str | None = None
    quiet: bool = False
    callbacks: Sequence[tune.Callback] = ()

    def __post_init__(self) -> None:
        if problems := [*self._wrong_values(), *self._wrong_combinations()]:
            raise ExperimentError("\n".join(problems))

    def _wrong_values(self) -> Iterator[str]:
        """Yield what is wrong with single options."""
        if self.name is not None:
            try:
                check_name(self.name)
            except ExperimentError as error:
                yield str(error)
        if not isinstance(self.storage, str | Path) or not str(self.storage) or "\0" in str(self.storage):
            yield f"storage must be a folder or a URI such as s3://bucket/folder, got {self.storage!r}."
        for name in FLAGS:
            if not isinstance(getattr(self, name), bool):
                yield f"{name} must be True or False, got {getattr(self, name)!r}."
        for name, lowest in COUNTS.items():
            value = getattr(self, name)
            if value is None and name in OPTIONAL:
                continue
            if not isinstance(value, Integral) or isinstance(value, bool) or int(value) < lowest:
                yield f"{name} must be a whole number of at least {lowest}, got {value!r}."
        for name, highest in POSITIVE.items():
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and 0 < value <= highest):
                yield f"{name} must be a number larger than 0 and at most {highest:g}, got {value!r}."
        gpus = self.gpus_per_trial
        if gpus is not None and not (_is_number(gpus) and 0 <= gpus <= 1e6):
            yield f"gpus_per_trial must be a number from 0 to 1e+06, got {gpus!r}."
        for name, meaning in TRACKERS.items():
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str) and value):
                yield f"{name} must be {meaning}, got {value!r}."
        callbacks = self.callbacks
        if not isinstance(callbacks, Sequence) or not all(isinstance(each, tune.Callback) for each in callbacks):
            yield f"callbacks must be a list of ray.tune.Callback objects, got {callbacks!r}."
        elif any(isinstance(each, JsonLoggerCallback | CSVLoggerCallback) for each in callbacks):
            yield (
                "callbacks must not contain Ray's JsonLoggerCallback or CSVLoggerCallback: they would write over "
                "result.json and progress.csv, which each trial folder already has. Leave them out."
            )
        try:
            parse_pack(self.pack)
        except ValueError as error:
            yield str(error)

    def _wrong_combinations(self) -> Iterator[str]:
        """Yield what is wrong with options that belong together."""
        schedulers = "scheduler='asha', 'median', 'hyperband' or 'pbt'"
        yield from self._wrong_needs("scheduler", "a rule of early stopping", schedulers, OF_SCHEDULER)
        yield from self._wrong_needs("searcher", "a searcher", "searcher='optuna'", OF_SEARCHER)
        for name in ("stopping", "searching"):
            try:
                getattr(self, name)
            except ValueError as error:
                yield str(error)
        of_ray = [name for name in OF_RAY if getattr(self, name)]
        if self.in_process is True and of_ray:
            yield f"in_process=True trains without Ray, which {' and '.join(of_ray)} need. Leave out one or the other."

    def _wrong_needs(self, option: str, what: str, example: str, details: Mapping[str, Any]) -> Iterator[str]:
        """Yield which options are given without the one that they say more about."""
        given = [name for name, default in details.items() if getattr(self, name) != default]
        if getattr(self, option) is None and given:
            need, them = ("needs", "it") if len(given) == 1 else ("need", "them")
            yield f"{' and '.join(given)} {need} {what}. Give {example}, or leave {them} out."

    @classmethod
    def of(cls, experiment: Experiment, **given: Any) -> RunOptions:
        """Return the options of a run: those that are given, else those of the experiment, else the defaults.

        Raises: ExperimentError for options that do not exist, or that an experiment cannot give, and for wrong values.

        Example:
            >>> from dynsparse.experiment import Experiment
            >>> from dynsparse.tune import RunOptions
            >>> options = {"scheduler": "asha", "grace": 2}
            >>> experiment = Experiment("few", "Which?", {"dataset_name": "digits"}, run_options=options)
            >>> RunOptions.of(experiment, grace=3).stopping
            StoppingOptions(scheduler='asha', grace=3, reduction_factor=3.0, group_by=None)
        """
        if problems := [*cls._unknown_options(given), *cls._unknown_run_options(experiment)]:
            raise ExperimentError("\n".join(problems))
        of_experiment = dict(experiment.run_options)
        for option, details in [("scheduler", OF_SCHEDULER), ("searcher", OF_SEARCHER)]:
            if given.get(option, "") is None:
                # Without a scheduler, its grace has no meaning and would be refused.
                of_experiment = {name: value for name, value in of_experiment.items() if name not in details}
        return cls(**{**of_experiment, **given})

    @classmethod
    def _unknown_options(cls, given: Mapping[str, Any]) -> Iterator[str]:
        known, of_experiments = ([each.name for each in fields(kind)] for kind in (cls, Experiment))
        for name, value in given.items():
            if name in of_experiments and name not in known:
                yield (
                    f"{name} belongs to the experiment, not to the run, got {name}={value!r}. Give an experiment "
                    f"that has it: run(dataclasses.replace(experiment, {name}={value!r}))."
                )
            elif name not in known:
                yield unknown("option", name, known)

    @classmethod
    def _unknown_run_options(cls, experiment: Experiment) -> Iterator[str]:
        allowed = [each.name for each in fields(cls) if each.name not in OF_A_COMMAND]
        for name in experiment.run_options:
            if name in OF_A_COMMAND:
                yield (
                    f"run_options must not give {', '.join(OF_A_COMMAND)}, which belong to one command or call, got "
                    f"{name!r}. Take it out of the file, and give it to the command or to run()."
                )
            elif name not in allowed:
                yield unknown("option of run_options", name, allowed)

    @property
    def rerun_states(self) -> dict[str, bool]:
        """The arguments of `GridStatus.todo`: without a rule, the trials that one has stopped are resumed."""
        return {"retry_failed": self.retry_failed, "resume_stopped": self.scheduler is None}

    @property
    def trains_in_rounds(self) -> bool:
        """True if all trials train until an epoch before any trains further."""
        return self.scheduler in SCHEDULERS_IN_ROUNDS

    @property
    def stopping(self) -> StoppingOptions | None:
        """The options of early stopping; None without a scheduler. Raises: ValueError."""
        if self.scheduler is None:
            return None
        return StoppingOptions(self.scheduler, self.grace, self.reduction_factor, self.group_by)

    @property
    def searching(self) -> SearchOptions | None:
        """The options of a search; None without a searcher. Raises: ValueError."""
        if self.searcher is None:
            return None
        return SearchOptions(self.searcher, self.repeats, self.objectives)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
