"""The Ray that a run uses: one of its own, or a cluster that is there; and Tune without what it does unasked."""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import ray

from dynsparse.experiment import ExperimentError
from dynsparse.tune.compat import LOCAL_RAY_ENVIRONMENT, TUNE_ENVIRONMENT, TUNE_LOGGERS, is_start_timeout

# How often the head of a cluster is asked for a sign of life, and after how many silences it is taken for lost.
ASK_SECONDS, SILENCES = 5.0, 4
# How often a Ray of our own is started before it is given up.
STARTS = 3


@contextmanager
def a_ray(address: str | None) -> Iterator[None]:
    """The Ray that is there, or one that lasts as long as the run."""
    if ray.is_initialized():
        yield
        return
    start_ray(address)
    try:
        with _watched_head():
            yield
    finally:
        ray.shutdown()


def start_ray(address: str | None) -> None:
    """Raises: ExperimentError if an address is given and nobody answers there."""
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    if address == "local":
        theirs = {name: os.environ[name] for name in LOCAL_RAY_ENVIRONMENT if name in os.environ}
        with _environment({**LOCAL_RAY_ENVIRONMENT, **theirs}):
            _start_own()
        return
    try:
        # Ray itself tries for minutes.
        if re.fullmatch(r"[^/]+:\d+", address):
            _knock(address)
        ray.init(address, logging_level=logging.CRITICAL, log_to_driver=False)
    except OSError as error:
        raise ExperimentError(
            f"no Ray cluster answers at {address!r}: {error}; start one there, or leave --address out"
        ) from error


def _start_own() -> None:
    """Raises: ExperimentError where Ray does not come up. It gives itself 30 s, which a busy machine may exceed."""
    for tries_left in reversed(range(STARTS)):
        try:
            ray.init("local", include_dashboard=False, logging_level=logging.CRITICAL, log_to_driver=False)
            return
        except Exception as error:  # Ray raises a bare one here
            ray.shutdown()
            if not is_start_timeout(error):
                raise
            if not tries_left:
                raise ExperimentError(
                    f"Ray has not started in {STARTS} tries of 30 s: the machine is too busy, or has too little "
                    "memory; type the command again when it is not"
                ) from error
            print("Ray has not started within 30 s; trying again", file=sys.stderr)


def _knock(address: str) -> None:
    """Raises: OSError if nobody answers at host:port."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout=ASK_SECONDS).close()


@contextmanager
def _watched_head() -> Iterator[None]:
    """End the process, and say why, when the head of the cluster is gone: Ray would end it without a word to go by."""
    address = ray.get_runtime_context().gcs_address
    end = threading.Event()

    def watch() -> None:
        silences = 0
        while silences < SILENCES:
            if end.wait(ASK_SECONDS):
                return
            try:
                _knock(address)
                silences = 0
            except OSError:
                silences += 1
        print(
            f"\nError: the Ray cluster at {address} does not answer any more. What is written is kept: the same "
            "command goes on with it, on this cluster or another",
            file=sys.stderr,
            flush=True,
        )
        # The main thread waits inside Ray, where no exception reaches it.
        os._exit(1)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()


@contextmanager
def quiet_tune() -> Iterator[None]:
    """Tune without what it does unasked, and as it was again afterwards: other runs of this process are not ours."""
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
    """Environment variables, for a while."""
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
