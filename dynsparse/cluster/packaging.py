"""The files of a job: the experiment file, what it imports from its folder, its data, and this version of dynsparse."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from importlib.metadata import distribution, requires
from pathlib import Path

import dynsparse
from dynsparse.config.python_files import loaded_files

LIMIT_MB = 50
SHOWN_FILES = 3
# The experiment has a folder of its own. In the job's working directory, a user's random.py would hide Python's.
FOLDER = "experiment"
# The packages that a job gets whole. Found by path, because an experiment may import an analysis.py of its own.
PACKAGES = [Path(dynsparse.__file__).parents[1] / name for name in ("dynsparse", "analysis")]


class StagingError(ValueError):
    """Files that cannot be sent with a job."""


def stage_experiment(file: str | Path, folder: Path, data: Sequence[str] = ()) -> str:
    """Copy an experiment file, the files that it imports from its folder, and data files there, to another folder.

    Results, notebooks and other data are not copied.

    Args:
        file: the experiment file.
        folder: the other folder.
        data: paths of data files, relative to the folder of the experiment file.

    Returns:
        The path of the copied experiment file, relative to `folder`.

    Raises:
        StagingError: if the files have more than LIMIT_MB, or data are outside the folder of the experiment file.
    """
    file = Path(file).resolve()
    outside = next((name for name in data if ".." in Path(name).parts), None)
    if outside is not None:
        raise StagingError(
            f"Data that are sent must be in the folder of {file.name}, got {outside!r}. Move the file there, or put it "
            "on a path that all nodes share, and give its absolute path."
        )
    files = list(dict.fromkeys([file, *imported(file), *(file.parent / name for name in data)]))
    sizes = {path: path.stat().st_size for path in files}
    if sum(sizes.values()) > LIMIT_MB * 1e6:
        largest = sorted(files, key=lambda path: -sizes[path])[:SHOWN_FILES]
        shown = ", ".join(f"{path.name} ({sizes[path] / 1e6:.1f} MB)" for path in largest)
        raise StagingError(
            f"{file.name} and the files that it needs from its folder must not exceed {LIMIT_MB} MB, got "
            f"{sum(sizes.values()) / 1e6:.0f} MB. The largest: {shown}. Put data on a path that all nodes share and "
            "give their absolute path, or put them into data_dir (s3://...); import less from that folder."
        )
    for path in files:
        target = folder / FOLDER / path.relative_to(file.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return f"{FOLDER}/{file.name}"


def imported(file: Path) -> list[Path]:
    """Return the Python files in an experiment file's folder, and in packages there, that it has imported.

    This process must have loaded the experiment: the files are those that Python has imported, and those whose
    functions the experiment names.
    """
    folder = file.resolve().parent
    found = []
    for name, module in sorted(sys.modules.items()):
        path = Path(getattr(module, "__file__", None) or "")
        # The module's path must follow from its name. This leaves out a virtual environment inside the folder.
        as_named = folder.joinpath(*name.split("."))
        is_ours = any(path.is_relative_to(package) for package in PACKAGES)
        if path in (as_named.with_suffix(".py"), as_named / "__init__.py") and not is_ours:
            found.append(path)
    by_path = [path for path in loaded_files() if path.is_relative_to(folder) and path.is_file()]
    return [path for path in dict.fromkeys([*found, *by_path]) if path != file.resolve()]


def stage_package(folder: Path) -> list[str]:
    """Return the folders of this dynsparse and analysis, and of the metadata with their version, written to `folder`.

    A job uses these folders, whether or not dynsparse is installed on a node.
    """
    installed = distribution("dynsparse")
    about = folder / f"dynsparse-{installed.version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(installed.read_text("METADATA") or installed.read_text("PKG-INFO") or "")
    return [*map(str, PACKAGES), str(about)]


def requirements() -> list[str]:
    """Return the packages that dynsparse needs, in pip's format: ["torch>=2.4", ...]."""
    return [each for each in requires("dynsparse") or [] if "extra ==" not in each]
