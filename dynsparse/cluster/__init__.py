"""Clusters of machines.

`jobs` and `follow` send experiments to a Ray cluster as jobs. `slurm`, `kuberay` and `ray_up` write files that create a
cluster and run an experiment on it. Only this room and `tune` import Ray.
"""

import os

# Turn telemetry off unless the user asks for it. Ray reads this variable when it is imported.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
