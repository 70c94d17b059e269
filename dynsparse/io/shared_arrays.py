"""Arrays that all processes of a machine share: files in the user's cache, mapped into memory."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from platformdirs import user_cache_path

from dynsparse.io.atomic import write_folder
from dynsparse.io.json_object import parse_object

Arrays = tuple[np.ndarray[Any, Any], ...]
ArraysAndNumbers = tuple[Arrays, dict[str, float]]

# The arrays that were not used for the longest time are deleted above this size. Those of CIFAR10 have 184 MB.
LIMIT_BYTES = 2**30
ABOUT = "about.json"
# Folders in the cache whose files are made or fetched again when they are needed: these arrays, and files of data sets
# from object stores.
ARRAYS, FETCHED = "arrays", "fetched"


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
    folder = cache_dir() / ARRAYS / f"{name}-{files_hash}"
    stamps = [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    cached = _load(folder, stamps)
    if cached is not None:
        return cached
    made = make()
    try:
        _store(folder, stamps, made)
        _keep_limit(folder)
    except OSError:
        return made
    return _load(folder, stamps) or made


def cache_sizes() -> dict[str, int]:
    """Return the bytes in each folder of the cache, by its name, and of its files under the name ""."""
    try:
        entries = sorted(cache_dir().iterdir())
    except OSError:
        return {}
    sizes: dict[str, int] = {}
    for path in entries:
        name = path.name if path.is_dir() and not path.is_symlink() else ""
        sizes[name] = sizes.get(name, 0) + _size(path)
    return sizes


def empty_cache() -> None:
    """Delete what is made or fetched again when it is needed. Processes that use it keep what they have mapped."""
    for name in (ARRAYS, FETCHED):
        shutil.rmtree(cache_dir() / name, ignore_errors=True)


def _load(folder: Path, stamps: Any) -> ArraysAndNumbers | None:
    """Return a cache entry; None if it is missing, damaged or outdated."""
    try:
        about = parse_object((folder / ABOUT).read_bytes()) or {}
        if about.get("files") != stamps:
            return None
        arrays = [np.load(folder / f"{number}.npy", mmap_mode="r") for number in range(len(about["checksums"]))]
        if [_checksum(array) for array in arrays] != about["checksums"]:
            return None
        with contextlib.suppress(OSError):
            # The time of the last use.
            os.utime(folder / ABOUT)
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
        (temporary / ABOUT).write_text(json.dumps(about))


def _keep_limit(newest: Path) -> None:
    """Delete the entries that were not used for the longest time until the others fit into the limit."""
    others = sorted((path for path in newest.parent.iterdir() if path != newest), key=_last_use)
    sizes = [_size(path) for path in others]
    left = LIMIT_BYTES - _size(newest) - sum(sizes)
    for path, size in zip(others, sizes, strict=True):
        if left >= 0:
            return
        shutil.rmtree(path, ignore_errors=True)
        left += size


def _last_use(entry: Path) -> float:
    # An entry that is being written, or whose process was killed, has no such file.
    for path in (entry / ABOUT, entry):
        with contextlib.suppress(OSError):
            return path.lstat().st_mtime
    return 0.0


def _size(path: Path) -> int:
    """Return the bytes in a file or folder, without what links lead to."""
    size = 0
    for each in (path, *path.rglob("*")) if not path.is_symlink() else ():
        with contextlib.suppress(OSError):
            size += each.lstat().st_size if not each.is_dir() else 0
    return size


def _checksum(array: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
