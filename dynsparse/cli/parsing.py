"""Arguments that several commands share: settings, experiment files and results folders; and their errors."""

from __future__ import annotations

import ast
import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from dynsparse.io.terminal import printable

if TYPE_CHECKING:
    from dynsparse.config import Config
    from dynsparse.experiment import Experiment


# A text in quotes, as Python writes it.
QUOTED = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""")


# Larger grids are announced before they are expanded, and much larger ones are expanded only on request.
ANNOUNCED_TRIALS, LARGE_GRID = 10_000, 100_000


class Setting(click.ParamType):  # type: ignore[type-arg]  # not generic in click 8.1
    """KEY=VALUE or KEY=VALUE,VALUE,...; values are Python literals, and any other text is a string."""

    name = "KEY=VALUE[,VALUE...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return (key, values)."""
        if isinstance(value, tuple):
            return value
        key, equals, text = value.partition("=")
        key = key.strip()
        if not equals or not key or not text:
            self.fail(f"A setting must be KEY=VALUE, for example on_perc=0.05,0.1, got {value!r}.", param, ctx)
        try:
            parts = split_values(text)
        except ValueError as error:
            self.fail(f"{value!r} {error}", param, ctx)
        if not all(part.strip() for part in parts):
            self.fail(
                f"{value!r} has an empty value before or after a comma. Remove the comma, or write '' for an empty "
                "string.",
                param,
                ctx,
            )
        return key, [literal(part) for part in parts]


