"""Follow the progress of a run from another process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dynsparse.io.json_object import parse_object
from dynsparse.io.storage import Folder, open_folder
from dynsparse.results.lock import OwnerWatch, read_owner

STATUS_FILE = "status.json"
LOOK_SECONDS = 2.0


def read_status(folder: Folder) -> dict[str, Any] | None:
    """Return the last status of a run; None if it is missing or unreadable."""
    status = parse_object(folder.read(STATUS_FILE) or b"") or {}
    counts = [status.get(name, 0) for name in ("trials", "done", "failed", "stopped")]
    is_whole = isinstance(status.get("line"), str) and all(type(count) is int for count in counts)
    return status if is_whole else None


def follow(path: str, *, once: bool = False, wait: bool = False) -> Iterator[str]:
    """Yield a line whenever the status of a run changes, until the run ends.

    Args:
        path: the experiment folder, a path or a URI.
        once: yield the current line and return.
        wait: if there is no run, wait until it starts.

    Raises: ValueError if there is no run and `wait` is not given.
    """
    folder, watch = open_folder(path), OwnerWatch()
    shown = None
    while True:
        status, owner = read_status(folder), read_owner(folder)
        is_running = owner is not None and watch.is_alive(owner)
        if status is None and not is_running:
            if once or not wait:
                raise ValueError(
                    f"{path} has no run{'' if _exists(path) else ': there is no such folder'}{_others(path)}. Check "
                    "the path. If the run is just starting or will start later, --wait waits for it."
                )
            line = f"{path} has no run yet; waiting for it to start (press Ctrl-C to stop waiting){_others(path)}"
        elif is_running:
            line = str(status["line"]) if status else "starting"
        else:
            yield _last_line(status or {})
            return
        if line != shown:
            yield line
        if once:
            return
        shown = line
        time.sleep(LOOK_SECONDS)


def _exists(path: str) -> bool:
    """Return False if a folder of this machine does not exist."""
    return "://" in path or Path(path).is_dir()


def _others(path: str) -> str:
    """Return the experiments in the same storage, because the name may be misspelt."""
    if "://" in path:
        return ""
    names = sorted(each.parent.name for each in Path(path).absolute().parent.glob(f"*/{STATUS_FILE}"))
    return f"; runs in the same folder: {', '.join(names)}" if names else ""


def _last_line(status: dict[str, Any]) -> str:
    line = str(status.get("line", ""))
    left = status.get("trials", 0) - sum(status.get(name, 0) for name in ("done", "failed", "stopped"))
    if status.get("running", True):
        return f"{line}: the process has died; rerun the same command to resume"
    return f"{line}: stopped; rerun the same command to resume" if left else f"{line}: ended"
