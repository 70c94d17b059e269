"""Manifests for Kubernetes with KubeRay."""

from __future__ import annotations

import re
import shlex
from importlib.metadata import version
from typing import Any

from dynsparse.cluster.packaging import imported
from dynsparse.cluster.render import render, to_yaml
from dynsparse.cluster.run_command import ClusterFileError, RunCommand, label

# The folder of the experiment file in each pod, and the name of the script in it.
FOLDER, SCRIPT = "/experiment", "run.sh"
# A ConfigMap holds 1 MiB.
LIMIT_BYTES = 1_000_000
# Kubernetes accepts 63 characters, and KubeRay appends suffixes.
NAME_LENGTH = 40
# The Python of the images that Ray publishes. dynsparse needs 3.11 or later.
IMAGE_PYTHON = "py311"
ENVIRONMENT = [
    {"name": "RAY_USAGE_STATS_ENABLED", "value": "0"},
    # A stopped run prints this command.
    {"name": "DYNSPARSE_RERUN_COMMAND", "value": "kubectl replace --force -f THIS_FILE"},
]


def rayjob(
    run: RunCommand,
    *,
    image: str,
    workers: int,
    cpus_per_node: int,
    memory_per_node: str,
    gpus_per_node: int = 0,
    max_workers: int | None = None,
    claim: str | None = None,
    secret: str | None = None,
) -> str:
    """Return a YAML file with a RayJob, and a ConfigMap that holds the experiment file and the files that it imports.

    Args:
        run: the command; this process has loaded its experiment.
        image: the container image, with dynsparse installed.
        workers: number of worker pods at the start, at least 1.
        cpus_per_node: CPUs of each worker.
        memory_per_node: memory of each worker in Kubernetes' format: 8Gi.
        gpus_per_node: GPUs of each worker.
        max_workers: number of workers up to which KubeRay adds more while trials wait. None means `workers`.
        claim: the PersistentVolumeClaim behind a storage that is a folder; many nodes must be able to write to it.
        secret: the Secret that holds the credentials of a storage such as s3://..., as environment variables.

    Raises:
        ClusterFileError: if Kubernetes would not accept a value, or the run could not work.
        OSError: if a file cannot be read.
    """
    run.check_node(cpus_per_node, gpus_per_node)
    most = most_workers(workers, max_workers)
    check_values(run.storage, image, memory_per_node, claim, secret)
    name = label(run.name, NAME_LENGTH)
    data, items = config_map_data(run)
    resources = {"cpu": str(cpus_per_node), "memory": memory_per_node}
    if gpus_per_node:
        resources["nvidia.com/gpu"] = str(gpus_per_node)
    mounts = [{"name": "experiment", "mountPath": FOLDER}]
    volumes: list[dict[str, Any]] = [{"name": "experiment", "configMap": {"name": name, **items}}]
    if claim is not None:
        mounts.append({"name": "results", "mountPath": run.storage})
        volumes.append({"name": "results", "persistentVolumeClaim": {"claimName": claim}})
    container: dict[str, Any] = {"image": image, "env": ENVIRONMENT, "volumeMounts": mounts}
    if secret is not None:
        container["envFrom"] = [{"secretRef": {"name": secret}}]
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
    head = pod({"name": "ray-head", **container}, {"cpu": "2", "memory": "8Gi"}, volumes)
    worker = pod({"name": "ray-worker", **container}, resources, volumes)
    return render(
        "rayjob.yaml",
        name=name,
        ray_version=version("ray"),
        dynsparse_version=version("dynsparse"),
        image_python=IMAGE_PYTHON + ("-gpu" if gpus_per_node else ""),
        manifests=to_yaml(config_map, ray_job(name, head, worker, workers, most)),
    )


