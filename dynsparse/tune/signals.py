"""Ctrl-C and TERM during a run."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any


class Signals:
    """While it lasts, Ctrl-C and TERM stop a run politely; `received` is the first. Once more, they end it at once."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        self.listen()

    def listen(self) -> None:
        """Set the handlers, also where somebody else has set others meanwhile."""
        # Handlers can be set in the main thread alone; elsewhere there is nobody to press Ctrl-C.
        if threading.current_thread() is threading.main_thread():
            handlers = {signal.SIGINT: self._stop, signal.SIGTERM: self._stop, signal.SIGUSR1: self._interrupt}
            for number, handler in handlers.items():
                before = signal.signal(number, handler)
                self._before.setdefault(number, before)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, number: int, frame: Any) -> None:
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = number
        # Tune's own handlers tell nobody which signal came; it also stops politely at this one.
        os.kill(os.getpid(), signal.SIGUSR1)

    def _interrupt(self, number: int, frame: Any) -> None:
        """Before Tune listens to SIGUSR1."""
        raise KeyboardInterrupt
