"""Files of data sets: the folder they are in, and how they are downloaded or fetched from an object store."""

from __future__ import annotations

import filecmp
import glob
import hashlib
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

from filelock import FileLock

from dynsparse.io.atomic import move_file
from dynsparse.io.shared_arrays import FETCHED, cache_dir

# A download fails if the server does not answer, or sends nothing, for this long.
DOWNLOAD_TIMEOUT_SECONDS = 5.0


class DataError(Exception):
    """A data set that cannot be loaded. The message says what to do."""


def requested_data_dir(data_dir: str | None) -> str | None:
    """Return `data_dir`, or else DYNSPARSE_DATA_DIR, as an absolute path or URI; None if neither is set."""
    location = data_dir or os.environ.get("DYNSPARSE_DATA_DIR")
    if not location or "://" in location:
        return location or None
    return str(Path(location).expanduser().absolute())


def resolve_data_dir(data_dir: str | None) -> Path:
    """Return the local folder of the data sets: the requested one, or one in the user's cache.

    Files from an object store are fetched into the cache once per machine.
    """
    location = requested_data_dir(data_dir)
    if location is None:
        return cache_dir()
    if "://" in location:
        return cache_dir() / FETCHED / hashlib.sha256(location.encode()).hexdigest()[:12]
    return Path(location)


def missing_files(files: Sequence[str], folder: Path) -> list[str]:
    """Return the files that are not in the folder."""
    # Unlike Path.is_file, os.path.isfile does not raise if the folder is not readable.
    return [file for file in files if not os.path.isfile(folder / file)]


def fetch_files(name: str, files: Sequence[str], data_dir: str, download: Callable[[Path], object]) -> Path:
    """Return the folder of a data set after downloading or fetching the files that are missing in it.

    Args:
        name: the name of the data set, for messages.
        files: the files, relative to the folder.
        data_dir: a folder, or the URI of an object store.
        download: downloads the files from the internet into a folder.

    Raises: DataError.
    """
    folder = resolve_data_dir(data_dir)
    if not missing_files(files, folder):
        return folder
    if "://" in data_dir:
        _download_whole(name, files, folder, lambda temporary: _fetch(name, files, data_dir, temporary))
        return folder
    timeout = socket.getdefaulttimeout()
    # torchvision sets no timeout, and would wait forever.
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_SECONDS)
    try:
        _download_whole(name, files, folder, download)
    except (OSError, RuntimeError, HTTPException) as error:
        # A failed download leaves no files behind.
        with suppress(OSError):
            (folder / f".{name}.lock").unlink(missing_ok=True)
            folder.rmdir()
        raise DataError(
            f"{name} is missing in {folder} and cannot be downloaded ({describe_error(error)}). Put these files there, "
            f"unpacked: {', '.join(missing_files(files, folder))}. Or set data_dir, or the environment variable "
            f"DYNSPARSE_DATA_DIR, to a folder that has them. Or set dataset_name='digits', which needs no files."
        ) from error
    finally:
        socket.setdefaulttimeout(timeout)
    return folder


def _download_whole(name: str, files: Sequence[str], folder: Path, download: Callable[[Path], object]) -> None:
    """Download into a temporary folder, then move each file: an incomplete download is never used."""
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f".{name}.lock"):
        if not missing_files(files, folder):  # Another process had the lock and has downloaded them.
            return
        for left in folder.glob(f".{glob.escape(name)}.download*"):  # A killed process may have left it.
            shutil.rmtree(left, ignore_errors=True)
        # A name that nobody can have put a link under.
        temporary = Path(tempfile.mkdtemp(prefix=f".{name}.download-", dir=folder))
        try:
            download(temporary)
            for file in files:
                move_file(temporary / file, folder / file)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _fetch(name: str, files: Sequence[str], uri: str, folder: Path) -> None:
    """Copy files from an object store into a folder. Raises: DataError."""
    for file in files:
        if not _copied(name, file, uri, folder):
            raise DataError(f"{name} is not in {uri}: {file} is missing. Put these files there: {', '.join(files)}.")


def _copied(name: str, file: str, uri: str, folder: Path) -> bool:
    """Copy a file from an object store into a folder. Return False if it is not there. Raises: DataError."""
    # The import takes a third of a second, and only data in an object store needs it.
    from dynsparse.io.storage import open_folder

    try:
        content = open_folder(uri).read(file)
        if content is not None:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(content)
        return content is not None
    except (OSError, ValueError) as error:
        raise DataError(
            f"{name} cannot be fetched from {uri} ({describe_error(error)}). Check the URI and the credentials, or set "
            "data_dir to another folder."
        ) from error


def fetch_newest(file: str, uri: str) -> Path | None:
    """Return the local copy of a file in an object store, which is fetched again; None if there is no such file.

    Raises: DataError.
    """
    folder = resolve_data_dir(uri)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as temporary:
        if not _copied(file, file, uri, Path(temporary)):
            return None
        # An unchanged file keeps its time.
        if not (folder / file).is_file() or not filecmp.cmp(folder / file, Path(temporary, file), shallow=False):
            move_file(Path(temporary, file), folder / file)
    return folder / file


def describe_error(error: Exception) -> str:
    """Return an error as one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
