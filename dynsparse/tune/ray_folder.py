"""The temporary folder of a local Ray: nobody else's, and deleted at the end of the run."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dynsparse.io.json_object import parse_object
from dynsparse.io.regular_files import read_file
from dynsparse.results.processes import machine, start_time

PREFIX = "ray-"
# Names the process of the run. A folder is deleted by a later run if this process no longer runs.
OWNER_FILE = "owner.json"
# In a longer folder the paths of Ray's sockets would have more than 107 characters.
LONGEST_BASE = 30
# Ray's processes end some time after the run and may still write.
ATTEMPTS, PAUSE_SECONDS = 20, 0.1


@contextmanager
def ray_folder() -> Iterator[Path | None]:
    """Yield a new temporary folder for a local Ray, and delete it at the end; also those that killed runs have left.

    It is in RAY_TMPDIR, TMPDIR or /tmp, the first that is set and whose path Ray can use: a short one, in ASCII. Ray's
    own default there would be shared by all users, and never be emptied.

    Yields: the folder; None on Windows, where Ray should use its default.
    """
    if sys.platform == "win32":
        yield None
        return
    wanted = [Path(path).absolute() for name in ("RAY_TMPDIR", "TMPDIR") if (path := os.environ.get(name))]
    base = next((path for path in wanted if len(str(path)) <= LONGEST_BASE and str(path).isascii()), Path("/tmp"))
    base.mkdir(parents=True, exist_ok=True)
    for left in base.glob(f"{PREFIX}*"):
        if _is_left_over(left):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    try:
        (folder / OWNER_FILE).write_text(json.dumps(_owner(os.getpid())))
        yield folder
    finally:
        _delete(folder)


def _owner(pid: int) -> dict[str, object]:
    return {"machine": machine(), "pid": pid, "process_started": start_time(pid)}


def _is_left_over(folder: Path) -> bool:
    """Return True for a folder of this user whose run was killed on this machine."""
    try:
        if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
            return False
        owner = parse_object(read_file(folder / OWNER_FILE)) or {}
    except OSError:
        return False
    pid = owner.get("pid")
    return type(pid) is int and owner.get("machine") == machine() and owner != _owner(pid)


def _delete(folder: Path) -> None:
    for _ in range(ATTEMPTS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(PAUSE_SECONDS)
