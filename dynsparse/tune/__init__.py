"""Runs the trials of an experiment on Ray Tune: options and checks, the workers, and the driver with its callbacks.

Only this room and `cluster` import ray. What depends on private parts of Ray is in `compat`.
"""

import os

# Ray reads this when it is imported: usage reports are off unless the user turns them on.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

from dynsparse.tune.driver import Outcome, run, run_grid
from dynsparse.tune.options import RunOptions
from dynsparse.tune.search_run import SearchOptions, SearchOutcome, search
from dynsparse.tune.trainable import SparseTrial

__all__ = ["Outcome", "RunOptions", "SearchOptions", "SearchOutcome", "SparseTrial", "run", "run_grid", "search"]
