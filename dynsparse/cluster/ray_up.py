"""A file for `ray up`, which makes a cluster of a cloud's machines."""

from __future__ import annotations

import json
import re
import shlex
from importlib.metadata import version

from dynsparse.cluster.kuberay import IMAGE_PYTHON
from dynsparse.cluster.packaging import requirements
from dynsparse.cluster.run_command import Command, CommandError, at_least, filled, label

# Names of AWS. The instance profile is one that the user makes, and may call otherwise.
REGION, HEAD_TYPE, WORKER_TYPE, INSTANCE_PROFILE = "us-west-2", "m5.xlarge", "m5.2xlarge", "dynsparse-workers"

# Workers that are added by themselves; each costs what AWS takes for it.
MAX_WORKERS = 8


def cluster(
    command: Command,
    *,
    workers: int = 1,
    max_workers: int | None = None,
    gpus_per_node: int = 0,
    region: str = REGION,
    head_type: str = HEAD_TYPE,
    worker_type: str = WORKER_TYPE,
    instance_profile: str = INSTANCE_PROFILE,
    package: str | None = None,
) -> str:
    """The text of a YAML file for `ray up`, with AWS as the cloud and spot instances as workers.

    Args:
        command: what the cluster is for; the file says how to send it there.
        workers: that are there from the start, at least 1.
        max_workers: up to which more are added while trials wait; MAX_WORKERS, and at least `workers`, if None.
        gpus_per_node: of the worker's type of instance.
        region, head_type, worker_type, instance_profile: names of AWS.
        package: what pip installs, as on its command line; what dynsparse needs if None: a job brings dynsparse.

    Raises: CommandError.
    """
    at_least(1, workers=workers)
    most = max(workers, MAX_WORKERS) if max_workers is None else max_workers
    at_least(workers, max_workers=most)
    at_least(0, gpus_per_node=gpus_per_node)
    if "://" not in command.storage:
        raise CommandError(
            f"the storage {command.storage} is a folder, and machines of a cloud share none; give s3://bucket/folder"
        )
    # How many CPUs an instance has only AWS knows.
    command.check_node(max(1, int(command.cpus_per_trial)), gpus_per_node)
    for name, text in {
        "region": region,
        "head-type": head_type,
        "worker-type": worker_type,
        "instance-profile": instance_profile,
    }.items():
        if not re.fullmatch(r"[\w+=,.@-]+", text, re.ASCII):
            raise CommandError(f"--{name} {text!r} is no name of AWS")
    wanted = requirements() if package is None else [package]
    submit = ["dynsparse", "submit", str(command.file.absolute()), "--address", "http://127.0.0.1:8265"]
    return filled(
        "cluster.yaml",
        name=label(command.name, 40),
        ray_version=version("ray"),
        image_python=IMAGE_PYTHON + ("-gpu" if gpus_per_node else ""),
        workers=workers,
        max_workers=most,
        region=region,
        head_type=json.dumps(head_type),
        worker_type=json.dumps(worker_type),
        instance_profile=json.dumps(instance_profile),
        install=json.dumps(shlex.join(["pip", "install", *wanted])),
        submit=shlex.join([*submit, "--storage", command.storage, *command.options]),
    )
