"""Checks before Ray starts, so that a mistake is reported in seconds and not after hours."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Timer
from typing import NamedTuple

from dynsparse import engines
from dynsparse.config import Config, unknown
from dynsparse.data import OwnData, is_own, load_data, load_dataset, own_keys
from dynsparse.data.download import requested_data_dir
from dynsparse.data.own import absolute_data_dir
from dynsparse.data.sampling import n_held_out
from dynsparse.engines.compilation import CompileError
from dynsparse.engines.sparse.sources import sparse_engine_is_compiled
from dynsparse.experiment import Experiment, ExperimentError, axes
from dynsparse.io.storage import Folder, open_folder
from dynsparse.io.terminal import say
from dynsparse.methods import MethodError, method_of
from dynsparse.planning.packs import one_of_each_kind
from dynsparse.planning.plan import mask_updates
from dynsparse.results.fork import is_forked
from dynsparse.results.progress import plural
from dynsparse.results.trial_folder import folder_name, identity
from dynsparse.search import check_scheduler
from dynsparse.training.trainer import Trainer, TrialError
from dynsparse.tune.options import RunOptions
from dynsparse.tune.pack_size import gpus_per_pack, largest_pack
from dynsparse.tune.trackers import check_installed

# Seconds after which the user is told what takes so long.
PATIENCE_SECONDS = 3.0
# Numbers that each row has besides the metrics of the trainer.
NUMBERS_OF_TUNE = ("training_iteration", "timestamp", "time_this_iter_s", "time_total_s", "pid")


@dataclass(frozen=True)
class CheckedRun:
    """A run whose options and configs were checked.

    Args:
        experiment: the experiment.
        options: the options of the run.
        configs: the trials, with absolute data folders.
        storage: absolute path or URI of the storage.
        name: name of the experiment's folder in the storage.
        folder: the experiment's folder.
        cpus: CPUs that Ray reserves for each trial or pack.
        gpus: GPUs that Ray reserves for each trial or pack.
        largest_pack: how many trials may be trained together.
        overridden: keys whose values replace those of the experiment's space.
    """

    experiment: Experiment
    options: RunOptions
    configs: list[Config]
    storage: str
    name: str
    folder: Folder
    cpus: float
    gpus: float
    largest_pack: int
    overridden: frozenset[str] = frozenset()


def check_run(
    experiment: Experiment, configs: Sequence[Config], options: RunOptions, overridden: Collection[str] = ()
) -> CheckedRun:
    """Check what can be checked without reading trials or data. Raises: ExperimentError."""
    configs = [with_absolute_data_dir(config) for config in configs][: options.limit]
    largest = largest_pack(options, configs)
    cpus = experiment.cpus_per_trial if options.cpus_per_trial is None else options.cpus_per_trial
    gpus = gpus_per_pack(experiment, configs, largest) if options.gpus_per_trial is None else options.gpus_per_trial
    check_identities(configs)
    check_devices(configs, gpus)
    check_installed(options)
    if options.stopping is not None and (warning := check_scheduler(configs, options.stopping)):
        say(warning)
    storage = str(options.storage).removeprefix("file://")
    storage = storage if "://" in storage else str(Path(storage).expanduser().resolve())
    name = options.name or experiment.name
    if options.fresh:
        name = _unused_name(storage, name)
    folder = _open(storage, name)
    return CheckedRun(experiment, options, configs, storage, name, folder, cpus, gpus, largest, frozenset(overridden))


def with_absolute_data_dir(config: Config) -> Config:
    """Return the config for a worker, whose working directory differs from the driver's."""
    data_dir = absolute_data_dir(config.dataset_name, config.data_dir)
    return replace(config, data_dir=data_dir if is_own(config.dataset_name) else requested_data_dir(config.data_dir))


