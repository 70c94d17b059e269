"""`Contents`: the trials, rows and damage of one or several experiment folders."""

from __future__ import annotations

from typing import NamedTuple

from analysis.loading.columns import History
from analysis.loading.experiment_file import NO_FACTS, Facts
from analysis.loading.trial_dir import Issue, Trial


class Contents(NamedTuple):
    """Trials, in the order of their folders' names; their rows, in the same order; the damaged files.

    `facts` are those of the experiment. They are read at each load and are never in the cache.
    """

    trials: list[Trial]
    history: History
    issues: list[Issue]
    facts: Facts = NO_FACTS
