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
from dynsparse.plan import steps
from dynsparse.progress import Display, Progress
from dynsparse.storage import Folder
from dynsparse.trial_folder import TrialFolder, folder_name
from dynsparse.tune.trainable import CUT_OFF_BY, DAMAGE, ENDED_BY, PLACE, ROW
from dynsparse.watch import STATUS_FILE

STATUS_SECONDS = 2.0


class ShowProgress(tune.Callback):
    """Tune's own output engine ignores a reporter that is passed in, so the progress line is a callback.

    Beside the line it keeps status.json, for another process to watch.
    """

    def __init__(self, folder: Folder, configs: Sequence[Config], n_done: int) -> None:
        self._n_rows = [len(steps(config)) for config in configs]
        self._progress = Progress(len(configs) + n_done, sum(self._n_rows), done=n_done)
        self._display = Display(self._progress)
        self._folder = folder
        self._names = [folder_name(config) for config in configs]
        self._written_at = 0.0

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Count the trial as running."""
        self._update(trials)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Count an epoch."""
        name = self._names[trial.config[PLACE]]
        has_diverged = not math.isfinite(result.get("train_loss", 0.0))
        self._progress.row(name, result[ROW], None if has_diverged else result.get(self._progress.metric))
        for damage in result.get(DAMAGE, []):
            print(f"\ndamaged: {name}/{damage}", file=sys.stderr)
        self._update(trials)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Count a complete trial, or one that ended itself."""
        last = trial.last_result or {}
        if CUT_OFF_BY in last:
            print(f"{self._names[trial.config[PLACE]]} is cut off: {last[CUT_OFF_BY]}", file=sys.stderr)
        self._end(trial, failed=ENDED_BY in last)
        self._update(trials)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Count a failed trial; no more tries are left to it, and its folder says so."""
        self._end(trial, failed=True)
        self._update(trials)

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Show where it ended."""
        self._progress.running = 0
        self._display.show(last=True)
        self._write(running=False)

    def _end(self, trial: Any, *, failed: bool) -> None:
        place = trial.config[PLACE]
        self._progress.end(self._names[place], self._n_rows[place], failed=failed)

    def _update(self, trials: list[Any]) -> None:
        self._progress.running = sum(trial.status == "RUNNING" for trial in trials)
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
    """Writes why a trial ended for good into its folder: its own process may be dead."""

    def __init__(self, folder: Folder, configs: Sequence[Config], epoch_seconds: float | None = None) -> None:
        self._folder = folder
        self._names = [folder_name(config) for config in configs]
        self._epoch_seconds = epoch_seconds
        self._actors: dict[str, str] = {}  # which trial Ray's actor of this id has, or had last
        self._heard: dict[str, float] = {}  # when a trial was last heard of
        self._kills: dict[str, int] = {}  # how many processes the kernel had ended when the trial started

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note its process; also each time that the trial is continued."""
        name = self._names[trial.config[PLACE]]
        if trial.num_failures:
            print(f"\n{name} died and goes on from its last checkpoint (retry {trial.num_failures})", file=sys.stderr)
        self._actors[actor_id(trial)] = name
        self._heard[name], self._kills[name] = time.monotonic(), processes_ended_for_memory()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Note that it lives."""
        self._heard[self._names[trial.config[PLACE]]] = time.monotonic()

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Write error.txt and failed.json."""
        try:
            text = Path(trial.error_file).read_text().strip()
        except (OSError, TypeError):
            text = "the trial failed, and Ray kept no text of the error"
        name = self._names[trial.config[PLACE]]
        if died(text):
            text = f"{text}\n{self._cause_of_death(name)}"
        self.fail(name, text)

    def _cause_of_death(self, name: str) -> str:
        if processes_ended_for_memory() > self._kills.get(name, 0):
            return "OutOfMemoryError: the trial's process was ended when the machine had no more memory"
        silence = time.monotonic() - self._heard.get(name, time.monotonic())
        if self._epoch_seconds is not None and silence >= self._epoch_seconds:
            return f"EpochTimeout: an epoch took longer than the limit of {self._epoch_seconds:g} s: the trial hangs"
        return "ProcessDied: the trial's process died, and no retry is left"

    def fail(self, name: str, text: str) -> None:
        """The trial of that folder has failed."""
        try:
            TrialFolder(self._folder.sub(name)).fail(text)
        except OSError:
            # The storage fails: the trial is found unfinished, and runs again.
            return

    def trial_of(self, actor: str) -> str | None:
        """The folder's name of the trial that an actor has, or had last."""
        return self._actors.get(actor)


def actor_id(trial: Any) -> str:
    """Ray's id of the actor that trains a trial of Tune; "" where Tune does not tell."""
    actor = getattr(getattr(trial, "temporary_state", None), "ray_actor", None)
    return actor._actor_id.hex() if actor is not None else ""


def died(text: str) -> bool:
    """Whether Ray's text of an error says that the process was gone, and not what its code raised."""
    return any(sign in text.lower() for sign in ("actor died", "actor is dead", "actordiederror", "actor_died"))


def processes_ended_for_memory() -> int:
    """How many processes the kernel of this machine has ended for want of memory; 0 where it does not tell."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
