"""Folders on a local disk or in an object store.

A file is replaced as a whole or not at all, and its content is on the disk when the call returns. A folder is given
as a path or a URI; file names are relative to it, with "/".

A folder of results may come from anybody. Nothing is written through a link in it, and only regular files are read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from abc import ABC, abstractmethod
from pathlib import Path

import pyarrow.fs
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_exponential

from dynsparse.io.atomic import write_file
from dynsparse.io.regular_files import IrregularFileError, is_shared, open_to_append, read_file

# Where files and folders go that cannot be used, but may be somebody's. Readers of results do not look into it.
ASIDE_FOLDER = ".aside"
# A request to an object store is retried after 0.5, 1, 2, 4, 8 and 16 seconds, which is half a minute in total.
ATTEMPTS = 7
FIRST_WAIT_SECONDS = 0.5
# Errors of an object store that a retry cannot fix.
PERMANENT_ERRORS = ("NO_SUCH_BUCKET", "ACCESS_DENIED", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH")


def _is_temporary(error: BaseException) -> bool:
    return (
        isinstance(error, OSError)
        and not isinstance(error, FileNotFoundError)
        and not any(code in str(error) for code in PERMANENT_ERRORS)
    )


# `reraise` raises the last error itself, not a RetryError.
_retry = retry(
    retry=retry_if_exception(_is_temporary),
    wait=wait_exponential(multiplier=FIRST_WAIT_SECONDS),
    stop=stop_after_attempt(ATTEMPTS),
    reraise=True,
)


def open_folder(path: str) -> Folder:
    """Return the folder of a path or URI (s3://bucket/folder); it need not exist. Raises: ValueError, OSError."""
    return RemoteFolder(path) if "://" in path else LocalFolder(path)


class Folder(ABC):
    """A folder on a disk or in an object store. Every method raises OSError if the storage fails."""

    def __init__(self, path: str) -> None:
        self.path = path

    @abstractmethod
    def sub(self, name: str) -> Folder:
        """Return a folder inside this one."""

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """Return the content of a file; None if there is no such file."""

    @abstractmethod
    def replace(self, name: str, content: bytes) -> None:
        """Write a whole file, replacing an existing one."""

    @abstractmethod
    def append(self, name: str, content: bytes) -> None:
        """Append to a file, creating it if necessary."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Delete a file if it exists."""

    @abstractmethod
    def names(self) -> list[str]:
        """Return the sorted names of files and folders; an empty list if the folder does not exist."""


class LocalFolder(Folder):
    """A folder on a disk.

    Args:
        path: the folder.
        base: the folder around it that the user has named, which may be a link. Inside it, no folder may be one.
    """

    def __init__(self, path: str, base: str | None = None) -> None:
        super().__init__(path)
        self._base = path if base is None else base

    def sub(self, name: str) -> LocalFolder:
        """See Folder."""
        return LocalFolder(f"{self.path}/{name}", self._base)

    def read(self, name: str) -> bytes | None:
        """See Folder."""
        try:
            return read_file(Path(self.path, name))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except IrregularFileError:
            # A folder or a pipe in place of the file is damage, not absence. The next write moves a folder aside, and
            # replaces anything else.
            return b""

    def replace(self, name: str, content: bytes) -> None:
        """See Folder. A reader sees the old file or the new one, never a part of one."""
        path = self._path_to_write(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        _move_aside(path)
        write_file(path, content)

    def append(self, name: str, content: bytes) -> None:
        """See Folder. Uses one write call, so that a reader sees all of `content` or nothing, except after a crash.

        A file that is a link, or has a second name, is replaced by one of its own: the other name keeps its content.
        """
        path = self._path_to_write(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if is_shared(path):
            self.replace(name, (self.read(name) or b"") + content)
            return
        with open_to_append(path) as file:
            start = file.tell()
            try:
                written = file.write(content)
                if written != len(content):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
                os.fsync(file.fileno())
            except OSError as error:
                # A full disk may have stored a part. The next row must not be appended to it.
                with contextlib.suppress(OSError):
                    file.truncate(start)
                raise OSError(error.errno, error.strerror, str(path)) from error

    def delete(self, name: str) -> None:
        """See Folder."""
        path = self._path_to_write(name)
        _move_aside(path)
        # If a file has the name of the folder, there is nothing to delete.
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()

    def names(self) -> list[str]:
        """See Folder."""
        try:
            return sorted(os.listdir(self.path))
        except FileNotFoundError:
            return []

    def _path_to_write(self, name: str) -> Path:
        """Return the path of a file. Raises: OSError if a folder between the base and the file is a link."""
        path = Path(self.path, name)
        for folder in path.parents:
            if folder == Path(self._base):
                break
            _check_no_link(folder)
        return path


class RemoteFolder(Folder):
    """A folder in an object store, which replaces objects as a whole and cannot append to them."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._filesystem, self._inside = pyarrow.fs.FileSystem.from_uri(path)

    def sub(self, name: str) -> Folder:
        """See Folder. The options of a URI, after "?", stay at its end."""
        base, mark, query = self.path.partition("?")
        return RemoteFolder(f"{base}/{name}{mark}{query}")

    @_retry
    def read(self, name: str) -> bytes | None:
        """See Folder."""
        try:
            with self._filesystem.open_input_stream(f"{self._inside}/{name}") as file:
                return bytes(file.read())
        except FileNotFoundError:
            return None

    @_retry
    def replace(self, name: str, content: bytes) -> None:
        """See Folder."""
        with self._filesystem.open_output_stream(f"{self._inside}/{name}") as file:
            file.write(content)

    def append(self, name: str, content: bytes) -> None:
        """See Folder. Writes the whole object again."""
        self.replace(name, (self.read(name) or b"") + content)

    @_retry
    def delete(self, name: str) -> None:
        """See Folder."""
        with contextlib.suppress(FileNotFoundError):
            self._filesystem.delete_file(f"{self._inside}/{name}")

    @_retry
    def names(self) -> list[str]:
        """See Folder."""
        selector = pyarrow.fs.FileSelector(self._inside, allow_not_found=True)
        return sorted(info.base_name for info in self._filesystem.get_file_info(selector))


def _move_aside(path: Path) -> None:
    """Move a folder that has the name of a file away. It is not deleted, because its content is unknown."""
    if path.is_dir():
        place = path.with_name(ASIDE_FOLDER)
        _check_no_link(place)
        place.mkdir(exist_ok=True)
        path.rename(place / f"{path.name}-{time.time_ns()}")


def _check_no_link(folder: Path) -> None:
    """Check that a folder is not a link, which could lead anywhere. Raises: OSError."""
    if folder.is_symlink():
        what = "a link, and nothing is written through a link among results; put the folder itself there"
        raise OSError(errno.ELOOP, what, str(folder))
