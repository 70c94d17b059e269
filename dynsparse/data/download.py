"""The files of data sets: where they are looked for, and how they come there, by download or from a store."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

from filelock import FileLock

from dynsparse.io.atomic import move_file
from dynsparse.io.shared_arrays import cache_dir

# A download fails when an address does not answer, or sends nothing, for so long.
DOWNLOAD_TIMEOUT_SECONDS = 5.0


class DataError(Exception):
    """A data set that cannot be had; the message says what to do."""


def requested_data_dir(data_dir: str | None) -> str | None:
    """`data_dir`, else DYNSPARSE_DATA_DIR: a folder, from the root, or that of a store (s3://bucket/folder)."""
    where = data_dir or os.environ.get("DYNSPARSE_DATA_DIR")
    if not where or "://" in where:
        return where or None
    return str(Path(where).expanduser().absolute())


def resolve_data_dir(data_dir: str | None) -> Path:
    """The folder of the data sets on this machine: that which is asked for, or in the user's cache.

    What a store has is fetched into the cache, once to each machine.
    """
    where = requested_data_dir(data_dir)
    if where is None:
        return cache_dir()
    if "://" in where:
        return cache_dir() / "fetched" / hashlib.sha256(where.encode()).hexdigest()[:12]
    return Path(where)


def missing_files(files: Sequence[str], folder: Path) -> list[str]:
    """Those of the files that the folder has not."""
    # Unlike Path.is_file, os.path.isfile does not raise where the folder may not be entered.
    return [file for file in files if not os.path.isfile(folder / file)]


def fetch_files(name: str, files: Sequence[str], data_dir: str, download: Callable[[Path], object]) -> Path:
    """The folder of a data set, with all its files in it: downloaded or fetched if they are not there.

    Args:
        download: puts them into a folder, from the internet.

    Raises: DataError.
    """
    folder = resolve_data_dir(data_dir)
    if not missing_files(files, folder):
        return folder
    if "://" in data_dir:
        _put(name, files, folder, lambda beside: _fetch(name, files, data_dir, beside))
        return folder
    timeout = socket.getdefaulttimeout()
    # torchvision sets no timeout of its own, and would wait for ever.
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_SECONDS)
    try:
        _put(name, files, folder, download)
    except (OSError, RuntimeError, HTTPException) as error:
        # Nothing is left of a download that failed.
        with suppress(OSError):
            (folder / f".{name}.lock").unlink()
            folder.rmdir()
        raise DataError(
            f"{name} is missing in {folder} and cannot be downloaded ({describe_error(error)}). Put these files "
            f"there, unpacked: {', '.join(missing_files(files, folder))}; or name a folder that has them, with "
            f"data_dir or the environment variable DYNSPARSE_DATA_DIR; or use dataset_name='digits', which "
            f"needs no files"
        ) from error
    finally:
        socket.setdefaulttimeout(timeout)
    return folder


def _put(name: str, files: Sequence[str], folder: Path, into: Callable[[Path], object]) -> None:
    """Have files put beside, then move each into place: one cut short is never taken for a whole one."""
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f".{name}.download"
    with FileLock(folder / f".{name}.lock"):
        if not missing_files(files, folder):  # another process had the lock, and has brought it
            return
        shutil.rmtree(beside, ignore_errors=True)  # left by a process that was killed
        try:
            into(beside)
            for file in files:
                move_file(beside / file, folder / file)
        finally:
            shutil.rmtree(beside, ignore_errors=True)


def _fetch(name: str, files: Sequence[str], where: str, beside: Path) -> None:
    """Copy files out of a store. Raises: DataError."""
    # It takes a third of a second to import, and only who has data in a store needs it.
    from dynsparse.io.storage import open_folder

    try:
        store = open_folder(where)
        for file in files:
            content = store.read(file)
            if content is None:
                raise DataError(f"{name} is not in {where}: {file} is missing; put these there: {', '.join(files)}")
            (beside / file).parent.mkdir(parents=True, exist_ok=True)
            (beside / file).write_bytes(content)
    except (OSError, ValueError) as error:
        raise DataError(f"{name} cannot be fetched from {where} ({describe_error(error)})") from error


def describe_error(error: Exception) -> str:
    """An error in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
