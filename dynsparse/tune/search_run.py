"""`search`: settings that a searcher proposes, trained in batches."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any

import ray

from dynsparse.config import Config, ConfigError, unknown
from dynsparse.experiment import Experiment, ExperimentError
from dynsparse.grid import check_axes
from dynsparse.io.storage import Folder
from dynsparse.io.terminal import say
from dynsparse.results.fence import Fence, FencedFolder
from dynsparse.results.grid_status import scan
from dynsparse.results.lock import Lock
from dynsparse.results.trial_folder import State, TrialFolder, folder_name
from dynsparse.sampling import all_domains, distribution_of, has_domain
from dynsparse.search import PBT, SearchOptions
from dynsparse.search.objectives import has_diverged, metric_and_summary, value_of
from dynsparse.search.optuna_study import JOURNAL, OptunaStudy
from dynsparse.tune.driver import Outcome, run_grid
from dynsparse.tune.options import RunOptions
from dynsparse.tune.preflight import check_first_trial, check_run, write_error
from dynsparse.tune.ray_session import ray_session

# Random settings that are tried for one that is allowed, before a search.
TRIED_SETTINGS = 10
# Random settings that show which keys are read: enough for a key that one option of a choice reads.
COMPARED_SETTINGS = 40
LOCK_FOLDER = ".search"


@dataclass(frozen=True)
class SearchOutcome:
    """The result of a search.

    Args:
        outcome: for all trials of the search, with the best settings.
        configs: all trials of the search.
    """

    outcome: Outcome
    configs: list[Config]


def search(
    experiment: Experiment, options: RunOptions, overrides: Mapping[str, Sequence[Any]] | None = None
) -> SearchOutcome:
    """Train `num_samples` settings that a searcher proposes. The same command resumes a search.

    A batch of settings is proposed, trained and reported to the searcher before the next: as many as the CPUs can train
    at a time, one with in_process=True. A setting that is not allowed counts as failed.

    Args:
        experiment: the experiment.
        options: of the run, with a searcher.
        overrides: key to the values that replace what the space gives.

    Raises: ExperimentError for a space without domains or with grids, a limit, or an objective that the trials do not
        log; and what `run` raises.
    """
    overrides, started = overrides or {}, time.monotonic()
    of_search = check_search(experiment, options, overrides)
    space = searched_space(experiment, overrides)
    checked = check_run(experiment, example_trials(experiment, overrides), options)
    if JOURNAL not in checked.folder.names():
        _check_objectives(of_search.objectives, check_first_trial(checked.configs))
    # Further batches continue in the folder of the first.
    options = replace(options, name=checked.name, fresh=False, quiet=True)
    with ExitStack() as stack:
        # For the whole search: between two batches, another one would propose settings of its own.
        lock_folder = checked.folder.sub(LOCK_FOLDER)
        try:
            lock = stack.enter_context(Lock(lock_folder))
            journal_folder = FencedFolder(checked.folder, Fence(lock_folder, lock.token))
            study = OptunaStudy(space, of_search.objectives, experiment.search_seed, journal_folder)
        except OSError as error:
            raise write_error(checked.folder, error) from error
        n_at_once = 1
        if not options.in_process:
            stack.enter_context(ray_session(options.address))
            n_at_once = max(1, int(ray.cluster_resources().get("CPU", 1) / max(checked.cpus, 1e-9)))
            n_at_once = max(1, n_at_once // (1 if options.group_by else of_search.repeats))
        found = _Batches(experiment, overrides, study, of_search, options, checked.folder).train(n_at_once)
    # The last batch knows its own seconds only.
    return replace(found, outcome=replace(found.outcome, seconds=time.monotonic() - started))


def check_search(experiment: Experiment, options: RunOptions, overrides: Mapping[str, Sequence[Any]]) -> SearchOptions:
    """Check that a searcher can take a space, and the options. Return the options of the search.

    Raises: ExperimentError.
    """
    of_search = options.searching
    if of_search is None:
        raise ExperimentError("A search needs a searcher. Give searcher='optuna'.")
    if not of_search.objectives:
        usual = "val_r2_max" if experiment.metric == "val_r2_max" else "val_acc_max"
        of_search = replace(of_search, objectives=(usual,))
    _check_space(searched_space(experiment, overrides), overrides, of_search)
    _check_options(of_search, options)
    _check_keys_are_read(experiment, overrides)
    return of_search


def searched_space(experiment: Experiment, overrides: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Return the space without the keys that are overridden."""
    return {name: value for name, value in experiment.space.items() if name not in overrides}


