"""The rounds of population-based training: between two, bad trials are replaced by copies of good ones."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from dynsparse.config import Config, keys
from dynsparse.experiment import Experiment, ExperimentError, axes
from dynsparse.io.storage import Folder
from dynsparse.results.fork import can_be_forked, fork, is_forked
from dynsparse.results.grid_status import GridStatus
from dynsparse.results.progress import plural
from dynsparse.results.trial_folder import NOT_IN_IDENTITY, State, TrialFolder, folder_name, identity
from dynsparse.sampling import drawn_keys
from dynsparse.search import FIXED, MUTABLE, Copy, Generations, Pbt, epochs_of_all, read_histories
from dynsparse.search.judge import READ_THREADS
from dynsparse.tune.options import RunOptions
from dynsparse.tune.param_space import experiment_tag
from dynsparse.tune.rounds import Round

# Keys that follow others: they differ within a population if these are drawn.
FOLLOWERS = {
    "network": ("network_hash",),
    "model": ("model_hash",),
    "rules": ("weight_init",),
    "dataset_name": ("input_size", "num_classes", "input_shape", "data_hash"),
}
HINT = "Give another --name, or the same samples and settings as before."


class _Found(NamedTuple):
    """The content of a trial's folder, as far as decisions need it."""

    values: list[float]  # after each epoch
    state: State
    reason: str | None  # why it was stopped, if it was

    @property
    def has_ended(self) -> bool:
        return self.state in (State.COMPLETE, State.FAILED)


class _Plan(NamedTuple):
    """The history of all populations, as it follows from the rows in the folder."""

    found: dict[Config, _Found]
    populations: list[Generations]

    @property
    def copies(self) -> list[Copy]:
        return [copy for each in self.populations for copy in each.copies]

    def stopped(self) -> dict[Config, str]:
        """Return the trials that are replaced and have not ended otherwise, with the reasons."""
        return {each.replaced: each.reason for each in self.copies if not self.found[each.replaced].has_ended}


