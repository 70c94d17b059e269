"""Rounds: the trials that a run trains at a time. HyperBand and PBT need several, and decide between them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from dynsparse.config import Config
from dynsparse.io.storage import Folder
from dynsparse.planning.plan import steps
from dynsparse.results.grid_status import GridStatus
from dynsparse.results.trial_folder import State, TrialFolder, folder_name
from dynsparse.search import Decisions, Measurement, group_of, hyperband_of, read_histories
from dynsparse.tune.preflight import CheckedRun


@dataclass(frozen=True)
class Round:
    """Trials that are trained together, and numbers for the display of progress.

    Args:
        trials: the trials.
        n_rows: rows that each of them gets in this round.
        n_complete: number of other trials of the grid that are complete.
        n_stopped: number of others that were stopped early and stay so.
        n_waiting: number of others that later rounds may train.
        last_row: number of the row after which the trials pause; None: they train to their end.
        later_rows: rows of all trials in later rounds.
        ending: how the stopped trials have ended, in words.
    """

    trials: Sequence[Config]
    n_rows: Sequence[int]
    n_complete: int
    n_stopped: int
    n_waiting: int = 0
    last_row: int | None = None
    later_rows: int = 0
    ending: str = "stopped early"

    @classmethod
    def to_the_end(cls, trials: Sequence[Config], status: GridStatus) -> Round:
        """Return the only round of an ordinary run.

        Args:
            trials: the trials to train.
            status: the status of the grid.
        """
        complete, stopped = (set(status.in_state(state)) for state in (State.COMPLETE, State.STOPPED))
        return cls(trials, [len(steps(each)) for each in trials], len(complete), len(stopped - set(trials)))

    @property
    def n_trials(self) -> int:
        """The number of trials of the grid, without those that have failed before and stay so."""
        return len(self.trials) + self.n_complete + self.n_stopped + self.n_waiting

    @property
    def pauses(self) -> bool:
        """True if the trials pause after the round."""
        return self.last_row is not None

    def left(self, status: GridStatus) -> Round:
        """Return the round without the trials that have ended since.

        Args:
            status: the status of its trials.
        """
        n_rows = dict(zip(self.trials, self.n_rows, strict=True))
        trials = status.todo(retry_failed=False)
        return replace(
            self,
            trials=trials,
            n_rows=[n_rows[each] for each in trials],
            n_complete=self.n_complete + len(status.in_state(State.COMPLETE)),
            n_stopped=self.n_stopped + len(status.in_state(State.STOPPED)),
        )


def mark_stopped(folder: Folder, config: Config, reason: str) -> None:
    """Mark a trial as stopped after the rows that it has. Raises: OSError, LockLostError."""
    trial = TrialFolder(folder.sub(folder_name(config)))
    # `stop` marks the rows that this reads.
    trial.rows_to_continue(config)
    trial.stop(reason)


class HyperBandRounds:
    """Plans the rounds of HyperBand from the rows in the folder alone, so that a killed run goes on as planned.

    A round trains all trials that are still wanted until the next rung. No trial waits in a process: it pauses with a
    checkpoint, as if it had been interrupted, and a later round resumes it or marks it as stopped.

    Args:
        run: the run.
        status: the status of the grid when the run began.
    """

    def __init__(self, run: CheckedRun, status: GridStatus) -> None:
        stopping = run.options.stopping
        assert stopping is not None
        self._options, self._configs, self._rule = stopping, run.configs, hyperband_of(run.configs, stopping)
        self._groups: dict[str, list[Config]] = {}
        for config in run.configs:
            self._groups.setdefault(group_of(config, stopping.group_by), []).append(config)
        # Failed trials that are to be trained again and have not been yet.
        self._to_retry = set(status.in_state(State.FAILED) if run.options.retry_failed else ())

    def unfinished(self, folder: Folder, status: GridStatus) -> list[Config]:
        """Return the trials that have not ended yet. Raises: OSError."""
        _, decisions, reasons = self._decide(folder, status)
        stopped = self._trials_of(decisions.stopped)
        return [
            each.config
            for each in status.trials
            if each.state in (State.NEW, State.STARTED)
            or (each.state is State.STOPPED and reasons[each.config] != stopped.get(each.config))
            or (each.config in self._to_retry and each.config not in stopped)
        ]

    def next_round(self, folder: Folder, status: GridStatus, on_stop: Callable[[Config], None]) -> Round | None:
        """Mark the trials that stop, and return those that train next; None if all have ended.

        Args:
            folder: the folder of the experiment.
            status: its status.
            on_stop: called with each trial that has been marked.

        Raises: OSError, LockLostError.
        """
        values, decisions, reasons = self._decide(folder, status)
        ended = {each.config for each in status.trials if each.state in (State.COMPLETE, State.FAILED)}
        stopped = {trial: why for trial, why in self._trials_of(decisions.stopped).items() if trial not in ended}
        for config, reason in stopped.items():
            if reasons[config] != reason:
                mark_stopped(folder, config, reason)
                on_stop(config)
        last = self._rule.rungs[-1]
        rung = min(decisions.next_rung.values(), default=last)
        groups = [group for group, epoch in decisions.next_rung.items() if epoch == rung]
        failed = self._failed(status)
        wanted = {trial for group in groups for trial in self._groups[group] if len(values[trial]) < rung} - failed
        if rung == last:
            # A process may have died between the last row of a trial and its mark of completion.
            wanted |= {trial for trial in status.in_state(State.STARTED) if len(values[trial]) >= last}
        if not wanted:
            return None
        trials = [config for config in self._configs if config in wanted]
        self._to_retry -= wanted
        n_complete = len(status.in_state(State.COMPLETE))
        return Round(
            trials,
            [rung - len(values[each]) for each in trials],
            n_complete,
            len(stopped),
            n_waiting=len(self._configs) - len(failed) - n_complete - len(stopped) - len(trials),
            last_row=rung,
            later_rows=self._rule.epochs_after(rung) * len(self._configs) // len(self._groups),
        )

    def _decide(
        self, folder: Folder, status: GridStatus
    ) -> tuple[dict[Config, list[Measurement]], Decisions, dict[Config, str | None]]:
        """Return the values of each trial, what follows from them, and the reasons in the marks of stopped trials."""
        histories = read_histories(folder, self._configs, self._options)
        values = {config: history for config, (history, _) in zip(self._configs, histories, strict=True)}
        reasons = {config: reason for config, (_, reason) in zip(self._configs, histories, strict=True)}
        failed = self._failed(status)
        of_groups = {name: self._values_of(trials, values, failed) for name, trials in self._groups.items()}
        all_failed = {name for name, trials in self._groups.items() if failed.issuperset(trials)}
        return values, self._rule.decide(of_groups, all_failed), reasons

    def _values_of(
        self, trials: Sequence[Config], values: Mapping[Config, Sequence[Measurement]], failed: set[Config]
    ) -> dict[int, float]:
        """Return the mean value of a group at each rung that all its trials have reached, except those that failed."""
        means = {}
        for rung in self._rule.rungs:
            arrived = [trial for trial in trials if len(values[trial]) >= rung]
            if arrived and failed.issuperset(set(trials) - set(arrived)):
                means[rung] = math.fsum(values[trial][rung - 1].value for trial in arrived) / len(arrived)
        return means

    def _failed(self, status: GridStatus) -> set[Config]:
        return set(status.in_state(State.FAILED)) - self._to_retry

    def _trials_of(self, groups: Mapping[str, str]) -> dict[Config, str]:
        return {trial: reason for group, reason in groups.items() for trial in self._groups[group]}
