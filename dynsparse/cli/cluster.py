"""The commands for experiments on a cluster: submit, jobs, logs, stop."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from dynsparse.cli import trials
from dynsparse.cli.parsing import Grouped, Refusal, Setting, checked, file_argument
from dynsparse.cluster import options as files
from dynsparse.cluster.run_command import Command

if TYPE_CHECKING:
    from ray.job_submission import JobDetails

    from dynsparse.cluster.jobs import Cluster

# What `run` takes, without what a job takes otherwise.
run_options = [each for each in trials.run.params if each.name not in ("file", "settings", "storage", "address")]
address_option = click.option(
    "--address",
    envvar="RAY_API_SERVER_ADDRESS",
    default="http://127.0.0.1:8265",
    show_default=True,
    show_envvar=True,
    metavar="URL",
    help="The dashboard of the cluster's head.",
)
job_argument = click.argument("job")


@click.command(cls=Grouped)
@file_argument
@click.option("--set", "settings", multiple=True, metavar=Setting.name, help="As for run.")
@click.option("--storage", help="Folder that all nodes share, from /; or s3://...  [required]")
@click.option("--shared", is_flag=True, help="All nodes do see that folder, whatever it looks like.")
@click.option("--slurm", is_flag=True, help="Print a file for sbatch, and send nothing.")
@click.option("--kuberay", is_flag=True, help="Print a RayJob for Kubernetes, likewise.")
@click.option("--ray-up", is_flag=True, help="Print a file for ray up, likewise.")
@address_option
@click.option("--follow/--no-follow", default=True, show_default=True, help="Show what the job prints until it ends.")
@click.option("--env", "names", multiple=True, metavar="NAME",
              help="Give the job this variable as it is here. The cluster's dashboard shows it.")  # fmt: skip
@click.option("--pip/--no-pip", default=False, show_default=True,
              help="Have Ray install on each node what dynsparse needs.")  # fmt: skip
@click.pass_context
def submit(
    context: click.Context,
    /,
    file: str,
    settings: Sequence[str],
    storage: str | None,
    shared: bool,
    address: str,
    follow: bool,
    names: Sequence[str],
    pip: bool,
    **options: Any,
) -> None:
    """Train the trials of an experiment FILE on a Ray cluster, as a job; or print a file that makes a cluster for it.

    The file is sent with what it imports from beside it and with this version of dynsparse; no data and no results. The
    nodes must have what dynsparse needs, or --pip. The job is `dynsparse run` on the head: submitted again it goes on
    where it was, on this cluster or another. Ctrl-C ends the following, and not the job.

    A cluster with a token takes the one in RAY_AUTH_TOKEN or ~/.ray/auth_token, with RAY_AUTH_MODE=token.

    \b
    Without a cluster that is up, one of these, to be read and changed:
    dynsparse submit FILE --storage /shared/results --slurm > job.sbatch
    dynsparse submit FILE --storage s3://bucket/x --kuberay --image IMAGE > rayjob.yaml
    dynsparse submit FILE --storage s3://bucket/x --ray-up > cluster.yaml

    Exit code: that of run. Without --follow 0 when the job is sent.
    """
    if storage is None:
        raise Refusal("give --storage: a folder that all nodes share (/shared/results), or s3://bucket/folder")
    with refusing():
        all_typed = [option.opts[0] for option in submit.params if typed(context, option)]
        flag = files.chosen(all_typed, [option.opts[0] for option in job_options])
    # What the experiment file prints itself must not get into a file that is written.
    with redirect_stdout(sys.stderr):
        experiment, configs = checked(file, [Setting().convert(text, None, None) for text in settings])
    relative = next((c.data_dir for c in configs if c.data_dir and not is_everywhere(c.data_dir)), None)
    if relative is not None:
        raise Refusal(f"data_dir={relative!r} is relative; on the nodes it is elsewhere: write it from the root")
    passed = [word for option in run_options for word in typed(context, option)]
    words = [*(word for text in settings for word in ("--set", text)), *passed]
    with refusing():
        from dynsparse.experiment import check_name

        if options["name"] is not None:
            check_name(options["name"])
        name = options["name"] or experiment.name
        if flag is not None:
            from dynsparse.tune.pack_size import gpus_of, widest_pack

            widest = widest_pack(options["pack"], configs, tensorboard=options["tensorboard"], callbacks=())
            own = {"cpus_per_trial": experiment.cpus_per_trial, "gpus_per_trial": gpus_of(experiment, configs, widest)}
            given = {key: value if options[key] is None else options[key] for key, value in own.items()}
            devices = frozenset(config.device for config in configs)
            command = Command(Path(file), name, storage, words, devices, shared=shared, **given)
            click.echo(files.written(flag, command, options), nl=False)
            return
        storage = on_all_nodes(storage, shared)
        arguments = ["--storage", storage, *words]
        again = ["dynsparse", "submit", file, "--address", address, *(word for word in arguments if word != "--fresh")]
        again += [word for name in names for word in ("--env", name)] + ["--pip"] * pip
        environment = {**environment_of(names), trials.RERUN_COMMAND: shlex.join(again)}
        cluster = connected(address)
        job = cluster.submit(
            file,
            arguments,
            folder=f"{storage.rstrip('/')}/{name}",
            rerun=shlex.join(again),
            environment=environment,
            pip=pip,
        )
    click.echo(f"{experiment.name}: {experiment.question}", err=True)
    click.echo(f"sent to {cluster.address} as the job {job}", err=True)
    if pip:
        click.echo("each node first installs what dynsparse needs and it lacks: minutes, where that is torch", err=True)
    if follow:
        follow_to_the_end(cluster, job)
    else:
        show_handles(cluster, job)


@click.command()
@address_option
def jobs(address: str) -> None:
    """List the jobs that submit has sent to a cluster, the newest last."""
    from datetime import datetime

    from tabulate import tabulate

    with refusing():
        cluster = connected(address)
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
    click.echo(tabulate(rows, ["job", "results", "status", "exit code", "started"]) if rows else "no jobs")


@click.command()
@job_argument
@address_option
@click.option("--follow/--no-follow", default=False, show_default=True, help="Until it ends; the exit code is its own.")
def logs(job: str, address: str, follow: bool) -> None:
    """Show what a JOB has printed."""
    with refusing():
        cluster = connected(address)
        cluster.job(job)
        if not follow:
            click.echo(cluster.logs(job), nl=False)
    if follow:
        follow_to_the_end(cluster, job)


@click.command()
@job_argument
@address_option
def stop(job: str, address: str) -> None:
    """Stop a JOB: it writes what it has, which takes some seconds. The same submit goes on with it."""
    with refusing():
        cluster = connected(address)
        info = cluster.job(job)
        if info.status.is_terminal():
            click.echo(f"{job} has ended before: {info.status.value.lower()}")
            return
        click.echo(f"stopping {job}", err=True)
        info, printed = cluster.stop(job)
    click.echo(printed, nl=False)
    click.echo(f"{job} has ended: {info.status.value.lower()}", err=True)
    show_again(info)


def on_all_nodes(storage: str, shared: bool) -> str:
    """A storage that is the same place seen from each node. Raises: Refusal."""
    if is_everywhere(storage):
        return storage
    if shared:
        return str(Path(storage).expanduser().absolute())
    raise Refusal(
        f"--storage {storage} is relative, and a job's working directory is a temporary folder on the head: give "
        "a folder that all nodes share, from the root (/shared/results), or a URL (s3://bucket/folder); or --shared "
        "if this directory is on such a folder"
    )


def is_everywhere(folder: str) -> bool:
    """Whether a folder has the same name seen from each machine."""
    return "://" in folder or Path(folder).is_absolute()


def environment_of(names: Sequence[str]) -> dict[str, str]:
    """The variables that go with a job: those named, and the folder of the data. Raises: Refusal."""
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise Refusal(f"--env {', '.join(missing)}: there is no such variable here")
    from dynsparse.data.download import requested_data_dir

    environment = {name: os.environ[name] for name in names}
    data = requested_data_dir(None)
    if data is not None:
        environment["DYNSPARSE_DATA_DIR"] = data
    return environment


def typed(context: click.Context, option: click.Parameter) -> list[str]:
    """An option as it was typed, for another command that has it too; nothing if it was not."""
    if context.get_parameter_source(str(option.name)) is not ParameterSource.COMMANDLINE:
        return []
    is_flag = isinstance(option, click.Option) and option.is_flag
    return [option.opts[0], *([] if is_flag else [str(context.params[str(option.name)])])]


@contextmanager
def refusing() -> Iterator[None]:
    """What a cluster does not do is bad input, and said in a message."""
    try:
        yield
    except ImportError as error:
        raise Refusal(f"{error.name} is not installed: pip install 'dynsparse[cluster]'") from error
    except (OSError, ValueError) as error:
        raise Refusal(str(error)) from error


def connected(address: str) -> Cluster:
    """The cluster at an address. Raises: ClusterError; ImportError without ray[default]."""
    # Ray imports this itself, and goes without it.
    import aiohttp  # noqa: F401

    from dynsparse.cluster.jobs import Cluster

    return Cluster(address)


def follow_to_the_end(cluster: Cluster, job: str) -> None:
    """Show a job until it ends, and end as it did."""
    from dynsparse.cluster.follow import follow
    from dynsparse.cluster.jobs import ClusterError, exit_code

    try:
        info = follow(
            cluster, job, lambda text: click.echo(text, nl=False), lambda line: click.echo(f"\n{line}", err=True)
        )
    except KeyboardInterrupt:
        click.echo(f"\nthe job {job} goes on", err=True)
        show_handles(cluster, job)
        raise click.exceptions.Exit(130) from None
    except ClusterError as error:
        click.echo(f"\nError: {error}", err=True)
        click.echo("what is written is kept: the same submit goes on with it, on this cluster or another", err=True)
        raise click.exceptions.Exit(1) from error
    explain(info)
    code = exit_code(info)
    if code not in (0, 1, 2):
        show_again(info)
    raise click.exceptions.Exit(code)


def explain(info: JobDetails) -> None:
    """What the job itself could not say."""
    if info.status.value == "FAILED" and info.driver_exit_code is None:
        click.echo(f"Error: the job did not run to its end: {info.message}", err=True)
        show_again(info)
    elif info.driver_exit_code in (126, 127):
        click.echo(
            "Error: the head has no python on its PATH: call ray start in the environment of dynsparse", err=True
        )
    elif info.driver_exit_code == 1 and "No module named" in (info.message or ""):
        click.echo("Error: a node lacks what dynsparse needs: install it there, or submit with --pip", err=True)


def show_handles(cluster: Cluster, job: str) -> None:
    """The commands for a job that goes on."""
    click.echo(f"follow:  dynsparse logs {job} --follow --address {cluster.address}", err=True)
    click.echo(f"stop:    dynsparse stop {job} --address {cluster.address}", err=True)


def show_again(info: JobDetails) -> None:
    """Print the command that resumes a job."""
    from dynsparse.cluster.jobs import rerun_command

    command = rerun_command(info)
    if command is not None:
        click.echo(f"to resume, rerun:  {command}", err=True)


job_options = [each for each in submit.params if each.name in ("address", "follow", "names", "pip")]
submit.groups = {
    "As for run": run_options,
    "For a job": job_options,
    **{f"With {' or '.join(flags)}": options for flags, options in files.OPTIONS.items()},
}
submit.params += [*run_options, *(option for options in files.OPTIONS.values() for option in options)]
