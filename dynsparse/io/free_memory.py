"""Return memory that the process has freed to the system."""

from __future__ import annotations

import ctypes
import sys


def return_free_memory() -> None:
    """Return what the process has freed to the system, if the C library is glibc. It takes milliseconds.

    glibc keeps freed memory for later. What the preparation of a trial needs is never needed again during its training.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