def _check_space(space: Mapping[str, Any], overrides: Mapping[str, Sequence[Any]], options: SearchOptions) -> None:
    if not has_domain(space):
        raise ExperimentError(
            "searcher='optuna' proposes values of domains, and the space has none. Give some, such as "
            "on_perc=tune.loguniform(0.01, 0.5)."
        )
    grids = [name for name, value in space.items() if _has_grid(value)]
    grids += [name for name, values in overrides.items() if isinstance(values, list | tuple) and len(values) > 1]
    if "seed" in grids or ("seed" in {*space, *overrides} and options.repeats > 1):
        raise ExperimentError(
            "searcher='optuna' sets the seeds itself. Take seed out of the space, and say how many with repeats."
        )
    if grids:
        raise ExperimentError(
            f"searcher='optuna' cannot take the grid of {', '.join(grids)}. Give tune.choice in place of "
            "tune.grid_search, or run a search for each value."
        )
    unbounded = [
        name
        for name, domain in all_domains(space)
        if not hasattr(domain, "categories") and distribution_of(domain, name).kind == "Normal"
    ]
    if unbounded:
        raise ExperimentError(
            f"{', '.join(unbounded)} must have bounds for searcher='optuna', got tune.randn. Give tune.uniform or "
            "tune.loguniform."
        )


def _check_keys_are_read(experiment: Experiment, overrides: Mapping[str, Sequence[Any]]) -> None:
    """Check that each key of the space has an effect on some of the settings. Raises: ExperimentError."""
    configs: dict[Config, None] = {}
    for number in range(COMPARED_SETTINGS):
        drawn = replace(experiment, num_samples=1, search_seed=experiment.search_seed + number)
        try:
            configs.update(dict.fromkeys(drawn.configs({**overrides, "seed": [0]})))
        except ConfigError:
            # Settings that are not allowed count as failed. If all are, `example_trials` says so.
            continue
    check_axes(list(configs), experiment.inert)


def _check_options(search_options: SearchOptions, options: RunOptions) -> None:
    """Check the options of the runs, which a search may not follow. Raises: ExperimentError."""
    if options.limit is not None:
        raise ExperimentError(
            f"limit must not be given with searcher='optuna', got {options.limit}: settings of which no trial runs "
            "would count as failed. Give a smaller num_samples."
        )
    if options.retry_failed:
        raise ExperimentError(
            "retry_failed must not be given with searcher='optuna': it has been told that the settings of failed "
            "trials failed, and cannot be told otherwise. Leave it out, or give another --name."
        )
    if options.trains_in_rounds:
        whole = "populations" if options.scheduler == PBT else "brackets"
        raise ExperimentError(
            f"scheduler={options.scheduler!r} must not be given with searcher='optuna': its {whole} need all settings "
            "at once. Give scheduler='asha' or 'median', or leave out the searcher for a random search."
        )
    if options.stopping is not None and len(search_options.objectives) > 1:
        raise ExperimentError(
            f"scheduler={options.stopping.scheduler_name!r} must not be given with {len(search_options.objectives)} "
            "objectives: trials that it stops would be compared with those that have trained to their end. Leave it "
            "out, or give one objective."
        )


