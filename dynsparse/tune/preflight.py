"""What is looked at before the first trial, so that an error comes in seconds and not after hours."""

from __future__ import annotations

import sys
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from threading import Timer

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from dynsparse import engines
from dynsparse.config import Config
from dynsparse.data import load_dataset
from dynsparse.data.download import DataError
from dynsparse.experiment import ExperimentError, axes
from dynsparse.io.storage import Folder, open_folder
from dynsparse.planning.plan import plan
from dynsparse.results.grid_status import version
from dynsparse.results.trial_folder import identity
from dynsparse.training.trainer import Trainer, TrialError

# A file of the experiment's folder with a text that only this run knows.
SIGN = ".sign"
# A node may have to start a process, import torch and download a data set.
NODE_SECONDS = 600.0
# After which the user is told what takes so long.
PATIENCE_SECONDS = 3.0


def refuse_twins(configs: Sequence[Config]) -> None:
    """Two trials of one identity would write one folder. Raises: ExperimentError."""
    groups: dict[str, list[Config]] = {}
    for config in configs:
        groups.setdefault(identity(config), []).append(config)
    twins = next((group for group in groups.values() if len(group) > 1), None)
    if twins is not None:
        what = f"the grid has {len(twins)} times the same trial; they differ in {', '.join(axes(twins))}"
        raise ExperimentError(f"{what}, which changes nothing that is computed")


def refuse_device_without_gpu(configs: Sequence[Config], gpus: float) -> None:
    """Raises: ExperimentError where what a trial computes on is not what Ray sets aside for it."""
    devices = {config.device for config in configs}
    if gpus == 0 and devices != {"cpu"}:
        device = sorted(devices - {"cpu"})[0]
        raise ExperimentError(f"device={device!r}, but no GPU is set aside for a trial; give --gpus-per-trial")
    if gpus > 0 and "cpu" in devices:
        raise ExperimentError("a GPU is set aside for each trial, but device='cpu'; give --set device=cuda")


def refuse_impossible_trials(configs: Sequence[Config]) -> None:
    """Read each data set and try out the first trial. Raises: DataError, ExperimentError."""
    for dataset, data_dir in data_sets(configs):
        load_dataset(dataset, data_dir)
    # The driver may be on a machine without the GPU that the trials will have; their engine runs on a CPU as well.
    first = configs[0]
    if first.device != "cpu":
        first = replace(first, device="cpu", engine=engines.choose_for_config(first).name)
    said = "trying out the first trial; the first time on a machine the sparse engine is compiled, for 20 seconds or so"
    patience = Timer(PATIENCE_SECONDS, lambda: print(said, file=sys.stderr))
    patience.start()
    try:
        Trainer([first]).try_out()
    except TrialError as error:
        raise ExperimentError(str(error)) from error
    finally:
        patience.cancel()


def why_torch(configs: Sequence[Config]) -> str | None:
    """Which trials on a CPU are not computed by the faster engine, and why; None if none, or they are not to be."""
    reasons = Counter(
        choice.reason
        for config in configs
        if config.device == "cpu" and (choice := engines.choose(plan([config]))).reason
    )
    if not reasons:
        return None
    whys = "; ".join(f"{count} of {len(configs)} trials: {reason}" for reason, count in reasons.items())
    return f"the torch engine, where the sparse one cannot do it ({whys})"


def refuse_impossible_resources(cpus: float, gpus: float, address: str | None) -> None:
    """Tune would wait for ever. Raises: ExperimentError.

    Args:
        address: of the cluster; None where Ray is on this machine alone.
    """
    there = ray.cluster_resources()
    for kind, wanted in [("CPU", cpus), ("GPU", gpus)]:
        most = max((node["Resources"].get(kind, 0) for node in ray.nodes() if node["Alive"]), default=0)
        if wanted > most:
            raise ExperimentError(
                f"a trial asks for {wanted:g} {kind}s and no node has more than {most:g} "
                f"({there.get(kind, 0):g} in all); lower --{kind.lower()}s-per-trial"
                + (", or let the cluster keep one such node if it grows by itself" if address else "")
            )


def check_nodes(folder: Folder, configs: Sequence[Config]) -> None:
    """Every node sees the storage, may write to it, has the data and this version of the code.

    Raises: ExperimentError that names the node and the fix.
    """
    sign = uuid.uuid4().hex
    try:
        folder.replace(SIGN, sign.encode())
        try:
            _check_other_nodes(folder, sign, configs)
        finally:
            folder.delete(SIGN)
    except OSError as error:
        raise cannot_be_written(folder, error) from error


def cannot_be_written(folder: Folder, error: OSError) -> ExperimentError:
    """What to say of a storage that fails."""
    return ExperimentError(f"the storage {folder.path} cannot be written: {error}; give another --storage")


def data_sets(configs: Sequence[Config]) -> list[tuple[str, str | None]]:
    """Name and folder of each data set that the trials read."""
    return list(dict.fromkeys((config.dataset_name, config.data_dir) for config in configs))


def _check_other_nodes(folder: Folder, sign: str, configs: Sequence[Config]) -> None:
    here = ray.get_runtime_context().get_node_id()
    # A head that trains nothing need not see the storage.
    others = {
        node["NodeID"]: node["NodeManagerAddress"]
        for node in ray.nodes()
        if node["Alive"] and node["NodeID"] != here and any(node["Resources"].get(kind) for kind in ("CPU", "GPU"))
    }
    looks = {
        ray.remote(_look)
        .options(num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False))
        .remote(folder.path, f"{SIGN}-{node}", sign, data_sets(configs), version()): (node, address)
        for node, address in others.items()
    }
    waiting = list(looks)
    ray.wait(waiting, num_returns=len(waiting), timeout=NODE_SECONDS) if waiting else None
    problems = []
    for look, (node, address) in looks.items():
        try:
            found = ray.get(look, timeout=0)
        except ray.exceptions.GetTimeoutError:
            found = f"has not answered within {NODE_SECONDS:.0f} s"
        except ray.exceptions.RayTaskError as error:
            cause = str(error.cause).splitlines()[0]
            found = f"cannot run dynsparse: {cause}; install the version {version()} there"
        except ray.exceptions.RayError:
            # It has left meanwhile. One that joins later is not looked at: its trials say what they lack.
            continue
        if found:
            problems.append(f"the node {node[:8]} at {address} {found}")
    if problems:
        raise ExperimentError("\n".join(problems))


def _look(path: str, own_file: str, sign: str, data: Sequence[tuple[str, str | None]], code: str) -> str | None:
    """What is wrong on this node; None if nothing."""
    if version() != code:
        return f"has the version {version()} of dynsparse, the run {code}; install the same"
    folder = open_folder(path)
    try:
        if (folder.read(SIGN) or b"").decode(errors="replace") != sign:
            return f"does not see the storage {path}; give a --storage that all nodes share, such as s3://..."
        folder.replace(own_file, b"")
        folder.delete(own_file)
    except OSError as error:
        return f"cannot write to the storage {path}: {error}"
    try:
        for dataset, data_dir in data:
            load_dataset(dataset, data_dir)
    except DataError as error:
        return f"has no data: {error}"
    return None
