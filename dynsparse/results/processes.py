"""Identify a process across machines, containers and clocks, and find out whether it still runs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import uuid
from functools import cache
from pathlib import Path


@cache
def machine() -> str:
    """Return a text that is the same for all processes that see the same process table, and for no others.

    Two containers may have the same host name and the same kernel. They have different process tables, so a pid of one
    says nothing about the other.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = str(os.stat("/proc/self/ns/pid").st_ino)
    except OSError:
        boot, namespace = f"{uuid.getnode():x}", sys.platform
    return f"{socket.gethostname()} {boot} {namespace}"


def start_time(pid: int) -> str | None:
    """Return when a process of this machine was started; None if it does not run.

    Two processes with the same pid, one after the other, have different start times. On Linux the time is counted from
    the start of the machine, so that it does not change when the clock is set.
    """
    if not Path("/proc/self/stat").exists():
        # macOS and others without /proc.
        listed = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return listed.stdout.strip() or None
    try:
        # The name of the program, in parentheses, may contain anything.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    state, started = fields[0], fields[19]
    # Z and X: the process has ended, and its parent has not asked for its exit code yet.
    return None if state in "ZX" else started
