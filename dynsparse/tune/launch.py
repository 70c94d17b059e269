"""`run`: the trials of an experiment on Ray Tune, from the checks before the first to the account of the last."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.fs
import ray
from ray import tune
from ray.tune.logger import CSVLoggerCallback

from dynsparse.config import Config
from dynsparse.data import load_dataset
from dynsparse.experiment import Experiment, ExperimentError, axes
from dynsparse.tune.callbacks import RowLogger, ShowProgress
from dynsparse.tune.trainable import PLACE, SparseTrial


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
        with _quiet_tune():
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


@contextmanager
def _quiet_tune() -> Iterator[None]:
    """Tune without what it does unasked, and as it was again afterwards: other runs of this process are not ours."""
    ours = {
        # Its default callbacks write TensorBoard files for each trial, which takes longer than small epochs do.
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        # Its newer output prints a box of settings whatever it is told.
        "RAY_AIR_NEW_OUTPUT": "0",
    }
    before = {name: os.environ.get(name) for name in ours}
    logger = logging.getLogger("ray.tune")
    level = logger.level
    os.environ.update(ours)
    # A trial that fails is reported by us, once and in a line.
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


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
