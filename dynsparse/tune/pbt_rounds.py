"""The rounds of population-based training: between two, bad trials are replaced by copies of good ones."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from dynsparse.config import Config
from dynsparse.experiment import Experiment, ExperimentError, axes
from dynsparse.io.storage import Folder
from dynsparse.results.fork import can_be_forked, fork, is_forked, origin_of
from dynsparse.results.grid_status import GridStatus
from dynsparse.results.progress import plural
from dynsparse.results.trial_folder import State, TrialFolder, folder_name, identity
from dynsparse.sampling import drawn_keys
from dynsparse.search import MUTABLE_KEYS, Copy, Pbt, Population, epochs_of_all, read_histories
from dynsparse.search.judge import READ_THREADS
from dynsparse.tune.options import RunOptions
from dynsparse.tune.param_space import experiment_tag
from dynsparse.tune.pbt_populations import check_domains, check_options, populations_of
from dynsparse.tune.rounds import Round, mark_stopped

HINT = "Give another --name, or the same samples, settings and options as before."


class _Found(NamedTuple):
    """The part of a trial's folder from which decisions follow."""

    values: list[float]  # after each epoch
    state: State
    reason: str | None  # why it was stopped, if it was

    @property
    def has_ended(self) -> bool:
        return self.state in (State.COMPLETE, State.FAILED)


class _Replay(NamedTuple):
    """The exchanges of all populations so far, replayed from the rows in the folder."""

    found: dict[Config, _Found]
    populations: list[Population]

    @property
    def copies(self) -> list[Copy]:
        return [copy for each in self.populations for copy in each.copies]

    def stopped(self) -> dict[Config, str]:
        """Return the trials that are replaced, each with the reason; without those that are complete or failed."""
        return {each.replaced: each.reason for each in self.copies if not self.found[each.replaced].has_ended}


