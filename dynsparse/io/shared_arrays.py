"""Arrays that all processes of a machine share: files in the user's cache, mapped into memory."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Arrays = tuple[np.ndarray[Any, Any], ...]
SharedArrays = tuple[Arrays, dict[str, float]]


def cache_dir() -> Path:
    """The folder of what can be had again: XDG_CACHE_HOME/dynsparse, or ~/.cache/dynsparse."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute() / "dynsparse"


def load_or_make(name: str, files: Sequence[Path], make: Callable[[], SharedArrays]) -> SharedArrays:
    """What `make` returns: arrays, read-only, and numbers. It is called once on a machine, until `files` change.

    What is kept is compared with its checksum, and made anew where it does not fit. Where nothing can be kept, as on a
    full disk, the arrays are the process's own.

    Args:
        name: for the eyes of who looks into the cache.
        files: from which `make` reads; their sizes and times of change are compared.
    """
    place = hashlib.sha256("\n".join(map(str, files)).encode()).hexdigest()[:12]
    folder = cache_dir() / "arrays" / f"{name}-{place}"
    stamps = [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    found = _load(folder, stamps)
    if found is not None:
        return found
    made = make()
    try:
        _store(folder, stamps, made)
    except OSError:
        return made
    return _load(folder, stamps) or made


def _load(folder: Path, stamps: Any) -> SharedArrays | None:
    """What is kept; None if there is nothing, or it is not what it was."""
    try:
        about = json.loads((folder / "about.json").read_bytes())
        if about["files"] != stamps:
            return None
        arrays = [np.load(folder / f"{number}.npy", mmap_mode="r") for number in range(len(about["checksums"]))]
        if [_checksum(array) for array in arrays] != about["checksums"]:
            return None
        return tuple(arrays), about["numbers"]
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None


def _store(folder: Path, stamps: Any, made: SharedArrays) -> None:
    """Write beside, then move into place: nobody sees half of it. Raises: OSError."""
    arrays, numbers = made
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".", dir=folder.parent))
    try:
        for number, array in enumerate(arrays):
            np.save(beside / f"{number}.npy", array)
        about = {"files": stamps, "checksums": [_checksum(array) for array in arrays], "numbers": numbers}
        (beside / "about.json").write_text(json.dumps(about))
        shutil.rmtree(folder, ignore_errors=True)
        # Who comes second finds it there: what the first has written is as good.
        beside.replace(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _checksum(array: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
