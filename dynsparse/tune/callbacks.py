"""What happens in the driver as trials go on: rows are written, progress is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ray import tune
from ray.tune.logger import JsonLoggerCallback

from dynsparse.config import Config
from dynsparse.progress import Display, Progress
from dynsparse.tune.trainable import PLACE, without


class RowLogger(JsonLoggerCallback):
    """params.json and result.json, but rows do not repeat the configuration: it would be half of each."""

    def update_config(self, trial: Any, config: dict[str, Any]) -> None:
        """Write params.json."""
        super().update_config(trial, without(config, PLACE))

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        """Append a row to result.json."""
        super().log_trial_result(iteration, trial, without(result, "config"))


class ShowProgress(tune.Callback):
    """Tune's own output engine ignores a reporter that is passed in, so the progress line is a callback."""

    def __init__(self, configs: Sequence[Config]) -> None:
        self._progress = Progress(len(configs), sum(config.epochs for config in configs))
        self._display = Display(self._progress)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Count the trial as running."""
        self._update(trials)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Count an epoch."""
        self._progress.row(trial.trial_id, result.get(self._progress.metric))
        self._update(trials)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Count a complete trial."""
        self._progress.end(failed=False)
        self._update(trials)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Count a failed trial."""
        ran = (trial.last_result or {}).get("training_iteration", 0)
        self._progress.end(failed=True, epochs_left=trial.config["epochs"] - ran)
        self._update(trials)

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Show where it ended."""
        self._progress.running = 0
        self._display.show(last=True)

    def _update(self, trials: list[Any]) -> None:
        self._progress.running = sum(trial.status == "RUNNING" for trial in trials)
        self._display.show()
