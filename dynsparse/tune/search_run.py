"""`search`: settings that a searcher proposes, trained in batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import ray

from dynsparse.config import Config, unknown
from dynsparse.experiment import Experiment, ExperimentError
from dynsparse.io.storage import Folder
from dynsparse.io.terminal import say
from dynsparse.results.grid_status import scan
from dynsparse.results.trial_folder import State, TrialFolder, folder_name
from dynsparse.sampling import has_domain
from dynsparse.search.objectives import direction, metric_and_summary, value_of
from dynsparse.search.optuna_study import OptunaStudy
from dynsparse.tune.driver import Outcome, run_grid
from dynsparse.tune.options import RunOptions
from dynsparse.tune.preflight import check_run
from dynsparse.tune.ray_session import ray_session

# Random settings that are tried for one that is allowed, before a search.
TRIED_SETTINGS = 10


@dataclass(frozen=True)
class SearchOptions:
    """Options of a search.

    Args:
        searcher: "optuna".
        repeats: number of seeds, from 0, that each setting is trained with; the objectives are means over them.
        objectives: columns such as val_acc_max; several are traded off against each other.

    Raises: ExperimentError for a value that is not allowed.
    """

    searcher: str = "optuna"
    repeats: int = 1
    objectives: tuple[str, ...] = ("val_acc_max",)

    def __post_init__(self) -> None:
        if self.searcher != "optuna":
            raise ExperimentError(f"searcher must be 'optuna', got {self.searcher!r}. For random search, leave it out.")
        if not isinstance(self.repeats, int) or isinstance(self.repeats, bool) or self.repeats < 1:
            raise ExperimentError(f"repeats must be a whole number of at least 1, got {self.repeats!r}.")
        if not self.objectives or len(set(self.objectives)) < len(self.objectives):
            raise ExperimentError(f"objectives must be different columns, at least one, got {list(self.objectives)}.")


@dataclass(frozen=True)
class SearchOutcome:
    """The result of a search.

    Args:
        outcome: of its last batch, for all trials of the search.
        configs: all trials of the search.
        best: the best setting, or all that no other one beats in every objective: the values of the drawn keys, and
            those of the objectives.
    """

    outcome: Outcome
    configs: list[Config]
    best: list[tuple[dict[str, Any], list[float]]]


def search(
    experiment: Experiment,
    search_options: SearchOptions,
    options: RunOptions,
    overrides: Mapping[str, Sequence[Any]] | None = None,
) -> SearchOutcome:
    """Train `num_samples` settings that a searcher proposes. The same command resumes a search.

    A batch of settings is proposed, trained and reported to the searcher before the next: as many as the CPUs can train
    at a time, one with in_process=True.

    Raises: ExperimentError for a space without domains or with grids; and what `run` raises.
    """
    space = {name: value for name, value in experiment.space.items() if name not in (overrides or {})}
    _check_space(space, overrides or {}, search_options)
    checked = check_run(experiment, _first_trial(experiment, overrides or {}), options)
    if "://" in checked.folder.path:
        raise ExperimentError(
            f"searcher='optuna' needs a storage that is a folder, for its journal, got {checked.storage}. Give a "
            "folder, or leave out the searcher for a random search."
        )
    directions = [direction(each) for each in search_options.objectives]
    study = OptunaStudy(space, directions, experiment.search_seed, Path(checked.folder.path))
    # Further batches continue in the folder of the first.
    options = replace(options, name=checked.name, fresh=False, quiet=True)
    with ExitStack() as stack:
        n_at_once = 1
        if not options.in_process:
            stack.enter_context(ray_session(options.address))
            n_at_once = max(1, int(ray.cluster_resources().get("CPU", 1) / max(checked.cpus, 1e-9)))
            n_at_once = max(1, n_at_once // (1 if options.group_by else search_options.repeats))
        return _search(experiment, study, search_options, options, overrides or {}, checked.folder, n_at_once)


def _check_space(space: Mapping[str, Any], overrides: Mapping[str, Sequence[Any]], options: SearchOptions) -> None:
    if not has_domain(space):
        raise ExperimentError(
            "searcher='optuna' proposes values of domains, and the space has none. Give some, such as "
            "on_perc=tune.loguniform(0.01, 0.5)."
        )
    grids = [name for name, value in space.items() if _has_grid(value)]
    grids += [name for name, values in overrides.items() if isinstance(values, list | tuple) and len(values) > 1]
    if "seed" in grids or ("seed" in space and options.repeats > 1):
        raise ExperimentError(
            "searcher='optuna' sets the seeds itself. Take seed out of the space, and say how many with repeats."
        )
    if grids:
        raise ExperimentError(
            f"searcher='optuna' cannot take the grid of {', '.join(grids)}. Give tune.choice in place of "
            "tune.grid_search, or run a search for each value."
        )


def _has_grid(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "grid_search" in value or any(map(_has_grid, value.values()))
    if hasattr(value, "categories"):
        return any(map(_has_grid, value.categories))
    return isinstance(value, list | tuple) and any(map(_has_grid, value))


def _search(
    experiment: Experiment,
    study: OptunaStudy,
    search_options: SearchOptions,
    options: RunOptions,
    overrides: Mapping[str, Sequence[Any]],
    folder: Folder,
    n_at_once: int,
) -> SearchOutcome:
    outcome: Outcome | None = None
    while True:
        if not study.waiting():
            for _ in range(min(n_at_once, experiment.num_samples - len(study.settings()))):
                study.propose()
        trials = _trials(experiment, study, search_options.repeats, overrides)
        everything = list(dict.fromkeys(config for configs in trials.values() for config in configs))
        if not study.waiting():
            if len(study.settings()) < experiment.num_samples:
                # No setting of this batch can be trained.
                continue
            if outcome is not None:
                break
            if not everything:
                raise ExperimentError("No setting of the search can be trained: see above. Change the space.")
        outcome = run_grid(experiment, everything, options)
        if outcome.n_unfinished:
            break
        for number in study.waiting():
            _report(study, number, trials[number], folder, search_options)
        if len(study.settings()) >= experiment.num_samples:
            break
    drawn = {number: _drawn(experiment.space, space) for number, space in study.settings().items()}
    return SearchOutcome(outcome, everything, [(drawn[number], values) for number, values in study.best()])


def _first_trial(experiment: Experiment, overrides: Mapping[str, Sequence[Any]]) -> list[Config]:
    """Return a trial of a random setting, for checks before the search. Raises: ValueError if no setting is allowed."""
    problem: ValueError | None = None
    for number in range(TRIED_SETTINGS):
        drawn = replace(experiment, num_samples=1, search_seed=experiment.search_seed + number)
        try:
            return drawn.configs({**overrides, "seed": [0]})
        except ValueError as error:
            problem = problem or error
    assert problem is not None
    raise problem


def _trials(
    experiment: Experiment, study: OptunaStudy, repeats: int, overrides: Mapping[str, Sequence[Any]]
) -> dict[int, list[Config]]:
    """Return the trials of each setting, except of those that are not allowed: these have failed.

    Raises: ExperimentError if the trials of a setting are no longer those with which it was proposed.
    """
    trials = {}
    for number, space in study.settings().items():
        try:
            configs = _configs(experiment, space, repeats, overrides)
        except ValueError as error:
            if number in study.waiting():
                study.tell(number, None)
                say(f"{_named(study, number)}: not allowed: {error}")
            elif number not in study.failed():
                raise
        else:
            study.check_trials(number, list(map(folder_name, configs)))
            trials[number] = configs
    return trials


def _configs(
    experiment: Experiment, space: Mapping[str, Any], repeats: int, overrides: Mapping[str, Sequence[Any]]
) -> list[Config]:
    """Return the trials of a setting: one for each seed."""
    seeds = {} if "seed" in space else {"seed": {"grid_search": list(range(repeats))}}
    setting = replace(experiment, space={**space, **seeds}, num_samples=1)
    return setting.configs(overrides)


def _drawn(space: Mapping[str, Any], setting: Mapping[str, Any]) -> dict[str, Any]:
    return {name: setting[name] for name, value in space.items() if name in setting and has_domain({name: value})}


def _report(study: OptunaStudy, number: int, configs: Sequence[Config], folder: Folder, options: SearchOptions) -> None:
    """Tell the searcher what a setting has reached, and say it."""
    status = scan(folder, configs)
    rows = [TrialFolder(folder.sub(folder_name(config))).rows() for config in configs]
    states = {each.state for each in status.trials}
    if states == {State.COMPLETE}:
        _check_objectives(rows, options.objectives)
    values = None
    if states <= {State.COMPLETE, State.STOPPED}:
        values = [mean(value_of(each, objective) for each in rows) for objective in options.objectives]
    stopped_at = max(map(len, rows)) if State.STOPPED in states else None
    study.tell(number, values, stopped_at)
    if values is None:
        result = "failed"
    else:
        result = ", ".join(f"{name} {value:.4g}" for name, value in zip(options.objectives, values, strict=True))
    ended = f" (stopped after epoch {stopped_at})" if stopped_at is not None else ""
    say(f"{_named(study, number)}: {result}{ended}")


def _named(study: OptunaStudy, number: int) -> str:
    """Return the number and the values of a setting, for people."""
    setting = ", ".join(f"{name}={value}" for name, value in _drawn(study.space, study.settings()[number]).items())
    return f"setting {number + 1}: {setting}"


def _check_objectives(histories: Sequence[Sequence[Mapping[str, Any]]], objectives: Sequence[str]) -> None:
    """Check that complete trials have logged each objective. Raises: ExperimentError."""
    known = {
        name for rows in histories for row in rows for name, value in row.items() if isinstance(value, int | float)
    }
    for objective in objectives:
        metric, _ = metric_and_summary(objective)
        if metric not in known:
            raise ExperimentError(unknown("metric in objectives", metric, sorted(known)))