def literal(text: str) -> Any:
    """Return the Python literal of a text. true, false, null and none are accepted; other text is returned as it is."""
    text = text.strip()
    words = {"true": True, "false": False, "null": None, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def split_values(text: str) -> list[str]:
    """Split at commas outside brackets and quotes: "(300,100),'a,b'" is two values.

    A quote opens a text only where a value begins: an apostrophe in a word is a character like any other.

    Raises:
        ValueError: if a quote is not closed.
    """
    parts, depth, start = [""], 0, True
    place = 0
    while place < len(text):
        character = text[place]
        quoted = QUOTED.match(text, place) if start and character in "'\"" else None
        if start and character in "'\"" and quoted is None:
            raise ValueError(
                f"has a quote that is not closed: {text[place:]}. Close it, or put the text in other quotes."
            )
        if quoted is not None:
            parts[-1] += quoted[0]
        elif character == "," and depth == 0:
            parts.append("")
        else:
            depth = max(0, depth + (character in "([{") - (character in ")]}"))
            parts[-1] += character
        start = quoted is None and (character in "([{,:" or (start and character == " "))
        place += 1 if quoted is None else len(quoted[0])
    return parts


class Command(click.Command):
    """A command that refuses an option that is given twice, and that Ctrl-C ends with exit code 130.

    Click itself takes the last one, and ends with 1.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words of the command line."""
        _, _, given = self.make_parser(ctx).parse_args(list(args))
        # A shell that completes a line asks what may follow, and shows no errors.
        for each in () if ctx.resilient_parsing else given:
            if isinstance(each, click.Option) and given.count(each) > 1 and not each.multiple and not each.is_flag:
                raise click.UsageError(f"{each.opts[0]} is given {given.count(each)} times. Give it once.", ctx)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            # A run that has begun handles it itself, and says how to resume.
            click.echo("stopped", err=True)
            raise click.exceptions.Exit(128 + signal.SIGINT) from None


class Grouped(Command):
    """A command whose help shows options under headings. Options without a group come first."""

    groups: Mapping[str, Sequence[click.Parameter]] = {}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections of the help."""
        grouped = [each for group in self.groups.values() for each in group]
        rest = [each for each in self.get_params(ctx) if each not in grouped and isinstance(each, click.Option)]
        for heading, group in {"Options": rest, **self.groups}.items():
            with formatter.section(heading):
                formatter.write_dl([record for each in group if (record := each.get_help_record(ctx))])


def echo(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print a text without its control sequences. Files, names in them and the output of jobs may contain some."""
    click.echo(printable(text), err=err, nl=nl)


class Refusal(click.ClickException):
    """Bad input. The message says what is wrong and how to fix it. Exit code 2."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


file_argument = click.argument("file", type=click.Path())
folder_argument = click.argument("folder", metavar="DIR", type=click.Path())
set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    type=Setting(),
    help="Set a key of the experiment; several values are an axis of the grid.",
)
samples_option = click.option(
    "--num-samples",
    type=click.IntRange(min=1),
    metavar="N",
    help="Draw N samples of the values that the experiment gives as domains, such as tune.uniform.",
)
searcher_option = click.option(
    "--searcher",
    type=click.Choice(["optuna", "none"]),
    help="Let Optuna propose the values that the experiment gives as domains; none: draw them.",
)
repeats_option = click.option(
    "--repeats",
    type=click.IntRange(min=1),
    metavar="N",
    default=1,
    show_default=True,
    help="With a searcher: train each setting with N seeds.",
)
where_option = click.option(
    "--where",
    metavar="CONDITION",
    help="Only trials for which this holds, such as 'on_perc < 0.1 and model in [SET, RigL]'. Write values as tables "
    "print them, with quotes around a text that is not a single word.",
)


def given_options(context: click.Context, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were typed, not those that have their defaults."""
    return {
        # A folder or a project may be called "none".
        name: None if value == "none" and name in ("scheduler", "searcher", "group_by") else value
        for name, value in options.items()
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT
    }


def read_experiment(file: str, settings: Sequence[tuple[str, list[Any]]], num_samples: int | None = None) -> Experiment:
    """Return the experiment of a file, and check that no key is set twice.

    Args:
        file: path of the experiment file.
        settings: keys and the values that will replace the experiment's; they are not in the result.
        num_samples: number of samples to draw; None: as many as the experiment says.

    Raises: Refusal.
    """
    from dynsparse.experiment import load_experiment

    names = [name for name, _ in settings]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise Refusal(f"--set {', '.join(sorted(twice))} is given twice. Give all values at once: --set KEY=A,B.")
    try:
        experiment = load_experiment(file)
        return experiment if num_samples is None else replace(experiment, num_samples=num_samples)
    except ValueError as error:
        raise Refusal(str(error)) from error


def expand(
    experiment: Experiment, settings: Sequence[tuple[str, list[Any]]], *, yes: bool = False, limit: int | None = None
) -> list[Config]:
    """Return the trials of an experiment.

    Args:
        experiment: the experiment.
        settings: keys and the values that replace the experiment's.
        yes: expand a grid of any size without a question.
        limit: the number of trials that the command needs; None: all.

    Raises: Refusal.
    """
    try:
        n_trials = experiment.count(dict(settings))
        if n_trials > ANNOUNCED_TRIALS:
            echo(f"the grid has {n_trials:,} trials", err=True)
        if n_trials <= LARGE_GRID:
            return experiment.configs(dict(settings))
        if not yes and (limit or n_trials) > LARGE_GRID:
            raise Refusal(
                f"The grid has {n_trials:,} trials, more than {LARGE_GRID:,}. Pass --yes if so many are meant, or give "
                "fewer values with --set."
            )
        return experiment.configs(dict(settings), limit)
    except ValueError as error:
        raise Refusal(str(error)) from error


yes_option = click.option("--yes", is_flag=True, help=f"Expand a grid of more than {LARGE_GRID:,} trials.")


def load_results(folder: str, *, metric: str | None = None, at_epoch: int | None = None) -> Any:
    """Return the DataFrame of a results folder, and print its damaged files. Raises: Refusal.

    Args:
        folder: path or URI of the folder.
        metric: a column to load beside the usual ones.
        at_epoch: read the first epochs of each trial only; None: all.
    """
    import analysis
    from analysis.frame.summaries import summarised

    path = folder if "://" in folder else Path(folder).expanduser()
    try:
        df = analysis.load(path, at_epoch=at_epoch)
        found = analysis.issues(df)
        if metric is not None and metric not in df:
            # Only metrics with "acc" in their name are loaded by default.
            df = analysis.load(path, [*analysis.logged(df), summarised(metric)], at_epoch)
    except (OSError, ValueError) as error:
        raise Refusal(str(error)) from error
    for trial_dir, file, problem in found.fillna("").itertuples(index=False):
        echo(f"damaged: {Path(trial_dir, file)}: {problem}", err=True)
    return df


def rows_of(folder: str, of: str) -> Any:
    """Return a DataFrame with one row per sparsity of a sweep, round or ticket, as `of` says. Raises: Refusal."""
    import analysis

    make = {"sweeps": analysis.sweeps, "rounds": analysis.rounds, "tickets": analysis.tickets}[of]
    try:
        return make(analysis.load_history(folder if "://" in folder else Path(folder).expanduser()))
    except (OSError, ValueError) as error:
        raise Refusal(str(error)) from error


def warn_of_studies(df: Any, of: str) -> None:
    """Print a note if the best epoch of a trial does not answer the question of its study."""
    studies = set(df["study"].dropna()) if "study" in df else set()
    for study, rows, what in [
        ("sweep", "sweeps", "trained networks and pruned ones"),
        ("ticket", "tickets", "the dense network and all rounds"),
    ]:
        if of == "trials" and study in studies:
            note = f"a trial with study={study!r} counts {what} together"
            echo(f"note: {note}; use dynsparse table --of {rows} to see them separately", err=True)


def filter_rows(df: Any, where: str | None) -> Any:
    """Return the rows for which a condition holds. Raises: ValueError that names the condition."""
    import analysis

    try:
        return df if where is None else analysis.select(df, where)
    except ValueError as error:
        raise ValueError(f"--{error}") from error
