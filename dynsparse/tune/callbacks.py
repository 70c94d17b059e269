"""Callbacks of the driver: they show and store the progress of the run, and record the trials that failed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ray import tune

from dynsparse.config import Config
from dynsparse.data.own import is_regression
from dynsparse.io.storage import Folder
from dynsparse.io.terminal import say
from dynsparse.results.lock import LockLostError
from dynsparse.results.progress import Display, Progress
from dynsparse.results.trial_folder import TrialFolder, folder_name
from dynsparse.results.watch import STATUS_FILE
from dynsparse.search.objectives import has_diverged
from dynsparse.tune.compat import (
    actor_id,
    error_text,
    failures,
    is_infrastructure_failure,
    is_process_death,
    stop_tune,
)
from dynsparse.tune.options import RunOptions
from dynsparse.tune.pack_training import DeviceLostError
from dynsparse.tune.param_space import INDICES
from dynsparse.tune.reports import PackReport
from dynsparse.tune.rounds import Round

STATUS_SECONDS = 2.0


class ShowProgress(tune.Callback):
    """Shows the progress line, and writes status.json for other processes. It counts trials, not packs.

    Tune's output engine ignores a progress reporter that is passed in, so this is a callback.

    Args:
        folder: the folder of the experiment.
        round_: the trials that are trained.
        bests: the best value of each trial in earlier rounds, to which those of this one are added.
        quiet: show no line.
    """

    def __init__(self, folder: Folder, round_: Round, bests: dict[str, float], *, quiet: bool = False) -> None:
        self._n_rows = round_.n_rows
        metric = "val_r2" if all(is_regression(config) for config in round_.trials) else "val_acc"
        self._progress = Progress(
            round_.n_trials,
            sum(self._n_rows) + round_.later_rows,
            metric,
            done=round_.n_complete,
            stopped=round_.n_stopped,
            ending=round_.ending,
            bests=bests,
        )
        self._display = None if quiet else Display(self._progress)
        self._folder = folder
        self._names = [folder_name(config) for config in round_.trials]
        self._ended: set[int] = set()  # indices of trials
        self._running: set[int] = set()  # indices of trials
        self._interruptions: set[str] = set()  # the reasons that were shown
        self._written_at = 0.0

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Count the trials of the pack as running."""
        self.start(trial.config[INDICES])

    def start(self, indices: Iterable[int]) -> None:
        """Count trials as running."""
        self._running |= set(indices)
        self._update()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Show the report of the pack."""
        self.show(PackReport.from_result(result))

    def show(self, pack: PackReport) -> None:
        """Count a row of each trial, and the trials that have ended."""
        for index, report in pack.trials.items():
            name = self._names[index]
            value, diverged = report.row.get(self._progress.metric), has_diverged([report.row])
            self._progress.add_epoch(name, report.n_rows, value, diverged=diverged)
            for damage in report.damage:
                say(f"\ndamaged: {name}/{damage}")
            if report.interruption is not None and report.interruption not in self._interruptions:
                self._interruptions.add(report.interruption)
                say(f"\n{name} was interrupted: {report.interruption}")
            if report.interruption is not None:
                # Neither done nor failed: another run resumes it.
                self._running.discard(index)
            elif report.done:
                stopped, paused = report.stopped is not None, report.paused
                failed = not (report.is_complete or stopped or paused)
                self._end(index, failed=failed, stopped=stopped, paused=paused)
        if pack.split_reason is not None:
            say(f"\nsplitting a pack into halves to find the failing trial: {pack.split_reason}")
        self._update()

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Count the trials of the pack as waiting for a new worker."""
        self._running -= set(trial.config[INDICES])
        self._update()

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Count the trials of the pack as failed, unless they run again."""
        self._running -= set(trial.config[INDICES])
        if not must_be_split(trial) and not is_infrastructure_failure(failures(trial)[-1]):
            for index in trial.config[INDICES]:
                self._end(index, failed=True)
        self._update()

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Show the last progress line."""
        self.end()

    def end(self) -> None:
        """Show the last progress line."""
        self._progress.running = 0
        if self._display is not None:
            self._display.show(last=True)
        self._write(running=False)

    def _end(self, index: int, *, failed: bool, stopped: bool = False, paused: bool = False) -> None:
        # A pack that is resumed reports again the trials that have ended.
        if index not in self._ended:
            self._ended.add(index)
            self._running.discard(index)
            n_rows = self._n_rows[index]
            self._progress.end_trial(self._names[index], n_rows, failed=failed, stopped=stopped, paused=paused)

    def _update(self) -> None:
        self._progress.running = len(self._running)
        if self._display is not None:
            self._display.show()
        if time.monotonic() - self._written_at >= STATUS_SECONDS:
            self._write(running=True)

    def _write(self, *, running: bool) -> None:
        self._written_at = time.monotonic()
        try:
            self._folder.replace(STATUS_FILE, json.dumps(self._progress.status(running=running)).encode())
        except OSError:
            # An exception here would end the whole run. The trials themselves report that the storage fails.
            return


