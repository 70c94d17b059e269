"""What happens in the driver as trials go on: progress is shown and written, and ends for good are recorded."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ray import tune

from dynsparse.config import Config
from dynsparse.io.storage import Folder
from dynsparse.planning.plan import steps
from dynsparse.results.progress import Display, Progress
from dynsparse.results.trial_folder import TrialFolder, folder_name
from dynsparse.results.watch import STATUS_FILE
from dynsparse.tune.compat import actor_id, error_text, is_process_death
from dynsparse.tune.packed_trial import CUT_OFF_BY, DAMAGE, ENDED_BY, ROW
from dynsparse.tune.param_space import PLACES
from dynsparse.tune.trainable import MEMBERS, SPLIT_BY, DeviceLostError

STATUS_SECONDS = 2.0


class ShowProgress(tune.Callback):
    """Tune's own output engine ignores a reporter that is passed in, so the progress line is a callback.

    Beside the line it keeps status.json, for another process to watch. It counts trials, however many are in a pack.
    """

    def __init__(self, folder: Folder, configs: Sequence[Config], n_done: int) -> None:
        self._n_rows = [len(steps(config)) for config in configs]
        self._progress = Progress(len(configs) + n_done, sum(self._n_rows), done=n_done)
        self._display = Display(self._progress)
        self._folder = folder
        self._names = [folder_name(config) for config in configs]
        self._ended: set[int] = set()  # places
        self._running: set[int] = set()  # likewise
        self._told: set[str] = set()  # why trials were cut off
        self._written_at = 0.0

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Count its trials as running."""
        self._running |= set(trial.config[PLACES])
        self._update()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Count an epoch, and the trials that end with it: complete, or for a reason of their own."""
        for place, report in reports(trial, result).items():
            name = self._names[place]
            has_diverged = not math.isfinite(report.get("train_loss", 0.0))
            self._progress.add_epoch(name, report[ROW], None if has_diverged else report.get(self._progress.metric))
            for damage in report.get(DAMAGE, []):
                print(f"\ndamaged: {name}/{damage}", file=sys.stderr)
            if CUT_OFF_BY in report and report[CUT_OFF_BY] not in self._told:
                self._told.add(report[CUT_OFF_BY])
                print(f"\n{name} is cut off: {report[CUT_OFF_BY]}", file=sys.stderr)
            if report["done"]:
                self._end(place, failed=ENDED_BY in report)
        if SPLIT_BY in result:
            print(f"\na pack goes on as two halves, to find out whose fault it is: {result[SPLIT_BY]}", file=sys.stderr)
        self._update()

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Count its trials as waiting: its process is gone, and another may have to wait for room."""
        self._running -= set(trial.config[PLACES])
        self._update()

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Count a failed trial; no more tries are left to it, and its folder says so."""
        self._running -= set(trial.config[PLACES])
        for place in [] if goes_on_narrower(trial) else trial.config[PLACES]:
            self._end(place, failed=True)
        self._update()

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Show where it ended."""
        self._progress.running = 0
        self._display.show(last=True)
        self._write(running=False)

    def _end(self, place: int, *, failed: bool) -> None:
        # Once: a pack that is continued tells again of those that have ended.
        if place not in self._ended:
            self._ended.add(place)
            self._running.discard(place)
            self._progress.end_trial(self._names[place], self._n_rows[place], failed=failed)

    def _update(self) -> None:
        self._progress.running = len(self._running)
        self._display.show()
        if time.monotonic() - self._written_at >= STATUS_SECONDS:
            self._write(running=True)

    def _write(self, *, running: bool) -> None:
        self._written_at = time.monotonic()
        try:
            self._folder.replace(STATUS_FILE, json.dumps(self._progress.status(running=running)).encode())
        except OSError:
            # An exception here would end the whole run; the trials themselves report a storage that fails.
            return


class RecordFailures(tune.Callback):
    """Writes why a trial ended for good into its folder: its own process may be dead.

    A pack of several whose process died is no failure yet: `to_split` has the packs that are to go on as narrower ones.
    """

    def __init__(self, folder: Folder, configs: Sequence[Config], epoch_seconds: float | None = None) -> None:
        self._folder = folder
        self._names = [folder_name(config) for config in configs]
        self._epoch_seconds = epoch_seconds
        self._actors: dict[str, list[int]] = {}  # which trials Ray's actor of this id has, or had last
        self._heard: dict[str, float] = {}  # when a trial of Tune was last heard of
        self._kills: dict[str, int] = {}  # how many processes the kernel had ended when it started
        self._ended: set[int] = set()  # places
        self.to_split: list[list[int]] = []

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note its process; also each time that the trial is continued."""
        self._actors[actor_id(trial)] = trial.config[PLACES]
        self._heard[trial.trial_id], self._kills[trial.trial_id] = time.monotonic(), processes_ended_for_memory()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Note that it lives, and which of its trials have ended."""
        self._heard[trial.trial_id] = time.monotonic()
        self._ended |= {place for place, report in reports(trial, result).items() if report["done"]}

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tell of it."""
        places = trial.config[PLACES]
        who = self._names[places[0]] if len(places) == 1 else f"a pack of {len(places)} trials"
        print(f"\n{who} died and goes on from its last checkpoint (retry {trial.num_failures})", file=sys.stderr)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Write error.txt and failed.json."""
        left = [place for place in trial.config[PLACES] if place not in self._ended]
        if goes_on_narrower(trial):
            self.to_split.append(left)
            return
        text = error_text(trial)
        if is_process_death(text):
            text = f"{text}\n{self._cause_of_death(trial.trial_id)}"
        for place in left:
            self.fail(place, text)

    def _cause_of_death(self, trial_id: str) -> str:
        if processes_ended_for_memory() > self._kills.get(trial_id, 0):
            return "OutOfMemoryError: the trial's process was ended when the machine had no more memory"
        silence = time.monotonic() - self._heard.get(trial_id, time.monotonic())
        if self._epoch_seconds is not None and silence >= self._epoch_seconds:
            return f"EpochTimeout: an epoch took longer than the limit of {self._epoch_seconds:g} s: the trial hangs"
        return "ProcessDied: the trial's process died, and no retry is left"

    def fail(self, place: int, text: str) -> None:
        """The trial in that place has failed."""
        try:
            TrialFolder(self._folder.sub(self._names[place])).fail(text)
        except OSError:
            # The storage fails: the trial is found unfinished, and runs again.
            return

    def trials_of(self, actor: str) -> list[int]:
        """The places of the trials that an actor has, or had last, without those that have ended; none: not known."""
        return [place for place in self._actors.get(actor, []) if place not in self._ended]


def reports(trial: Any, result: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """What a step tells of each trial of Tune's trial, by its place in the list."""
    if MEMBERS in result:
        return {report[PLACES]: report for report in result[MEMBERS]}
    return {trial.config[PLACES][0]: result}


def goes_on_narrower(trial: Any) -> bool:
    """Whether an error is that of a pack of several whose process was lost: one of them may have done it."""
    text = error_text(trial)
    return len(trial.config[PLACES]) > 1 and (is_process_death(text) or DeviceLostError.__name__ in text)


def processes_ended_for_memory() -> int:
    """How many processes the kernel of this machine has ended for want of memory; 0 where it does not tell."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
