"""The files that `dynsparse submit` writes for a cluster that is not up yet, and the options that each of them has."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import click

from dynsparse.cluster.kuberay import rayjob
from dynsparse.cluster.ray_up import HEAD_TYPE, INSTANCE_PROFILE, MAX_WORKERS, REGION, WORKER_TYPE, cluster
from dynsparse.cluster.run_command import Command, CommandError
from dynsparse.cluster.slurm import sbatch

# The flag of each kind of file, and the function that writes it. Its keyword arguments are the options below.
WRITERS: dict[str, Callable[..., str]] = {"--slurm": sbatch, "--kuberay": rayjob, "--ray-up": cluster}


def option(*names: str, **about: Any) -> click.Option:
    """An option whose default is shown, if it has one."""
    return click.Option(names, **{"show_default": "default" in about, **about})


# For which files an option is, and those options, in the order of the help.
OPTIONS: dict[tuple[str, ...], list[click.Option]] = {
    ("--slurm",): [
        option("--nodes", default=1, metavar="N", help="Nodes of the job."),
        option(
            "--time",
            "time_limit",
            default="12:00:00",
            metavar="TIME",
            help="Time limit of one job; a run that takes longer goes back into the queue and goes on.",
        ),
        option("--partition", metavar="NAME", help="SLURM's own choice if not given."),
        option(
            "--sbatch",
            "more_options",
            multiple=True,
            metavar="OPTION",
            help='Another option of sbatch: --sbatch "--account=mine". May be repeated.',
        ),
        option(
            "--environment",
            metavar="COMMANDS",
            help="What a shell must do to have dynsparse: 'module load x'. This very Python if not given.",
        ),
    ],
    ("--kuberay",): [
        option("--image", default="", show_default=False, help="Of the container, with dynsparse in it. Needed."),
        option("--memory-per-node", default="8Gi", metavar="AMOUNT", help="As Kubernetes writes it."),
        option("--claim", metavar="NAME", help="The PersistentVolumeClaim behind a storage that is a folder."),
        option("--secret", metavar="NAME", help="The Secret with the credentials of a storage such as s3://..."),
    ],
    ("--ray-up",): [
        option("--region", default=REGION, help="Of AWS, as all that follow."),
        option("--head-type", default=HEAD_TYPE, metavar="TYPE", help="Instance on which no trial runs."),
        option("--worker-type", default=WORKER_TYPE, metavar="TYPE", help="Spot instances on which trials run."),
        option("--instance-profile", default=INSTANCE_PROFILE, metavar="NAME", help="It may write to the storage."),
        option(
            "--package",
            help="What pip installs on each machine; else what dynsparse needs: a job brings it.",
        ),
    ],
    ("--slurm", "--kuberay"): [
        option("--cpus-per-node", default=4, metavar="N", help="CPUs of each node, or of each worker."),
    ],
    ("--kuberay", "--ray-up"): [
        option("--workers", default=1, metavar="N", help="That are there from the start, beside the head."),
        option(
            "--max-workers",
            type=int,
            metavar="N",
            help=f"Up to which more are added while trials wait.  [default: as --workers; {MAX_WORKERS} with --ray-up]",
        ),
    ],
    tuple(WRITERS): [
        option("--gpus-per-node", default=0, metavar="N", help="GPUs of each node, or of each worker."),
    ],
}


def chosen(typed: Collection[str], of_jobs: Collection[str]) -> str | None:
    """Which file is asked for, as a flag of WRITERS; None for a job.

    Args:
        typed: the first name of each option that was typed.
        of_jobs: the options that only a job has.

    Raises: CommandError for two files, and for an option that the one asked for does not have.
    """
    flags = [flag for flag in WRITERS if flag in typed]
    if len(flags) > 1:
        raise CommandError(f"{' and '.join(flags)}: only one file can be written at a time; give one of them")
    if flags:
        for name in typed:
            if name in of_jobs:
                raise CommandError(f"{name} belongs to a job that is sent, and {flags[0]} writes a file; leave it out")
    for owners, options in OPTIONS.items():
        for each in options:
            if each.opts[0] in typed and not set(flags) & set(owners):
                raise CommandError(f"{each.opts[0]} belongs to {' and '.join(owners)}")
    return flags[0] if flags else None


def written(flag: str, command: Command, values: Mapping[str, Any]) -> str:
    """The text of the file that a flag asks for, given the values of all options. Raises: CommandError, OSError."""
    names = [each.name for owners, options in OPTIONS.items() if flag in owners for each in options]
    return WRITERS[flag](command, **{str(name): values[str(name)] for name in names})
