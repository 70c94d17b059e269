"""Trials on Ray Tune. Only this room and that of clusters import ray."""

import os

# Telemetry is off unless the user asks for it. Ray reads this when it is imported.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

from dynsparse.tune.driver import Outcome, run
from dynsparse.tune.trainable import SparseTrial

__all__ = ["Outcome", "SparseTrial", "run"]
