"""The Ray of a run: an existing cluster, or a local Ray that ends with the run."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import ray

from dynsparse.experiment import ExperimentError
from dynsparse.io.terminal import say
from dynsparse.results.processes import children
from dynsparse.tune.compat import (
    LOCAL_RAY_ENVIRONMENT,
    TUNE_ENVIRONMENT,
    TUNE_LOGGERS,
    is_failed_start,
    loopback_only,
)
from dynsparse.tune.ray_folder import ray_folder
from dynsparse.tune.sudden_end import explain_sudden_end

# The address of a Ray that the run starts itself.
LOCAL = "local"
# Seconds between two connections to the head of the cluster, and the failures in a row after which it counts as lost.
PROBE_SECONDS, PROBES = 5.0, 4
# How often the start of a local Ray is tried.
START_ATTEMPTS = 3
# Seconds after which the user is told that Ray is being started.
PATIENCE_SECONDS = 3.0


@contextmanager
def ray_session(address: str | None) -> Iterator[None]:
    """Use the Ray that is initialized, or connect to one for the duration of the context."""
    if ray.is_initialized():
        yield
        return
    address = _requested(address)
    with ExitStack() as stack:
        folder = stack.enter_context(ray_folder()) if address == LOCAL else None
        cancel_explanation = stack.enter_context(explain_sudden_end())
        start_ray(address, folder)
        try:
            with _watched_head(cancel_explanation):
                yield
        finally:
            ray.shutdown()


def _requested(address: str | None) -> str:
    return address or os.environ.get("RAY_ADDRESS") or LOCAL


def start_ray(address: str | None, folder: Path | None = None) -> None:
    """Connect to a cluster, or start a local Ray, which only processes of this machine can reach.

    Args:
        address: of the cluster, or "local"; None: RAY_ADDRESS, or else a local Ray.
        folder: temporary folder of a local Ray; None: Ray's default.

    Raises: ExperimentError if no cluster answers at the address.
    """
    address = _requested(address)
    if address == LOCAL:
        of_user = {name: os.environ[name] for name in LOCAL_RAY_ENVIRONMENT if name in os.environ}
        with _environment({**LOCAL_RAY_ENVIRONMENT, **of_user}), loopback_only():
            _start_local(folder)
        return
    try:
        # Ray itself would try for minutes.
        if re.fullmatch(r"[^/]+:\d+", address):
            _connect(address)
        ray.init(address, logging_level=logging.CRITICAL, log_to_driver=False)
    except OSError as error:
        raise ExperimentError(
            f"No Ray cluster answers at {address!r}: {error}. Start a cluster there, or leave out --address."
        ) from error


def _start_local(folder: Path | None) -> None:
    """Start a local Ray; each attempt has 30 s. Raises: ExperimentError if Ray does not start."""
    message = "starting Ray; on a busy machine it takes up to a minute"
    timer = threading.Timer(PATIENCE_SECONDS, lambda: print(message, file=sys.stderr))
    timer.start()
    try:
        _try_to_start_local(folder)
    finally:
        timer.cancel()


def _try_to_start_local(folder: Path | None) -> None:
    temporary = None if folder is None else str(folder)
    for attempts_left in reversed(range(START_ATTEMPTS)):
        before = children(os.getpid())
        try:
            ray.init(
                LOCAL,
                include_dashboard=False,
                logging_level=logging.CRITICAL,
                log_to_driver=False,
                _temp_dir=temporary,
            )
            return
        except Exception as error:
            ray.shutdown()
            # Ray leaves the processes that have started already. They would slow the next attempt down.
            _kill(children(os.getpid()) - before)
            if not is_failed_start(error):
                raise
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            if not attempts_left:
                raise ExperimentError(
                    f"Ray did not start in {START_ATTEMPTS} attempts: {reason}. The machine may be too busy or have "
                    "too little memory. Rerun the command when it has free resources, pass --in-process to train one "
                    "trial after another without Ray, or --address to use a Ray that is running."
                ) from error
            say(f"Ray did not start ({reason}); retrying")


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _connect(address: str) -> None:
    """Connect to host:port once. Raises: OSError if nothing answers."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout=PROBE_SECONDS).close()


@contextmanager
def _watched_head(before_exit: Callable[[], None]) -> Iterator[None]:
    """End the process with a clear message if the head of the cluster is lost: Ray would end it without one."""
    address = ray.get_runtime_context().gcs_address
    end = threading.Event()

    def watch() -> None:
        failures = 0
        while failures < PROBES:
            if end.wait(PROBE_SECONDS):
                return
            try:
                _connect(address)
                failures = 0
            except OSError:
                failures += 1
        before_exit()
        print(
            f"\nError: The Ray cluster at {address} no longer answers. Written results are kept. Rerun the same "
            "command, on this cluster or another.",
            file=sys.stderr,
            flush=True,
        )
        # The main thread waits inside Ray, where an exception does not reach it.
        os._exit(1)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()


@contextmanager
def quiet_tune() -> Iterator[None]:
    """Disable Tune's default loggers, output and SIGINT handler; restore them on exit."""
    # Our callbacks report failed trials and failing storage, once and in one line.
    loggers = [logging.getLogger(name) for name in TUNE_LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with _environment(TUNE_ENVIRONMENT):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the duration of the context."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
