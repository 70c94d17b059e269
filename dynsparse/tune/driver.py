"""`run`: the trials of an experiment on Ray Tune, from the checks before the first to the outcome of the last."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.logger import TBXLoggerCallback

from dynsparse.config import Config
from dynsparse.data.download import requested_data_dir
from dynsparse.engines import choose_for_config
from dynsparse.experiment import Experiment, ExperimentError, check_name, load_experiment
from dynsparse.io.storage import Folder, open_folder
from dynsparse.results.grid_status import Failure, GridStatus, scan, version
from dynsparse.results.lock import Lock, LockedError, check_unlocked
from dynsparse.results.trial_folder import State, TrialFolder, folder_name
from dynsparse.tune import preflight
from dynsparse.tune.compat import TUNER_FILE
from dynsparse.tune.interrupts import Signals, StopWhenAsked
from dynsparse.tune.pack_size import gpus_of, shared_out, widest_pack
from dynsparse.tune.packed_trial import Job
from dynsparse.tune.ray_session import a_ray, quiet_tune
from dynsparse.tune.trial_group import at_once
from dynsparse.tune.tuner import OF_PACKS, Launch


@dataclass(frozen=True)
class Outcome:
    """What became of a run: all trials of the grid, those of earlier runs included."""

    path: str  # of the experiment's folder
    n_complete: int
    n_unfinished: int  # neither complete nor failed: the run was stopped
    failures: list[Failure]
    seconds: float
    stopped_by: int | None = None  # the number of the signal


def run(
    experiment: Experiment | str | Path,
    storage: str | Path = "results",
    *,
    name: str | None = None,
    overrides: Mapping[str, Sequence[Any]] | None = None,
    limit: int | None = None,
    fresh: bool = False,
    retry_failed: bool = False,
    cpus_per_trial: float | None = None,
    gpus_per_trial: float | None = None,
    pack: str | int = "auto",
    max_failures: int = 3,
    checkpoint_epochs: int = 5,
    epoch_seconds: float | None = None,
    trial_seconds: float | None = None,
    address: str | None = None,
    tensorboard: bool = False,
    callbacks: Sequence[tune.Callback] = (),
) -> Outcome:
    """Train the trials of an experiment; return when all have ended, or when the run was stopped (Ctrl-C, TERM).

    What the folder already holds is kept: complete trials do not run again, those that have begun are continued from
    their last checkpoint, failed ones are left as they are. A trial that fails leaves the others untouched.

    Args:
        experiment: or the path of its file.
        storage: a folder, or what else Ray takes as storage (s3://...); the trials go to storage/name.
        name: the experiment's own if None.
        overrides: key to the values that replace the space's.
        limit: only the first so many trials of the grid.
        fresh: start over, in a new folder.
        retry_failed: run failed trials again.
        cpus_per_trial, gpus_per_trial: what Ray sets aside for each trial, or for each pack; the experiment's own if
            None. A pack on a GPU has one of its own where neither says anything.
        pack: how many trials may be trained together, by one process; "off": each by itself; "auto": on a GPU all that
            go together, shared out over the GPUs, and each by itself on a CPU. What a trial gives does not depend on
            it but for rounding, and its folder is the same.
        max_failures: how often a trial may die and be continued before it has failed.
        checkpoint_epochs: from one checkpoint of a trial to the next.
        epoch_seconds: an epoch that takes longer is taken to hang, and its process is ended; None: no limit.
        trial_seconds: a trial that takes longer fails; None: no limit.
        address: of a Ray cluster; None: RAY_ADDRESS, or a Ray of its own on this machine.
        tensorboard: write TensorBoard's event files as well.
        callbacks: more of Tune's callbacks. Tune tells them of packs, not of trials: where there are any, "auto" is
            "off". For the same reason `tensorboard` and a `pack` of more than 1 are refused.

    Raises: ConfigError, ExperimentError, DataError before any trial has started; LockedError if another process runs
    this experiment.
    """
    if not isinstance(experiment, Experiment):
        experiment = load_experiment(experiment)
    if limit is not None and limit < 1:
        raise ExperimentError(f"limit must be at least 1, got {limit}")
    if name is not None:
        check_name(name)
    configs = [launched(config) for config in experiment.configs(overrides)][:limit]
    widest = widest_pack(pack, configs, tensorboard=tensorboard, callbacks=callbacks)
    cpus = experiment.cpus_per_trial if cpus_per_trial is None else cpus_per_trial
    gpus = gpus_of(experiment, configs, widest) if gpus_per_trial is None else gpus_per_trial
    preflight.refuse_twins(configs)
    preflight.refuse_device_without_gpu(configs, gpus)
    storage = str(storage).removeprefix("file://")
    storage = storage if "://" in storage else str(Path(storage).expanduser().resolve())
    name = _free_name(storage, name or experiment.name) if fresh else name or experiment.name
    folder = _opened(storage, name)

    started = time.monotonic()
    signals = Signals()
    try:
        with signals:
            grid = scan(folder, configs)
            print(grid.summary(retry_failed=retry_failed), file=sys.stderr)
            todo = grid.todo(retry_failed=retry_failed)
            if todo:
                preflight.refuse_impossible_trials(todo)
                slower = preflight.why_torch(todo)
                if slower:
                    print(slower, file=sys.stderr)
                signals.check()
                # Taken below, once nothing else can be refused; but nobody should wait for Ray to be told.
                check_unlocked(folder)
                with a_ray(address), quiet_tune():
                    # Ray has set a handler for TERM that would end the process there and then.
                    signals.listen()
                    signals.check()
                    preflight.refuse_impossible_resources(cpus, gpus, address)
                    preflight.check_nodes(folder, configs)
                    with Lock(folder):
                        # Seen again under the lease: another run may have ended just now.
                        grid = scan(folder, configs)
                        grid.repair(folder)
                        todo = grid.todo(retry_failed=retry_failed)
                        _begin(folder, todo)
                        job = Job(folder.path, checkpoint_epochs, epoch_seconds, trial_seconds)
                        more = [StopWhenAsked(signals), *([TBXLoggerCallback()] if tensorboard else []), *callbacks]
                        signals.check()
                        gpus_there = ray.cluster_resources().get("GPU", 0)
                        width = shared_out(len(todo), gpus_there, gpus, widest) if pack == "auto" else widest
                        launch = Launch(folder, storage, name, job, cpus, gpus, max_failures, more, signals)
                        launch.train(todo, width, n_complete=len(grid.in_state(State.COMPLETE)))
            elif grid.has_damage():
                _repair(folder, grid)
    except KeyboardInterrupt:
        # From `check`, or the second signal.
        if signals.received() is None:
            raise
    except SystemExit as end:
        # Ray's own handler for TERM, while Ray starts.
        if end.code != signal.SIGTERM or signals.received() is None:
            raise
    return _outcome(folder, configs, time.monotonic() - started, signals.received())


def launched(config: Config) -> Config:
    """The configuration as a worker gets it: its own working directory is another, so paths are made absolute."""
    return replace(config, data_dir=requested_data_dir(config.data_dir))


def _free_name(storage: str, name: str) -> str:
    """The first of name, name-2, name-3, ... under which the storage holds nothing."""
    names = [name, *(f"{name}-{number}" for number in range(2, 10_000))]
    return next(each for each in names if not _opened(storage, each).names())


def _opened(storage: str, name: str) -> Folder:
    """Raises: ExperimentError where the storage cannot be reached."""
    try:
        folder = open_folder(storage).sub(name)
        folder.names()
    except (OSError, ValueError) as error:
        fix = "give another --storage"
        if "://" in storage:
            fix = f"give it what it asks for, credentials or a region (submit hands variables on with --env), or {fix}"
        raise ExperimentError(f"the storage {storage}/{name} cannot be read: {error}; {fix}") from error
    return folder


def _repair(folder: Folder, grid: GridStatus) -> None:
    """Where there is nothing to run, and so no reason to refuse anything."""
    try:
        with Lock(folder):
            grid.repair(folder)
    except (OSError, LockedError) as error:
        print(f"what is damaged stays so: {error}", file=sys.stderr)


def _begin(folder: Folder, configs: Sequence[Config]) -> None:
    """Write the folders of the trials to run. Raises: ExperimentError where that fails, as on a full disk."""

    def begin(config: Config) -> None:
        # So that a trial which never gets its turn is seen, too.
        trial = TrialFolder(folder.sub(folder_name(config)))
        trial.begin(config, {"version": version(), "engine": choose_for_config(config).name})
        trial.clear_failure()

    try:
        at_once(begin, configs)
        folder.delete(TUNER_FILE)
        folder.sub(OF_PACKS).delete(TUNER_FILE)
    except OSError as error:
        raise preflight.cannot_be_written(folder, error) from error


def _outcome(folder: Folder, configs: Sequence[Config], seconds: float, stopped_by: int | None) -> Outcome:
    grid = scan(folder, configs)
    n_complete, failures = len(grid.in_state(State.COMPLETE)), grid.failures()
    return Outcome(folder.path, n_complete, len(configs) - n_complete - len(failures), failures, seconds, stopped_by)
