"""Regular files, opened without waiting for a pipe, reading a device, or writing through a link."""

from __future__ import annotations

import errno
import os
import stat
from io import FileIO
from pathlib import Path

# No file of a run is larger. A file of holes takes no space on the disk, but as much memory as it says.
LARGEST_BYTES = 8 * 2**30


class IrregularFileError(OSError):
    """A folder, pipe, socket or device in the place of a file."""


def read_file(path: Path) -> bytes:
    """Return the content of a regular file, or of one behind a link.

    Raises: FileNotFoundError; IrregularFileError if it is not a file; OSError if it cannot be read, or is too large.
    """
    # Opening a pipe to read waits for somebody who writes, and opening a device may have effects.
    _check_regular(path, path.stat())
    with open(path, "rb", opener=_open_at_once) as file:
        # Another file may have taken its place meanwhile.
        found = os.fstat(file.fileno())
        _check_regular(path, found)
        if found.st_size > LARGEST_BYTES:
            what = f"larger than {LARGEST_BYTES / 2**30:g} GiB, so it is not read; delete the file if it is not yours"
            raise OSError(errno.EFBIG, what, str(path))
        return file.read()


def is_shared(path: Path) -> bool:
    """Return True if writing to an existing file would write elsewhere: it is a link, has two names, or is no file."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return not stat.S_ISREG(found.st_mode) or found.st_nlink > 1


def open_to_append(path: Path) -> FileIO:
    """Open a file to append to it, without a buffer; create it if necessary. Raises: OSError, also if it is a link."""
    return open(path, "ab", buffering=0, opener=_open_without_links)


def _check_regular(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise IrregularFileError(errno.EINVAL, "not a regular file", str(path))


# Windows has neither flag, and no pipes among its files.
def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _open_without_links(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o666)
