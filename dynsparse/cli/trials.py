"""The commands that are about trials to run: show, run, watch, keys."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from dynsparse.cli.parsing import Refusal, checked, file_argument, folder_argument, set_option

if TYPE_CHECKING:
    from dynsparse.config import Config
    from dynsparse.tune import Outcome

SHOWN_FAILURES = 10
# The environment variable of a job that holds the command its sender reruns. The command of the job itself is another.
RERUN_COMMAND = "DYNSPARSE_RERUN_COMMAND"


class Pack(click.ParamType):  # type: ignore[type-arg]  # not generic in click 8.1
    """auto, off, or the number of trials."""

    name = "auto|off|N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """ "auto", "off" or a number."""
        from dynsparse.planning.packs import parse_pack

        try:
            return parse_pack(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@file_argument
@set_option
def show(file: str, settings: Sequence[tuple[str, list[Any]]]) -> None:
    """Count the trials of an experiment FILE, and list what they differ in. Trains nothing, starts no Ray."""
    from dynsparse.experiment import axes, same_trials
    from dynsparse.planning.plan import keys_read

    experiment, configs = checked(file, settings)
    varying = axes(configs)
    click.echo(f"{experiment.name}: {experiment.question}\n")
    steps = ", ".join(dict.fromkeys(what_a_trial_does(config) for config in configs))
    click.echo(f"{plural(len(configs), 'trial')} of {steps}")
    for name, values in varying.items():
        note = "   (has no effect; meant so)" if name in experiment.inert else ""
        click.echo(f"  {name:<24} {', '.join(map(str, values))}{note}")
    click.echo("\nthe same in all trials")
    read = frozenset().union(*(keys_read(config) for config in configs))
    fixed = {name: value for name, value in configs[0].values().items() if name not in varying}
    for name, value in fixed.items():
        if name in read:
            click.echo(f"  {name:<24} {value}")
    click.echo(f"\nread by no trial: {', '.join(name for name in fixed if name not in read)}")
    groups = same_trials(configs)
    if groups:
        spare = sum(len(group) - 1 for group in groups)
        click.echo(f"\n{plural(spare, 'trial')} would train again what another trial trains:")
        for name, group in {", ".join(axes(group)): group for group in groups}.items():
            alike = [g for g in groups if ", ".join(axes(g)) == name]
            click.echo(f"  {plural(len(alike), 'group')} differ only in {name}, which they do not read; for example")
            click.echo(f"    {', '.join(f'{k}={getattr(group[0], k)}' for k in varying if k not in axes(group))}")


@click.command()
@file_argument
@set_option
@click.option("--storage", default="results", show_default=True, help="Folder, or what else Ray takes (s3://...).")
@click.option("--name", help="Name of the folder in the storage; the experiment's own if not given.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N trials.", metavar="N")
@click.option("--fresh", is_flag=True, help="Start over in a new folder, instead of going on in this one.")
@click.option("--retry-failed", is_flag=True, help="Run the failed trials again.")
@click.option(
    "--cpus-per-trial", type=click.FloatRange(min=0, min_open=True), help="CPUs that Ray sets aside for each trial."
)
@click.option("--gpus-per-trial", type=click.FloatRange(min=0), help="GPUs, likewise; may be a fraction.")
@click.option("--pack", default="auto", show_default=True, type=Pack(), metavar="auto|off|N",
              help="Train up to N trials together in one process, which then has the CPUs and GPUs of one trial. auto: "
              "on a GPU as many as go together; on a CPU each by itself.")  # fmt: skip
@click.option("--max-failures", default=3, show_default=True, type=click.IntRange(min=0), metavar="N",
              help="How often a trial may die and be continued before it has failed.")  # fmt: skip
@click.option("--checkpoint-epochs", default=5, show_default=True, type=click.IntRange(min=1), metavar="N",
              help="Epochs from one checkpoint of a trial to the next.")  # fmt: skip
@click.option("--epoch-seconds", type=click.FloatRange(min=0, min_open=True), metavar="S",
              help="An epoch that takes longer is taken to hang: its process is ended.")  # fmt: skip
@click.option("--trial-seconds", type=click.FloatRange(min=0, min_open=True), metavar="S",
              help="A trial that takes longer fails.")  # fmt: skip
@click.option("--address", help="A Ray cluster; without it, RAY_ADDRESS or a Ray of its own on this machine.")
@click.option("--tensorboard", is_flag=True, help="Write TensorBoard's event files as well.")
def run(file: str, settings: Sequence[tuple[str, list[Any]]], storage: str, **options: Any) -> None:
    """Train the trials of an experiment FILE with Ray Tune.

    Typed again it goes on where it was: what is complete stays, what has begun continues from its last checkpoint.

    Exit code: 0 if every trial of the grid is complete, 1 if one is not, 2 for bad input, 130 or 143 if it was stopped.
    """
    experiment, configs = checked(file, settings)
    from dynsparse import tune
    from dynsparse.data.download import DataError
    from dynsparse.results.lock import LockedError

    click.echo(f"{experiment.name}: {experiment.question}", err=True)
    try:
        outcome = tune.run(experiment, storage, overrides=dict(settings), **options)
    except (ValueError, OSError, DataError, LockedError) as error:
        raise Refusal(str(error)) from error
    show_outcome(outcome, configs, experiment.metric)
    if outcome.n_unfinished and outcome.stopped_by is not None:
        click.echo(f"stopped; to go on, type the same again:  {again(file)}")
        raise click.exceptions.Exit(128 + outcome.stopped_by)
    if outcome.failures or outcome.n_unfinished:
        raise click.exceptions.Exit(1)


def again(file: str) -> str:
    """The command that was typed, without what would start over."""
    words = [word for word in sys.argv[1:] if word != "--fresh"]
    # An experiment file that runs as a script was typed without these two.
    command = ["dynsparse", *([] if words[:1] == ["run"] else ["run", file]), *words]
    return os.environ.get(RERUN_COMMAND) or shlex.join(command)


def show_outcome(outcome: Outcome, configs: Sequence[Config], metric: str) -> None:
    """What became of a run, where its results are, and the next command to type."""
    from dynsparse.experiment import axes
    from dynsparse.results.progress import format_duration

    path = shlex.quote(outcome.path)
    click.echo(
        f"\n{plural(outcome.n_complete, 'trial')} complete in {format_duration(outcome.seconds)}: {outcome.path}"
    )
    if outcome.n_unfinished:
        click.echo(f"{plural(outcome.n_unfinished, 'trial')} not finished")
    if outcome.failures:
        click.echo(f"{plural(len(outcome.failures), 'trial')} failed:")
        for failure in outcome.failures[:SHOWN_FAILURES]:
            values = ", ".join(f"{key}={value}" for key, value in failure.values.items())
            click.echo(f"  {values or failure.trial}: {failure.error}")
        if len(outcome.failures) > SHOWN_FAILURES:
            click.echo(f"  ... and {len(outcome.failures) - SHOWN_FAILURES} more")
        click.echo(f"all of them:  dynsparse failures {path}")
    varying = [name for name in axes(configs) if name != "seed"]
    # Where a trial prunes after its training, its best epoch is no answer.
    of = {"sweep": " --of sweeps", "ticket": " --of tickets"}.get(configs[0].study, "")
    if configs[0].study == "sweep":
        varying, metric = [*varying, "pruning", "sparsity"], "val_acc"
    rows, columns = ",".join(varying[:-1]), (varying or ["model"])[-1]
    keys = f"--rows {rows} --columns {columns}" if rows else f"--rows {columns}"
    click.echo(f"next:  dynsparse table {path}{of} {keys} --metric {metric}")


@click.command()
@folder_argument
@click.option("--once", is_flag=True, help="Print one line and end.")
def watch(folder: str, once: bool) -> None:
    """Follow a run that another process does in DIR, until it ends."""
    from dynsparse.results.watch import follow

    try:
        for line in follow(folder, once=once):
            click.echo(line)
    except (OSError, ValueError) as error:
        raise Refusal(str(error)) from error


@click.command()
def keys() -> None:
    """List every key of a configuration by subject: default, meaning, range, and what reads it."""
    from dynsparse.config import SUBJECTS, check_of
    from dynsparse.config import keys as config_keys
    from dynsparse.planning.readers import readers

    for name, each in config_keys().items():
        if name in SUBJECTS:
            click.echo(f"\n{SUBJECTS[name]}\n")
        click.echo(f"{name} = {each.default!r}\n    {each.metadata['meaning']}; {check_of(each)}")
        for choice, values in readers(name).items():
            click.echo(f"    read by {choice}: {', '.join(values)}")


def what_a_trial_does(config: Config) -> str:
    """30 epochs; or, where it is not each epoch that gives a row: 30 epochs (50 rows)."""
    from dynsparse.planning.plan import steps

    all_steps = steps(config)
    n_epochs = sum(step.train for step in all_steps)
    return f"{n_epochs} epochs" + (f" ({len(all_steps)} rows)" if len(all_steps) != n_epochs else "")


def plural(n: int, noun: str) -> str:
    """1 trial, 2 trials."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
