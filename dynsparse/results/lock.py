"""Lock on an experiment folder: one process runs it at a time, and every writer of results checks that it still does.

The lock is the file lease.json. Its owner writes a heartbeat every few seconds. Each run has its own token, which is
compared with the file before each write (fence.py), so that a run that lost its lock, for example while it was stopped,
writes nothing into the results of its successor.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from dynsparse.io.json_object import parse_object
from dynsparse.io.storage import Folder, LocalFolder
from dynsparse.io.terminal import say
from dynsparse.results.processes import machine, start_time

FILE = "lease.json"
# On a disk, held while the file is read and written, so that of two processes one comes second.
GUARD_FILE = ".lease.guard"
HEARTBEAT_SECONDS = 5.0
# An owner whose processes cannot be seen from here counts as dead after this long without a new heartbeat.
STALE_SECONDS = 30.0
# How long to wait for a process that reads or writes the file.
GUARD_SECONDS = 10.0
# Two processes may both have found the folder of an object store free. Both wait, and the one that wrote last owns it.
SETTLE_SECONDS = 0.2


class LockedError(RuntimeError):
    """The experiment is run by another process, which the message names."""


class LockLostError(RuntimeError):
    """Another process has taken over the experiment, so this one must not write any more."""


@dataclass(frozen=True)
class Owner:
    """The owner of a lock, as far as its file can be read.

    Attributes:
        content: the whole file. It changes with each heartbeat.
        token: the token of the run; None if the file is damaged or of version 0.1.
        values: the values of the file; empty if it is damaged.
    """

    content: bytes
    token: str | None
    values: dict[str, Any]

    @classmethod
    def parse(cls, content: bytes) -> Owner:
        """Return the owner of the lock with this content."""
        values = parse_object(content) or {}
        token = values.get("token")
        return cls(content, token if isinstance(token, str) else None, values)

    @property
    def is_released(self) -> bool:
        """True if the owner has given the lock back."""
        return self.values.get("released") is True

    def __str__(self) -> str:
        """Return the owner for a message."""
        if not self.values:
            return f"an unknown process (its {FILE} is damaged)"
        return f"process {self.values.get('pid')!s:.20} on {self.values.get('host')!s:.100}"

    def runs_here(self) -> bool | None:
        """Return whether the owner's process runs; None if it is not a process of this machine."""
        pid, started = self.values.get("pid"), self.values.get("process_started")
        if self.values.get("machine") != machine() or type(pid) is not int or not isinstance(started, str):
            return None
        return start_time(pid) == started


def read_owner(folder: Folder) -> Owner | None:
    """Return the owner of the lock, alive or dead, or None. Raises: OSError if the storage fails."""
    content = folder.read(FILE)
    owner = None if content is None else Owner.parse(content)
    return None if owner is None or owner.is_released else owner


class OwnerWatch:
    """Tells from changes of the file whether an owner lives. Clocks are not compared: those of two machines differ."""

    def __init__(self) -> None:
        self._content: bytes | None = None
        self._since = time.monotonic()
        self.has_changed = False

    def is_alive(self, owner: Owner) -> bool:
        """Return True unless the owner is known to be dead: call it again and again."""
        here = owner.runs_here()
        if here is not None:
            return here
        if owner.content != self._content:
            self.has_changed = self._content is not None
            self._content, self._since = owner.content, time.monotonic()
        return time.monotonic() - self._since < STALE_SECONDS


def check_unlocked(folder: Folder, dead: Owner | None = None) -> Owner | None:
    """Check that no living process holds the lock, and return the dead owner if there is one.

    An owner on another machine is watched until its heartbeat changes, or for half a minute.

    Args:
        folder: the experiment's folder.
        dead: an owner that is known to be dead.

    Raises: LockedError; OSError if the storage fails.
    """
    watch, is_told = OwnerWatch(), False
    while True:
        owner = read_owner(folder)
        if owner is None or (dead is not None and owner.content == dead.content):
            return owner
        if not watch.is_alive(owner):
            return owner
        if owner.runs_here() or watch.has_changed:
            raise LockedError(f"{folder.path} is in use by {owner}. Wait until it ends, or stop it.")
        if not is_told:
            say(f"{folder.path} was in use by {owner}; watching for {STALE_SECONDS:g} s whether it still runs")
            is_told = True
        time.sleep(min(1.0, STALE_SECONDS / 10))


