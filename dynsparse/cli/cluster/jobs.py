"""The commands for jobs on a Ray cluster: jobs, logs, stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dynsparse.cli.cluster.requested_run import refusing
from dynsparse.cli.parsing import Command, echo

if TYPE_CHECKING:
    from ray.job_submission import JobDetails

    from dynsparse.cluster.jobs import Cluster

address_option = click.option(
    "--address",
    envvar="RAY_API_SERVER_ADDRESS",
    default="http://127.0.0.1:8265",
    show_default=True,
    show_envvar=True,
    metavar="URL",
    help="Address of the cluster's dashboard.",
)
job_argument = click.argument("job")


@click.command(cls=Command)
@address_option
def jobs(address: str) -> None:
    """List the jobs that submit has sent to a cluster, the newest last."""
    from datetime import datetime

    from tabulate import tabulate

    with refusing():
        cluster = connect(address)
        found = cluster.jobs()
        from dynsparse.cluster.jobs import FOLDER, exit_code

    rows = [
        [
            each.submission_id,
            (each.metadata or {})[FOLDER],
            each.status.value.lower(),
            exit_code(each) if each.status.is_terminal() else "",
            datetime.fromtimestamp((each.start_time or 0) / 1000).strftime("%Y-%m-%d %H:%M:%S"),
        ]
        for each in found
    ]
    echo(tabulate(rows, ["job", "results", "status", "exit code", "started"]) if rows else "no jobs")


@click.command(cls=Command)
@job_argument
@address_option
@click.option("--follow/--no-follow", default=False, show_default=True,
              help="Show new output until the job ends, and exit with its exit code.")  # fmt: skip
def logs(job: str, address: str, follow: bool) -> None:
    """Show the output of a JOB."""
    with refusing():
        cluster = connect(address)
        cluster.job(job)
        if not follow:
            echo(cluster.logs(job), nl=False)
    if follow:
        follow_to_the_end(cluster, job)


@click.command(cls=Command)
@job_argument
@address_option
def stop(job: str, address: str) -> None:
    """Stop a JOB. It writes its results first, which takes some seconds. Submit it again to resume."""
    with refusing():
        cluster = connect(address)
        info = cluster.job(job)
        if info.status.is_terminal():
            echo(f"{job} has already ended: {info.status.value.lower()}")
            return
        echo(f"stopping {job}", err=True)
        info, printed = cluster.stop(job)
    echo(printed, nl=False)
    echo(f"{job} has ended: {info.status.value.lower()}", err=True)
    show_rerun_command(info)


def connect(address: str) -> Cluster:
    """Return the cluster at an address.

    Raises:
        ClusterError: if it cannot be reached or used.
        ImportError: without ray[default].
    """
    # Without aiohttp, Ray imports, but its job client does not work.
    import aiohttp  # noqa: F401

    from dynsparse.cluster.jobs import Cluster

    return Cluster(address)


def follow_to_the_end(cluster: Cluster, job: str) -> None:
    """Show the output of a job until it ends, and exit with its exit code."""
    from dynsparse.cluster.follow import follow
    from dynsparse.cluster.jobs import ClusterError, exit_code

    try:
        info = follow(cluster, job, lambda text: echo(text, nl=False), lambda line: echo(f"\n{line}", err=True))
    except KeyboardInterrupt:
        echo(f"\nThe job {job} is still running.", err=True)
        show_handles(cluster, job)
        raise click.exceptions.Exit(130) from None
    except ClusterError as error:
        echo(f"\nError: {error}", err=True)
        echo("Everything written is kept. Submit the job again to resume, on this cluster or another.", err=True)
        raise click.exceptions.Exit(1) from error
    explain(info)
    code = exit_code(info)
    if code not in (0, 1, 2):
        show_rerun_command(info)
    raise click.exceptions.Exit(code)


def explain(info: JobDetails) -> None:
    """Print the reason for a failure that the job itself could not print."""
    if info.status.value == "FAILED" and info.driver_exit_code is None:
        echo(f"Error: The job ended early: {info.message}", err=True)
        show_rerun_command(info)
    elif info.driver_exit_code in (126, 127):
        echo(
            "Error: The head node has no python on its PATH. Call ray start in the environment of dynsparse.", err=True
        )
    elif info.driver_exit_code == 1 and "No module named" in (info.message or ""):
        echo("Error: A node lacks a package that dynsparse needs. Install it there, or submit with --pip.", err=True)


def show_handles(cluster: Cluster, job: str) -> None:
    """Print the commands for a running job."""
    echo(f"follow:  dynsparse logs {job} --follow --address {cluster.address}", err=True)
    echo(f"stop:    dynsparse stop {job} --address {cluster.address}", err=True)


def show_rerun_command(info: JobDetails) -> None:
    """Print the command that resumes a job."""
    from dynsparse.cluster.jobs import rerun_command

    command = rerun_command(info)
    if command is not None:
        echo(f"to resume, rerun:  {command}", err=True)
