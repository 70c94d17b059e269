"""Progress of a run in one line, for a terminal, a log file or a notebook."""

from __future__ import annotations

import math
import shutil
import sys
import time
from dataclasses import dataclass, field
from typing import Any, TextIO

# Seconds between lines in a log file or a notebook.
LOG_INTERVAL_SECONDS = 15
# The pace is known after this many epochs, or a tenth of all if that is fewer: processes start slowly.
EPOCHS_FOR_A_PACE = 20


@dataclass
class Progress:
    """Counts of trials and epochs; `line` formats them."""

    n_trials: int
    n_epochs: int  # of all trials together
    metric: str = "val_acc"
    running: int = 0
    done: int = 0
    failed: int = 0
    stopped: int = 0  # early
    ending: str = "stopped early"  # how the stopped trials have ended, in words
    epochs_done: int = 0
    bests: dict[str, float] = field(default_factory=dict)  # the best value of each trial, also of earlier rounds
    started: float = field(default_factory=time.monotonic)
    _last: dict[str, int] = field(default_factory=dict)  # the highest epoch of each trial
    _counted: dict[str, int] = field(default_factory=dict)  # epochs of each trial that this run has trained
    _counted_at: dict[str, float] = field(default_factory=dict)  # when the last epoch of each trial was counted
    _timed_seconds: float = 0.0  # between two epochs of a trial, over all trials
    _timed_epochs: int = 0

    @property
    def best_trial(self) -> str:
        """The trial with the best value; "" if no trial has one. Of equal ones, the one that reached it first."""
        return max(self.bests, key=self.bests.__getitem__, default="")

    @property
    def best(self) -> float:
        """The best value; -inf if no trial has one."""
        return max(self.bests.values(), default=-math.inf)

    def add_epoch(
        self, trial: str, epoch: int, value: float | None, *, diverged: bool = False, now: float | None = None
    ) -> None:
        """Count an epoch of a trial.

        Args:
            trial: the name of the trial's folder.
            epoch: from 1. An epoch that is repeated after a resume is not counted again.
            value: of the metric; None or NaN is never the best.
            diverged: a loss is NaN or infinite. The trial is then not the best, however good it was before.
            now: the time of `time.monotonic()` at which the epoch ended; None: now.
        """
        new = epoch > self._last.get(trial, 0)
        self._last[trial] = max(epoch, self._last.get(trial, 0))
        self._counted[trial] = self._counted.get(trial, 0) + new
        self.epochs_done += new
        now = time.monotonic() if now is None else now
        if new and trial in self._counted_at:
            self._timed_seconds += now - self._counted_at[trial]
            self._timed_epochs += 1
        self._counted_at[trial] = now
        if diverged:
            self.bests.pop(trial, None)
        elif value is not None and value > self.bests.get(trial, -math.inf):
            # Moved to the end, so that of equal trials the one that reached the value first comes first.
            self.bests.pop(trial, None)
            self.bests[trial] = value

    def end_trial(self, trial: str, epochs: int, *, failed: bool, stopped: bool = False, paused: bool = False) -> None:
        """Count the end of a trial of `epochs`, and subtract the epochs that this run did not train from the total.

        A paused trial is not counted as done, because a later round trains it.
        """
        self.failed += failed
        self.stopped += stopped
        self.done += not (failed or stopped or paused)
        self.n_epochs -= epochs - self._counted.get(trial, 0)

    def seconds_left(self, now: float) -> float | None:
        """Return the estimated seconds left; None before the pace is known.

        An epoch takes the mean time between two epochs of a trial: before the first one, processes start, import torch
        and read the data. If no trial has two epochs, the pace is that since the start.
        """
        left = self.n_epochs - self.epochs_done
        if self.epochs_done == 0 or self.epochs_done < min(EPOCHS_FOR_A_PACE, self.n_epochs / 10):
            return None
        if self._timed_epochs and self.running:
            return self._timed_seconds / self._timed_epochs * left / self.running
        return (now - self.started) / self.epochs_done * left

    def line(self, now: float | None = None) -> str:
        """Return a line like "12 of 36 trials done, 2 running, 0:00:41 left, best val_acc 0.969 (seed=1)"."""
        now = time.monotonic() if now is None else now
        parts = [f"{self.done} of {self.n_trials} trials done", f"{self.running} running"]
        if self.stopped:
            parts.append(f"{self.stopped} {self.ending}")
        if self.failed:
            parts.append(f"{self.failed} failed")
        left = self.seconds_left(now)
        if left is not None and self.done + self.failed + self.stopped < self.n_trials:
            parts.append(f"{format_duration(left)} left")
        if self.best_trial:
            parts.append(f"best {self.metric} {self.best:.4g} ({self.best_trial})")
        return ", ".join(parts)

    def status(self, *, running: bool) -> dict[str, Any]:
        """Return the progress as numbers, for status.json."""
        left = self.seconds_left(time.monotonic())
        return {
            "running": running,
            "time": time.time(),
            "line": self.line(),
            "trials": self.n_trials,
            "done": self.done,
            "failed": self.failed,
            "stopped": self.stopped,
            "trials_running": self.running,
            "best": self.best if self.best_trial else None,
            "best_trial": self.best_trial or None,
            "metric": self.metric,
            "seconds_left": left,
        }


class Display:
    """Display of a Progress: one line that is overwritten in a terminal, and a line every 15 s elsewhere."""

    def __init__(self, progress: Progress, stream: TextIO | None = None) -> None:
        self._progress = progress
        # None means sys.stderr at the time of showing: Tune pickles its callbacks, and streams cannot be pickled.
        self._stream = stream
        self._shown_at = -math.inf
        self._width = 0

    def show(self, *, last: bool = False) -> None:
        """Show the line if it is due, or if it is the last."""
        stream = self._stream or sys.stderr
        now, rewrites = time.monotonic(), stream.isatty()
        if not last and now - self._shown_at < (0.1 if rewrites else LOG_INTERVAL_SECONDS):
            return
        self._shown_at = now
        line = self._progress.line(now)
        if rewrites:
            # A line that wraps cannot be overwritten.
            line = line[: shutil.get_terminal_size().columns - 1]
            # Spaces overwrite the rest of a longer previous line.
            stream.write(f"\r{line:<{self._width}}" + ("\n" if last else ""))
            self._width = len(line)
        else:
            stream.write(f"{line}\n")
        stream.flush()


def plural(n: int, noun: str) -> str:
    """Return "1 trial" or "2 trials"."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def format_duration(seconds: float) -> str:
    """Format seconds as hours, minutes and seconds, like 0:02:05."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
