"""A message for the user when the process of a run ends without reaching its own end."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MESSAGE = (
    "\nError: The process of the run ended without warning: it was killed, or Ray ended it because a process of Ray "
    "died. Written results are kept. Rerun the same command to resume."
)
# Signals of the terminal are for the run, which ends by itself.
SCRIPT = 'trap "" INT TERM HUP QUIT; read -r line; printf "%s\\n" "$1" >&2'


@contextmanager
def explain_sudden_end() -> Iterator[Callable[[], None]]:
    """Print MESSAGE if this process dies in the context.

    If a raylet dies, Ray ends the processes that use it at once, and none of their own code runs. So a shell waits at
    a pipe that closes when this process ends. On a system without a shell nothing is printed.

    Yields: a function that cancels the message, for who prints another one before ending the process.
    """
    shell = shutil.which("sh")
    if shell is None:
        yield lambda: None
        return
    waiting, telling = os.pipe()
    # In a session of its own, so that what ends the run does not end the shell first.
    watcher = subprocess.Popen([shell, "-c", SCRIPT, shell, MESSAGE], stdin=waiting, start_new_session=True)
    os.close(waiting)
    try:
        yield watcher.kill
    finally:
        watcher.kill()
        watcher.wait()
        os.close(telling)
