"""Identify a process across machines, containers and clocks, find out whether it still runs, and list its children."""

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
    if not _has_proc():
        listed = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return listed.stdout.strip() or None
    fields = _stat(pid)
    # Z and X: the process has ended, and its parent has not asked for its exit code yet.
    return None if not fields or fields[0] in "ZX" else fields[19]


def children(pid: int) -> set[int]:
    """Return the processes that a process has started and that still run."""
    if not _has_proc():
        listed = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
        return {int(word) for word in listed.stdout.split()}
    found = (int(path.name) for path in Path("/proc").glob("[0-9]*"))
    return {each for each in found if (fields := _stat(each)) and fields[0] not in "ZX" and fields[1] == str(pid)}


def _has_proc() -> bool:
    """Return True on Linux; macOS and others have no /proc."""
    return Path("/proc/self/stat").exists()


def _stat(pid: int) -> list[str]:
    """Return state, parent and more of a process, from its entry in /proc; an empty list if it does not exist."""
    try:
        # The name of the program, in parentheses, may contain anything.
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (OSError, ValueError):
        return []