def check_identities(configs: Sequence[Config]) -> None:
    """Check that no two trials would write to the same folder. Raises: ExperimentError."""
    groups: dict[str, list[Config]] = {}
    for config in configs:
        groups.setdefault(identity(config), []).append(config)
    equal = next((group for group in groups.values() if len(group) > 1), None)
    if equal is not None:
        names = ", ".join(axes(equal))
        raise ExperimentError(
            f"The grid contains the same trial {len(equal)} times: the copies differ only in {names}, which changes no "
            f"result. Give {names} a single value."
        )


def check_starts(folder: Folder, configs: Sequence[Config]) -> None:
    """Check that the folders of trials with `starts_from` have copied rows. Raises: ExperimentError, OSError."""
    for config in configs:
        if config.starts_from is not None and not is_forked(folder, config):
            raise ExperimentError(
                "starts_from must be left out of a space: scheduler='pbt' sets it, and writes the rows and the "
                f"checkpoint of the other trial first. Got starts_from={config.starts_from!r}, and the folder "
                f"{folder.path}/{folder_name(config)} has no such rows. Leave it out, or restore the folder."
            )


def check_devices(configs: Sequence[Config], gpus: float) -> None:
    """Check that trials get GPUs from Ray exactly if they use GPUs. Raises: ExperimentError."""
    devices = {config.device for config in configs}
    if gpus == 0 and devices != {"cpu"}:
        device = sorted(devices - {"cpu"})[0]
        raise ExperimentError(f"device={device!r} needs a GPU, but no GPU is reserved. Pass --gpus-per-trial.")
    if gpus > 0 and "cpu" in devices:
        raise ExperimentError(
            f"{gpus:g} GPUs are reserved for each trial, but device='cpu'. Pass --set device=cuda, or no GPUs."
        )


def check_first_trial(configs: Sequence[Config]) -> list[str]:
    """Read each data set and try the first trial out. Return the columns of its rows that are numbers.

    Raises: DataError, ExperimentError.
    """
    for data in data_sets(configs):
        load_dataset(data.name, data.data_dir, own=data.own)
    check_numbers_of_examples(configs)
    # Compilation can fail where others train.
    first = next((config for config in configs if config.compile), configs[0])
    # The driver's machine may have no GPU. The engines for GPUs run on CPUs, too.
    if first.device != "cpu":
        first = replace(first, device="cpu", engine=engines.choose_for_config(first).name, compile=False)
    timer = Timer(PATIENCE_SECONDS, lambda: print(_why_it_takes_long(first), file=sys.stderr))
    timer.start()
    try:
        return [*Trainer([first]).try_out(), *NUMBERS_OF_TUNE]
    except (TrialError, CompileError, MethodError) as error:
        raise ExperimentError(str(error)) from error
    finally:
        timer.cancel()


def check_metric(options: RunOptions, columns: Sequence[str]) -> None:
    """Check that the trials have the metric of a scheduler object. Raises: ExperimentError."""
    metric = options.stopping.own_metric if options.stopping else None
    if metric is not None and metric not in columns:
        raise ExperimentError(
            f"The metric of the scheduler must be a column of the trials. {unknown('column', metric, columns)}"
        )


def _why_it_takes_long(config: Config) -> str:
    if config.compile:
        return "checking the first trial; torch.compile takes some ten seconds, and again in each process that trains"
    if engines.choose_for_config(config).name != "sparse" or sparse_engine_is_compiled():
        return "checking the first trial"
    return "checking the first trial; compiling the sparse engine takes half a minute, once on each machine"


def check_numbers_of_examples(configs: Sequence[Config]) -> None:
    """Check that no batch, and no set of scored examples, is larger than the training set. Raises: ExperimentError."""
    for config in one_of_each_kind(configs):
        n_train, pruning = n_training_examples(config), method_of(config).initial_pruning
        wanted = {"batch_size": config.batch_size, "score_examples": pruning.n_examples if pruning else 0}
        for name, value in wanted.items():
            if value > n_train > 0:
                raise ExperimentError(
                    f"{name} must be at most the number of training examples, {n_train} with "
                    f"dataset_name={config.dataset_name!r} and val_fraction={config.val_fraction:g}, got {value}. "
                    f"Lower {name}."
                )


