"""What a job takes along: the experiment file with the modules beside it, and this version of dynsparse."""

from __future__ import annotations

import importlib.util
import shutil
from importlib.metadata import distribution, requires
from pathlib import Path

LIMIT_MB = 50
SHOWN_FILES = 3
# The files stand in a folder of their own: beside the package, a user's random.py would hide Python's.
FOLDER = "experiment"


class StagingError(ValueError):
    """Files that cannot be sent; the message says which, and what to do."""


def stage_experiment(file: str | Path, folder: Path) -> str:
    """Copy an experiment file, and the Python files beside it, to a folder; its path from there.

    Subfolders, data, results and notebooks are not copied. Raises: StagingError for more than LIMIT_MB.
    """
    file = Path(file).resolve()
    files = sorted({file, *(path for path in file.parent.glob("*.py") if path.is_file())})
    sizes = {path: path.stat().st_size for path in files}
    if sum(sizes.values()) > LIMIT_MB * 1e6:
        largest = sorted(files, key=lambda path: -sizes[path])[:SHOWN_FILES]
        shown = ", ".join(f"{path.name} ({sizes[path] / 1e6:.1f} MB)" for path in largest)
        raise StagingError(
            f"the Python files in {file.parent} have {sum(sizes.values()) / 1e6:.0f} MB, a job takes {LIMIT_MB} MB; "
            f"move {file.name} to a folder with what it imports; the largest: {shown}"
        )
    target = folder / FOLDER
    target.mkdir()
    for path in files:
        shutil.copy(path, target)
    return f"{FOLDER}/{file.name}"


def stage_package(folder: Path) -> list[str]:
    """The folders of this very dynsparse and analysis, and of the metadata that tells the version, copied to a folder.

    A node that has dynsparse installed uses these instead; one that has only what it needs finds all of it here.
    """
    installed = distribution("dynsparse")
    about = folder / f"dynsparse-{installed.version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(installed.read_text("METADATA") or installed.read_text("PKG-INFO") or "")
    packages = []
    for name in ("dynsparse", "analysis"):
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.submodule_search_locations
        packages.append(str(Path(spec.submodule_search_locations[0])))
    return [*packages, str(about)]


def requirements() -> list[str]:
    """What dynsparse needs beside itself, as pip takes it: ["torch>=2.4", ...]."""
    return [each for each in requires("dynsparse") or [] if "extra ==" not in each]
