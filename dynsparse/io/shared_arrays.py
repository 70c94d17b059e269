"""Arrays that all processes of a machine share: files in the user's cache, mapped into memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from platformdirs import user_cache_path

from dynsparse.io.atomic import write_folder

Arrays = tuple[np.ndarray[Any, Any], ...]
ArraysAndNumbers = tuple[Arrays, dict[str, float]]


def cache_dir() -> Path:
    """Return the user's cache folder; on Linux XDG_CACHE_HOME/dynsparse, or ~/.cache/dynsparse."""
    return user_cache_path("dynsparse", appauthor=False).absolute()


def load_or_make(name: str, files: Sequence[Path], make: Callable[[], ArraysAndNumbers]) -> ArraysAndNumbers:
    """Return the arrays and numbers from `make`, which runs once per machine until `files` change.

    The arrays are read-only and mapped from the cache. If a checksum does not match, they are made again. If the cache
    cannot be written, for example on a full disk, the process uses its own arrays.

    Args:
        name: prefix of the name of the cache entry, for readers of the cache folder.
        files: the files that `make` reads; a changed size or modification time makes the entry invalid.
        make: computes the arrays and numbers.
    """
    files_hash = hashlib.sha256("\n".join(map(str, files)).encode()).hexdigest()[:12]
    folder = cache_dir() / "arrays" / f"{name}-{files_hash}"
    stamps = [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    cached = _load(folder, stamps)
    if cached is not None:
        return cached
    made = make()
    try:
        _store(folder, stamps, made)
    except OSError:
        return made
    return _load(folder, stamps) or made


def _load(folder: Path, stamps: Any) -> ArraysAndNumbers | None:
    """Return a cache entry; None if it is missing, damaged or outdated."""
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


def _store(folder: Path, stamps: Any, made: ArraysAndNumbers) -> None:
    """Write a cache entry. Raises: OSError, also if another process has just written the same entry."""
    arrays, numbers = made
    with write_folder(folder) as temporary:
        for number, array in enumerate(arrays):
            np.save(temporary / f"{number}.npy", array)
        about = {"files": stamps, "checksums": [_checksum(array) for array in arrays], "numbers": numbers}
        (temporary / "about.json").write_text(json.dumps(about))


def _checksum(array: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