class RecordFailures(tune.Callback):
    """Writes the error of a failed trial to its folder, because its worker may be dead.

    If the worker of a pack of several trials died, no trial has failed yet: `to_split` lists these packs, which
    continue in smaller packs. If Ray lost a node or one of its own processes, no trial has failed either:
    `lost_to_ray` counts these packs.
    """

    def __init__(self, folder: Folder, configs: Sequence[Config], options: RunOptions) -> None:
        self._folder = folder
        self._names = [folder_name(config) for config in configs]
        self._options = options
        self._actors: dict[str, list[int]] = {}  # id of an actor to the indices of the trials that it trained last
        self._reported_at: dict[str, float] = {}  # id of a Tune trial to the time of its last sign of life
        self._memory_kills: dict[str, int] = {}  # id of a Tune trial to the memory kills before it started
        self._ended: set[int] = set()  # indices of trials
        self.to_split: list[list[int]] = []
        self.lost_to_ray = 0

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note the actor of the pack, also when the pack is resumed."""
        self._actors[actor_id(trial)] = trial.config[INDICES]
        self._reported_at[trial.trial_id] = time.monotonic()
        self._memory_kills[trial.trial_id] = count_memory_kills()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Note the trials that have ended, write what the worker could not, and stop a run that cannot continue."""
        self._reported_at[trial.trial_id] = time.monotonic()
        pack = PackReport.from_result(result)
        self._ended |= {index for index, report in pack.trials.items() if report.done}
        for index, report in pack.trials.items():
            if report.unwritten_error is not None:
                self.fail(index, report.unwritten_error)
        if pack.ends_run:
            stop_tune()

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Report that the worker died and the pack resumes."""
        what = "was lost by Ray" if is_infrastructure_failure(failures(trial)[-1]) else "died"
        say(f"\n{self._name(trial)} {what} and resumes from its last checkpoint (retry {trial.num_failures})")

    def _name(self, trial: Any) -> str:
        indices = trial.config[INDICES]
        return self._names[indices[0]] if len(indices) == 1 else f"a pack of {len(indices)} trials"

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Write error.txt and failed.json of each trial of the pack that has not ended."""
        left = [index for index in trial.config[INDICES] if index not in self._ended]
        if is_lost_to_ray(trial, self._options.max_failures):
            self.lost_to_ray += 1
            say(f"\n{self._name(trial)} was interrupted: {failures(trial)[-1].splitlines()[0]}")
            return
        if must_be_split(trial):
            self.to_split.append(left)
            return
        text = error_text(trial)
        if is_process_death(text):
            text = f"{text}\n{self._cause_of_death(trial.trial_id)}"
        for index in left:
            self.fail(index, text)

    def _cause_of_death(self, trial_id: str) -> str:
        if count_memory_kills() > self._memory_kills.get(trial_id, 0):
            return "OutOfMemoryError: the system killed the trial's process because the machine was out of memory"
        silence = time.monotonic() - self._reported_at.get(trial_id, time.monotonic())
        limit = self._options.epoch_seconds
        if limit is not None and silence >= limit:
            return f"EpochTimeout: an epoch took longer than the limit of {limit:g} s"
        return "ProcessDied: the trial's process died, and no retry is left"

    def fail(self, index: int, text: str) -> None:
        """Mark a trial as failed."""
        try:
            TrialFolder(self._folder.sub(self._names[index])).fail(text)
        except (OSError, LockLostError):
            # The storage fails, or is another run's. The trial stays unfinished and runs again with the next command.
            return

    def trials_of(self, actor: str) -> list[int]:
        """Return the indices of the unfinished trials that an actor trained last; empty if it is unknown."""
        return [index for index in self._actors.get(actor, []) if index not in self._ended]


def is_lost_to_ray(trial: Any, max_failures: int) -> bool:
    """Return True if a Tune trial ended because Ray failed: without these failures, retries would be left."""
    texts = failures(trial)
    n_own = sum(not is_infrastructure_failure(text) for text in texts)
    return n_own < len(texts) and n_own <= max_failures


def must_be_split(trial: Any) -> bool:
    """Return True if a pack of several trials lost its worker or device: any of its trials may be the cause."""
    text = error_text(trial)
    return len(trial.config[INDICES]) > 1 and (is_process_death(text) or DeviceLostError.__name__ in text)


def count_memory_kills() -> int:
    """Return how many processes the kernel of this machine killed for lack of memory; 0 where it does not count."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
