"""`RunCommand`: a `dynsparse run` for another machine, checked before it is written into a cluster file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# Folders that are local to each machine.
LOCAL_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm", "/run")


class ClusterFileError(ValueError):
    """A cluster file that cannot be written as requested."""


@dataclass(frozen=True)
class RunCommand:
    """A `dynsparse run` for another machine.

    Args:
        file: the experiment file.
        name: the experiment's name.
        storage: an absolute path on a file system that all nodes share, or a URL such as s3://bucket/folder.
        options: the other options of `run`, word by word: ("--set", "epochs=3", "--limit", "2"). Not --fresh.
        devices: the values of the key `device` in the grid.
        cpus_per_trial: CPUs reserved for each trial.
        gpus_per_trial: GPUs reserved for each trial.
        data_files: files of own data in the folder of the experiment file, relative to it.

    Raises:
        ClusterFileError: if the command would fail or do harm when it runs unattended.
    """

    file: Path
    name: str
    storage: str
    options: Sequence[str] = ()
    devices: frozenset[str] = frozenset({"cpu"})
    cpus_per_trial: float = 1
    gpus_per_trial: float = 0
    data_files: Sequence[str] = ()

    def __post_init__(self) -> None:
        unprintable = [word for word in (str(self.file), self.storage, *self.options) if not word.isprintable()]
        if unprintable:
            raise ClusterFileError(
                f"Words of a command must not contain a line break or a control character, got {unprintable[0]!r}."
            )
        if "--fresh" in self.options:
            raise ClusterFileError(
                "A cluster file must not contain --fresh: it would start over whenever the job restarts. To start over "
                "once, give another --name."
            )
        if self.gpus_per_trial == 0 and self.devices != {"cpu"}:
            device = min(self.devices - {"cpu"})
            raise ClusterFileError(f"device={device!r} needs a GPU, and none is reserved. Give --gpus-per-trial.")
        if self.gpus_per_trial > 0 and "cpu" in self.devices:
            raise ClusterFileError(
                f"--gpus-per-trial {self.gpus_per_trial:g} is only for trials on a GPU, got device='cpu'. Give --set "
                "device=cuda."
            )

    def words(self, file: str | None = None) -> list[str]:
        """Return the words of the command, without a cluster's address.

        Args:
            file: the experiment file's path on the node. None means its path on this machine.
        """
        path = str(self.file.absolute()) if file is None else file
        return ["dynsparse", "run", path, "--storage", self.storage, *self.options]

    def check_node(self, cpus: int, gpus: int) -> None:
        """Check that a trial fits on a node.

        Raises:
            ClusterFileError: if it does not fit, or if the node's GPUs would be idle.
        """
        if gpus > 0 and self.devices == {"cpu"}:
            raise ClusterFileError(
                f"--gpus-per-node {gpus} is only for trials on a GPU, got device='cpu'. Give --set device=cuda and "
                "--gpus-per-trial, or leave it out."
            )
        for kind, wanted, available in [("CPU", self.cpus_per_trial, cpus), ("GPU", self.gpus_per_trial, gpus)]:
            if wanted > available:
                option = f"--{kind.lower()}s-per"
                raise ClusterFileError(
                    f"A trial needs {wanted:g} {kind}s, and a node has {available}. Raise {option}-node or lower "
                    f"{option}-trial."
                )


def absolute_storage(storage: str, *, shared: bool) -> str:
    """Return a storage as all nodes name it: a URL or an absolute path.

    Args:
        storage: a URL or a path.
        shared: the path is on a file system that all nodes share. A relative path is allowed then.

    Raises:
        ClusterFileError: for a relative path.
    """
    if "://" in storage:
        return storage
    path = Path(storage).expanduser()
    if not shared and not path.is_absolute():
        raise ClusterFileError(
            "--storage must be an absolute path on a file system that all nodes share, or a URL such as "
            f"s3://bucket/folder, got the relative path {storage!r}. If the current directory is on a shared file "
            "system, add --shared."
        )
    return str(path.absolute())


def shared_storage(storage: str, *, shared: bool) -> str:
    """Return a storage as all nodes name it. Unlike `absolute_storage`, refuse folders that are local to each machine.

    Raises:
        ClusterFileError: for a relative or local path without `shared`.
    """
    path = absolute_storage(storage, shared=shared)
    if not shared and any(PurePosixPath(path).is_relative_to(folder) for folder in LOCAL_FOLDERS):
        raise ClusterFileError(
            "--storage must be on a file system that all nodes share, or a URL such as s3://bucket/folder, got "
            f"{storage!r}, which is usually local to each machine. If it is shared, add --shared."
        )
    return path


def label(name: str, length: int) -> str:
    """Return a name in the form that clusters accept: lower-case letters, digits and dashes, a letter first."""
    text = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    text = text if text[:1].isalpha() else f"run-{text}"
    return text[:length].strip("-")