def n_training_examples(config: Config) -> int:
    """Return the number of examples that a trial trains on. Raises: DataError."""
    n = len(load_data(config).train_y)
    return n - n_held_out(n, config.val_fraction)


def explain_missing_updates(configs: Sequence[Config]) -> str | None:
    """Return which trials ask for mask updates but train for too few steps to have one; None if none do."""
    lines = []
    for config in one_of_each_kind(configs):
        method = method_of(config)
        # A method with a surplus fails without an update, and says so.
        if method.prune is None or method.surplus is not None or not config.pruning_active:
            continue
        steps_per_epoch = -(-n_training_examples(config) // config.batch_size)
        updates = mask_updates(config, method)
        if updates is None or not updates.steps(steps_per_epoch).n_updates:
            interval, end = f"pruning_interval={config.pruning_interval}", f"pruning_end={config.pruning_end:g}"
            if config.pruning_interval_steps is not None:
                interval = f"pruning_interval_steps={config.pruning_interval_steps}"
                end = end if config.pruning_end_step is None else f"pruning_end_step={config.pruning_end_step}"
            lines.append(
                f"warning: model={config.model!r} keeps its first masks: no update is due with {interval} and {end} in "
                f"{plural(config.epochs, 'epoch')} of {plural(steps_per_epoch, 'step')}. Lower the interval, or raise "
                "epochs or the end of the updates."
            )
    return "\n".join(dict.fromkeys(lines)) or None


def explain_slow_engine(configs: Sequence[Config]) -> str | None:
    """Return why trials on a CPU use slower dense matrices; None if none do, or the user has chosen them."""
    on_cpu = [config for config in configs if config.device == "cpu"]
    reasons = Counter(choice.reason for choice in engines.choose_for_configs(on_cpu) if choice.reason)
    if not reasons:
        return None
    counts = "; ".join(f"{count} of {len(configs)} trials: {reason}" for reason, count in reasons.items())
    return f"using dense matrices where the sparse engine does not support the trial ({counts})"


def explain_packs_of_modules(configs: Sequence[Config], pack_size: int) -> str | None:
    """Return why the torch modules of packs are computed one after another; None if none are, or there are no packs."""
    reasons = engines.one_by_one_reasons(configs, pack_size) if pack_size > 1 else {}
    start = "the trials of a pack are computed one after another for network"
    return "\n".join(f"{start}={name!r}: {why}" for name, why in reasons.items()) or None


class DataOfTrials(NamedTuple):
    """Data that some trials read."""

    name: str
    data_dir: str | None
    own: OwnData


def data_sets(configs: Sequence[Config]) -> list[DataOfTrials]:
    """Return the data sets that the trials read."""
    # Most keys of a trial say nothing of its data, and most grids have one data set.
    found = {(config.dataset_name, config.data_dir, own_keys(config)): None for config in configs}
    return [DataOfTrials(*each) for each in found]


def write_error(folder: Folder, error: OSError) -> ExperimentError:
    """Return the error for a storage that cannot be written."""
    return ExperimentError(f"The storage {folder.path} cannot be written: {error}. Pass another --storage.")


def _unused_name(storage: str, name: str) -> str:
    """Return the first of name, name-2, name-3, ... for which the storage has no folder."""
    names = [name, *(f"{name}-{number}" for number in range(2, 10_000))]
    return next(each for each in names if not _open(storage, each).names())


def _open(storage: str, name: str) -> Folder:
    """Return the experiment's folder. Raises: ExperimentError if the storage cannot be read."""
    try:
        # Opened by its own path: the folder of an experiment may be a link.
        folder = open_folder(open_folder(storage).sub(name).path)
        folder.names()
    except (OSError, ValueError) as error:
        fix = "Pass another --storage."
        if "://" in storage:
            fix = "Set its credentials or region (submit passes variables on with --env), or pass another --storage."
        raise ExperimentError(f"The storage {storage}/{name} cannot be read: {error}. {fix}") from error
    return folder
