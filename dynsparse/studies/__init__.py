"""Studies: the steps of a trial, from one training to sweeps of sparsities and lottery tickets.

`study="..."` selects a row of STUDIES. To add a study, write a function from a `Config` to a `Study` in its own file,
and add a row.
"""

from __future__ import annotations

from collections.abc import Callable

from dynsparse.studies.base import Change, Columns, NetworkState, Parameters, Step, StepContext, Study
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
    "Parameters",
    "Step",
    "StepContext",
    "Study",
]
