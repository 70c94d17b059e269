"""Free memory goes back to the system."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from dynsparse.io.free_memory import return_free_memory

SIZE, NUMBER = 50_000, 1000


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps free memory, and gives it back")
def test_memory_between_blocks_in_use_is_returned() -> None:
    # Blocks so small come from the heap, which shrinks by itself only at its end: the last block keeps it.
    blocks = [b"x" * SIZE for _ in range(NUMBER)]
    del blocks[:-1]
    before = resident_bytes()
    return_free_memory()
    assert before - resident_bytes() > SIZE * NUMBER / 2
