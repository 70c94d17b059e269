"""Cluster files for `ray up`, which starts a cluster in a cloud."""

from __future__ import annotations

import re
import shlex
from importlib.metadata import version
from typing import Any

from dynsparse.cluster.kuberay import IMAGE_PYTHON, most_workers
from dynsparse.cluster.packaging import requirements
from dynsparse.cluster.render import render, to_yaml
from dynsparse.cluster.run_command import ClusterFileError, RunCommand, label

# Largest number of spot instances by default, because each costs money.
MAX_WORKERS = 8
START_HEAD = (
    "ulimit -n 65536; ray start --head --port=6379 --object-manager-port=8076 --dashboard-host=127.0.0.1 "
    "--autoscaling-config=~/ray_bootstrap_config.yaml"
)
START_WORKER = "ulimit -n 65536; ray start --address=$RAY_HEAD_IP:6379 --object-manager-port=8076"
DISK = [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 100, "VolumeType": "gp3"}}]


def cluster_config(
    run: RunCommand,
    *,
    workers: int,
    max_workers: int | None = None,
    gpus_per_node: int = 0,
    region: str,
    head_type: str,
    worker_type: str,
    instance_profile: str,
    package: str | None = None,
) -> str:
    """Return a YAML file for `ray up`, with spot instances of AWS as workers.

    Args:
        run: the command that the cluster is for. The file shows how to submit it.
        workers: number of workers at the start, at least 1.
        max_workers: number of workers up to which Ray adds more while trials wait. None means MAX_WORKERS, or
            `workers` if that is larger.
        gpus_per_node: GPUs of a worker's instance type.
        region: region of AWS.
        head_type: instance type of the head node.
        worker_type: instance type of the workers.
        instance_profile: instance profile of the workers, with access to the storage.
        package: what pip installs on each machine. None means what dynsparse needs; a job brings dynsparse itself.

    Raises:
        ClusterFileError: if AWS would not accept a value, or the run could not work.
    """
    # Only AWS knows how many CPUs an instance type has.
    run.check_node(max(1, int(run.cpus_per_trial)), gpus_per_node)
    most = most_workers(workers, max(workers, MAX_WORKERS) if max_workers is None else max_workers)
    if "://" not in run.storage:
        raise ClusterFileError(
            f"--storage must be a URL such as s3://bucket/folder, got the folder {run.storage}: machines of a cloud do "
            "not share one."
        )
    names = {"region": region, "head-type": head_type, "worker-type": worker_type, "instance-profile": instance_profile}
    for option, name in names.items():
        if not re.fullmatch(r"[\w+=,.@-]+", name, re.ASCII):
            raise ClusterFileError(f"--{option} must be a name in AWS (letters, digits and +=,.@_-), got {name!r}.")
    image = f"rayproject/ray:{version('ray')}-{IMAGE_PYTHON}{'-gpu' if gpus_per_node else ''}"
    cluster = {
        "cluster_name": label(run.name, 40),
        "max_workers": most,
        "idle_timeout_minutes": 5,
        "upscaling_speed": 1.0,
        "provider": {"type": "aws", "region": region, "cache_stopped_nodes": False},
        "auth": {"ssh_user": "ubuntu"},
        "docker": {"image": image, "container_name": "ray"},
        "setup_commands": [shlex.join(["pip", "install", *([package] if package is not None else requirements())])],
        "head_node_type": "head",
        "available_node_types": {
            "head": head_node(head_type),
            "workers": worker_node(worker_type, instance_profile, workers, most),
        },
        "head_start_ray_commands": ["ray stop", START_HEAD],
        "worker_start_ray_commands": ["ray stop", START_WORKER],
    }
    submit = ["dynsparse", "submit", str(run.file.absolute()), "--address", "http://127.0.0.1:8265"]
    submit += ["--storage", run.storage, *run.options]
    return render("ray_up.yaml", ray_version=version("ray"), submit=shlex.join(submit), cluster=to_yaml(cluster))


def head_node(instance_type: str) -> dict[str, Any]:
    """Return the node type of the head: it runs Ray and the run itself, and no trial.

    It is not a spot instance, because the run ends if the head is lost.
    """
    return {"resources": {"CPU": 0}, "node_config": {"InstanceType": instance_type, "BlockDeviceMappings": DISK}}


def worker_node(instance_type: str, profile: str, workers: int, most: int) -> dict[str, Any]:
    """Return the node type of the workers. Ray asks AWS for the CPUs and GPUs of the instance type."""
    node_config = {
        "InstanceType": instance_type,
        "InstanceMarketOptions": {"MarketType": "spot"},
        "IamInstanceProfile": {"Name": profile},
        "BlockDeviceMappings": DISK,
    }
    return {"min_workers": workers, "max_workers": most, "resources": {}, "node_config": node_config}
