"""Folders in which results last: on a disk, or in an object store.

A file is either replaced whole or not at all, and what has been written is on the disk when the call returns. A
folder is a URI or a path; its files are named relative to it, with "/".
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pyarrow.fs

Result = TypeVar("Result")

# A remote store that does not answer is asked again after these seconds: for half a minute in all.
RETRY_SECONDS = (0.5, 1, 2, 4, 8, 16)
# What a store answers when asking again will not help.
FINAL_ANSWERS = ("NO_SUCH_BUCKET", "ACCESS_DENIED", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH")


def open_folder(path: str) -> Folder:
    """The folder of a path or a URI (s3://bucket/folder, gs://...); it need not exist. Raises: ValueError, OSError."""
    return RemoteFolder(path) if "://" in path else LocalFolder(path)


class Folder(ABC):
    """What a disk and an object store have in common. Raises: OSError."""

    def __init__(self, path: str) -> None:
        self.path = path

    def sub(self, name: str) -> Folder:
        """A folder in this one."""
        return open_folder(f"{self.path}/{name}")

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """The content of a file; None if there is no such file."""

    @abstractmethod
    def replace(self, name: str, content: bytes) -> None:
        """Write a whole file, whatever was there."""

    @abstractmethod
    def append(self, name: str, content: bytes) -> None:
        """Add to the end of a file."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""

    @abstractmethod
    def names(self) -> list[str]:
        """The files and folders in it, sorted; none if it does not exist."""


class LocalFolder(Folder):
    """A folder on a disk."""

    def read(self, name: str) -> bytes | None:
        """See Folder."""
        try:
            return Path(self.path, name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except IsADirectoryError:
            # It is damaged, not missing; whoever writes the file anew moves the folder aside.
            return b""

    def replace(self, name: str, content: bytes) -> None:
        """See Folder. A reader sees the old file or the new one, never a part."""
        path = Path(self.path, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        _move_aside(path)
        # Each writer has a name of its own: two that write at once must not mix.
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with beside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error
        finally:
            beside.unlink(missing_ok=True)
        _sync_folder(path.parent)

    def append(self, name: str, content: bytes) -> None:
        """See Folder. In one write, so that a reader sees none or all of it, but for a crash."""
        path = Path(self.path, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        _move_aside(path)
        with path.open("ab", buffering=0) as file:
            start = file.tell()
            try:
                written = file.write(content)
                if written != len(content):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
                os.fsync(file.fileno())
            except OSError as error:
                # A full disk may have taken a part, on which the next row would be written.
                with contextlib.suppress(OSError):
                    file.truncate(start)
                raise OSError(error.errno, error.strerror, str(path)) from error

    def delete(self, name: str) -> None:
        """See Folder."""
        path = Path(self.path, name)
        _move_aside(path)
        # Where a file stands in the place of the folder, there is nothing to delete.
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()

    def names(self) -> list[str]:
        """See Folder."""
        try:
            return sorted(os.listdir(self.path))
        except FileNotFoundError:
            return []


class RemoteFolder(Folder):
    """A folder in an object store, which knows no appending and replaces objects whole of its own accord."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._filesystem, self._inside = pyarrow.fs.FileSystem.from_uri(path)

    def sub(self, name: str) -> Folder:
        """See Folder. What a URI says after "?" stays at its end."""
        base, mark, query = self.path.partition("?")
        return RemoteFolder(f"{base}/{name}{mark}{query}")

    def read(self, name: str) -> bytes | None:
        """See Folder."""

        def read() -> bytes | None:
            try:
                with self._filesystem.open_input_stream(f"{self._inside}/{name}") as file:
                    return bytes(file.read())
            except FileNotFoundError:
                return None

        return _patiently(read)

    def replace(self, name: str, content: bytes) -> None:
        """See Folder."""

        def write() -> None:
            with self._filesystem.open_output_stream(f"{self._inside}/{name}") as file:
                file.write(content)

        _patiently(write)

    def append(self, name: str, content: bytes) -> None:
        """See Folder. The whole object is written again."""
        self.replace(name, (self.read(name) or b"") + content)

    def delete(self, name: str) -> None:
        """See Folder."""
        with contextlib.suppress(FileNotFoundError):
            _patiently(lambda: self._filesystem.delete_file(f"{self._inside}/{name}"))

    def names(self) -> list[str]:
        """See Folder."""
        selector = pyarrow.fs.FileSelector(self._inside, allow_not_found=True)
        return sorted(info.base_name for info in _patiently(lambda: self._filesystem.get_file_info(selector)))


def _patiently(action: Callable[[], Result]) -> Result:
    """The result of an action that is tried again when the store does not answer. Raises: OSError of the last try."""
    for seconds in RETRY_SECONDS:
        try:
            return action()
        except FileNotFoundError:
            raise
        except OSError as error:
            if any(answer in str(error) for answer in FINAL_ANSWERS):
                raise
            time.sleep(seconds)
    return action()


def _move_aside(path: Path) -> None:
    """A folder that stands where a file belongs gets another name: who made it is not known, so it is not deleted."""
    if path.is_dir():
        path.rename(path.with_name(f"{path.name}.aside-{time.time_ns()}"))


def _sync_folder(folder: Path) -> None:
    """Make a new name in a folder last; not every file system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
