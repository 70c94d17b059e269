"""One owner at a time: who runs an experiment says so in its folder, and that it still does, every few seconds."""

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
# An owner on another machine that has been silent for so long is taken for dead.
STALE_SECONDS = 30.0


class LockedError(RuntimeError):
    """The experiment is run by another process; the message names it."""


class Lock:
    """Held from `with Lock(folder):` to its end. Raises: LockedError; OSError where the storage fails."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._me = {"host": socket.gethostname(), "pid": os.getpid(), "started": time.time()}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Lock:
        check_unlocked(self._folder)
        self._write()
        # Two that found it free at once both wrote; who reads itself has it.
        time.sleep(0.2)
        owner = self._owner()
        if owner is not None and not self._is_mine(owner):
            raise LockedError(f"{self._folder.path} was taken just now by process {owner['pid']} on {owner['host']}")
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
                # A full disk or a silent store is reported by who writes results; the next beat may get through.
                continue


def read_owner(folder: Folder) -> dict[str, Any] | None:
    """Who has the lease of an experiment: host, pid, started, heartbeat; None if nobody, or nobody knows."""
    try:
        owner = json.loads(folder.read(FILE) or b"null")
    except ValueError:
        return None
    names = {"host", "pid", "started", "heartbeat"}
    return owner if isinstance(owner, dict) and names <= owner.keys() else None


def check_unlocked(folder: Folder) -> None:
    """Raises: LockedError where another process has the lease."""
    owner = read_owner(folder)
    if owner is not None and is_alive(owner):
        raise LockedError(f"{folder.path} is run by process {owner['pid']} on {owner['host']}; wait for it, or stop it")


def is_alive(owner: dict[str, Any]) -> bool:
    """Whether an owner still runs: on this machine its process is looked at, elsewhere its heartbeat."""
    if owner["host"] == socket.gethostname():
        try:
            os.kill(owner["pid"], 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
    # A number may have gone to another process since: it is the heartbeat that counts.
    return bool(time.time() - owner["heartbeat"] < STALE_SECONDS)
