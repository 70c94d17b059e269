"""Regular files of an experiment, opened without waiting: never a pipe, a socket or a device, which have no end."""

import os
import stat
from pathlib import Path
from typing import BinaryIO


class IrregularFileError(OSError):
    """A folder, pipe, socket or device in the place of a file; `strerror` says which."""


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file, or one behind a link, to read it.

    Raises: FileNotFoundError; IrregularFileError if it is not a file; OSError if it cannot be read.
    """
    # Opening a pipe would wait for somebody who writes, and opening a device may have effects.
    _check_regular(path.stat())
    # Windows has other flags, and no pipes among its files.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        # Another file may have taken its place meanwhile.
        _check_regular(os.fstat(handle))
    except OSError:
        os.close(handle)
        raise
    return os.fdopen(handle, "rb")


def _check_regular(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        kinds = {stat.S_ISDIR: "a folder", stat.S_ISFIFO: "a pipe", stat.S_ISSOCK: "a socket"}
        what = next((name for is_kind, name in kinds.items() if is_kind(found.st_mode)), "a device")
        raise IrregularFileError(0, f"{what}, not a file")


def read_up_to(file: BinaryIO, limit: int) -> bytes:
    """Return the content of a file that was just opened, or its first bytes if there are more than the limit.

    It has as many bytes as the file has now: some files of the system have no size, but no end either.
    """
    return file.read(min(os.fstat(file.fileno()).st_size, limit)) or b""
