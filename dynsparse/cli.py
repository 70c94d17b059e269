"""The command line. Each command imports what it needs, so that `dynsparse --help` answers at once."""

from __future__ import annotations

import ast
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dynsparse.config import Config
    from dynsparse.experiment import Experiment
    from dynsparse.tune import Outcome

SHOWN_FAILURES = 10


class Setting(click.ParamType):
    """KEY=VALUE or KEY=VALUE,VALUE,...; values as Python writes them, any other text is a string."""

    name = "KEY=VALUE[,VALUE...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """(key, values)."""
        if isinstance(value, tuple):
            return value
        key, equals, text = value.partition("=")
        if not equals or not key or not text:
            self.fail(f"{value!r} is not KEY=VALUE, for example on_perc=0.05,0.1", param, ctx)
        return key.strip(), [literal(part) for part in split_outside_brackets(text)]


def literal(text: str) -> Any:
    """The Python value that a text writes; true, false and null count, and other text is itself."""
    text = text.strip()
    words = {"true": True, "false": False, "null": None, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def split_outside_brackets(text: str) -> list[str]:
    """Split at the commas that stand in no bracket: "(300,100),(100,)" is two values."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


class Refusal(click.ClickException):
    """Bad input: the message names the thing and the fix. Exit code 2."""

    exit_code = 2


file_argument = click.argument("file", type=click.Path())
folder_argument = click.argument("folder", metavar="DIR", type=click.Path())
set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    type=Setting(),
    help="Replace a key of the space; several values are an axis.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dynsparse")
def main() -> None:
    """Grid searches over dynamically sparse networks on Ray Tune.

    \b
    dynsparse show  experiments/quickstart.py     what the grid would train
    dynsparse run   experiments/quickstart.py     train it
    dynsparse table results/quickstart --rows model --columns on_perc --metric val_acc_max
    """


@main.command()
@file_argument
@set_option
def show(file: str, settings: Sequence[tuple[str, list[Any]]]) -> None:
    """Count and list the trials of an experiment FILE. Trains nothing, starts no Ray."""
    from dynsparse.experiment import axes, same_trials
    from dynsparse.plan import keys_read

    experiment, configs = checked(file, settings)
    varying = axes(configs)
    click.echo(f"{experiment.name}: {experiment.question}\n")
    click.echo(f"{plural(len(configs), 'trial')} of {', '.join(sorted({str(c.epochs) for c in configs}))} epochs")
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


@main.command()
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
    from dynsparse.data import DataError
    from dynsparse.lease import OwnedError

    click.echo(f"{experiment.name}: {experiment.question}", err=True)
    try:
        outcome = tune.run(experiment, storage, overrides=dict(settings), **options)
    except (ValueError, OSError, DataError, OwnedError) as error:
        raise Refusal(str(error)) from error
    report(outcome, configs, experiment.metric)
    if outcome.n_unfinished and outcome.stopped_by is not None:
        click.echo(f"stopped; to go on, type the same again:  {again(file)}")
        raise click.exceptions.Exit(128 + outcome.stopped_by)
    if outcome.failures or outcome.n_unfinished:
        raise click.exceptions.Exit(1)


def again(file: str) -> str:
    """The command that was typed, without what would start over."""
    words = [word for word in sys.argv[1:] if word != "--fresh"]
    # An experiment file that runs as a script was typed without these two.
    return shlex.join(["dynsparse", *([] if words[:1] == ["run"] else ["run", file]), *words])


def checked(file: str, settings: Sequence[tuple[str, list[Any]]]) -> tuple[Experiment, list[Config]]:
    """The experiment of a file and its trials. Raises: Refusal."""
    from dynsparse.experiment import load_experiment

    names = [name for name, _ in settings]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise Refusal(f"--set {', '.join(sorted(twice))} is given twice; write all its values in one: KEY=A,B")
    try:
        experiment = load_experiment(file)
        return experiment, experiment.configs(dict(settings))
    except ValueError as error:
        raise Refusal(str(error)) from error


def report(outcome: Outcome, configs: Sequence[Config], metric: str) -> None:
    """What became of a run, where its results are, and the next command to type."""
    from dynsparse.experiment import axes
    from dynsparse.progress import clock

    path = shlex.quote(outcome.path)
    click.echo(f"\n{plural(outcome.n_complete, 'trial')} complete in {clock(outcome.seconds)}: {outcome.path}")
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
    varying = [name for name in axes(configs) if name != "seed"] or ["model"]
    rows, columns = ",".join(varying[:-1]), varying[-1]
    keys = f"--rows {rows} --columns {columns}" if rows else f"--rows {columns}"
    click.echo(f"next:  dynsparse table {path} {keys} --metric {metric}")


