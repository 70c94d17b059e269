"""Trackers of a run: Weights & Biases, MLflow and TensorBoard. They hold copies; the trial folders are the truth."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from queue import Queue
from typing import Any

from ray import tune
from ray.tune.experiment import Trial
from ray.tune.logger import LoggerCallback, TBXLoggerCallback

from dynsparse.experiment import ExperimentError
from dynsparse.io.terminal import say
from dynsparse.tune.options import RunOptions

# Option to the package that it needs.
NEEDED = {"wandb": "wandb", "mlflow": "mlflow", "tensorboard": "tensorboardX"}
# Numbers of a row that are no metrics.
NOT_METRICS = ("done", "training_iteration", "timestamp", "pid")
# Seconds after which the user is told what takes so long.
PATIENCE_SECONDS = 5.0
# MLflow takes no more of them in one request.
PARAMETERS_AT_ONCE = 100
TRIAL_TAG = "dynsparse.trial_id"
RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"


class WandbTracker(LoggerCallback):
    """Writes each trial as a run of Weights & Biases.

    Ray's own callback starts two processes for each trial, and a second run for a trial that resumes.

    Args:
        project: name of the project.
        experiment: name of the experiment's folder, which groups the runs.
    """

    def __init__(self, project: str, experiment: str) -> None:
        self._project, self._experiment = project, experiment
        self._runs: dict[str, Any] = {}  # by the id of the trial

    def setup(self, *args: Any, **info: Any) -> None:
        """Log in, unless W&B is offline. Raises: an error of W&B."""
        # Imported here, because it takes a second, and is not installed everywhere.
        import wandb

        if wandb.setup().settings.mode not in ("offline", "dryrun", "disabled"):
            wandb.login()

    def log_trial_start(self, trial: Any) -> None:
        """Start the run of a trial, or continue it, and write the rows of a trial that resumes.

        A run that continues offline is a file of its own, and W&B keeps only the last one that is synchronized.
        """
        import wandb

        if trial.trial_id not in self._runs:
            self._runs[trial.trial_id] = wandb.init(
                project=self._project,
                group=self._experiment,
                name=str(trial),
                id=f"{re.sub(r'[^a-zA-Z0-9_.-]+', '-', self._experiment)[:40]}-{trial.trial_id}",
                config=trial.config,
                resume="allow",
                reinit="create_new",
                # The run is not in this process: its output and load are not the trial's.
                settings=wandb.Settings(console="off", silent=True, x_disable_stats=True),
            )
            for row in trial.written_rows():
                self.log_trial_result(0, trial, row)

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        """Write the metrics of a row, unless the run has later ones."""
        run, step = self._runs[trial.trial_id], result["training_iteration"]
        if step >= run.step:
            run.log(metrics_of(result), step=step)

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        """Finish the run: as failed, as preempted if the trial will resume, or as finished."""
        run = self._runs.pop(trial.trial_id)
        if trial.status == Trial.PAUSED:
            run.mark_preempting()
        run.finish(exit_code=int(failed or trial.status == Trial.PAUSED))


class MlflowTracker(LoggerCallback):
    """Writes each trial as a run of MLflow.

    Ray's own callback sends each metric alone, and starts a second run for a trial that resumes.

    Args:
        uri: address of the tracking server or database.
        experiment: name of the experiment's folder, and of the experiment in MLflow.
    """

    def __init__(self, uri: str, experiment: str) -> None:
        self._uri, self._experiment = uri, experiment
        self._runs: dict[str, str] = {}  # id of the trial to that of the run

    def setup(self, *args: Any, **info: Any) -> None:
        """Find or create the experiment. Raises: an error of MLflow."""
        # Imported here, because it takes a second, and is not installed everywhere.
        from mlflow import MlflowClient

        self._client = MlflowClient(tracking_uri=self._uri)
        with _few_retries():
            found = self._client.get_experiment_by_name(self._experiment)
        self._id = found.experiment_id if found else self._client.create_experiment(self._experiment)

    def log_trial_start(self, trial: Any) -> None:
        """Start the run of a trial, or continue it, and write the rows of a trial that resumes."""
        if trial.trial_id not in self._runs:
            self._runs[trial.trial_id] = self._find_or_create(trial)
            for row in trial.written_rows():
                self.log_trial_result(0, trial, row)

    def _find_or_create(self, trial: Any) -> str:
        """Return the id of the run of a trial."""
        from mlflow.entities import Param

        found = self._client.search_runs([self._id], f"tags.`{TRIAL_TAG}` = '{trial.trial_id}'", max_results=1)
        if found:
            self._client.update_run(found[0].info.run_id, status="RUNNING")
            return str(found[0].info.run_id)
        run = self._client.create_run(self._id, run_name=str(trial), tags={TRIAL_TAG: trial.trial_id})
        parameters = [Param(key, str(value)) for key, value in trial.config.items()]
        for first in range(0, len(parameters), PARAMETERS_AT_ONCE):
            self._client.log_batch(run.info.run_id, params=parameters[first : first + PARAMETERS_AT_ONCE])
        return str(run.info.run_id)

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        """Write the metrics of a row, with its own time: MLflow keeps a row that is written again once."""
        from mlflow.entities import Metric

        time, step = result["timestamp"] * 1000, result["training_iteration"]
        metrics = [Metric(mlflow_name(name), value, time, step) for name, value in metrics_of(result).items()]
        self._client.log_batch(self._runs[trial.trial_id], metrics=metrics)

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        """End the run: as failed, as killed if the trial will resume, or as finished."""
        status = "FAILED" if failed else "KILLED" if trial.status == Trial.PAUSED else "FINISHED"
        self._client.set_terminated(self._runs.pop(trial.trial_id), status)


@contextmanager
def _few_retries() -> Iterator[None]:
    """Let MLflow give up after seconds. It retries for 4 minutes, which is right only once trials are running."""
    before = os.environ.get(RETRIES)
    os.environ[RETRIES] = "2"
    try:
        yield
    finally:
        del os.environ[RETRIES]
        if before is not None:
            os.environ[RETRIES] = before


class TrackerThread:
    """Calls a tracker in a thread of its own, in order: no trial waits for a slow server, or fails with it.

    Args:
        option: the option that asks for the tracker.
        value: its value.
        tracker: the tracker.
    """

    def __init__(self, option: str, value: str | bool, tracker: tune.Callback) -> None:
        self._option, self._value, self._tracker = option, value, tracker
        self._calls: Queue[tuple[str, dict[str, Any]] | None] = Queue()
        self._thread = threading.Thread(target=self._work, name=option, daemon=True)

    def setup(self, **about: Any) -> None:
        """Set the tracker up. Raises: ExperimentError."""
        try:
            self._tracker.setup(**about)
        except Exception as error:
            raise ExperimentError(f"{self._option}={self._value!r} cannot be used: {error}") from error
        self._thread.start()

    def tell(self, event: str, **about: Any) -> None:
        """Call the method `event` of the tracker later, unless it has failed."""
        if not self._thread.is_alive():
            # Nobody would take the calls, and the memory of a long run would fill with them.
            return
        # Callbacks may change the result.
        copies = {name: dict(value) if isinstance(value, Mapping) else value for name, value in about.items()}
        self._calls.put((event, copies))

    def close(self, seconds: float) -> None:
        """Wait until the tracker has done its calls, for at most some seconds."""
        self._calls.put(None)
        self._thread.join(min(seconds, PATIENCE_SECONDS))
        if self._thread.is_alive():
            say(f"waiting up to {seconds:g} s for {self._option}")
            self._thread.join(seconds - PATIENCE_SECONDS)
        if self._thread.is_alive():
            say(f"warning: {self._option} has not got everything. The trial folders hold all results.")

    def _work(self) -> None:
        try:
            for event, about in iter(self._calls.get, None):
                getattr(self._tracker, event)(**about)
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            say(f"\nwarning: {self._option} has failed, and the run continues without it: {text}")


def trackers_of(options: RunOptions, experiment: str) -> list[TrackerThread]:
    """Return the trackers that the options of a run ask for.

    Args:
        options: the options.
        experiment: name of the experiment's folder.
    """
    trackers = []
    if options.wandb is not None:
        trackers.append(TrackerThread("wandb", options.wandb, WandbTracker(options.wandb, experiment)))
    if options.mlflow is not None:
        trackers.append(TrackerThread("mlflow", options.mlflow, MlflowTracker(options.mlflow, experiment)))
    if options.tensorboard:
        trackers.append(TrackerThread("tensorboard", True, TBXLoggerCallback()))
    return trackers


def check_installed(options: RunOptions) -> None:
    """Check that the packages of the trackers are installed. Raises: ExperimentError."""
    for option, package in NEEDED.items():
        if getattr(options, option) and find_spec(package) is None:
            raise ExperimentError(f"{option} needs the package {package}. Install it: pip install {package}")


def metrics_of(row: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a row, without those that describe the row."""
    return {
        name: value
        for name, value in row.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and name not in NOT_METRICS
    }


def mlflow_name(name: str) -> str:
    """Return the name of a metric in MLflow, which groups names at "/" and refuses most other signs.

    Example:
        >>> mlflow_name("noise_acc@0.1")
        'noise_acc/0.1'
    """
    return re.sub(r"[^\w\-. :/]", "_", name.replace("@", "/"))