class PbtRounds:
    """Plans the rounds of population-based training from the rows in the folder alone, as `HyperBandRounds` does.

    A population consists of the trials that share all keys that are not drawn, such as the seed. A round trains all
    members until the next exchange. Then the folders of the copies are written, before their parents train any further:
    a trial keeps only its newest checkpoints, and the copy needs that of the exchange.

    Args:
        experiment: the experiment.
        configs: its trials.
        options: the options of the run.
        overridden: keys whose values replace those of the experiment's space.

    Raises: ExperimentError if the options or the trials do not fit, such as a space without domains.
    """

    def __init__(
        self, experiment: Experiment, configs: list[Config], options: RunOptions, overridden: Collection[str]
    ) -> None:
        stopping = options.stopping
        assert stopping is not None
        check_options(options)
        epochs = epochs_of_all(configs, stopping)
        drawn = {key: domain for key, domain in drawn_keys(experiment.space).items() if key not in overridden}
        domains = {key: domain for key, domain in drawn.items() if domain is not None and key in MUTABLE_KEYS}
        check_domains(drawn, domains)
        self._rule = Pbt(stopping.grace, stopping.reduction_factor, epochs, experiment.search_seed, domains)
        if not self._rule.exchanges:
            raise ExperimentError(
                f"scheduler='pbt' needs a grace below epochs={epochs}, after which trials are replaced, got "
                f"{stopping.grace}. Lower grace, or raise epochs."
            )
        self._configs, self._options, self._mutable = configs, stopping, sorted(domains)
        self._populations = populations_of(configs, drawn)

    def description(self) -> str:
        """Return a line about the populations and the exchanges, for `dynsparse show`."""
        sizes = sorted({len(each) for each in self._populations})
        n_trials = f"{sizes[0]} to {sizes[-1]} trials" if len(sizes) > 1 else plural(sizes[0], "trial")
        epochs = ", ".join(map(str, self._rule.exchanges))
        return (
            f"{plural(len(self._populations), 'population')} of {n_trials}; after the epochs {epochs}, the worst are "
            f"replaced by copies with other values of {', '.join(self._mutable)}"
        )

    def trials(self, folder: Folder) -> list[Config]:
        """Return the trials of the grid, and the copies that follow from the rows. Raises: OSError."""
        return [*self._configs, *(copy.child for copy in self._replay(folder).copies)]

    def unfinished(self, folder: Folder, status: GridStatus) -> list[Config]:
        """Return the trials that have not ended yet.

        Args:
            folder: the folder of the experiment.
            status: its status.

        Raises: ExperimentError if the folder has copies that other options have made, or a copy can no longer be made;
        OSError.
        """
        replay = self._replay(folder)
        self._check_origins(folder, status.others)
        self._check_copies(folder, replay, _missing_copies(folder, replay))
        stopped = replay.stopped()
        members = {each for population in replay.populations for each in population.members}
        return [
            config
            for config, found in replay.found.items()
            if (config in members and not found.has_ended) or (config in stopped and found.reason != stopped[config])
        ]

    def next_round(self, folder: Folder, status: GridStatus, on_stop: Callable[[Config], None]) -> Round | None:
        """Write the folders of copies, mark the trials that they replace, and return the trials that train next.

        Args:
            folder: the folder of the experiment.
            status: not used, because decisions follow from the rows; `HyperBandRounds` needs it.
            on_stop: called with each trial that has been marked.

        Returns: None if all trials have ended.

        Raises: ExperimentError if a copy can no longer be made; OSError, LockLostError.
        """
        replay = self._replay(folder)
        if missing := _missing_copies(folder, replay):
            if damaged := self._check_copies(folder, replay, missing):
                # These parents have all rows, but their checkpoint at the exchange is damaged: they train again from
                # an older one.
                epoch = min(damaged.values())
                return self._round(replay, [each for each, last in damaged.items() if last == epoch], epoch)
            names = axes([*self._configs, *(copy.child for copy in replay.copies)])
            for members, population in zip(self._populations, replay.populations, strict=True):
                for copy in population.copies:
                    if copy in missing:
                        tag = experiment_tag(copy.child, names)
                        fork(folder, copy.parent, copy.child, tag, self._origin(members))
            replay = self._replay(folder)
        for config, reason in replay.stopped().items():
            if replay.found[config].reason != reason:
                mark_stopped(folder, config, reason)
                on_stop(config)
        last = self._rule.epochs
        epoch = min((each.next_epoch for each in replay.populations if each.next_epoch is not None), default=last)
        wanted = [
            config
            for population in replay.populations
            if population.next_epoch in (epoch, None)
            for config in population.members
            # A process may have died between the last row of a trial and its mark of completion.
            if len(replay.found[config].values) < epoch or (epoch == last and not replay.found[config].has_ended)
        ]
        return self._round(replay, wanted, epoch) if wanted else None

    def _round(self, replay: _Replay, trials: Sequence[Config], epoch: int) -> Round:
        states = [each.state for each in replay.found.values()]
        n_complete, n_failed, stopped = states.count(State.COMPLETE), states.count(State.FAILED), replay.stopped()
        n_members = sum(len(each.members) for each in replay.populations)
        return Round(
            trials,
            [max(0, epoch - len(replay.found[each].values)) for each in trials],
            n_complete,
            len(stopped),
            n_waiting=len(states) - n_failed - n_complete - len(stopped) - len(trials),
            last_row=epoch,
            later_rows=n_members * (self._rule.epochs - epoch),
            ending="replaced by copies",
        )

    def _replay(self, folder: Folder) -> _Replay:
        """Replay all exchanges so far. Raises: OSError."""
        found: dict[Config, _Found] = {}
        to_read = list(self._configs)
        # The rows of the copies show further exchanges, and thus further copies, until there are no new ones.
        while True:
            found.update(self._read(folder, to_read))
            taken = {identity(each) for each in self._configs}

            def values_of(config: Config) -> Sequence[float]:
                return found[config].values if config in found else ()

            def has_failed(config: Config) -> bool:
                return config in found and found[config].state is State.FAILED

            populations = [self._rule.replay(each, values_of, has_failed, taken) for each in self._populations]
            replay = _Replay(found, populations)
            to_read = [copy.child for copy in replay.copies if copy.child not in found]
            if not to_read:
                return replay

    def _read(self, folder: Folder, configs: Sequence[Config]) -> dict[Config, _Found]:
        """Read the folders of some trials. Raises: OSError."""

        def state_of(config: Config) -> State:
            return TrialFolder(folder.sub(folder_name(config))).state(config)

        with ThreadPoolExecutor(READ_THREADS) as threads:
            states = list(threads.map(state_of, configs))
        histories = read_histories(folder, configs, self._options)
        return {
            config: _Found([each.value for each in history], state, reason)
            for config, state, (history, reason) in zip(configs, states, histories, strict=True)
        }

    def _origin(self, members: Sequence[Config]) -> dict[str, Any]:
        """Return what the exchanges of a population follow from, besides the rows."""
        names, options = sorted(map(identity, members)), self._options
        return {"members": names, "grace": options.grace, "reduction_factor": options.reduction_factor}

    def _check_origins(self, folder: Folder, names: Sequence[str]) -> None:
        """Check that the copies in the folder that do not follow from the rows yet will follow from them.

        Without this, new samples would train until the first exchange, which then differs from that in the folder.

        Args:
            folder: the folder of the experiment.
            names: the folders of the trials that are neither in the grid nor copies that follow from the rows.

        Raises: ExperimentError; OSError.
        """
        with ThreadPoolExecutor(READ_THREADS) as threads:
            found = [each for each in threads.map(lambda name: origin_of(folder, name), names) if each]
        for population in self._populations:
            wanted = self._origin(population)
            for origin in found:
                if origin != wanted and set(origin.get("members", ())) & set(wanted["members"]):
                    before, now = (
                        f"{plural(len(each.get('members', ())), 'sample')}, grace={each.get('grace')} and "
                        f"reduction_factor={each.get('reduction_factor')}"
                        for each in (origin, wanted)
                    )
                    raise ExperimentError(
                        f"The copies in the folder {folder.path} were made with {before}. Other copies would follow "
                        f"from {now}. {HINT}"
                    )

    def _check_copies(self, folder: Folder, replay: _Replay, missing: Sequence[Copy]) -> dict[Config, int]:
        """Return the parents whose checkpoint at the exchange is damaged or lost, each with the epoch of the exchange.

        Raises: ExperimentError if such a parent has trained further, so that the copy can no longer be made.
        """
        damaged = {}
        for copy in missing:
            if can_be_forked(folder, copy.parent, copy.epoch):
                continue
            found = replay.found[copy.parent]
            if len(found.values) > copy.epoch or found.has_ended:
                raise ExperimentError(
                    f"Trial {identity(copy.child)} cannot begin as a copy of trial {identity(copy.parent)} at epoch "
                    f"{copy.epoch}: that trial has trained further, and no longer has a checkpoint of this epoch. The "
                    f"samples, the settings, the scheduler or the trial folders have changed since then. {HINT} If "
                    f"only the folder of the copy was lost, remove {folder_name(copy.parent)} too: the same command "
                    "trains both again."
                )
            damaged[copy.parent] = copy.epoch
        return damaged


def _missing_copies(folder: Folder, replay: _Replay) -> list[Copy]:
    """Return the copies whose folders do not hold their first rows. Raises: OSError."""
    with ThreadPoolExecutor(READ_THREADS) as threads:
        is_made = list(threads.map(lambda copy: is_forked(folder, copy.child), replay.copies))
    return [copy for copy, made in zip(replay.copies, is_made, strict=True) if not made]
