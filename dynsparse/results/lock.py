"""Lock on an experiment folder: one process runs it at a time, and renews a heartbeat every few seconds."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from types import TracebackType
from typing import Any

from dynsparse.io.storage import Folder

FILE = "lease.json"
HEARTBEAT_SECONDS = 5.0
# An owner on another machine counts as dead after this long without a heartbeat.
STALE_SECONDS = 30.0


class LockedError(RuntimeError):
    """The experiment is run by another process, which the message names."""


class Lock:
    """Lock that is held within `with Lock(folder):`. Raises: LockedError; OSError if the storage fails."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._me = {"host": socket.gethostname(), "pid": os.getpid(), "started": time.time()}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Lock:
        check_unlocked(self._folder)
        self._write()
        # Two processes may both have found it free and written. The one that reads itself back holds the lock.
        time.sleep(0.2)
        owner = self._owner()
        if owner is not None and not self._is_mine(owner):
            raise LockedError(_message(self._folder, owner))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()
        owner = self._owner()
        if owner is not None and self._is_mine(owner):
            self._folder.delete(FILE)

    def _is_mine(self, owner: dict[str, Any]) -> bool:
        return all(owner[name] == value for name, value in self._me.items())

    def _owner(self) -> dict[str, Any] | None:
        return read_owner(self._folder)

    def _write(self) -> None:
        self._folder.replace(FILE, json.dumps({**self._me, "heartbeat": time.time()}).encode())

    def _beat(self) -> None:
        while not self._end.wait(HEARTBEAT_SECONDS):
            try:
                self._write()
            except OSError:
                # The code that writes results reports a full disk or a failed store. The next heartbeat may succeed.
                continue


def read_owner(folder: Folder) -> dict[str, Any] | None:
    """Return the holder of the lock: host, pid, started, heartbeat; None if it is free or unreadable."""
    try:
        owner = json.loads(folder.read(FILE) or b"null")
    except ValueError:
        return None
    names = {"host", "pid", "started", "heartbeat"}
    return owner if isinstance(owner, dict) and names <= owner.keys() else None


def check_unlocked(folder: Folder) -> None:
    """Check that no other process holds the lock. Raises: LockedError."""
    owner = read_owner(folder)
    if owner is not None and is_alive(owner):
        raise LockedError(_message(folder, owner))


def _message(folder: Folder, owner: dict[str, Any]) -> str:
    return f"{folder.path} is in use by process {owner['pid']} on {owner['host']}. Wait until it ends, or stop it."


def is_alive(owner: dict[str, Any]) -> bool:
    """Return True if an owner still runs: by its process on this machine, and by its heartbeat."""
    if owner["host"] == socket.gethostname():
        try:
            os.kill(owner["pid"], 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
    # Another process may have got the same pid since, so the heartbeat decides.
    return bool(time.time() - owner["heartbeat"] < STALE_SECONDS)
