"""Clusters of machines: experiments sent to a Ray cluster as jobs. Beside `tune` the only room that imports ray."""

import os

# Telemetry is off unless the user asks for it. Ray reads this when it is imported.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
