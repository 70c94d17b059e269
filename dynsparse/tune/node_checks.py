"""Checks of a Ray cluster before the first trial: resources, and the storage, data and code on each node."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from dynsparse.config import Config
from dynsparse.data import load_dataset
from dynsparse.data.download import DataError
from dynsparse.experiment import ExperimentError
from dynsparse.io.storage import Folder, open_folder
from dynsparse.results.grid_status import version
from dynsparse.tune.preflight import DataOfTrials, data_sets, write_error

# A file in the experiment's folder whose content only this run knows.
TOKEN_FILE = ".sign"
# A node may have to start a process, import torch and download a data set.
NODE_SECONDS = 600.0


def check_resources(cpus: float, gpus: float, address: str | None) -> None:
    """Check that a node has enough CPUs and GPUs for a trial, because Tune would wait forever.

    Args:
        cpus: CPUs of a trial or pack.
        gpus: GPUs of a trial or pack.
        address: address of the cluster; None for a local Ray.

    Raises:
        ExperimentError: If no node is large enough.
    """
    total = ray.cluster_resources()
    for kind, wanted in [("CPU", cpus), ("GPU", gpus)]:
        largest = max((node["Resources"].get(kind, 0) for node in ray.nodes() if node["Alive"]), default=0)
        if wanted > largest:
            fix = f"Lower --{kind.lower()}s-per-trial" + (
                ", or keep one such node alive if the cluster scales automatically." if address else "."
            )
            raise ExperimentError(
                f"A trial asks for {wanted:g} {kind}s, and no node has more than {largest:g} "
                f"({total.get(kind, 0):g} in all). {fix}"
            )


def check_nodes(folder: Folder, configs: Sequence[Config]) -> None:
    """Check that every node can write the storage, and has the data and this version of the code.

    Raises:
        ExperimentError: If a node has a problem; the message names the node and the fix.
    """
    token = uuid.uuid4().hex
    try:
        folder.replace(TOKEN_FILE, token.encode())
        try:
            _check_other_nodes(folder, token, configs)
        finally:
            folder.delete(TOKEN_FILE)
    except OSError as error:
        raise write_error(folder, error) from error


def _check_other_nodes(folder: Folder, token: str, configs: Sequence[Config]) -> None:
    here = ray.get_runtime_context().get_node_id()
    # A head node without CPUs trains nothing and need not see the storage.
    others = {
        node["NodeID"]: node["NodeManagerAddress"]
        for node in ray.nodes()
        if node["Alive"] and node["NodeID"] != here and any(node["Resources"].get(kind) for kind in ("CPU", "GPU"))
    }
    checks = {
        ray.remote(_check_node)
        .options(num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False))
        .remote(folder.path, f"{TOKEN_FILE}-{node}", token, data_sets(configs), version()): (node, address)
        for node, address in others.items()
    }
    pending = list(checks)
    if pending:
        ray.wait(pending, num_returns=len(pending), timeout=NODE_SECONDS)
    problems = []
    for check, (node, address) in checks.items():
        try:
            problem = ray.get(check, timeout=0)
        except ray.exceptions.GetTimeoutError:
            problem = f"has not answered within {NODE_SECONDS:.0f} s. Remove it, or rerun the command."
        except ray.exceptions.RayTaskError as error:
            cause = str(error.cause).splitlines()[0]
            problem = f"cannot run dynsparse: {cause}. Install the version {version()} there."
        except ray.exceptions.RayError:
            # The node has left. A node that joins later is not checked; its trials report what it lacks.
            continue
        if problem:
            problems.append(f"The node {node[:8]} at {address} {problem}")
    if problems:
        raise ExperimentError("\n".join(problems))


def _check_node(path: str, own_file: str, token: str, data: Sequence[DataOfTrials], driver_version: str) -> str | None:
    """Return the problem of the node on which this runs, or None."""
    if version() != driver_version:
        return f"has version {version()} of dynsparse, but the run uses {driver_version}. Install the same version."
    folder = open_folder(path)
    try:
        if (folder.read(TOKEN_FILE) or b"").decode(errors="replace") != token:
            return (
                f"does not see the storage {path}. Pass a --storage that all nodes share, such as s3://bucket/folder."
            )
        folder.replace(own_file, b"")
        folder.delete(own_file)
    except OSError as error:
        return f"cannot write to the storage {path}: {error}. Make it writable there, or pass another --storage."
    try:
        for each in data:
            load_dataset(each.name, each.data_dir, own=each.own)
    except DataError as error:
        return f"lacks data: {error}"
    return None
