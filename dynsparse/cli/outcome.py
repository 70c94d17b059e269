"""The output at the end of a run: its results, the next command, and its exit code."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dynsparse.cli.parsing import echo
from dynsparse.results.progress import plural

if TYPE_CHECKING:
    from dynsparse.config import Config
    from dynsparse.tune import Outcome

SHOWN_FAILURES = 10
# The environment variable of a job that holds the command its sender reruns. The command of the job itself is another.
RERUN_COMMAND = "DYNSPARSE_RERUN_COMMAND"


def show_outcome(outcome: Outcome, configs: Sequence[Config], metric: str, drawn: Collection[str] = ()) -> None:
    """Print the result of a run, its folder, and the next command to type.

    Args:
        outcome: the result.
        configs: the trials of the grid, or those that a searcher proposed.
        metric: the metric of the experiment.
        drawn: keys whose values are drawn. A table of them has as many rows or columns as there are samples.
    """
    from dynsparse.data.own import is_regression
    from dynsparse.grid import independent_axes
    from dynsparse.results.progress import format_duration

    path = shlex.quote(_short(outcome.path))
    echo(f"\n{plural(outcome.n_complete, 'trial')} complete in {format_duration(outcome.seconds)}: {outcome.path}")
    if outcome.n_stopped:
        echo(f"{plural(outcome.n_stopped, 'trial')} stopped early")
    if outcome.copies:
        echo(f"{plural(len(outcome.copies), 'trial')} began as copies of others, in the place of worse ones")
    if outcome.n_unfinished:
        echo(f"{plural(outcome.n_unfinished, 'trial')} not finished")
    if outcome.failures:
        echo(f"{plural(len(outcome.failures), 'trial')} failed:")
        for failure in outcome.failures[:SHOWN_FAILURES]:
            values = ", ".join(f"{key}={value}" for key, value in failure.values.items())
            echo(f"  {values or failure.trial}: {failure.error}")
        if len(outcome.failures) > SHOWN_FAILURES:
            echo(f"  ... and {len(outcome.failures) - SHOWN_FAILURES} more")
        echo(f"all of them:  dynsparse failures {path}")
    if not outcome.n_complete:
        return
    if note := learning_note(outcome.path, [*configs, *outcome.copies]):
        echo(note)
    varying = [name for name in independent_axes(configs) if name != "seed"]
    varying = [name for name in varying if name not in drawn] or varying[:1]
    # If a trial prunes after its training, its best epoch does not answer the question.
    of = {"sweep": " --of sweeps", "ticket": " --of tickets"}.get(configs[0].study, "")
    if configs[0].study == "sweep":
        varying, metric = [*varying, "pruning", "sparsity"], "val_r2" if is_regression(configs[0]) else "val_acc"
    rows, columns = ",".join(varying[:-1]), (varying or ["model"])[-1]
    keys = f"--rows {rows} --columns {columns}" if rows else f"--rows {columns}"
    echo(f"next:  dynsparse table {path}{of} {keys} --metric {metric}")


def show_best(outcome: Outcome) -> None:
    """Print the best settings of a search."""
    echo("best:" if outcome.best else "no setting is complete")
    for values, reached in outcome.best:
        objectives = ", ".join(f"{name} {value:.4g}" for name, value in reached.items())
        echo(f"  {', '.join(f'{key}={value}' for key, value in values.items())}: {objectives}")


def exit_with(outcome: Outcome, file: str) -> None:
    """End with the exit code of a run, and say how to resume it if it was stopped."""
    if outcome.n_unfinished and outcome.stopped_by is not None:
        echo(f"stopped; to resume, rerun:  {resume_command(file)}")
        raise click.exceptions.Exit(128 + outcome.stopped_by)
    if outcome.failures or outcome.n_unfinished:
        raise click.exceptions.Exit(1)


def resume_command(file: str) -> str:
    """Return the command that resumes this run: the typed command without --fresh."""
    words = [word for word in sys.argv[1:] if word != "--fresh"]
    # An experiment file that is run as a script is typed without "run" and its own name.
    command = ["dynsparse", *([] if words[:1] == ["run"] else ["run", file]), *words]
    return os.environ.get(RERUN_COMMAND) or shlex.join(command)


def _short(path: str) -> str:
    """Return a path from the working directory if it is in it, as it would be typed."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def learning_note(path: str, configs: Sequence[Config]) -> str:
    """Return which trials of a run diverged or never left chance level, with their settings, or "".

    Results in an object store would have to be downloaded, so they are not looked at; `table` reports them.
    """
    if "://" in path:
        return ""
    import analysis
    from dynsparse.results.trial_folder import identity

    try:
        df = analysis.load(path)
    except (OSError, ValueError):
        # The results were moved or deleted meanwhile. The run itself has ended well.
        return ""
    df = df[df["trial_id"].isin({identity(config) for config in configs})]
    # Those that a rule has ended are counted as stopped, whatever they learned.
    if not (df["diverged"] | df["at_chance"])[df["status"] != "stopped"].any():
        return ""
    return str(analysis.left_out(df))
