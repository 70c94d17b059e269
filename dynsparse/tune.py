"""Trials on Ray Tune: the Trainable class and `run`. The only module that imports ray."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

# Ray reads these when it is imported. Telemetry is off unless the user asks for it.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# Ray's newer output prints its own box of settings whatever it is told.
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")

import pyarrow.fs
import ray
import torch
from ray import tune
from ray.tune.logger import CSVLoggerCallback, JsonLoggerCallback

from dynsparse.config import Config
from dynsparse.data import load_dataset
from dynsparse.experiment import Experiment, ExperimentError, axes
from dynsparse.progress import Display, Progress
from dynsparse.training import Trainer, TrialError

STATE_FILE = "state.pt"
# Where a trial stands in the list that Tune is given. It is no hyperparameter, and no file shows it.
PLACE = "place_in_list"


class SparseTrial(tune.Trainable):
    """One trial as Ray Tune's class API wants it: a step is an epoch."""

    def setup(self, config: dict[str, Any]) -> None:
        """Build the trial. Raises: ConfigError, DataError."""
        # Ray sets OMP_NUM_THREADS for this too, but not where the user's environment sets another.
        torch.set_num_threads(max(1, int(self.trial_resources.head_cpus) if self.trial_resources else 1))
        self._config = Config.of(without(config, PLACE))
        self.trainer = Trainer([self._config])

    def step(self) -> dict[str, Any]:
        """Train one epoch. Raises: TrialError if the trial cannot go on."""
        [row] = self.trainer.train_epoch()
        if row is None:
            raise TrialError(self.trainer.errors[0])
        return {**row, "done": self.trainer.epoch >= self._config.epochs}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write all that is needed to continue bit for bit."""
        torch.save(self.trainer.state_dict(), Path(checkpoint_dir) / STATE_FILE)

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        """Continue from a checkpoint; nothing is unpickled but tensors and plain values."""
        self.trainer.load_state_dict(torch.load(Path(checkpoint_dir) / STATE_FILE, weights_only=True))

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Become another trial: the process, torch and the data set stay, all else is built anew."""
        self.setup(new_config)
        return True

    def cleanup(self) -> None:
        """Let go of the network."""
        del self.trainer


@dataclass(frozen=True)
class Failure:
    """A trial that did not end well."""

    trial: str  # its folder's name
    values: dict[str, Any]  # of the axes of the grid
    error: str  # the last line of what was raised


@dataclass(frozen=True)
class Outcome:
    """What became of a run."""

    path: str  # of the experiment's folder
    n_complete: int
    n_unfinished: int  # neither complete nor failed: the run was stopped
    failures: list[Failure]
    seconds: float


def run(
    experiment: Experiment,
    storage: str | Path = "results",
    *,
    name: str | None = None,
    overrides: Mapping[str, Sequence[Any]] | None = None,
    limit: int | None = None,
    cpus_per_trial: float | None = None,
    gpus_per_trial: float | None = None,
    address: str | None = None,
    callbacks: Sequence[tune.Callback] = (),
) -> Outcome:
    """Train the trials of an experiment; return when all have ended.

    A trial that fails leaves the others untouched.

    Args:
        storage: a folder, or what else Ray takes as storage (s3://...); the trials go to storage/name.
        name: the experiment's own if None.
        overrides: key to the values that replace the space's.
        limit: only the first so many trials of the grid.
        cpus_per_trial, gpus_per_trial: the experiment's own if None.
        address: of a Ray cluster; None: RAY_ADDRESS, or a Ray of its own on this machine.
        callbacks: more of Tune's callbacks.

    Raises: ConfigError, ExperimentError, DataError before any trial has started.
    """
    configs = [launched(config) for config in experiment.configs(overrides)][:limit]
    name = name or experiment.name
    cpus = experiment.cpus_per_trial if cpus_per_trial is None else cpus_per_trial
    gpus = experiment.gpus_per_trial if gpus_per_trial is None else gpus_per_trial
    storage = str(storage) if "://" in str(storage) else str(Path(storage).expanduser().resolve())
    path = f"{storage}/{name}"
    _refuse_device_without_gpu(configs, gpus)
    _refuse_used_folder(path)
    for dataset, data_dir in dict.fromkeys((c.dataset_name, c.data_dir) for c in configs):
        load_dataset(dataset, data_dir)

    started_ray = not ray.is_initialized()
    if started_ray:
        _start_ray(address)
    try:
        _refuse_impossible_resources(cpus, gpus)
        _make_folder(path)
        started = time.monotonic()
        results = _tuner(configs, storage, name, cpus, gpus, callbacks).fit()
        return _outcome(results, configs, path, time.monotonic() - started)
    finally:
        if started_ray:
            ray.shutdown()


