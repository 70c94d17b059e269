"""Folder of a run that holds a lock: every write first checks that the lock is still its own."""

from __future__ import annotations

import time

from dynsparse.io.storage import Folder, LocalFolder
from dynsparse.results.lock import loss, successor

# In an object store the check takes as long as writing a row, so that it is not repeated for some seconds.
REMOTE_SECONDS = 2.0


class Fence:
    """Checks that a run still holds the lock on an experiment folder.

    Args:
        folder: the experiment's folder.
        token: the token of the run.
    """

    def __init__(self, folder: Folder, token: str) -> None:
        self._folder, self._token = folder, token
        self._seconds = 0.0 if isinstance(folder, LocalFolder) else REMOTE_SECONDS
        self._checked_at = -REMOTE_SECONDS

    def check(self) -> None:
        """Check the lock. Raises: LockLostError if it is another's; OSError if the storage fails."""
        now = time.monotonic()
        if now - self._checked_at < self._seconds:
            return
        owner = successor(self._folder, self._token)
        if owner is not None:
            raise loss(self._folder, owner)
        self._checked_at = now


class FencedFolder(Folder):
    """A folder whose writes check a fence first. They raise LockLostError and write nothing if the lock is lost."""

    def __init__(self, folder: Folder, fence: Fence) -> None:
        super().__init__(folder.path)
        self._inner, self._fence = folder, fence

    def sub(self, name: str) -> FencedFolder:
        """See Folder. The folder inside has the same fence."""
        return FencedFolder(self._inner.sub(name), self._fence)

    def read(self, name: str) -> bytes | None:
        """See Folder."""
        return self._inner.read(name)

    def replace(self, name: str, content: bytes) -> None:
        """See Folder."""
        self._fence.check()
        self._inner.replace(name, content)

    def append(self, name: str, content: bytes) -> None:
        """See Folder."""
        self._fence.check()
        self._inner.append(name, content)

    def delete(self, name: str) -> None:
        """See Folder."""
        self._fence.check()
        self._inner.delete(name)

    def names(self) -> list[str]:
        """See Folder."""
        return self._inner.names()


def fenced(folder: Folder, token: str | None) -> Folder:
    """Return the folder with a fence; the folder itself if there is no token."""
    return folder if token is None else FencedFolder(folder, Fence(folder, token))
