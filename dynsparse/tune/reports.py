"""Reports of workers to the driver after each step.

Tune passes dicts from workers to the driver; `PackReport` is the only code that writes and reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# Keys of a result for Tune.
REPORTS, SPLIT_REASON = "trial_reports", "split_reason"


@dataclass(frozen=True)
class TrialReport:
    """The state of one trial after a step.

    Args:
        n_rows: number of rows that the trial has.
        done: True if the trial has ended in this run or round: completed, failed, interrupted, stopped or paused.
        row: the row of the step; empty if the step gave no row.
        error: last line of the error with which the trial failed.
        interruption: why the trial ended although it has not failed; the same command resumes it.
        damage: files that were found damaged when the trial was resumed.
        ends_run: True for an interruption that every other trial would meet too.
        unwritten_error: the error with which the trial failed, if the worker cannot write it to the trial's folder.
        stopped: why a rule of early stopping ended the trial.
        paused: True for a trial that waits for a later round.
    """

    n_rows: int
    done: bool
    row: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    interruption: str | None = None
    damage: Sequence[str] = ()
    ends_run: bool = False
    unwritten_error: str | None = None
    stopped: str | None = None
    paused: bool = False

    @property
    def is_complete(self) -> bool:
        """True if the trial has completed."""
        reasons = (self.error, self.interruption, self.unwritten_error, self.stopped)
        return self.done and not self.paused and all(reason is None for reason in reasons)


@dataclass(frozen=True)
class PackReport:
    """The state of a pack after a step.

    Args:
        trials: reports of the trials that took part in the step, by their index in the run.
        done: True if all trials of the pack have ended.
        split_reason: why the pack continues as two halves, if it does.
    """

    trials: Mapping[int, TrialReport]
    done: bool
    split_reason: str | None = None

    @property
    def ends_run(self) -> bool:
        """True if a trial was interrupted for a reason that every other trial would meet too."""
        return any(report.ends_run for report in self.trials.values())

    def to_result(self, *, is_single: bool) -> dict[str, Any]:
        """Return the result for Tune.

        Args:
            is_single: True for a trial that is trained alone. Its row is also the result itself, which Ray's own
                `ResultGrid` reads.
        """
        # A list, because Tune keeps statistics of each number that it finds in nested dicts.
        reports = [[index, dict(vars(report))] for index, report in self.trials.items()]
        row: Mapping[str, Any] = {}
        if is_single:
            [row] = (report.row for report in self.trials.values())
        # "done" is Tune's own key.
        return {**row, "done": self.done, REPORTS: reports, SPLIT_REASON: self.split_reason}

    @classmethod
    def from_result(cls, result: Mapping[str, Any]) -> PackReport:
        """Return what `to_result` was given, from the dict that Tune passes to callbacks."""
        trials = {index: TrialReport(**values) for index, values in result[REPORTS]}
        return cls(trials, result["done"], result[SPLIT_REASON])