def pod(container: dict[str, Any], resources: dict[str, str], volumes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the template of a pod with one container, which may use these resources and no more."""
    container = {**container, "resources": {"requests": resources, "limits": resources}}
    return {"spec": {"containers": [container], "volumes": volumes}}


def ray_job(name: str, head: dict[str, Any], worker: dict[str, Any], workers: int, most: int) -> dict[str, Any]:
    """Return the manifest of a RayJob with the given pods."""
    head_group = {
        # The head runs Ray and the run itself, and no trial.
        "rayStartParams": {"num-cpus": "0", "dashboard-host": "0.0.0.0"},
        "template": head,
    }
    worker_group = {
        "groupName": "workers",
        "replicas": workers,
        "minReplicas": workers,
        "maxReplicas": most,
        "rayStartParams": {},
        "template": worker,
    }
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": name},
        "spec": {
            # KubeRay passes an entrypoint through two shells, which lose quotes. One shell reads the script.
            "entrypoint": f"bash {FOLDER}/{SCRIPT}",
            # Seconds that a stopped run has to write its results.
            "runtimeEnvYAML": to_yaml({"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "60"}}),
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": 300,
            "backoffLimit": 2,
            "rayClusterSpec": {
                "rayVersion": version("ray"),
                "enableInTreeAutoscaling": most > workers,
                "autoscalerOptions": {"idleTimeoutSeconds": 120},
                "headGroupSpec": head_group,
                "workerGroupSpecs": [worker_group],
            },
        },
    }


def config_map_data(run: RunCommand) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the data of a ConfigMap with the script and the experiment's files, and the volume's `items` if needed.

    Raises:
        ClusterFileError: if the files are too large.
        OSError: if a file cannot be read.
    """
    file = run.file.resolve()
    if run.data_files:
        raise ClusterFileError(
            f"A RayJob contains no data, and the pods would not find {run.data_files[0]!r}. Put the data into the "
            "image or an object store, and set data_dir to the folder there, such as s3://bucket/data."
        )
    texts = {
        path.relative_to(file.parent).as_posix(): path.read_text(encoding="utf-8") for path in [file, *imported(file)]
    }
    size = sum(len(text.encode()) for text in texts.values())
    if size > LIMIT_BYTES:
        raise ClusterFileError(
            f"The experiment file and the files that it imports must not exceed {LIMIT_BYTES / 1e6:g} MB, got "
            f"{size / 1e6:.1f} MB in {', '.join(texts)}. Import less from the folder of the experiment file."
        )
    # Without exec, a shell between Ray and the run would die of the TERM signal that the run survives.
    script = f"exec {shlex.join(run.words(f'{FOLDER}/{file.name}'))} --address auto\n"
    keys = {SCRIPT: SCRIPT, **{path: key_of(path, number) for number, path in enumerate(texts)}}
    data = {keys[path]: text for path, text in {SCRIPT: script, **texts}.items()}
    paths = [{"key": key, "path": path} for path, key in keys.items()]
    return data, {} if keys.keys() == data.keys() else {"items": paths}


def key_of(path: str, number: int) -> str:
    """Return a file's key in a ConfigMap, which allows few characters and no folders."""
    return path if re.fullmatch(r"[-._a-zA-Z0-9]+", path) else f"{number}-" + re.sub(r"[^-._a-zA-Z0-9]", "-", path)


def check_values(storage: str, image: str, memory: str, claim: str | None, secret: str | None) -> None:
    """Check values that Kubernetes would reject later.

    Raises:
        ClusterFileError: for a value that is not valid.
    """
    if not re.fullmatch(r"[\w./:@-]+", image, re.ASCII):
        raise ClusterFileError(
            f"--image must be the name of a container image, got {image!r}. Give one such as "
            "registry.example.com/dynsparse:1."
        )
    if not re.fullmatch(r"[1-9]\d*([KMGT]i?)?", memory, re.ASCII):
        raise ClusterFileError(f"--memory-per-node must be an amount of memory such as 8Gi, got {memory!r}.")
    is_folder = "://" not in storage
    if is_folder and claim is None:
        raise ClusterFileError(
            f"--storage {storage} is a folder, and each pod has folders of its own. Give --claim, the name of a "
            "PersistentVolumeClaim that many nodes can write to, or a storage such as s3://bucket/folder."
        )
    if not is_folder and claim is not None:
        raise ClusterFileError(
            f"--claim is only for a storage that is a folder, got --storage {storage}. Omit --claim."
        )
    for option, name in [("claim", claim), ("secret", secret)]:
        if name is not None and not re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", name):
            raise ClusterFileError(
                f"--{option} must be a name in Kubernetes (lower-case letters, digits, dots, dashes), got {name!r}."
            )


def most_workers(workers: int, max_workers: int | None) -> int:
    """Return the largest number of workers, which is `workers` if None is given.

    Raises:
        ClusterFileError: if it is below `workers`.
    """
    if max_workers is not None and max_workers < workers:
        raise ClusterFileError(f"--max-workers must be at least --workers ({workers}), got {max_workers}.")
    return workers if max_workers is None else max_workers
