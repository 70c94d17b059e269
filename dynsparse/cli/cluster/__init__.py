"""The commands for clusters: `submit`, `jobs`, `logs`, `stop` for Ray jobs, and `cluster-file`."""
