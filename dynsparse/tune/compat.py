"""Private API of Ray and texts of Ray's messages, which may change with any version of Ray.

No other module depends on them. `tests/dynsparse/tune/test_compat.py` says what breaks when one of them changes.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ray._private import ray_constants
from ray.exceptions import OutOfMemoryError, RaySystemError

# Environment variables of a local Ray, unless the user's environment sets them.
LOCAL_RAY_ENVIRONMENT = {
    # Ray's memory monitor kills the process that started last, and Tune then gives up all trials. Without the monitor,
    # the kernel kills the process that takes most memory, and the other trials continue.
    "RAY_memory_monitor_refresh_ms": "0",
    # Freed memory returns to the system. Otherwise a worker grows by a fifth over some hundred trials.
    "MALLOC_MMAP_THRESHOLD_": str(4 * 2**20),
}
# Environment variables of the driver while Tune runs.
TUNE_ENVIRONMENT = {
    # The default loggers write TensorBoard files for each trial, which takes longer than a small epoch.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # `Interrupts` handles signals.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # The newer output prints a table of settings even if verbose=0.
    "RAY_AIR_NEW_OUTPUT": "0",
}
# Loggers that repeat what our callbacks report in one line.
TUNE_LOGGERS = ("ray.tune", "ray.train")
# Beginnings of the lines that say that Ray lost a node, a process of its own or an object.
INFRASTRUCTURE_FAILURE = re.compile(
    r"^(The actor \w+ is unavailable: |The actor died because its node has died|The task's local raylet died"
    r"|The actor is dead because its owner has died|Failed to retrieve object "
    r"|ray\.exceptions\.(ActorUnavailable|LocalRayletDied|NodeDied|OwnerDied|ObjectLost|ObjectFetchTimedOut"
    r"|ObjectReconstructionFailed|RaySystem|Rpc)Error: )",
    re.MULTILINE,
)
# Files that Tune writes into the experiment's folder, through a link if there is one. We never read them, but Tune
# fails if the first is damaged.
TUNE_FILES = ("tuner.pkl", ".validate_storage_marker")


@contextmanager
def loopback_only() -> Iterator[None]:
    """Let a local Ray that starts in the context listen at 127.0.0.1 only, as Ray does on macOS and Windows.

    Elsewhere Ray replaces 127.0.0.1 by the address of the machine, and listens on all of its networks. Everyone who can
    reach the ports could run code.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def is_failed_start(error: BaseException) -> bool:
    """Return True if `ray.init` failed in a way that a retry may cure: a process did not start in time, or died.

    Ray raises no error of its own for this, so each RaySystemError and each timeout counts.
    """
    return "timed out" in str(error).lower() or isinstance(error, RaySystemError)


def stop_tune() -> None:
    """Ask Tune to stop after the current results. Tune handles SIGUSR1 even if its SIGINT handler is disabled."""
    os.kill(os.getpid(), signal.SIGUSR1)


def actor_id(trial: Any) -> str:
    """Return the id of the Ray actor that trains a Tune trial, or "" if it is unknown."""
    actor = getattr(getattr(trial, "temporary_state", None), "ray_actor", None)
    return actor._actor_id.hex() if actor is not None else ""


def error_text(trial: Any) -> str:
    """Return the text of the error that ended a Tune trial."""
    try:
        return Path(trial.error_file).read_text().strip()
    except (OSError, TypeError):
        return "the trial failed, and Ray kept no text of the error"


def is_process_death(text: str) -> bool:
    """Return True if the text of an error says that the worker process died, not that its code raised something."""
    return any(sign in text.lower() for sign in ("actor died", "actor is dead", "actordiederror", "actor_died"))


def failures(trial: Any) -> list[str]:
    """Return the texts of the errors of a Tune trial, at least one: one for each retry, and the last one."""
    before, *texts = re.split("^Failure # .*\n", error_text(trial), flags=re.MULTILINE)
    return texts or [before]


def is_infrastructure_failure(text: str) -> bool:
    """Return True if the text of an error says that Ray lost a node, a process of its own or an object."""
    return INFRASTRUCTURE_FAILURE.search(text) is not None


def largest_memory_kill(error: BaseException | None) -> tuple[str, float] | None:
    """Return the actor that took most memory among those that Ray's memory monitor killed.

    Args:
        error: what Tune raised; its causes are searched for an OutOfMemoryError.

    Returns:
        The actor's id and its memory in GB; None if the monitor killed no actor, or if Ray does not say which (Ray
        2.52 to 2.55).
    """
    while error is not None and not isinstance(error, OutOfMemoryError):
        error = error.__cause__
    kills = re.findall(r"Selected to kill: \(Actor\((\w+)\).*?actual memory used=([\d.]+)GB", str(error))
    return max(((actor, float(used)) for actor, used in kills), key=lambda each: each[1], default=None)
