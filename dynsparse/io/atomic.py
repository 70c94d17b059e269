"""Atomic writes on a local disk: after a crash at any moment, a reader sees the old content or the new one."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path


def write_file(path: Path, content: bytes) -> None:
    """Write or replace a whole file. Its content is on the disk when the call returns.

    Raises: OSError that names `path`; the old file is then unchanged, and no temporary file is left.
    """
    temporary = _temporary_path(path)
    try:
        try:
            # "x" neither overwrites a file nor follows a symbolic link.
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    _sync_folder(path.parent)


def move_file(source: Path, target: Path) -> None:
    """Move a finished file to its place on the same disk, creating the folder. Raises: OSError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # Without this, a power failure could keep the new name but lose the content.
    _sync(source)
    source.replace(target)
    _sync_folder(target.parent)


@contextlib.contextmanager
def write_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder that replaces the folder `path` when the block ends without an error.

    Raises: OSError, also if another process has created the folder in the meantime.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_path(path)
    temporary.mkdir(mode=0o700)
    try:
        yield temporary
        shutil.rmtree(path, ignore_errors=True)
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary_path(path: Path) -> Path:
    """Return a hidden path in the same folder that no other process or thread uses."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    """Make a new name in a folder durable, if the file system can sync folders."""
    with contextlib.suppress(OSError):
        _sync(folder)
