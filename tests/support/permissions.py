"""Folders that a process may not read, also if it is one of root."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# From linux/capability.h: the version of the calls, and the two privileges by which root reads what permissions forbid.
VERSION = 0x20080522
READS_EVERYTHING = 1 << 1 | 1 << 2


@contextmanager
def unreadable(folder: Path) -> Iterator[None]:
    """Take all permissions from a folder. Root gives up its privilege to ignore them meanwhile."""
    before = folder.stat().st_mode
    folder.chmod(0)
    capabilities = _capabilities() if os.geteuid() == 0 else None
    try:
        if capabilities is not None:
            _set_effective(capabilities, capabilities[0] & ~READS_EVERYTHING)
        yield
    finally:
        if capabilities is not None:
            _set_effective(capabilities, capabilities[0])
        folder.chmod(before)


def _capabilities() -> list[int]:
    """Return the capabilities of this thread: the low half of effective, permitted and inheritable, then the high."""
    found = (ctypes.c_uint32 * 6)()
    _call("capget", found)
    return list(found)


def _set_effective(capabilities: list[int], effective: int) -> None:
    _call("capset", (ctypes.c_uint32 * 6)(effective, *capabilities[1:]))


def _call(name: str, data: "ctypes.Array[ctypes.c_uint32]") -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)((ctypes.c_uint32 * 2)(VERSION, 0), data):
        raise OSError(ctypes.get_errno(), f"{name} failed")