def launched(config: Config) -> Config:
    """The configuration as a worker gets it: its own working directory is another, so paths are made absolute."""
    data_dir = config.data_dir or os.environ.get("DYNSPARSE_DATA_DIR")
    return replace(config, data_dir=str(Path(data_dir).expanduser().resolve())) if data_dir else config


def _refuse_device_without_gpu(configs: Sequence[Config], gpus: float) -> None:
    """Raises: ExperimentError where what a trial computes on is not what Ray sets aside for it."""
    devices = {config.device for config in configs}
    if gpus == 0 and devices != {"cpu"}:
        device = sorted(devices - {"cpu"})[0]
        raise ExperimentError(f"device={device!r}, but no GPU is set aside for a trial; give --gpus-per-trial")
    if gpus > 0 and "cpu" in devices:
        raise ExperimentError("a GPU is set aside for each trial, but device='cpu'; give --set device=cuda")


def _refuse_used_folder(path: str) -> None:
    """Two runs in one folder would mix their trials. Raises: ExperimentError."""
    try:
        filesystem, inside = pyarrow.fs.FileSystem.from_uri(path)
        used = filesystem.get_file_info(pyarrow.fs.FileSelector(inside, allow_not_found=True))
    except (OSError, ValueError) as error:
        raise ExperimentError(f"the storage {path} cannot be read: {error}") from error
    if used:
        raise ExperimentError(f"{path} already holds results; give this run another --name, or move that folder away")


def _make_folder(path: str) -> None:
    """Raises: ExperimentError where the storage cannot be written."""
    try:
        filesystem, inside = pyarrow.fs.FileSystem.from_uri(path)
        filesystem.create_dir(inside, recursive=True)
    except OSError as error:
        raise ExperimentError(f"the storage {path} cannot be written: {error}; give another --storage") from error


def _start_ray(address: str | None) -> None:
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    local = {"include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, **local)
    except ConnectionError as error:
        raise ExperimentError(f"no Ray cluster answers at {address!r}: {error}") from error


def _refuse_impossible_resources(cpus: float, gpus: float) -> None:
    """Tune would wait for ever. Raises: ExperimentError."""
    there = ray.cluster_resources()
    for kind, wanted in [("CPU", cpus), ("GPU", gpus)]:
        if wanted > there.get(kind, 0):
            raise ExperimentError(
                f"a trial asks for {wanted:g} {kind}s and there are {there.get(kind, 0):g}; "
                f"lower --{kind.lower()}s-per-trial"
            )


def _tuner(
    configs: Sequence[Config],
    storage: str,
    name: str,
    cpus: float,
    gpus: float,
    callbacks: Sequence[tune.Callback],
) -> tune.Tuner:
    values = [config.values() for config in configs]
    # A grid of Tune's own is a full product; ours may be any list of trials, so the grid is over places in the list.
    space = {**values[0], PLACE: tune.grid_search(list(range(len(values))))}
    for key in axes(configs):
        space[key] = tune.sample_from(lambda spec, key=key: values[spec.config[PLACE]][key])
    # Tune's default callbacks write TensorBoard files for each trial, which takes longer than small epochs do.
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    # A trial that fails is reported by us, once and in a line.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    return tune.Tuner(
        tune.with_resources(SparseTrial, {"cpu": cpus, "gpu": gpus}),
        param_space=space,
        tune_config=tune.TuneConfig(
            reuse_actors=True,
            trial_dirname_creator=lambda trial: f"trial_{trial.trial_id}",
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=storage,
            verbose=0,
            # None would become True for a class like ours.
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            callbacks=[RowLogger(), CSVLoggerCallback(), ShowProgress(configs), *callbacks],
        ),
    )


class RowLogger(JsonLoggerCallback):
    """params.json and result.json, but rows do not repeat the configuration: it would be half of each."""

    def update_config(self, trial: Any, config: dict[str, Any]) -> None:
        """Write params.json."""
        super().update_config(trial, without(config, PLACE))

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        """Append a row to result.json."""
        super().log_trial_result(iteration, trial, without(result, "config"))


def without(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A copy of a dict that lacks one key."""
    return {key: value for key, value in values.items() if key != name}


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


def _outcome(results: tune.ResultGrid, configs: Sequence[Config], path: str, seconds: float) -> Outcome:
    varying = axes(configs)
    failures, n_complete = [], 0
    for result in results:
        if result.error is not None:
            values = {key: result.config[key] for key in varying}
            lines = str(result.error).strip().splitlines() or [type(result.error).__name__]
            failures.append(Failure(Path(result.path).name, values, lines[-1]))
        elif (result.metrics or {}).get("done"):
            n_complete += 1
    return Outcome(path, n_complete, len(configs) - n_complete - len(failures), failures, seconds)
