"""The search of `run --searcher`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import click

from dynsparse.cli.outcome import exit_with, show_outcome
from dynsparse.cli.parsing import Refusal, echo
from dynsparse.io.terminal import printable


def search(
    file: str,
    settings: Sequence[tuple[str, list[Any]]],
    num_samples: int | None,
    searcher: str,
    repeats: int | None,
    objectives: Sequence[str],
    options: Mapping[str, Any],
) -> None:
    """Train settings that a searcher proposes, and print the best. See `run` for options and exit codes."""
    from dynsparse import tune
    from dynsparse.data.download import DataError
    from dynsparse.experiment import load_experiment
    from dynsparse.results.lock import LockedError, LockLostError

    try:
        experiment = load_experiment(file)
        if num_samples is not None:
            experiment = replace(experiment, num_samples=num_samples)
        echo(f"{experiment.name}: {experiment.question}", err=True)
        objectives = tuple(objectives) or ("val_r2_max" if experiment.metric == "val_r2_max" else "val_acc_max",)
        of_search = tune.SearchOptions(searcher=searcher, repeats=repeats or 1, objectives=objectives)
        found = tune.search(experiment, of_search, tune.RunOptions(**options), dict(settings))
    except (ValueError, OSError, DataError, LockedError) as error:
        raise Refusal(str(error)) from error
    except LockLostError as error:
        raise click.ClickException(printable(str(error))) from error
    show_outcome(found.outcome, found.configs, str(experiment.metric))
    echo("best:" if found.best else "no setting is complete")
    for values, reached in found.best:
        of_objectives = ", ".join(f"{name} {value:.4g}" for name, value in zip(objectives, reached, strict=True))
        echo(f"  {', '.join(f'{key}={value}' for key, value in values.items())}: {of_objectives}")
    exit_with(found.outcome, file)