class Lock:
    """Lock that is held within `with Lock(folder):`.

    Args:
        folder: the experiment's folder.
        dead: an owner that `check_unlocked` has found dead.
        on_loss: called in another thread when the lock is found to be another's.

    Raises: LockedError if another process holds it, LockLostError at the end if another process has taken it over,
        OSError if the storage fails.
    """

    def __init__(self, folder: Folder, dead: Owner | None = None, on_loss: Callable[[], object] | None = None) -> None:
        self.token = secrets.token_hex(8)
        self._folder, self._dead, self._on_loss = folder, dead, on_loss
        self._me = {
            "token": self.token,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "machine": machine(),
            "process_started": start_time(os.getpid()),
            "started": time.time(),
        }
        self._lost_to: Owner | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Lock:
        dead = check_unlocked(self._folder, self._dead)
        started = time.monotonic()
        with _guard(self._folder):
            # Another process may have come first.
            owner = read_owner(self._folder)
            if owner is not None and (dead is None or owner.content != dead.content):
                raise self._refusal(owner)
            self._write()
        # The slower the storage, the later a write of another process may still arrive.
        time.sleep(max(SETTLE_SECONDS, 2 * (time.monotonic() - started)))
        owner = read_owner(self._folder)
        if owner is not None and owner.token != self.token:
            raise self._refusal(owner)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()
        with contextlib.suppress(OSError), _guard(self._folder):
            self._lost_to = successor(self._folder, self.token)
            if self._lost_to is None:
                # The file stays, so that a worker of this run that was stopped finds that its token is no longer valid.
                self._write(released=True)
        if self._lost_to is not None and error is None:
            raise loss(self._folder, self._lost_to)

    def _refusal(self, owner: Owner) -> LockedError:
        return LockedError(f"{self._folder.path} is in use by {owner}. Wait until it ends, or stop it.")

    def _write(self, **more: bool) -> None:
        # A counter instead of the time would do: only the change counts. Version 0.1 reads the time.
        self._folder.replace(FILE, json.dumps({**self._me, "heartbeat": time.time(), **more}).encode())

    def _beat(self) -> None:
        while not self._end.wait(HEARTBEAT_SECONDS):
            try:
                with _guard(self._folder):
                    self._lost_to = successor(self._folder, self.token)
                    if self._lost_to is not None:
                        break
                    # Also if somebody has deleted or damaged the file.
                    self._write()
            except (OSError, LockedError):
                # The code that writes results reports a full disk or a failed store. The next heartbeat may succeed.
                continue
        if self._lost_to is not None and self._on_loss is not None:
            self._on_loss()


def successor(folder: Folder, token: str) -> Owner | None:
    """Return the run that came after the one with this token, or None. Raises: OSError.

    A file that was deleted or damaged does not prove that there is one. After its end, a run counts as its own
    successor.
    """
    content = folder.read(FILE) or b""
    owner = Owner.parse(content)
    return owner if owner.token is not None and (owner.token != token or owner.is_released) else None


def loss(folder: Folder, owner: Owner) -> LockLostError:
    """Return the error of a run that has lost its lock to another owner."""
    return LockLostError(
        f"{folder.path} was taken over by {owner}, while this run was stopped or had lost the storage. It ends without "
        "writing any more. Rerun the same command to see how far the experiment is."
    )


@contextlib.contextmanager
def _guard(folder: Folder) -> Iterator[None]:
    """Exclude other processes on the same disk. An object store, or a disk without such locks, excludes nobody.

    Raises: OSError if the folder cannot be written; LockedError if a process holds the guard for too long.
    """
    if not isinstance(folder, LocalFolder):
        yield
        return
    Path(folder.path).mkdir(parents=True, exist_ok=True)
    guard = FileLock(Path(folder.path, GUARD_FILE), timeout=GUARD_SECONDS)
    try:
        guard.acquire()
    except Timeout as error:
        raise LockedError(
            f"{folder.path} is in use: a process has held {GUARD_FILE} for {GUARD_SECONDS:g} s, and may have been "
            "stopped. Continue or end it."
        ) from error
    except NotImplementedError:
        # This file system has no locks.
        yield
        return
    try:
        yield
    finally:
        guard.release()
