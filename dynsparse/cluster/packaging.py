"""What a job takes along: the experiment file with what it imports from beside it, and this version of dynsparse."""

from __future__ import annotations

import shutil
import sys
from importlib.metadata import distribution, requires
from pathlib import Path

import dynsparse

LIMIT_MB = 50
SHOWN_FILES = 3
# The files stand in a folder of their own: beside the package, a user's random.py would hide Python's.
FOLDER = "experiment"
# What travels whole. Not by what is imported under these names: an experiment may have its own analysis.py.
PACKAGES = [Path(dynsparse.__file__).parents[1] / name for name in ("dynsparse", "analysis")]


class StagingError(ValueError):
    """Files that cannot be sent; the message says which, and what to do."""


def stage_experiment(file: str | Path, folder: Path) -> str:
    """Copy an experiment file, and what it imports from beside it, to a folder; its path from there.

    Data, results and notebooks are not copied. Raises: StagingError for more than LIMIT_MB.
    """
    file = Path(file).resolve()
    files = [file, *imported(file)]
    sizes = {path: path.stat().st_size for path in files}
    if sum(sizes.values()) > LIMIT_MB * 1e6:
        largest = sorted(files, key=lambda path: -sizes[path])[:SHOWN_FILES]
        shown = ", ".join(f"{path.name} ({sizes[path] / 1e6:.1f} MB)" for path in largest)
        raise StagingError(
            f"{file.name} and what it imports from beside it have {sum(sizes.values()) / 1e6:.0f} MB, a job takes "
            f"{LIMIT_MB} MB; the largest: {shown}"
        )
    for path in files:
        target = folder / FOLDER / path.relative_to(file.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return f"{FOLDER}/{file.name}"


def imported(file: Path) -> list[Path]:
    """The Python files below an experiment file's folder that it has imported, in packages or beside it, by name.

    The experiment must have been loaded by this process: what Python has imported is what it needs, however it says so.
    """
    folder = file.resolve().parent
    found = []
    for name, module in sorted(sys.modules.items()):
        path = Path(getattr(module, "__file__", None) or "")
        # A module of that folder, and not of an environment that happens to be below it.
        as_named = folder.joinpath(*name.split("."))
        is_ours = any(path.is_relative_to(package) for package in PACKAGES)
        if path in (as_named.with_suffix(".py"), as_named / "__init__.py") and not is_ours:
            found.append(path)
    return found


def stage_package(folder: Path) -> list[str]:
    """The folders of this very dynsparse and analysis, and of the metadata that tells the version, copied to a folder.

    A node that has dynsparse installed uses these instead; one that has only what it needs finds all of it here.
    """
    installed = distribution("dynsparse")
    about = folder / f"dynsparse-{installed.version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(installed.read_text("METADATA") or installed.read_text("PKG-INFO") or "")
    return [*map(str, PACKAGES), str(about)]


def requirements() -> list[str]:
    """What dynsparse needs beside itself, as pip takes it: ["torch>=2.4", ...]."""
    return [each for each in requires("dynsparse") or [] if "extra ==" not in each]
