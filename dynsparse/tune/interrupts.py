"""Ctrl-C and SIGTERM during a run."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray import tune

from dynsparse.tune.compat import stop_tune

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """A context in which the first Ctrl-C or SIGTERM stops the run cleanly, and the second ends it at once.

    The first signal raises no exception, because Ray would probably swallow it. The signal is stored, and `check` looks
    for it between two steps of the run. Python also writes the number of each signal to a pipe, so that no signal is
    lost to a handler that Ray sets while it starts.
    """

    def __init__(self) -> None:
        self._first: int | None = None
        self._handlers_before: dict[int, Any] = {}
        self._pipe: tuple[int, int] | None = None
        self._ends_at_once = False

    def __enter__(self) -> None:
        # Python only sets handlers in the main thread.
        if threading.current_thread() is threading.main_thread():
            self._pipe = os.pipe()
            for end in self._pipe:
                os.set_blocking(end, False)
            self._fd_before = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        self.listen()

    def listen(self) -> None:
        """Set the handlers, again if Ray has replaced them."""
        if self._pipe is not None:
            handlers = {signal.SIGINT: self._stop, signal.SIGTERM: self._stop, signal.SIGUSR1: self._ignore}
            for number, handler in handlers.items():
                before = signal.signal(number, handler)
                self._handlers_before.setdefault(number, before)

    def __exit__(self, *_: object) -> None:
        if self._pipe is None:
            return
        self.received()
        signal.set_wakeup_fd(self._fd_before)
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)
        for end in self._pipe:
            os.close(end)
        self._pipe = None

    def received(self) -> int | None:
        """Return the number of the first stop signal, or None if there was none."""
        if self._pipe is not None and self._first is None:
            try:
                numbers = os.read(self._pipe[0], 4096)
            except BlockingIOError:
                numbers = b""
            self._first = next((number for number in numbers if number in STOP_SIGNALS), None)
        return self._first

    def check(self) -> None:
        """Raise KeyboardInterrupt if a stop signal was received."""
        if self.received() is not None:
            raise KeyboardInterrupt

    @contextmanager
    def ending_at_once(self) -> Iterator[None]:
        """Let the first signal raise KeyboardInterrupt, too: for long steps that have written nothing."""
        self._ends_at_once = True
        try:
            yield
        finally:
            self._ends_at_once = False

    def _stop(self, number: int, frame: Any) -> None:
        if self._first is not None or self._ends_at_once:
            self._first = self._first or number
            raise KeyboardInterrupt
        self._first = number
        os.write(2, b"\nstopping; press Ctrl-C again to end at once\n")
        # Tune's own handlers do not tell which signal was received.
        stop_tune()

    def _ignore(self, number: int, frame: Any) -> None:
        """Ignore SIGUSR1 before Tune handles it: `StopTune` sends it again."""


class StopTune(tune.Callback):
    """Stops Tune for a signal that was received before Tune set its handler."""

    def __init__(self, interrupts: Interrupts) -> None:
        self._interrupts = interrupts
        self._has_stopped = False

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Look for a signal before each step of Tune's loop."""
        if not self._has_stopped and self._interrupts.received() is not None:
            self._has_stopped = True
            stop_tune()

    def __getstate__(self) -> dict[str, Any]:
        """Return a state without the pipe, because Tune pickles its callbacks."""
        return {"_interrupts": Interrupts(), "_has_stopped": True}
