"""The command cluster-file: files that create a cluster and run an experiment on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from dynsparse.cli.cluster.requested_run import RunElsewhere, arguments, refusing, requested_run, run_options

AT_LEAST_1 = click.IntRange(min=1)


def option(*names: str, **about: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return an option whose default is shown in the help, if it has one."""
    return click.option(*names, **{"show_default": "default" in about, **about})


cpus_option = option("--cpus-per-node", default=4, type=AT_LEAST_1, metavar="N", help="CPUs of each node.")
gpus_option = option("--gpus-per-node", default=0, type=click.IntRange(min=0), metavar="N", help="GPUs of each node.")
workers_option = option("--workers", default=1, type=AT_LEAST_1, metavar="N", help="Workers at the start.")


def max_workers_option(default: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the option --max-workers; its default depends on --workers, and is described in words."""
    about = f"Add workers up to this number while trials wait.  [default: {default}]"
    return option("--max-workers", type=AT_LEAST_1, metavar="N", help=about)


@click.group("cluster-file")
def cluster_file() -> None:
    """Print a file that creates a cluster and runs an experiment on it.

    Read the file and change it as you like. It explains at its top how to use it.
    """


@cluster_file.command(cls=RunElsewhere)
@option("--nodes", default=1, type=AT_LEAST_1, metavar="N", help="Number of nodes.")
@cpus_option
@gpus_option
@option("--time", "time_limit", default="12:00:00", metavar="TIME",
        help="Time limit of one job. If a run takes longer, the job requeues itself and the run resumes.")  # fmt: skip
@option("--partition", metavar="NAME", help="SLURM's default if not given.")
@option("--sbatch", "more_options", multiple=True, metavar="OPTION",
        help='Another option of sbatch: --sbatch "--account=mine". May be repeated.')  # fmt: skip
@option("--environment", metavar="COMMANDS",
        help="Shell commands that make dynsparse available: 'module load x'. This Python if not given.")  # fmt: skip
@click.pass_context
def slurm(context: click.Context, /, **_: Any) -> None:
    """Print a job script for SLURM that runs the trials of an experiment FILE.

    \b
    dynsparse cluster-file slurm FILE --storage /shared/results > job.sbatch
    sbatch job.sbatch
    """
    from dynsparse.cluster.slurm import sbatch

    print_file(context, sbatch)


@cluster_file.command(cls=RunElsewhere)
@option("--image", required=True, help="Container image with dynsparse.")
@workers_option
@max_workers_option("as --workers")
@cpus_option
@gpus_option
@option("--memory-per-node", default="8Gi", metavar="AMOUNT", help="Memory of each node, in Kubernetes' format.")
@option("--claim", metavar="NAME", help="PersistentVolumeClaim behind a storage that is a folder.")
@option("--secret", metavar="NAME", help="Secret with the credentials of a storage such as s3://...")
@click.pass_context
def kuberay(context: click.Context, /, **_: Any) -> None:
    """Print a RayJob for Kubernetes that runs the trials of an experiment FILE.

    \b
    dynsparse cluster-file kuberay FILE --storage s3://bucket/x --image IMAGE > rayjob.yaml
    kubectl create -f rayjob.yaml
    """
    from dynsparse.cluster.kuberay import rayjob

    print_file(context, rayjob)


@cluster_file.command("ray-up", cls=RunElsewhere)
@workers_option
@max_workers_option("8, or --workers if that is more")
@gpus_option
@option("--region", default="us-west-2", help="Region of AWS.")
@option("--head-type", default="m5.xlarge", metavar="TYPE", help="Instance type of the head, which trains no trial.")
@option("--worker-type", default="m5.2xlarge", metavar="TYPE", help="Instance type of the workers: spot instances.")
@option("--instance-profile", default="dynsparse-workers", metavar="NAME",
        help="Instance profile of the workers, with access to the storage.")  # fmt: skip
@option("--package", help="What pip installs on each machine. If not given: the packages that dynsparse needs.")
@click.pass_context
def ray_up(context: click.Context, /, **_: Any) -> None:
    """Print a file for `ray up` that starts a cluster on AWS for an experiment FILE.

    \b
    dynsparse cluster-file ray-up FILE --storage s3://bucket/x > cluster.yaml
    ray up cluster.yaml
    """
    from dynsparse.cluster.ray_up import cluster_config

    print_file(context, cluster_config)


def print_file(context: click.Context, write: Callable[..., str]) -> None:
    """Print the file for a command line.

    Args:
        context: the command line.
        write: a function that returns the text of the file. Its keyword arguments are the command's own options.

    Raises:
        Refusal: if the run or the file is not possible.
    """
    from dynsparse.cluster.run_command import RunCommand, shared_storage
    from dynsparse.tune.pack_size import gpus_per_pack, largest_pack

    options = context.params
    run = requested_run(context)
    not_own = {each.name for each in (*arguments, *run_options)}
    with refusing():
        largest = largest_pack(run.options, run.configs)
        cpus, gpus = options["cpus_per_trial"], options["gpus_per_trial"]
        command = RunCommand(
            Path(options["file"]),
            run.name,
            shared_storage(options["storage"], shared=options["shared"]),
            run.words,
            frozenset(config.device for config in run.configs),
            run.experiment.cpus_per_trial if cpus is None else cpus,
            gpus_per_pack(run.experiment, run.configs, largest) if gpus is None else gpus,
            run.data_files,
        )
        text = write(command, **{name: value for name, value in options.items() if name not in not_own})
    click.echo(text, nl=False)
