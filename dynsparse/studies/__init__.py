"""The studies. A row of STUDIES is what `study="..."` picks: what a trial does, step by step.

To add one, write a function from a `Config` to a `Study` in a file of its own, and add a line here.
"""

from __future__ import annotations

from collections.abc import Callable

from dynsparse.studies.base import Change, Columns, NetworkState, Occasion, Parameters, Step, Study
from dynsparse.studies.settings import StudySettings
from dynsparse.studies.sweep import KINDS, sweep
from dynsparse.studies.ticket import CRITERIA, INITS, ticket
from dynsparse.studies.train import train

STUDIES: dict[str, Callable[[StudySettings], Study]] = {"train": train, "sweep": sweep, "ticket": ticket}

__all__ = [
    "CRITERIA",
    "INITS",
    "KINDS",
    "STUDIES",
    "Change",
    "Columns",
    "NetworkState",
    "Occasion",
    "Parameters",
    "Step",
    "Study",
]