class PbtRounds:
    """Plans the rounds of population-based training from the rows in the folder alone, as `HyperBandRounds` does.

    A population is the trials that share all keys that no domain draws, such as the seed. A round trains all its
    members until the next exchange. Then the folders of copies are written before any of their parents trains on,
    because a trial keeps its newest checkpoints only.

    Args:
        experiment: the experiment.
        configs: its trials.
        options: of the run.
        overridden: keys whose values replace those of the experiment's space.

    Raises: ExperimentError if there are no populations, or nothing could change in them.
    """

    def __init__(
        self, experiment: Experiment, configs: list[Config], options: RunOptions, overridden: Collection[str]
    ) -> None:
        stopping = options.stopping
        assert stopping is not None
        _check_options(options)
        epochs = epochs_of_all(configs, stopping)
        drawn = {key: domain for key, domain in drawn_keys(experiment.space).items() if key not in overridden}
        domains = {key: domain for key, domain in drawn.items() if domain is not None and key in MUTABLE}
        _check_domains(drawn, domains)
        self._rule = Pbt(stopping.grace, stopping.reduction_factor, epochs, experiment.search_seed, domains)
        if not self._rule.exchanges:
            raise ExperimentError(
                f"scheduler='pbt' needs a grace below epochs={epochs}, after which trials are replaced, got "
                f"{stopping.grace}. Lower grace, or raise epochs."
            )
        self._configs, self._options, self._mutable = configs, stopping, sorted(domains)
        self._populations = _populations(configs, drawn)

    def description(self) -> str:
        """Return what the run does, for people."""
        sizes = sorted({len(each) for each in self._populations})
        n_trials = f"{sizes[0]} to {sizes[-1]} trials" if len(sizes) > 1 else plural(sizes[0], "trial")
        epochs = ", ".join(map(str, self._rule.exchanges))
        return (
            f"{plural(len(self._populations), 'population')} of {n_trials}; after the epochs {epochs}, the worst are "
            f"replaced by copies with other values of {', '.join(self._mutable)}"
        )

    def trials(self, folder: Folder) -> list[Config]:
        """Return all trials: those of the grid, and the copies that follow from the rows. Raises: OSError."""
        return [*self._configs, *(copy.child for copy in self._plan(folder).copies)]

    def unfinished(self, folder: Folder, status: GridStatus) -> list[Config]:
        """Return the trials that have not ended yet.

        Raises: ExperimentError if a copy cannot be made any more; OSError.
        """
        plan = self._plan(folder)
        self._check_copies(folder, plan, _not_forked(folder, plan))
        stopped = plan.stopped()
        members = {each for population in plan.populations for each in population.members}
        return [
            config
            for config, found in plan.found.items()
            if (config in members and not found.has_ended) or (config in stopped and found.reason != stopped[config])
        ]

    def next_round(self, folder: Folder, status: GridStatus, on_stop: Callable[[Config], None]) -> Round | None:
        """Write the folders of copies, mark the trials that they replace, and return the trials that train next.

        Args:
            folder: the folder of the experiment.
            status: its status; what is done follows from the rows.
            on_stop: called with each trial that has been marked.

        Returns: None if all trials have ended.

        Raises: ExperimentError if a copy cannot be made any more; OSError, LockLostError.
        """
        plan = self._plan(folder)
        if missing := _not_forked(folder, plan):
            if damaged := self._check_copies(folder, plan, missing):
                # They have arrived, but their last checkpoint is damaged: they repeat the epochs before it.
                epoch = min(damaged.values())
                return self._round(plan, [each for each, last in damaged.items() if last == epoch], epoch)
            names = axes([*self._configs, *(copy.child for copy in plan.copies)])
            for copy in missing:
                fork(folder, copy.parent, copy.child, experiment_tag(copy.child, names))
            plan = self._plan(folder)
        for config, reason in plan.stopped().items():
            if plan.found[config].reason != reason:
                trial = TrialFolder(folder.sub(folder_name(config)))
                # `stop` marks the rows that this reads.
                trial.rows_to_continue(config)
                trial.stop(reason)
                on_stop(config)
        last = self._rule.epochs
        epoch = min((each.next_epoch for each in plan.populations if each.next_epoch is not None), default=last)
        wanted = [
            config
            for population in plan.populations
            if population.next_epoch in (epoch, None)
            for config in population.members
            # A process may have died between the last row of a trial and its mark of completion.
            if len(plan.found[config].values) < epoch or (epoch == last and not plan.found[config].has_ended)
        ]
        return self._round(plan, wanted, epoch) if wanted else None

    def _round(self, plan: _Plan, trials: Sequence[Config], epoch: int) -> Round:
        states = [each.state for each in plan.found.values()]
        n_complete, n_failed, stopped = states.count(State.COMPLETE), states.count(State.FAILED), plan.stopped()
        n_going_on = sum(len(each.members) for each in plan.populations)
        return Round(
            trials,
            [max(0, epoch - len(plan.found[each].values)) for each in trials],
            n_complete,
            len(stopped),
            n_waiting=len(states) - n_failed - n_complete - len(stopped) - len(trials),
            last_row=epoch,
            later_rows=n_going_on * (self._rule.epochs - epoch),
            ending="replaced by copies",
        )

    def _plan(self, folder: Folder) -> _Plan:
        """Return what follows from the rows. Copies that have been made have rows, from which further ones follow."""
        found: dict[Config, _Found] = {}
        wanted = list(self._configs)
        while True:
            found.update(self._read(folder, wanted))
            taken = {identity(each) for each in self._configs}

            def values_of(config: Config) -> Sequence[float]:
                return found[config].values if config in found else ()

            def failed(config: Config) -> bool:
                return config in found and found[config].state is State.FAILED

            populations = [self._rule.generations(each, values_of, failed, taken) for each in self._populations]
            plan = _Plan(found, populations)
            wanted = [copy.child for copy in plan.copies if copy.child not in found]
            if not wanted:
                return plan

    def _read(self, folder: Folder, configs: Sequence[Config]) -> dict[Config, _Found]:
        def state_of(config: Config) -> State:
            return TrialFolder(folder.sub(folder_name(config))).state(config)

        with ThreadPoolExecutor(READ_THREADS) as threads:
            states = list(threads.map(state_of, configs))
        histories = read_histories(folder, configs, self._options)
        return {
            config: _Found([each.value for each in history], state, reason)
            for config, state, (history, reason) in zip(configs, states, histories, strict=True)
        }

    def _check_copies(self, folder: Folder, plan: _Plan, missing: Sequence[Copy]) -> dict[Config, int]:
        """Return the parents of copies that must repeat epochs until the exchange, because of a damaged checkpoint.

        Raises: ExperimentError if a parent has trained further and its checkpoint at the exchange is gone.
        """
        damaged = {}
        for copy in missing:
            if can_be_forked(folder, copy.parent, copy.epoch):
                continue
            found = plan.found[copy.parent]
            if len(found.values) > copy.epoch or found.has_ended:
                raise ExperimentError(
                    f"Trial {identity(copy.child)} cannot begin as a copy of trial {identity(copy.parent)} at epoch "
                    f"{copy.epoch}: that trial has trained further, and no longer has a checkpoint of this epoch. The "
                    f"samples, the settings or the trial folders have changed since. {HINT}"
                )
            damaged[copy.parent] = copy.epoch
        return damaged


