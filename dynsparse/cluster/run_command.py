"""`Command`: a `dynsparse run` that another machine will do, checked here; and the templates of files that do it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# Folders that each machine has for itself.
OF_ONE_MACHINE = ("/tmp", "/var/tmp", "/dev/shm", "/run")


class CommandError(ValueError):
    """What cannot be written into a file for a cluster as asked; the message says what to change."""


@dataclass(frozen=True)
class Command:
    """A `dynsparse run`.

    Args:
        file: the experiment file.
        name: the experiment's.
        storage: an absolute path, or an address such as s3://bucket/folder.
        options: what else is typed, word by word: ("--set", "epochs=3", "--limit", "2"). Not --fresh.
        devices: the values of the key `device` in the grid.
        cpus_per_trial, gpus_per_trial: what each trial is given.
        shared: the storage is a folder that all machines see, whatever it looks like; it may be relative, then.

    Raises: CommandError.
    """

    file: Path
    name: str
    storage: str
    options: Sequence[str] = ()
    devices: frozenset[str] = frozenset({"cpu"})
    cpus_per_trial: float = 1
    gpus_per_trial: float = 0
    shared: bool = False

    def __post_init__(self) -> None:
        if not self.file.is_file():
            raise CommandError(f"there is no experiment file {str(self.file)!r}")
        unprintable = [word for word in (str(self.file), self.storage, *self.options) if not word.isprintable()]
        if unprintable:
            raise CommandError(f"{unprintable[0]!r} has a line break or a control character; write it without")
        if "--fresh" in self.options:
            raise CommandError("--fresh would start over whenever the job goes on by itself; give it another --name")
        if not self.storage:
            raise CommandError("no storage is given; give --storage, a folder that all nodes see or s3://bucket/folder")
        if "://" not in self.storage:
            object.__setattr__(self, "storage", self._folder())
        if self.gpus_per_trial == 0 and self.devices != {"cpu"}:
            device = sorted(self.devices - {"cpu"})[0]
            raise CommandError(f"device={device!r}, but no GPU is set aside for a trial; give --gpus-per-trial")
        if self.gpus_per_trial > 0 and "cpu" in self.devices:
            raise CommandError("a GPU is set aside for each trial, but device='cpu'; give --set device=cuda")

    def _folder(self) -> str:
        path = Path(self.storage).expanduser()
        if not self.shared and not path.is_absolute():
            raise CommandError(
                f"the storage {self.storage!r} is relative, and another machine has another working directory; give "
                "an absolute path on a file system that all nodes see, or s3://bucket/folder; or --shared if this "
                "directory is on such a file system"
            )
        if not self.shared and any(PurePosixPath(path).is_relative_to(folder) for folder in OF_ONE_MACHINE):
            raise CommandError(
                f"the storage {self.storage!r} is a folder that each machine has for itself; give one on a file system "
                "that all nodes see, or s3://bucket/folder; or --shared if they do see this one"
            )
        return str(path.absolute())

    def words(self, file: str | None = None) -> str:
        """The command as a shell takes it, with nothing said of the cluster.

        Args:
            file: where the experiment file will be; where it is if None.
        """
        path = str(self.file.absolute()) if file is None else file
        return shlex.join(["dynsparse", "run", path, "--storage", self.storage, *self.options])

    def check_node(self, cpus: int, gpus: int) -> None:
        """Raises: CommandError where a trial does not fit on a node, or its GPUs would be idle."""
        if gpus > 0 and self.devices == {"cpu"}:
            raise CommandError(
                f"{gpus} GPUs are asked for on each node, but all trials compute on device='cpu'; give --set "
                "device=cuda and --gpus-per-trial, or no GPUs"
            )
        for kind, wanted, there in [("CPU", self.cpus_per_trial, cpus), ("GPU", self.gpus_per_trial, gpus)]:
            if wanted > there:
                raise CommandError(
                    f"a trial asks for {wanted:g} {kind}s, and a node has {there}; raise --{kind.lower()}s-per-node or "
                    f"lower --{kind.lower()}s-per-trial"
                )


def at_least(low: int, **counts: int) -> None:
    """Raises: CommandError that names the count that is no whole number, or lower."""
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < low:
            option = name.replace("_", "-")
            raise CommandError(f"--{option} must be a whole number of at least {low}, got {count!r}")


def label(name: str, length: int) -> str:
    """A name as a cluster takes it: small letters, digits and dashes, a letter first."""
    text = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    text = text if text[:1].isalpha() else f"run-{text}"
    return text[:length].strip("-")


def filled(template: str, **values: object) -> str:
    """A file of the folder templates with its blanks, {{name}}, filled in; one that is empty leaves no line behind."""
    text = Path(__file__).with_name("templates").joinpath(template).read_text(encoding="utf-8")
    for name in [name for name, value in values.items() if value == ""]:
        text = re.sub(rf"^ *\{{\{{{name}\}}\}}\n", "", text, flags=re.MULTILINE)
    # string.Template would want each dollar of a shell written twice.
    return re.sub(r"\{\{(\w+)\}\}", lambda blank: str(values[blank[1]]), text)