@main.command()
@folder_argument
@click.option("--rows", required=True, help="Key, or keys with commas, for the rows.", metavar="KEY[,KEY]")
@click.option("--columns", help="Key for the columns.", metavar="KEY")
@click.option("--metric", required=True, help="Column of the results, for example val_acc_max.")
@click.option("--where", help="Only trials for which this holds, as DataFrame.query takes it: 'on_perc == 0.1'.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "latex", "csv"]),
    default="text",
    show_default=True,
)
def table(folder: str, rows: str, columns: str | None, metric: str, where: str | None, form: str) -> None:
    """Pivot table of the results in DIR: mean ± standard deviation over trials.

    With --format csv the same as numbers, one row for each cell.
    """
    import analysis

    keys = [key.strip() for key in rows.split(",")]
    df = loaded(folder)
    if metric not in df:
        # Only metrics with "acc" in their name are columns of their own accord; val_loss_min is asked for here.
        usual = [name.removesuffix("_max_epoch") for name in df if name.endswith("_max_epoch")]
        df = loaded(folder, metrics=[*usual, re.sub(r"_((max|min)(_epoch)?|median|last)$", "", metric)])
    try:
        df = chosen(df, where)
        if form == "csv":
            # For a program: numbers, one row for each cell.
            result = analysis.agg(df, [*keys, columns] if columns else keys, metric)
        else:
            result = analysis.pivot(df, keys, columns, metric)
        text = analysis.format_table(result, form)
    except ValueError as error:
        raise Refusal(str(error)) from error
    click.echo(text.rstrip())
    over = analysis.varying(df, besides=[*keys, *([columns] if columns else [])])
    if over:
        each = ", ".join(f"{name} ({n} values)" for name, n in over.items())
        click.echo(f"each cell is over {each}", err=form != "text")
    click.echo(analysis.left_out(df), err=form != "text")


@main.command()
@folder_argument
def failures(folder: str) -> None:
    """List the trials in DIR that failed or did not finish, and the files that are damaged."""
    import analysis

    df = loaded(folder)
    failed = analysis.failures(df)
    if len(failed):
        click.echo(analysis.format_table(failed, "text"))
    click.echo(analysis.left_out(df))


@main.command()
@folder_argument
@click.option("--once", is_flag=True, help="Print one line and end.")
def watch(folder: str, once: bool) -> None:
    """Follow a run that another process does in DIR, until it ends."""
    from dynsparse.watch import follow

    try:
        for line in follow(folder, once=once):
            click.echo(line)
    except (OSError, ValueError) as error:
        raise Refusal(str(error)) from error


@main.command()
def keys() -> None:
    """List every key of a configuration: default, meaning, range."""
    from dynsparse.config import check_of
    from dynsparse.config import keys as config_keys

    for name, each in config_keys().items():
        click.echo(f"{name} = {each.default!r}\n    {each.metadata['meaning']}; {check_of(each)}")


def loaded(folder: str, *, metrics: Sequence[str] | None = None) -> Any:
    """The DataFrame of a results' folder; damaged files are named, the first time. Raises: Refusal."""
    import analysis

    try:
        df = analysis.load(folder if "://" in folder else Path(folder).expanduser(), metrics)
    except (OSError, ValueError) as error:
        raise Refusal(str(error)) from error
    found = analysis.issues(df) if metrics is None else analysis.issues(df).iloc[:0]
    for trial_dir, file, problem in found.fillna("").itertuples(index=False):
        click.echo(f"damaged: {Path(trial_dir, file)}: {problem}", err=True)
    return df


def chosen(df: Any, where: str | None) -> Any:
    """The rows for which an expression holds. Raises: ValueError, naming the expression."""
    if where is None:
        return df
    try:
        holds = df.eval(where)
    except Exception as error:  # whatever the expression made pandas raise
        raise ValueError(f"--where {where!r} does not work: {error}") from error
    if str(getattr(holds, "dtype", None)) not in ("bool", "boolean"):
        raise ValueError(f"--where {where!r} is no condition; write one, such as 'on_perc == 0.1'")
    if not holds.any():
        raise ValueError(f"--where {where!r} leaves no trial of {len(df)}")
    return df[holds]


def plural(n: int, noun: str) -> str:
    """1 trial, 2 trials."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


if __name__ == "__main__":
    main()
