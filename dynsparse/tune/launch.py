"""`run`: the trials of an experiment on Ray Tune, from the checks before the first to the account of the last."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ray import tune
from ray.exceptions import OutOfMemoryError
from ray.tune.logger import TBXLoggerCallback

from dynsparse.account import Account, Failure, take_stock, version
from dynsparse.config import Config
from dynsparse.data_files import asked_for
from dynsparse.engines import choose
from dynsparse.experiment import Experiment, ExperimentError, axes, check_name, load_experiment
from dynsparse.lease import Lease, OwnedError, refuse_owned
from dynsparse.plan import plan
from dynsparse.storage import Folder, open_folder
from dynsparse.trial_folder import State, TrialFolder, folder_name
from dynsparse.tune import preflight
from dynsparse.tune.callbacks import RecordFailures, ShowProgress
from dynsparse.tune.rays import a_ray, quiet_tune
from dynsparse.tune.signals import Signals, StopWhenAsked
from dynsparse.tune.trainable import PLACE, Job, SparseTrial

WRITERS = 8


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
        cpus_per_trial, gpus_per_trial: the experiment's own if None.
        max_failures: how often a trial may die and be continued before it has failed.
        checkpoint_epochs: from one checkpoint of a trial to the next.
        epoch_seconds: an epoch that takes longer is taken to hang, and its process is ended; None: no limit.
        trial_seconds: a trial that takes longer fails; None: no limit.
        address: of a Ray cluster; None: RAY_ADDRESS, or a Ray of its own on this machine.
        tensorboard: write TensorBoard's event files as well.
        callbacks: more of Tune's callbacks.

    Raises: ConfigError, ExperimentError, DataError before any trial has started; OwnedError if another process runs
    this experiment.
    """
    if not isinstance(experiment, Experiment):
        experiment = load_experiment(experiment)
    if limit is not None and limit < 1:
        raise ExperimentError(f"limit must be at least 1, got {limit}")
    if name is not None:
        check_name(name)
    configs = [launched(config) for config in experiment.configs(overrides)][:limit]
    cpus = experiment.cpus_per_trial if cpus_per_trial is None else cpus_per_trial
    gpus = experiment.gpus_per_trial if gpus_per_trial is None else gpus_per_trial
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
            account = take_stock(folder, configs)
            print(account.text(retry_failed=retry_failed), file=sys.stderr)
            todo = account.todo(retry_failed=retry_failed)
            if todo:
                preflight.refuse_impossible_trials(todo)
                slower = preflight.why_torch(todo)
                if slower:
                    print(slower, file=sys.stderr)
                signals.check()
                # Taken below, once nothing else can be refused; but nobody should wait for Ray to be told.
                refuse_owned(folder)
                with a_ray(address), quiet_tune():
                    # Ray has set a handler for TERM that would end the process there and then.
                    signals.listen()
                    signals.check()
                    preflight.refuse_impossible_resources(cpus, gpus, address)
                    preflight.check_nodes(folder, configs)
                    with Lease(folder):
                        # Seen again under the lease: another run may have ended just now.
                        account = take_stock(folder, configs)
                        account.repair(folder)
                        todo = account.todo(retry_failed=retry_failed)
                        _begin(folder, todo)
                        job = Job(folder.path, checkpoint_epochs, epoch_seconds, trial_seconds)
                        more = [StopWhenAsked(signals), *([TBXLoggerCallback()] if tensorboard else []), *callbacks]
                        signals.check()
                        launch = Launch(folder, storage, name, job, cpus, gpus, max_failures, more)
                        launch.train(todo, n_complete=len(account.of(State.COMPLETE)))
            elif account.damaged():
                _repair(folder, account)
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
    return replace(config, data_dir=asked_for(config.data_dir))


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
        raise ExperimentError(
            f"the storage {storage}/{name} cannot be read: {error}; give another --storage"
        ) from error
    return folder


def _repair(folder: Folder, account: Account) -> None:
    """Where there is nothing to run, and so no reason to refuse anything."""
    try:
        with Lease(folder):
            account.repair(folder)
    except (OSError, OwnedError) as error:
        print(f"what is damaged stays so: {error}", file=sys.stderr)