def _not_forked(folder: Folder, plan: _Plan) -> list[Copy]:
    """Return the copies whose folders do not hold their first rows. Raises: OSError."""
    with ThreadPoolExecutor(READ_THREADS) as threads:
        is_made = list(threads.map(lambda copy: is_forked(folder, copy.child), plan.copies))
    return [copy for copy, made in zip(plan.copies, is_made, strict=True) if not made]


def _populations(configs: Sequence[Config], drawn: Mapping[str, Any]) -> list[list[Config]]:
    """Return the trials in groups that share all keys that are not drawn. Raises: ExperimentError for single ones."""
    ignored = {*drawn, *NOT_IN_IDENTITY, *(name for key in drawn for name in FOLLOWERS.get(key, ()))}
    fixed = [name for name in keys() if name not in ignored]
    groups: dict[Hashable, list[Config]] = {}
    for config in configs:
        groups.setdefault(tuple(getattr(config, name) for name in fixed), []).append(config)
    smallest = min(groups.values(), key=len)
    if len(smallest) < 2:
        names = [name for name in axes(configs) if name in fixed]
        where = ", ".join(f"{name}={getattr(smallest[0], name)}" for name in names)
        raise ExperimentError(
            "scheduler='pbt' needs at least 2 different samples of each point of the grid, which are a population, got "
            f"1{f' for {where}' if where else ''}. Raise num_samples: 8 or more are usual."
        )
    return list(groups.values())


def _check_domains(drawn: Mapping[str, Any], domains: Mapping[str, Any]) -> None:
    """Check that a copy can differ from its parent. Raises: ExperimentError."""
    if not drawn:
        raise ExperimentError(
            "scheduler='pbt' changes values that are drawn from domains, and the space has none. Give some, such as "
            "learning_rate=tune.loguniform(0.01, 1)."
        )
    if not domains:
        fixed = "".join(f" {key} is fixed by {FIXED[key]}." for key in drawn if key in FIXED)
        raise ExperimentError(
            f"scheduler='pbt' cannot change any of the drawn keys ({', '.join(drawn)}) during a training.{fixed} Draw "
            f"at least one of {', '.join(sorted(MUTABLE))} from a domain of its own, or give another scheduler."
        )


def _check_options(options: RunOptions) -> None:
    """Check the options that population-based training cannot follow. Raises: ExperimentError."""
    if options.limit is not None:
        raise ExperimentError(
            f"limit must not be given with scheduler='pbt', got {options.limit}: the trials would be other "
            "populations. Give a smaller num_samples."
        )
    if options.retry_failed:
        raise ExperimentError(
            "retry_failed must not be given with scheduler='pbt': the others have been compared without the trials "
            "that failed. Leave it out, or give another --name."
        )
