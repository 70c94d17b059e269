"""One line that says how far a run is: readable in a terminal, in a log file and in a notebook."""

from __future__ import annotations

import math
import shutil
import sys
import time
from dataclasses import dataclass, field
from typing import Any, TextIO

# In a log file or a notebook, seconds from one line to the next.
LOG_INTERVAL_SECONDS = 15
# Before so many, or a tenth of all if that is fewer, the pace is that of processes that start.
EPOCHS_FOR_A_PACE = 20


@dataclass
class Progress:
    """Counts trials and epochs; `line` puts them into words."""

    n_trials: int
    n_epochs: int  # of all trials together
    metric: str = "val_acc"
    running: int = 0
    done: int = 0
    failed: int = 0
    epochs_done: int = 0
    best: float = -math.inf
    best_trial: str = ""
    started: float = field(default_factory=time.monotonic)
    _last: dict[str, int] = field(default_factory=dict)  # the highest epoch of each trial
    _counted: dict[str, int] = field(default_factory=dict)  # epochs of each trial that were run here

    def row(self, trial: str, epoch: int, value: float | None) -> None:
        """An epoch of a trial has ended. A NaN is never the best.

        Args:
            epoch: from 1. One that the trial has run before, ere it was continued, is not counted again.
        """
        new = epoch > self._last.get(trial, 0)
        self._last[trial] = max(epoch, self._last.get(trial, 0))
        self._counted[trial] = self._counted.get(trial, 0) + new
        self.epochs_done += new
        if value is not None and value > self.best:
            self.best, self.best_trial = value, trial

    def end(self, trial: str, epochs: int, *, failed: bool) -> None:
        """A trial of so many epochs has ended; those that were not run here are off the account."""
        self.failed += failed
        self.done += not failed
        self.n_epochs -= epochs - self._counted.get(trial, 0)

    def seconds_left(self, now: float) -> float | None:
        """At the mean pace so far; None before the first epochs."""
        if self.epochs_done == 0 or self.epochs_done < min(EPOCHS_FOR_A_PACE, self.n_epochs / 10):
            return None
        return (now - self.started) / self.epochs_done * (self.n_epochs - self.epochs_done)

    def line(self, now: float | None = None) -> str:
        """For example "12 of 36 trials done, 2 running, 0:00:41 left, best val_acc 0.969 (seed=1)"."""
        now = time.monotonic() if now is None else now
        parts = [f"{self.done} of {self.n_trials} trials done", f"{self.running} running"]
        if self.failed:
            parts.append(f"{self.failed} failed")
        left = self.seconds_left(now)
        if left is not None and self.done + self.failed < self.n_trials:
            parts.append(f"{format_duration(left)} left")
        if self.best_trial:
            parts.append(f"best {self.metric} {self.best:.4g} ({self.best_trial})")
        return ", ".join(parts)

    def status(self, *, running: bool) -> dict[str, Any]:
        """The same as numbers, for another process to read."""
        left = self.seconds_left(time.monotonic())
        return {
            "running": running,
            "time": time.time(),
            "line": self.line(),
            "trials": self.n_trials,
            "done": self.done,
            "failed": self.failed,
            "trials_running": self.running,
            "best": self.best if self.best_trial else None,
            "best_trial": self.best_trial or None,
            "metric": self.metric,
            "seconds_left": left,
        }


class Display:
    """Shows a Progress: one line that rewrites itself in a terminal, a line every now and then elsewhere."""

    def __init__(self, progress: Progress, stream: TextIO | None = None) -> None:
        self._progress = progress
        # None is sys.stderr as it is when the line is shown: Tune pickles its callbacks, and a stream cannot be.
        self._stream = stream
        self._shown_at = -math.inf
        self._width = 0

    def show(self, *, last: bool = False) -> None:
        """Show the line, if it is time or it is the last."""
        stream = self._stream or sys.stderr
        now, rewrites = time.monotonic(), stream.isatty()
        if not last and now - self._shown_at < (0.1 if rewrites else LOG_INTERVAL_SECONDS):
            return
        self._shown_at = now
        line = self._progress.line(now)
        if rewrites:
            # A line that wraps cannot be rewritten.
            line = line[: shutil.get_terminal_size().columns - 1]
            # What was longer before is overwritten with spaces.
            stream.write(f"\r{line:<{self._width}}" + ("\n" if last else ""))
            self._width = len(line)
        else:
            stream.write(f"{line}\n")
        stream.flush()


def format_duration(seconds: float) -> str:
    """Hours, minutes and seconds: 0:02:05."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
