"""`run`: train the trials of an experiment on Ray Tune."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import torch

from dynsparse.config import Config
from dynsparse.data import own
from dynsparse.engines import choose_for_config
from dynsparse.experiment import Experiment, load_experiment
from dynsparse.io.storage import Folder
from dynsparse.io.terminal import say
from dynsparse.results.experiment_file import write_experiment
from dynsparse.results.fence import fenced
from dynsparse.results.grid_status import Failure, GridStatus, scan, version
from dynsparse.results.lock import Lock, LockedError, check_unlocked
from dynsparse.results.trial_folder import State, TrialFolder, folder_name
from dynsparse.tune import node_checks, preflight
from dynsparse.tune.compat import TUNE_FILES, stop_tune
from dynsparse.tune.in_process import InProcessRunner
from dynsparse.tune.interrupts import Interrupts
from dynsparse.tune.options import RunOptions
from dynsparse.tune.pack_size import even_pack_size
from dynsparse.tune.preflight import CheckedRun, check_run
from dynsparse.tune.ray_session import quiet_tune, ray_session
from dynsparse.tune.trackers import trackers_of
from dynsparse.tune.trial_events import TrialEvents
from dynsparse.tune.trial_group import map_in_threads
from dynsparse.tune.tuner import PACKS_FOLDER, PackRunner


@dataclass(frozen=True)
class Outcome:
    """The result of a run, for all trials of the grid, including those of earlier runs.

    Args:
        path: path or URI of the experiment's folder.
        n_complete: number of complete trials.
        n_unfinished: number of trials that are neither complete nor failed, because the run was stopped.
        failures: the failed trials.
        seconds: duration of the run.
        stopped_by: number of the signal that stopped the run, or None.
        n_stopped: number of trials that a rule of early stopping has ended.
    """

    path: str
    n_complete: int
    n_unfinished: int
    failures: list[Failure]
    seconds: float
    stopped_by: int | None = None
    n_stopped: int = 0


def run(
    experiment: Experiment | str | Path,
    storage: str | Path = "results",
    *,
    overrides: Mapping[str, Sequence[Any]] | None = None,
    **options: Any,
) -> Outcome:
    """Train the trials of an experiment. Return when all have ended or the run was stopped (Ctrl-C, SIGTERM).

    Complete trials in the folder do not run again, unfinished trials resume from their last checkpoint, and failed
    trials stay as they are. A trial that fails does not affect the others.

    Args:
        experiment: an experiment, or the path of its file.
        storage: folder or URI (s3://bucket/folder); the trial folders go to storage/name.
        overrides: key to the values that replace the experiment's; several values are an axis.
        **options: other fields of `RunOptions`, such as name, limit, cpus_per_trial, pack or address.

    Returns:
        The number of complete and unfinished trials, and the failed trials.

    Raises:
        ConfigError, ExperimentError, DataError: If a check fails, before any trial starts.
        LockedError: If another process runs the experiment.
        LockLostError: If another process took over the experiment while this one was stopped.

    Example:
        >>> import tempfile
        >>> from dynsparse.experiment import Experiment
        >>> from dynsparse.tune import run
        >>> space = {"dataset_name": "digits", "model": "SET", "on_perc": 0.1}
        >>> experiment = Experiment(name="first", question="Does it run?", space=space, epochs=1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     outcome = run(experiment, storage=folder, cpus_per_trial=1)
        >>> outcome.n_complete, outcome.failures
        (1, [])
    """
    run_options = RunOptions(storage=storage, **options)
    if not isinstance(experiment, Experiment):
        experiment = load_experiment(experiment)
    return run_grid(experiment, experiment.configs(overrides), run_options)


def run_grid(experiment: Experiment, configs: Sequence[Config], options: RunOptions) -> Outcome:
    """Train trials of an experiment, as `run` does, given the configs of its grid."""
    checked = check_run(experiment, configs, options)
    started = time.monotonic()
    status, interrupts = None, Interrupts()
    try:
        with interrupts:
            status = scan(checked.folder, checked.configs)
            if not options.quiet:
                say(status.summary(**options.rerun_states))
            if status.todo(**options.rerun_states):
                _launch(checked, status, interrupts)
            elif status.has_damage():
                _repair(checked.folder, status)
    except KeyboardInterrupt:
        # Raised by `interrupts`; any other one is not ours.
        if interrupts.received() is None:
            raise
    except SystemExit as end:
        # Raised by Ray's own handler for SIGTERM while Ray starts.
        if end.code != signal.SIGTERM or interrupts.received() is None:
            raise
    status = scan(checked.folder, checked.configs, previous=status)
    n_complete, failures = len(status.in_state(State.COMPLETE)), status.failures()
    n_stopped = len(status.in_state(State.STOPPED)) if options.scheduler else 0
    n_unfinished = len(status.trials) - n_complete - n_stopped - len(failures)
    seconds = time.monotonic() - started
    return Outcome(checked.folder.path, n_complete, n_unfinished, failures, seconds, interrupts.received(), n_stopped)


def _launch(run: CheckedRun, status: GridStatus, interrupts: Interrupts) -> None:
    """Start Ray and train the trials that are not complete.

    Raises: ExperimentError, DataError, LockedError, LockLostError.
    """
    options, folder = run.options, run.folder
    trials = status.todo(**options.rerun_states)
    preflight.check_first_trial(trials)
    explanations = (
        preflight.explain_missing_updates(trials),
        preflight.explain_slow_engine(trials),
        preflight.explain_packs_of_modules(trials, run.largest_pack),
    )
    for explanation in explanations:
        if explanation:
            say(explanation)
    interrupts.check()
    # The lock is taken when all checks have passed. Looking at it now spares the user the start of Ray.
    dead = check_unlocked(folder)
    events = TrialEvents(options.callbacks, trackers_of(options, run.name), run.configs, folder, interrupts)
    if options.in_process:
        is_lost = threading.Event()
        with Lock(folder, dead, on_loss=is_lost.set) as lock, events:
            alone = InProcessRunner(run, lock.token, interrupts, is_lost, events)
            _train(run, status, alone, lock.token, n_gpus=torch.cuda.device_count())
        return
    with ray_session(options.address), quiet_tune():
        # Ray has set a handler for SIGTERM that would end the process at once.
        interrupts.listen()
        interrupts.check()
        node_checks.check_resources(run.cpus, run.gpus, options.address)
        node_checks.check_nodes(folder, run.configs)
        with Lock(folder, dead, on_loss=stop_tune) as lock, events:
            runner = PackRunner(run, lock.token, interrupts, events)
            _train(run, status, runner, lock.token, n_gpus=ray.cluster_resources().get("GPU", 0))


def _train(
    run: CheckedRun, status: GridStatus, runner: PackRunner | InProcessRunner, token: str, *, n_gpus: float
) -> None:
    """Train the trials that are not complete, with the lock held.

    Args:
        run: the run.
        status: the status of the grid before the lock was taken.
        runner: what trains them.
        token: the token of the lock.
        n_gpus: number of GPUs that there are.
    """
    folder = fenced(run.folder, token)
    # Another run may have ended since the first scan.
    status = scan(folder, run.configs, previous=status)
    if status.set_aside(folder):
        status = scan(folder, run.configs)
    status.repair(folder)
    trials = status.todo(**run.options.rerun_states)
    _begin(folder, run.experiment, trials)
    pack_size = run.largest_pack
    if run.options.pack == "auto":
        pack_size = even_pack_size(len(trials), n_gpus, run.gpus, run.largest_pack)
    n_failed = 0 if run.options.retry_failed else len(status.in_state(State.FAILED))
    # Those that were complete, or stopped early and stay so.
    runner.train(trials, pack_size, len(run.configs) - len(trials) - n_failed)


def _begin(folder: Folder, experiment: Experiment, configs: Sequence[Config]) -> None:
    """Create the folders of the trials, so that a trial that never starts is visible. Raises: ExperimentError."""

    def begin(config: Config) -> None:
        trial = TrialFolder(folder.sub(folder_name(config)))
        trial.create(config, {"version": version(), "engine": choose_for_config(config).name, **own.about(config)})
        trial.clear_end()

    try:
        write_experiment(folder, experiment)
        map_in_threads(begin, configs)
        for name in TUNE_FILES:
            folder.delete(name)
            folder.sub(PACKS_FOLDER).delete(name)
    except OSError as error:
        raise preflight.write_error(folder, error) from error


def _repair(folder: Folder, status: GridStatus) -> None:
    """Repair complete trials when there is nothing to run; if that fails, the run still succeeds."""
    try:
        with Lock(folder):
            status.repair(folder)
    except (OSError, LockedError) as error:
        say(f"damaged files were not repaired: {error}")
