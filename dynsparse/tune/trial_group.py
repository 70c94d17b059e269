"""Trials of a pack that have the same number of rows, trained together by one Trainer."""

from __future__ import annotations

import faulthandler
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from dynsparse.planning.packs import fill_width, join_trials, select_trials, to_device
from dynsparse.training.trainer import Trainer
from dynsparse.tune.packed_trial import PackedTrial, WorkerOptions
from dynsparse.tune.reports import TrialReport

# Each write waits for the disk or the object store, which serve many writes in parallel.
THREADS = 32

Item = TypeVar("Item")
Result = TypeVar("Result")


class TrialGroup:
    """A Trainer and the trials that it trains. The Trainer is built before the first step.

    The Trainer has the width that `fill_width` gives. Beside the trials it holds copies, and rows of trials that have
    ended; both are ignored. When a smaller width is enough, the remaining trials move into a smaller Trainer.

    Args:
        trials: the trials of the group.
        n_rows: number of rows that each trial has.
        states: checkpoint of each trial; None where `n_rows` is 0.
        options: the options of the run.
    """

    def __init__(
        self,
        trials: Sequence[PackedTrial],
        n_rows: int,
        states: Sequence[dict[str, Any] | None],
        options: WorkerOptions,
    ) -> None:
        self.trials = list(trials)  # those that have not ended
        self.n_rows = n_rows
        self._states, self._options = states, options
        self.trainer: Trainer | None = None
        self._positions: list[int] = []  # of the trials in the Trainer

    def start(self) -> Trainer:
        """Return the Trainer, no wider than necessary. Raises: TrialError, DataError, and what building it raises."""
        filling = fill_width([trial.config.seed for trial in self.trials])
        if self.trainer is None:
            state = join_trials([self._states[i] for i in filling]) if self.n_rows else None
            self.trainer, self._states = self._build(filling, state), []
        elif len(filling) < len(self.trainer.errors):
            state = select_trials(self.trainer.state_dict(), [self._positions[i] for i in filling])
            # Free the memory of the wide Trainer before building the narrow one.
            self.trainer = None
            self.trainer = self._build(filling, state)
        return self.trainer

    def _build(self, filling: list[int], state: dict[str, Any] | None) -> Trainer:
        trainer = Trainer([self.trials[i].config for i in filling])
        if state is not None:
            trainer.load_state_dict(state)
        self._positions = [filling.index(i) for i in range(len(self.trials))]
        return trainer

    def step(self) -> dict[PackedTrial, TrialReport]:
        """Train one step, write it to the trials' folders, and return the report of each trial.

        Raises:
            OSError: If the storage fails.
            Exception: What the training raises.
        """
        trials = self.trials
        if self.n_rows == trials[0].n_steps:
            # The process died between the last row and the mark of completion.
            self.trials = []
            return dict(zip(trials, map_in_threads(PackedTrial.complete, trials), strict=True))
        if trials[0].pauses_after(self.n_rows):
            # The process died between the last checkpoint of the round and its report.
            self.trials = []
            return {trial: trial.pause(self.n_rows) for trial in trials}
        trainer, started = self.start(), time.monotonic()
        if self._options.epoch_seconds is not None:
            # A thread in C, which also kills a process that never releases the interpreter.
            faulthandler.dump_traceback_later(self._options.epoch_seconds, exit=True)
        try:
            rows = trainer.step()
        finally:
            faulthandler.cancel_dump_traceback_later()
        seconds = (time.monotonic() - started) / len(trials)
        self.n_rows = trainer.n_rows
        is_due = (
            trainer.is_done or self.n_rows % self._options.checkpoint_epochs == 0 or trials[0].pauses_after(self.n_rows)
        )
        state = to_device(trainer.state_dict(), "cpu") if is_due else None

        def advance(number: int) -> TrialReport:
            trial, position = trials[number], self._positions[number]
            numbers = rows[position]
            if numbers is None:
                return trial.fail(f"TrialError: {trainer.errors[position]}", self.n_rows - 1)
            return trial.advance(
                numbers, self.n_rows, seconds, None if state is None else select_trials(state, [position])
            )

        reports = dict(zip(trials, map_in_threads(advance, range(len(trials))), strict=True))
        reports |= self._stop_early([number for number, trial in enumerate(trials) if not reports[trial].done])
        self._remove({trial for trial, report in reports.items() if report.done})
        return reports

    def _stop_early(self, numbers: Sequence[int]) -> dict[PackedTrial, TrialReport]:
        """Ask the judge about some trials, stop those that it names, and return their reports."""
        if self._options.judge is None or self.trainer is None:
            return {}
        found = {number: self.trials[number].newest_value(self.n_rows) for number in numbers}
        values = {self.trials[number].identity: value for number, value in found.items() if value is not None}
        reasons = self._options.judge(values) if values else {}
        if not reasons:
            return {}
        state = to_device(self.trainer.state_dict(), "cpu")

        def stop(number: int) -> TrialReport:
            trial = self.trials[number]
            return trial.stop(reasons[trial.identity], select_trials(state, [self._positions[number]]))

        ended = [number for number in numbers if self.trials[number].identity in reasons]
        return {self.trials[number]: report for number, report in zip(ended, map_in_threads(stop, ended), strict=True)}

    def _remove(self, ended: set[PackedTrial]) -> None:
        kept = [i for i, trial in enumerate(self.trials) if trial not in ended]
        self.trials, self._positions = [self.trials[i] for i in kept], [self._positions[i] for i in kept]
        if not kept:
            self.trainer = None


def group_trials(trials: Sequence[PackedTrial], options: WorkerOptions) -> list[TrialGroup]:
    """Return the trials in groups of equally many rows; the group with most rows is first.

    If some trials have one checkpoint more than the others, the process died while it wrote them. Then they resume from
    the checkpoint before, so that all remain in one group.
    """
    states = dict(zip(trials, map_in_threads(PackedTrial.load_checkpoint, trials), strict=True))
    n_rows = {trial: state["n_rows"] if state else 0 for trial, state in states.items()}
    unfinished = {n for trial, n in n_rows.items() if n < trial.n_steps}
    if len(unfinished) == 2 and max(unfinished) - min(unfinished) <= options.checkpoint_epochs:
        behind, ahead = sorted(unfinished)
        for trial in [trial for trial, n in n_rows.items() if n == ahead]:
            if behind < trial.n_rows_copied:
                continue
            state = trial.load_checkpoint(behind)
            if behind == 0 or (state is not None and state["n_rows"] == behind):
                states[trial], n_rows[trial] = state, behind
    groups = []
    for n in sorted(set(n_rows.values()), reverse=True):
        equal = [trial for trial in trials if n_rows[trial] == n]
        groups.append(TrialGroup(equal, n, [states[trial] for trial in equal], options))
    return groups


def map_in_threads(action: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Return the result of an action for each item, in order. Raises: the first error, after all actions have ended."""
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(action, items))