def _has_grid(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "grid_search" in value or any(map(_has_grid, value.values()))
    if hasattr(value, "categories"):
        return any(map(_has_grid, value.categories))
    return isinstance(value, list | tuple) and any(map(_has_grid, value))


def example_trials(experiment: Experiment, overrides: Mapping[str, Sequence[Any]]) -> list[Config]:
    """Return the trial of a random setting, as an example for checks. Raises: ValueError if no setting is allowed."""
    problem: ValueError | None = None
    for number in range(TRIED_SETTINGS):
        drawn = replace(experiment, num_samples=1, search_seed=experiment.search_seed + number)
        try:
            return drawn.configs({**overrides, "seed": [0]})
        except ValueError as error:
            problem = problem or error
    assert problem is not None
    raise problem


@dataclass(frozen=True)
class _Batches:
    """The batches of a search.

    Args:
        experiment: the experiment.
        overrides: key to the values that replace what its space gives.
        study: proposes the settings.
        search_options: the repeats and objectives.
        options: of the run of each batch.
        folder: of the experiment.
    """

    experiment: Experiment
    overrides: Mapping[str, Sequence[Any]]
    study: OptunaStudy
    search_options: SearchOptions
    options: RunOptions
    folder: Folder

    def train(self, n_at_once: int) -> SearchOutcome:
        """Train batches of `n_at_once` settings until there are enough, or a batch is not finished."""
        study, n_wanted = self.study, self.experiment.num_samples
        outcome: Outcome | None = None
        while outcome is None or not (outcome.n_unfinished or len(study.settings()) >= n_wanted):
            if not study.waiting():
                for _ in range(min(n_at_once, n_wanted - len(study.settings()))):
                    study.propose()
            trials = self._all_trials()
            everything = list(dict.fromkeys(config for configs in trials.values() for config in configs))
            if not study.waiting() and (outcome is not None or len(study.settings()) < n_wanted):
                # No setting of this batch is allowed.
                continue
            if not everything:
                raise ExperimentError("No setting of the search is allowed: see above. Change the space.")
            outcome = run_grid(self.experiment, everything, self.options)
            for number in study.waiting() if not outcome.n_unfinished else ():
                self._report(number, trials[number])
        settings = study.settings()
        objectives = self.search_options.objectives
        best = [
            (self._proposed(settings[number]), dict(zip(objectives, values, strict=True)))
            for number, values in study.best()
        ]
        return SearchOutcome(replace(outcome, best=best), everything)

    def _all_trials(self) -> dict[int, list[Config]]:
        """Return the trials of each setting, except of those that are not allowed: these have failed.

        Raises: ExperimentError if the trials of a setting are no longer those that it began with.
        """
        trials = {}
        waiting, failed = self.study.waiting(), self.study.failed()
        for number, setting in self.study.settings().items():
            try:
                trials[number] = self._trials(setting)
            except ValueError as error:
                if number in waiting:
                    self.study.tell(number, None)
                    say(f"{self._description(number)}: not allowed: {error}")
                elif number not in failed:
                    raise
        self.study.check_trials({number: list(map(folder_name, configs)) for number, configs in trials.items()})
        return trials

    def _trials(self, setting: Mapping[str, Any]) -> list[Config]:
        """Return the trials of a setting: one for each seed."""
        seeds = {} if "seed" in setting else {"seed": {"grid_search": list(range(self.search_options.repeats))}}
        return replace(self.experiment, space={**setting, **seeds}, num_samples=1).configs(self.overrides)

    def _proposed(self, setting: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of a setting that the searcher has proposed."""
        return {name: setting[name] for name, value in self.study.space.items() if has_domain(value)}

    def _description(self, number: int) -> str:
        """Return the number and the proposed values of a setting, for people."""
        proposed = self._proposed(self.study.settings()[number])
        return f"setting {number + 1}: {', '.join(f'{name}={value}' for name, value in proposed.items())}"

    def _report(self, number: int, configs: Sequence[Config]) -> None:
        """Tell the searcher what a setting has reached, and say it."""
        objectives = self.search_options.objectives
        rows = [TrialFolder(self.folder.sub(folder_name(config))).rows() for config in configs]
        states = {each.state for each in scan(self.folder, configs).trials}
        values = None
        if states <= {State.COMPLETE, State.STOPPED}:
            if any(map(has_diverged, rows)):
                self.study.tell_diverged(number)
                say(f"{self._description(number)}: diverged")
                return
            values = [mean(value_of(each, objective) for each in rows) for objective in objectives]
        stopped_at = max(map(len, rows)) if State.STOPPED in states else None
        self.study.tell(number, values, stopped_at)
        result = "failed"
        if values is not None:
            result = ", ".join(f"{name} {value:.4g}" for name, value in zip(objectives, values, strict=True))
        ended = f" (stopped after epoch {stopped_at})" if stopped_at is not None else ""
        say(f"{self._description(number)}: {result}{ended}")


def _check_objectives(objectives: Sequence[str], columns: Sequence[str]) -> None:
    """Check that the trials have the metrics of the objectives. Raises: ExperimentError."""
    for objective in objectives:
        metric, _ = metric_and_summary(objective)
        if metric not in columns:
            raise ExperimentError(
                f"The objective {objective!r} must be a column of the trials, alone or with _max, _min or _last. "
                f"{unknown('column', metric, columns)}"
            )
