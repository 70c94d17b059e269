"""A file for Kubernetes with KubeRay."""

from __future__ import annotations

import json
import re
from importlib.metadata import version

from dynsparse.cluster.packaging import imported
from dynsparse.cluster.run_command import Command, CommandError, at_least, filled, label

# Where the experiment file is in each pod.
FOLDER = "/experiment"
# Beside it: what is run.
RUN = "run.sh"
# A ConfigMap holds 1 MiB.
LIMIT_BYTES = 1_000_000
# KubeRay adds endings to the name, and 63 characters is all that Kubernetes takes.
NAME_LENGTH = 40
# The Python of the images that Ray publishes, for dynsparse takes 3.11 or later.
IMAGE_PYTHON = "py311"


def rayjob(
    command: Command,
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
    """The text of a YAML file: a RayJob, and a ConfigMap that takes the experiment file along, with what it imports.

    Args:
        command: what is run; its experiment has been loaded by this process.
        image: of the container, with dynsparse in it.
        workers: pods that train, at least 1.
        cpus_per_node, memory_per_node, gpus_per_node: of each of them; memory as Kubernetes writes it: 8Gi.
        max_workers: up to which more are added while trials wait; no more than `workers` if None.
        claim: the PersistentVolumeClaim behind a storage that is a folder; many nodes must be able to write to it.
        secret: the Secret with the credentials of a storage such as s3://..., as environment variables.

    Raises: CommandError; OSError for a file that cannot be read.
    """
    most = workers if max_workers is None else max_workers
    at_least(1, workers=workers, cpus_per_node=cpus_per_node)
    at_least(0, gpus_per_node=gpus_per_node)
    at_least(workers, max_workers=most)
    command.check_node(cpus_per_node, gpus_per_node)
    if not re.fullmatch(r"[\w./:@-]+", image, re.ASCII):
        what = f"{image!r} is no image" if image else "no image is given"
        raise CommandError(f"{what}; give --image, such as registry.example.com/dynsparse:1")
    if not re.fullmatch(r"[1-9]\d*([KMGT]i?)?", memory_per_node, re.ASCII):
        raise CommandError(f"{memory_per_node!r} is no amount of memory; give --memory-per-node, such as 8Gi")
    is_folder = "://" not in command.storage
    if is_folder and claim is None:
        raise CommandError(
            f"the storage {command.storage} is a folder, and a pod has folders of its own; give --claim, the name of "
            "a PersistentVolumeClaim that many nodes can write to, or a storage such as s3://bucket/folder"
        )
    if not is_folder and claim is not None:
        raise CommandError(f"the storage {command.storage} is no folder, and needs no --claim")
    for option, name in [("claim", claim), ("secret", secret)]:
        if name is not None and not re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", name):
            raise CommandError(f"--{option} {name!r} is no name in Kubernetes: small letters, digits, dots and dashes")
    file = command.file.resolve()
    texts = {
        path.relative_to(file.parent).as_posix(): path.read_text(encoding="utf-8") for path in [file, *imported(file)]
    }
    if sum(len(text.encode()) for text in texts.values()) > LIMIT_BYTES:
        raise CommandError(f"{', '.join(texts)}: more than 1 MB, which a ConfigMap does not hold")
    keys = {RUN: RUN, **{path: key_of(path, number) for number, path in enumerate(texts)}}
    paths = [{"key": key, "path": path} for path, key in keys.items()]
    run = command.words(f"{FOLDER}/{file.name}")
    # Without exec a shell stands between Ray and the run, and dies of the TERM that the run survives.
    script = f"exec {run} --address auto\n"
    resources = {"cpu": str(cpus_per_node), "memory": memory_per_node}
    if gpus_per_node:
        resources["nvidia.com/gpu"] = str(gpus_per_node)
    credentials = f"envFrom: [{{secretRef: {{name: {json.dumps(secret)}}}}}]" if secret else ""
    return filled(
        "rayjob.yaml",
        name=label(command.name, NAME_LENGTH),
        run=block(script),
        files="\n".join(f"  {keys[path]}: {block(text)}" for path, text in texts.items()),
        items="" if keys.keys() == set(keys.values()) else f", items: {json.dumps(paths, ensure_ascii=False)}",
        ray_version=version("ray"),
        dynsparse_version=version("dynsparse"),
        image_python=IMAGE_PYTHON + ("-gpu" if gpus_per_node else ""),
        image=json.dumps(image),
        autoscaling=json.dumps(most > workers),
        workers=workers,
        max_workers=most,
        resources=json.dumps(resources),
        credentials_here=credentials,
        credentials_there=credentials,
        mount=f"- {{name: results, mountPath: {json.dumps(command.storage)}}}" if is_folder else "",
        volume=f"- {{name: results, persistentVolumeClaim: {{claimName: {json.dumps(claim)}}}}}" if is_folder else "",
    )


def key_of(path: str, number: int) -> str:
    """What a file is called in a ConfigMap, which takes few characters and no folders."""
    return path if re.fullmatch(r"[-._a-zA-Z0-9]+", path) else f"{number}-" + re.sub(r"[^-._a-zA-Z0-9]", "-", path)


def block(text: str) -> str:
    """A text as YAML, four blanks in: line by line where that is possible, or else in quotes."""
    lines = text.split("\n")
    is_plain = all(line.replace("\t", "").isprintable() for line in lines)
    # YAML guesses the margin from the first line, and `|` stands for one line break at the end.
    if is_plain and lines[0].strip() == lines[0].rstrip() != "" and lines[-1] == "" and lines[-2:-1] != [""]:
        return "|\n" + "\n".join(f"    {line}" if line else "" for line in lines[:-1])
    return json.dumps(text)
