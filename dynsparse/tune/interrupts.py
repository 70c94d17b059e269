"""Ctrl-C and TERM during a run."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

from ray import tune

from dynsparse.tune.compat import stop_tune

STOPS = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """While it lasts, Ctrl-C and TERM stop a run politely; once more, they end it at once.

    The first raises nothing: an exception would come in the midst of whatever Ray does, and be swallowed there as
    likely as not. It is noted, and looked for between one thing and the next. Python also writes the number of each
    signal into a pipe, so that none is lost to a handler that Ray sets while it starts.
    """

    def __init__(self) -> None:
        self._first: int | None = None
        self._before: dict[int, Any] = {}
        self._pipe: tuple[int, int] | None = None

    def __enter__(self) -> None:
        # Handlers can be set in the main thread alone; elsewhere there is nobody to press Ctrl-C.
        if threading.current_thread() is threading.main_thread():
            self._pipe = os.pipe()
            for end in self._pipe:
                os.set_blocking(end, False)
            self._fd_before = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        self.listen()

    def listen(self) -> None:
        """Set the handlers, also where somebody else has set others meanwhile."""
        if self._pipe is not None:
            handlers = {signal.SIGINT: self._stop, signal.SIGTERM: self._stop, signal.SIGUSR1: self._wait}
            for number, handler in handlers.items():
                before = signal.signal(number, handler)
                self._before.setdefault(number, before)

    def __exit__(self, *_: object) -> None:
        if self._pipe is None:
            return
        self.received()
        signal.set_wakeup_fd(self._fd_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        for end in self._pipe:
            os.close(end)
        self._pipe = None

    def received(self) -> int | None:
        """The number of the first signal that asked to stop; None if none has."""
        if self._pipe is not None and self._first is None:
            try:
                numbers = os.read(self._pipe[0], 4096)
            except BlockingIOError:
                numbers = b""
            self._first = next((number for number in numbers if number in STOPS), None)
        return self._first

    def check(self) -> None:
        """Raises: KeyboardInterrupt if a signal has asked to stop."""
        if self.received() is not None:
            raise KeyboardInterrupt

    def _stop(self, number: int, frame: Any) -> None:
        if self._first is not None:
            raise KeyboardInterrupt
        self._first = number
        os.write(2, b"\nstopping; once more ends it at once\n")
        # Tune stops politely at SIGUSR1; its own handlers would tell nobody which signal came.
        stop_tune()

    def _wait(self, number: int, frame: Any) -> None:
        """Before Tune listens to SIGUSR1: `StopWhenAsked` says it again."""


class StopWhenAsked(tune.Callback):
    """For a signal that came when Tune did not listen yet."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self._told = False

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Look before each step of Tune's loop."""
        if not self._told and self._signals.received() is not None:
            self._told = True
            stop_tune()

    def __getstate__(self) -> dict[str, Any]:
        """Tune saves its callbacks; a pipe is no use to anybody else."""
        return {"_signals": Signals(), "_told": True}
