"""`run`: the trials of an experiment on Ray Tune, from the checks before the first to the account of the last."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.logger import TBXLoggerCallback

from dynsparse.account import Account, Failure, take_stock, version
from dynsparse.config import Config
from dynsparse.data import load_dataset
from dynsparse.experiment import Experiment, ExperimentError, axes, check_name, load_experiment
from dynsparse.lease import Lease
from dynsparse.storage import Folder, open_folder
from dynsparse.trial_folder import State, TrialFolder, folder_name, identity
from dynsparse.tune.callbacks import RecordFailures, ShowProgress
from dynsparse.tune.signals import Signals
from dynsparse.tune.trainable import PLACE, Job, SparseTrial


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
    _refuse_twins(configs)
    cpus = experiment.cpus_per_trial if cpus_per_trial is None else cpus_per_trial
    gpus = experiment.gpus_per_trial if gpus_per_trial is None else gpus_per_trial
    _refuse_device_without_gpu(configs, gpus)
    storage = str(storage).removeprefix("file://")
    storage = storage if "://" in storage else str(Path(storage).expanduser().resolve())
    name = _free_name(storage, name or experiment.name) if fresh else name or experiment.name
    folder = _opened(f"{storage}/{name}")
    for dataset, data_dir in dict.fromkeys((c.dataset_name, c.data_dir) for c in configs):
        load_dataset(dataset, data_dir)

    started = time.monotonic()
    account = _repaired(folder, take_stock(folder, configs))
    print(account.text(retry_failed=retry_failed), file=sys.stderr)
    signals = Signals()
    try:
        with signals:
            if account.todo(retry_failed=retry_failed):
                with _a_ray(address), _quiet_tune():
                    # Ray has set a handler for TERM that would end the process there and then.
                    signals.listen()
                    _refuse_impossible_resources(cpus, gpus)
                    with _lease(folder):
                        # Seen again under the lease: another run may have ended just now.
                        account = take_stock(folder, configs)
                        todo = account.todo(retry_failed=retry_failed)
                        _begin(folder, todo)
                        tags = _tags(todo, axes(configs))
                        job = Job(folder.path, checkpoint_epochs, epoch_seconds, trial_seconds, tags)
                        n_complete = len(account.of(State.COMPLETE))
                        watchers: list[tune.Callback] = [
                            ShowProgress(folder, todo, n_complete),
                            RecordFailures(folder, todo),
                        ]
                        loggers = [TBXLoggerCallback()] if tensorboard else []
                        watchers += [*loggers, *callbacks]
                        if todo:
                            _tuner(todo, job, storage, name, cpus, gpus, max_failures, watchers).fit()
    except KeyboardInterrupt:
        # While the run starts or ends, when Tune does not listen; or the second signal.
        if signals.received is None:
            raise
    except SystemExit as end:
        # Ray's own handler for TERM, while Ray starts.
        if end.code != signal.SIGTERM:
            raise
        signals.received = signal.SIGTERM
    return _outcome(folder, configs, time.monotonic() - started, signals.received)


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


def _refuse_twins(configs: Sequence[Config]) -> None:
    """Two trials of one identity would write one folder. Raises: ExperimentError."""
    groups: dict[str, list[Config]] = {}
    for config in configs:
        groups.setdefault(identity(config), []).append(config)
    twins = next((group for group in groups.values() if len(group) > 1), None)
    if twins is not None:
        what = f"the grid has {len(twins)} times the same trial; they differ in {', '.join(axes(twins))}"
        raise ExperimentError(f"{what}, which changes nothing that is computed")


def _free_name(storage: str, name: str) -> str:
    """The first of name, name-2, name-3, ... under which the storage holds nothing."""
    names = [name, *(f"{name}-{number}" for number in range(2, 10_000))]
    return next(each for each in names if not _opened(f"{storage}/{each}").names())


def _opened(path: str) -> Folder:
    """Raises: ExperimentError where the storage cannot be reached."""
    try:
        folder = open_folder(path)
        folder.names()
    except (OSError, ValueError) as error:
        raise ExperimentError(f"the storage {path} cannot be read: {error}; give another --storage") from error
    return folder


def _repaired(folder: Folder, account: Account) -> Account:
    """The account, after what complete trials have lost beside their rows is written again; nobody runs those."""
    found = []
    for each in account.found:
        if each.state is State.COMPLETE:
            trial = TrialFolder(folder.sub(folder_name(each.config)))
            try:
                trial.repair(each.config)
            except OSError as error:
                trial.damage.append(f"cannot be repaired: {error}")
            each = replace(each, damage=list(dict.fromkeys(each.damage + trial.damage)))
        found.append(each)
    return replace(account, found=found)


def _begin(folder: Folder, configs: Sequence[Config]) -> None:
    """Write the folders of the trials to run. Raises: ExperimentError where that fails, as on a full disk."""
    try:
        for config in configs:
            # So that a trial which never gets its turn is seen, too.
            trial = TrialFolder(folder.sub(folder_name(config)))
            trial.begin(config, {"version": version()})
            trial.forget_failure()
        # Tune writes it again and we never read it; a damaged one must not be in its way.
        folder.delete("tuner.pkl")
    except OSError as error:
        raise ExperimentError(f"the storage {folder.path} cannot be written: {error}") from error


def _lease(folder: Folder) -> AbstractContextManager[Any]:
    """The lease of the experiment; what cannot hold it cannot hold results. Raises: ExperimentError."""
    try:
        folder.replace(".writable", b"")
        folder.delete(".writable")
    except OSError as error:
        raise ExperimentError(
            f"the storage {folder.path} cannot be written: {error}; give another --storage"
        ) from error
    return Lease(folder)


@contextmanager
def _a_ray(address: str | None) -> Iterator[None]:
    """The Ray that is there, or one that lasts as long as the run."""
    if ray.is_initialized():
        yield
        return
    _start_ray(address)
    try:
        yield
    finally:
        ray.shutdown()


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
        # Signals are ours: see Signals.
        "TUNE_DISABLE_SIGINT_HANDLER": "1",
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
    job: Job,
    storage: str,
    name: str,
    cpus: float,
    gpus: float,
    max_failures: int,
    callbacks: list[tune.Callback],
) -> tune.Tuner:
    values = [config.values() for config in configs]
    names = [folder_name(config) for config in configs]
    # A grid of Tune's own is a full product; ours may be any list of trials, so the grid is over places in the list.
    space = {**values[0], PLACE: tune.grid_search(list(range(len(values))))}
    for key in axes(configs):
        space[key] = tune.sample_from(lambda spec, key=key: values[spec.config[PLACE]][key])
    return tune.Tuner(
        tune.with_resources(tune.with_parameters(SparseTrial, job=job), {"cpu": cpus, "gpu": gpus}),
        param_space=space,
        tune_config=tune.TuneConfig(
            reuse_actors=True,
            # Tune asks before it has looked up the keys, so the place is all that is known of the trial.
            trial_dirname_creator=lambda trial: names[trial.config[PLACE]],
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=storage,
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=max_failures),
            # None would become True for a class like ours.
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            callbacks=callbacks,
        ),
    )


def _tags(configs: Sequence[Config], varying: Iterable[str]) -> list[str]:
    """What tells each trial from the others of its grid, in whichever run: "on_perc=0.1,seed=2"."""
    return [",".join(f"{key}={getattr(config, key)}" for key in varying) for config in configs]


def _outcome(folder: Folder, configs: Sequence[Config], seconds: float, stopped_by: int | None) -> Outcome:
    account = take_stock(folder, configs)
    n_complete, failures = len(account.of(State.COMPLETE)), account.failures()
    return Outcome(folder.path, n_complete, len(configs) - n_complete - len(failures), failures, seconds, stopped_by)