def _begin(folder: Folder, configs: Sequence[Config]) -> None:
    """Write the folders of the trials to run. Raises: ExperimentError where that fails, as on a full disk."""

    def begin(config: Config) -> None:
        # So that a trial which never gets its turn is seen, too.
        trial = TrialFolder(folder.sub(folder_name(config)))
        trial.begin(config, {"version": version(), "engine": choose(plan([config])).name})
        trial.forget_failure()

    try:
        # Disks and stores take several writers at once.
        with ThreadPoolExecutor(WRITERS) as threads:
            for _ in threads.map(begin, configs):
                pass
        # Tune writes it again and we never read it; a damaged one must not be in its way.
        folder.delete("tuner.pkl")
    except OSError as error:
        raise preflight.cannot_be_written(folder, error) from error


@dataclass(frozen=True)
class Launch:
    """How the trials of a run are given to Tune."""

    folder: Folder
    storage: str
    name: str
    job: Job
    cpus: float
    gpus: float
    max_failures: int
    callbacks: Sequence[tune.Callback]

    def train(self, todo: Sequence[Config], n_complete: int) -> None:
        """Train the trials, most often in one go.

        Where the memory monitor of a cluster ends a trial, Tune gives up all of them. They go on from their
        checkpoints, and without the one that took the memory when it has done so too often.
        """
        deaths: Counter[str] = Counter()
        while todo:
            progress = ShowProgress(self.folder, todo, n_complete)
            failures = RecordFailures(self.folder, todo, self.job.epoch_seconds)
            try:
                self._tuner(todo, [progress, failures, *self.callbacks]).fit()
                return
            except OSError as error:
                # Tune could not write beside its trials: into Ray's temporary folder, most often.
                where = f"the storage {self.folder.path} or {os.environ.get('RAY_TMPDIR', '/tmp')}"
                print(f"\nthe run ends here: {error} (in {where}); what is written is kept", file=sys.stderr)
                return
            except RuntimeError as error:
                ended = _ended_for_memory(error)
                trial = failures.trial_of(ended[0]) if ended else None
                if ended is None or trial is None:
                    raise
            deaths[trial] += 1
            what = f"OutOfMemoryError: the trial took {ended[1]:g} GB of a machine that had no more, and Ray ended it"
            print(f"\n{trial}: {what}; the others go on from their checkpoints", file=sys.stderr)
            if deaths[trial] > self.max_failures:
                failures.fail(trial, what)
            account = take_stock(self.folder, todo)
            n_complete += len(account.of(State.COMPLETE))
            todo = account.todo(retry_failed=False)

    def _tuner(self, configs: Sequence[Config], callbacks: list[tune.Callback]) -> tune.Tuner:
        values = [config.values() for config in configs]
        names = [folder_name(config) for config in configs]
        varying = axes(configs)
        # A grid of Tune's own is a full product; ours may be any list of trials: the grid is over places in the list.
        space = {**values[0], PLACE: tune.grid_search(list(range(len(values))))}
        for key in varying:
            space[key] = tune.sample_from(lambda spec, key=key: values[spec.config[PLACE]][key])
        job = replace(self.job, tags=_tags(configs, varying))
        resources = {"cpu": self.cpus, "gpu": self.gpus}
        return tune.Tuner(
            tune.with_resources(tune.with_parameters(SparseTrial, job=job), resources),
            param_space=space,
            tune_config=tune.TuneConfig(
                reuse_actors=True,
                # Tune asks before it has looked up the keys, so the place is all that is known of the trial.
                trial_dirname_creator=lambda trial: names[trial.config[PLACE]],
            ),
            run_config=tune.RunConfig(
                name=self.name,
                storage_path=self.storage,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=self.max_failures),
                # None would become True for a class like ours.
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                callbacks=callbacks,
            ),
        )


def _tags(configs: Sequence[Config], varying: Iterable[str]) -> list[str]:
    """What tells each trial from the others of its grid, in whichever run: "on_perc=0.1,seed=2"."""
    return [",".join(f"{key}={getattr(config, key)}" for key in varying) for config in configs]


def _ended_for_memory(error: BaseException | None) -> tuple[str, float] | None:
    """Of the actors that Ray's memory monitor has ended the one that took most: its id, and how many GB it took."""
    while error is not None and not isinstance(error, OutOfMemoryError):
        error = error.__cause__
    ended = re.findall(r"Selected to kill: \(Actor\((\w+)\).*?actual memory used=([\d.]+)GB", str(error))
    return max(((actor, float(used)) for actor, used in ended), key=lambda each: each[1], default=None)


def _outcome(folder: Folder, configs: Sequence[Config], seconds: float, stopped_by: int | None) -> Outcome:
    account = take_stock(folder, configs)
    n_complete, failures = len(account.of(State.COMPLETE)), account.failures()
    return Outcome(folder.path, n_complete, len(configs) - n_complete - len(failures), failures, seconds, stopped_by)
