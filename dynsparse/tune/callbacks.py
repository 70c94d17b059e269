"""What happens in the driver as trials go on: progress is shown and written, and ends for good are recorded."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ray import tune

from dynsparse.config import Config
from dynsparse.progress import Display, Progress
from dynsparse.storage import Folder
from dynsparse.trial_folder import TrialFolder, folder_name
from dynsparse.tune.trainable import CUT_OFF_BY, ENDED_BY, EPOCH, PLACE
from dynsparse.watch import STATUS_FILE

STATUS_SECONDS = 2.0


class ShowProgress(tune.Callback):
    """Tune's own output engine ignores a reporter that is passed in, so the progress line is a callback.

    Beside the line it keeps status.json, for another process to watch.
    """

    def __init__(self, folder: Folder, configs: Sequence[Config], n_done: int) -> None:
        n_epochs = sum(config.epochs for config in configs)
        self._progress = Progress(len(configs) + n_done, n_epochs, done=n_done)
        self._display = Display(self._progress)
        self._folder = folder
        self._names = [folder_name(config) for config in configs]
        self._epochs = [config.epochs for config in configs]
        self._written_at = 0.0

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Count the trial as running."""
        self._update(trials)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Count an epoch."""
        name = self._names[trial.config[PLACE]]
        self._progress.row(name, result[EPOCH], result.get(self._progress.metric))
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
        self._progress.end(self._names[place], self._epochs[place], failed=failed)

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

    def __init__(self, folder: Folder, configs: Sequence[Config]) -> None:
        self._folder = folder
        self._names = [folder_name(config) for config in configs]

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Write error.txt and failed.json."""
        try:
            text = Path(trial.error_file).read_text().strip()
        except (OSError, TypeError):
            text = "the trial failed, and Ray kept no text of the error"
        try:
            TrialFolder(self._folder.sub(self._names[trial.config[PLACE]])).fail(explained(text))
        except OSError:
            # The storage fails: the trial is found unfinished, and runs again.
            return


def explained(text: str) -> str:
    """The text of an error, with a last line that says what it was where Ray's is about Ray."""
    lower = text.lower()
    if "outofmemory" in lower or "ray memory" in lower or "due to the node running low on memory" in lower:
        return f"{text}\nOutOfMemoryError: the trial's process was ended because the machine ran out of memory"
    if "actor died" in lower or "actor is dead" in lower or "actordiederror" in lower or "actor_died" in lower:
        return f"{text}\nProcessDied: the trial's process died, again after each retry; see above"
    return text
