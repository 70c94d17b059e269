"""What a run says of itself while it goes on, read by another process."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from dynsparse.io.storage import Folder, open_folder
from dynsparse.results.lock import is_alive, read_owner

STATUS_FILE = "status.json"
LOOK_SECONDS = 2.0


def read_status(folder: Folder) -> dict[str, Any] | None:
    """The last status of a run; None if there has been none."""
    try:
        status = json.loads(folder.read(STATUS_FILE) or b"null")
    except ValueError:
        return None
    return status if isinstance(status, dict) else None


def follow(path: str, *, once: bool = False) -> Iterator[str]:
    """A line whenever the status of a run changes, until it ends. One that is not there yet is waited for.

    Raises: ValueError if there is no run and only one line is wanted.
    """
    folder = open_folder(path)
    shown = None
    while True:
        status, owner = read_status(folder), read_owner(folder)
        goes_on = owner is not None and is_alive(owner)
        if status is None and not goes_on:
            if once:
                raise ValueError(f"{path} holds no run: there is no {STATUS_FILE} in it, and nobody at work")
            line = f"{path} holds no run yet; waiting for one to begin (Ctrl-C ends this)"
        elif goes_on:
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


def _last_line(status: dict[str, Any]) -> str:
    line, left = str(status.get("line", "")), status.get("trials", 0) - status.get("done", 0) - status.get("failed", 0)
    if status.get("running", True):
        return f"{line}: its process is gone; the same command goes on with it"
    return f"{line}: stopped; the same command goes on with it" if left else f"{line}: ended"
