"""Runs the trials of an experiment on Ray Tune: options and checks, the workers, and the driver with its callbacks.

Only this room, `search` and `cluster` import ray. What depends on private parts of Ray is in `compat`.
"""

import os

# Ray reads this when it starts: usage reports are off unless the user turns them on.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

from dynsparse.tune.driver import Outcome, run_grid
from dynsparse.tune.experiment_run import run
from dynsparse.tune.options import RunOptions
from dynsparse.tune.search_run import SearchOutcome, search
from dynsparse.tune.trainable import SparseTrial

__all__ = ["Outcome", "RunOptions", "SearchOutcome", "SparseTrial", "run", "run_grid", "search"]
