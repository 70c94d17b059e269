"""A file for SLURM's sbatch."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from dynsparse.cluster.run_command import Command, CommandError, at_least, filled, label

# A run stops within seconds; Ray takes some more. SLURM may tell it up to a minute early.
WARNING_SECONDS = 120
MAX_RESTARTS = 50
# In the order of sbatch's own manual.
TIME_FORMS = {
    r"(?P<minutes>\d+)": "minutes",
    r"(?P<minutes>\d+):(?P<seconds>\d+)": "minutes:seconds",
    r"(?P<hours>\d+):(?P<minutes>\d+):(?P<seconds>\d+)": "hours:minutes:seconds",
    r"(?P<days>\d+)-(?P<hours>\d+)": "days-hours",
    r"(?P<days>\d+)-(?P<hours>\d+):(?P<minutes>\d+)": "days-hours:minutes",
    r"(?P<days>\d+)-(?P<hours>\d+):(?P<minutes>\d+):(?P<seconds>\d+)": "days-hours:minutes:seconds",
}


def sbatch(
    command: Command,
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
    """The text of a file for sbatch: a Ray cluster on the nodes of a job, and in it the run.

    Args:
        command: what is run.
        nodes, cpus_per_node, gpus_per_node: what the job asks for.
        time_limit: of one job, as sbatch takes it: 90, 12:00:00, 2-00. A run that takes longer goes on in the next.
        partition: SLURM's own choice if None.
        more_options: of sbatch, as it takes them: "--account=mine", "--mem=64G".
        environment: what a shell must do to have dynsparse; the Python that asks is used if None.
        warning_seconds: how long before the time limit the run is told to stop.
        max_restarts: how often the job may be put back into the queue.

    Raises: CommandError.
    """
    at_least(1, nodes=nodes, cpus_per_node=cpus_per_node, warning_seconds=warning_seconds)
    at_least(0, gpus_per_node=gpus_per_node, max_restarts=max_restarts)
    command.check_node(cpus_per_node, gpus_per_node)
    if seconds(time_limit) <= warning_seconds:
        raise CommandError(
            f"a job of {time_limit} would be told to stop before it has begun, {warning_seconds} s before its end; "
            "give a longer --time"
        )
    options = [
        *([f"--gpus-per-node={gpus_per_node}"] if gpus_per_node else []),
        *([f"--partition={partition}"] if partition is not None else []),
        *more_options,
    ]
    for option in options:
        # SLURM reads these lines itself, by rules that are not those of a shell.
        if not re.fullmatch(r"--[a-z][a-z-]*(=[\w.,:/+*\[\]%@=-]+)?", option):
            raise CommandError(f"{option!r} is no option of sbatch without blanks, such as --account=mine")
    return filled(
        "job.sbatch",
        name=label(command.name, 40),
        nodes=nodes,
        cpus_per_node=cpus_per_node,
        gpus_per_node=gpus_per_node,
        time_limit=time_limit,
        more_options="\n".join(f"#SBATCH {option}" for option in options),
        warning_seconds=warning_seconds,
        environment=this_python() if environment is None else environment,
        run=command.words(),
        max_restarts=max_restarts,
    )


def seconds(time_limit: str) -> int:
    """How long a time limit of sbatch is. Raises: CommandError for what sbatch does not take, or takes for no limit."""
    matches = [match for form in TIME_FORMS if (match := re.fullmatch(form, time_limit, re.ASCII))]
    parts = {name: int(text) for name, text in matches[0].groupdict().items()} if matches else {}
    units = {"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}
    total = sum(units[name] * count for name, count in parts.items())
    if total == 0:
        forms = ", ".join(TIME_FORMS.values())
        raise CommandError(f"{time_limit!r} is no time limit of sbatch, which takes {forms}; for example 12:00:00")
    return total


def this_python() -> str:
    """The line of a shell after which `python`, `ray` and `dynsparse` are those of this process."""
    return f'export PATH={shlex.quote(str(Path(sys.executable).absolute().parent))}:"$PATH"'
