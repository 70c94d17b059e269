"""Job scripts for SLURM's sbatch."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from dynsparse.cluster.render import render
from dynsparse.cluster.run_command import ClusterFileError, RunCommand, label

# A run stops within seconds; Ray needs a little longer. SLURM may send the signal up to a minute early.
WARNING_SECONDS = 120
MAX_RESTARTS = 50
# In the order of sbatch's manual.
TIME_FORMS = {
    r"(?P<minutes>\d+)": "minutes",
    r"(?P<minutes>\d+):(?P<seconds>\d+)": "minutes:seconds",
    r"(?P<hours>\d+):(?P<minutes>\d+):(?P<seconds>\d+)": "hours:minutes:seconds",
    r"(?P<days>\d+)-(?P<hours>\d+)": "days-hours",
    r"(?P<days>\d+)-(?P<hours>\d+):(?P<minutes>\d+)": "days-hours:minutes",
    r"(?P<days>\d+)-(?P<hours>\d+):(?P<minutes>\d+):(?P<seconds>\d+)": "days-hours:minutes:seconds",
}


def sbatch(
    run: RunCommand,
    *,
    nodes: int,
    cpus_per_node: int,
    gpus_per_node: int = 0,
    time_limit: str,
    partition: str | None = None,
    more_options: Sequence[str] = (),
    environment: str | None = None,
    warning_seconds: int = WARNING_SECONDS,
    max_restarts: int = MAX_RESTARTS,
) -> str:
    """Return a job script for sbatch that starts a Ray cluster on the nodes of the job and runs a command on it.

    Args:
        run: the command.
        nodes: number of nodes.
        cpus_per_node: CPUs of each node.
        gpus_per_node: GPUs of each node.
        time_limit: time limit of one job in sbatch's format: 90, 12:00:00, 2-00. A longer run resumes in the next job.
        partition: None means SLURM's default.
        more_options: options of sbatch, such as "--account=mine", "--mem=64G".
        environment: shell commands that make dynsparse available. None means the Python of this process.
        warning_seconds: seconds before the time limit at which the run is told to stop.
        max_restarts: how often the job may be requeued.

    Raises:
        ClusterFileError: if sbatch would not accept an option, or the run could not work.
    """
    run.check_node(cpus_per_node, gpus_per_node)
    if seconds(time_limit) <= warning_seconds:
        raise ClusterFileError(
            f"--time must be more than {warning_seconds} seconds, which a run gets to stop, got {time_limit!r}. Give a "
            "longer --time."
        )
    options = [
        *([f"--gpus-per-node={gpus_per_node}"] if gpus_per_node else []),
        *([f"--partition={partition}"] if partition is not None else []),
        *more_options,
    ]
    for option in options:
        # SLURM parses these lines itself, by other rules than a shell.
        if not re.fullmatch(r"--[a-z][a-z-]*(=[\w.,:/+*\[\]%@=-]+)?", option):
            raise ClusterFileError(
                f"An option of sbatch must be --NAME or --NAME=VALUE without spaces, got {option!r}. Give one such as "
                "--account=mine."
            )
    return render(
        "job.sbatch",
        name=label(run.name, 40),
        nodes=nodes,
        cpus_per_node=cpus_per_node,
        gpus_per_node=gpus_per_node,
        time_limit=time_limit,
        options=options,
        warning_seconds=warning_seconds,
        environment=environment,
        python_folder=str(Path(sys.executable).absolute().parent),
        run=run.words(),
        max_restarts=max_restarts,
    )


def seconds(time_limit: str) -> int:
    """Return a time limit of sbatch in seconds.

    Raises:
        ClusterFileError: if sbatch does not accept the text, or reads it as no limit.
    """
    matches = [match for form in TIME_FORMS if (match := re.fullmatch(form, time_limit, re.ASCII))]
    parts = {name: int(text) for name, text in matches[0].groupdict().items()} if matches else {}
    units = {"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}
    total = sum(units[name] * count for name, count in parts.items())
    if total == 0:
        raise ClusterFileError(
            f"--time must be a time limit of sbatch above zero ({', '.join(TIME_FORMS.values())}), got {time_limit!r}. "
            "Give one such as 12:00:00."
        )
    return total
