"""The command submit: an experiment sent to a Ray cluster as a job."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from typing import Any

import click

from dynsparse.cli.cluster.jobs import address_option, connect, follow_to_the_end, show_handles
from dynsparse.cli.cluster.requested_run import RunElsewhere, refusing, requested_run
from dynsparse.cli.outcome import RERUN_COMMAND
from dynsparse.cli.parsing import Refusal, echo

# Flags of version 0.1.0, and the command that replaces each.
OLD_FLAGS = {f"--{system}": f"cluster-file {system}" for system in ("slurm", "kuberay", "ray-up")}


class Submit(RunElsewhere):
    """The command `submit`, which names the new command if an old flag is given."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments.

        Raises:
            Refusal: for a flag of version 0.1.0.
        """
        for flag in OLD_FLAGS.keys() & set(args):
            raise Refusal(
                f"submit sends a job and has no option {flag}. To print a file, use dynsparse {OLD_FLAGS[flag]} FILE; "
                f"dynsparse {OLD_FLAGS[flag]} --help lists its options."
            )
        return super().parse_args(ctx, args)


@click.command(cls=Submit)
@address_option
@click.option("--follow/--no-follow", default=True, show_default=True, help="Show the job's output until it ends.")
@click.option("--env", "names", multiple=True, metavar="NAME",
              help="Pass this environment variable to the job. The cluster's dashboard shows its value.")  # fmt: skip
@click.option("--pip/--no-pip", default=False, show_default=True,
              help="Have Ray install on each node the packages that dynsparse needs.")  # fmt: skip
@click.pass_context
def submit(
    context: click.Context,
    /,
    file: str,
    storage: str,
    shared: bool,
    address: str,
    follow: bool,
    names: Sequence[str],
    pip: bool,
    **_: Any,
) -> None:
    """Train the trials of an experiment FILE on a Ray cluster, as a job.

    The job gets the file, the files that it imports from its folder, data files there that it names, and this version
    of dynsparse. Together they may have 50 MB; larger data must be on a path that all nodes share, or in an object
    store. The nodes must have the packages that dynsparse needs; otherwise give --pip. The job is `dynsparse run` on
    the head node. To resume it, submit it again, on this cluster or another. Ctrl-C stops following the job, not the
    job.

    If the cluster needs a token, set RAY_AUTH_MODE=token, and the token in RAY_AUTH_TOKEN or ~/.ray/auth_token.

    If there is no cluster yet, `dynsparse cluster-file` prints a file that creates one.

    Exit code: that of run. Without --follow, 0 when the job is sent.
    """
    run = requested_run(context)
    with refusing():
        from dynsparse.cluster.run_command import absolute_storage

        storage = absolute_storage(storage, shared=shared)
        arguments = ["--storage", storage, *run.words]
        rerun = ["dynsparse", "submit", file, "--address", address, *(word for word in arguments if word != "--fresh")]
        rerun += [word for name in names for word in ("--env", name)] + ["--pip"] * pip
        environment = {**environment_of(names), RERUN_COMMAND: shlex.join(rerun)}
        cluster = connect(address)
        job = cluster.submit(
            file,
            arguments,
            folder=f"{storage.rstrip('/')}/{run.name}",
            rerun=shlex.join(rerun),
            environment=environment,
            data=run.data_files,
            pip=pip,
        )
    echo(f"{run.experiment.name}: {run.experiment.question}", err=True)
    echo(f"sent to {cluster.address} as the job {job}", err=True)
    if pip:
        echo("Each node first installs the packages that it lacks, which takes minutes for torch.", err=True)
    if follow:
        follow_to_the_end(cluster, job)
    else:
        show_handles(cluster, job)


def environment_of(names: Sequence[str]) -> dict[str, str]:
    """Return the environment variables of a job: those named, and the folder of the data sets.

    Raises:
        Refusal: for a variable that is not set.
    """
    from dynsparse.data.download import requested_data_dir

    missing = [name for name in names if name not in os.environ]
    if missing:
        raise Refusal(f"--env needs the name of an environment variable that is set, got {', '.join(missing)}.")
    environment = {name: os.environ[name] for name in names}
    data = requested_data_dir(None)
    if data is not None:
        environment["DYNSPARSE_DATA_DIR"] = data
    return environment
