"""Commands for runs: run, watch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from dynsparse.cli.grids import NOT_COMPARED, repeated_trainings, unread_keys
from dynsparse.cli.outcome import exit_with, show_best, show_outcome
from dynsparse.cli.parsing import (
    Command,
    Refusal,
    echo,
    expand,
    file_argument,
    folder_argument,
    given_options,
    read_experiment,
    repeats_option,
    samples_option,
    searcher_option,
    set_option,
    yes_option,
)
from dynsparse.io.terminal import printable
from dynsparse.results.progress import plural

if TYPE_CHECKING:
    from dynsparse.config import Config
    from dynsparse.experiment import Experiment
    from dynsparse.tune import Outcome, RunOptions


class Pack(click.ParamType):  # type: ignore[type-arg]  # not generic in click 8.1
    """A pack size: auto, off, or a number of trials."""

    name = "auto|off|N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return "auto", "off" or a number."""
        from dynsparse.planning.packs import parse_pack

        try:
            return parse_pack(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command(cls=Command)
@file_argument
@set_option
@samples_option
@click.option(
    "--storage", default="results", show_default=True, help="Folder or URI (s3://bucket/folder) for the results."
)
@click.option("--name", help="Name of the folder in the storage. Default: the experiment's name.")
@yes_option
@click.option("--limit", type=click.IntRange(min=1), help="Run only the first N trials of the grid.", metavar="N")
@click.option("--fresh", is_flag=True, help="Start over in a new folder instead of resuming.")
@click.option("--retry-failed", is_flag=True, help="Run the failed trials again.")
@click.option(
    "--cpus-per-trial", type=click.FloatRange(min=0, min_open=True), help="CPUs that Ray reserves for each trial."
)
@click.option(
    "--gpus-per-trial", type=click.FloatRange(min=0), help="GPUs that Ray reserves for each trial; may be a fraction."
)
@click.option("--pack", default="auto", show_default=True, type=Pack(), metavar="auto|off|N",
              help="Train up to N trials together in one process, which gets the CPUs and GPUs of one trial. auto: on "
              "GPUs as many as fit, on CPUs each trial alone.")  # fmt: skip
@click.option("--max-failures", default=3, show_default=True, type=click.IntRange(min=0), metavar="N",
              help="How often a trial may die and resume before it has failed.")  # fmt: skip
@click.option("--checkpoint-epochs", default=5, show_default=True, type=click.IntRange(min=1), metavar="N",
              help="Epochs between two checkpoints of a trial.")  # fmt: skip
@click.option("--epoch-seconds", type=click.FloatRange(min=0, min_open=True), metavar="S",
              help="Kill the process of an epoch that takes longer than S seconds.")  # fmt: skip
@click.option("--trial-seconds", type=click.FloatRange(min=0, min_open=True), metavar="S",
              help="Let a trial that takes longer than S seconds fail.")  # fmt: skip
@click.option("--scheduler", type=click.Choice(["asha", "median", "hyperband", "pbt", "none"]),
              help="End trials early that do worse than others; pbt: replace them by changed copies of better ones; "
              "none: resume those that were ended.")  # fmt: skip
@click.option("--grace", default=1, show_default=True, type=click.IntRange(min=1), metavar="N",
              help="Epochs before the scheduler may end a trial; pbt: also between two exchanges.")  # fmt: skip
@click.option("--reduction-factor", default=3.0, show_default=True, type=click.FloatRange(min=1, min_open=True),
              help="asha, hyperband: about one of this many trials goes on at each rung; pbt: one of this many is "
              "replaced.")  # fmt: skip
@click.option("--group-by", metavar="KEY",
              help="Judge trials that differ only in KEY, such as seed, by their mean; none: each alone.")  # fmt: skip
@searcher_option
@repeats_option
@click.option("--objective", "objectives", multiple=True, metavar="COLUMN",
              help="With a searcher: a column such as val_acc_max, the mean over seeds counts. Give it again to trade "
              "off several.  [default: val_acc_max]")  # fmt: skip
@click.option("--in-process/--no-in-process",
              help="Train one trial after another in this process, without Ray: for small grids.")  # fmt: skip
@click.option("--address", help="Address of a Ray cluster. Default: RAY_ADDRESS, or a local Ray.")
@click.option("--tensorboard/--no-tensorboard", help="Also write event files for TensorBoard.")
@click.option("--wandb", metavar="PROJECT", help="Also write each trial as a run of a project of Weights & Biases.")
@click.option("--mlflow", metavar="URI",
              help="Also write each trial as a run of MLflow: a server, or sqlite:///mlflow.db.")  # fmt: skip
@click.pass_context
def run(
    context: click.Context,
    /,
    file: str,
    settings: Sequence[tuple[str, list[Any]]],
    num_samples: int | None,
    storage: str,
    yes: bool,
    **options: Any,
) -> None:
    """Train the trials of an experiment FILE with Ray Tune.

    Rerun the same command to resume: complete trials stay, unfinished ones resume from their last checkpoint.

    Exit code: 0 if all trials are complete or were ended early, 1 if not, 2 for bad input, 130 or 143 if the run was
    stopped.
    """
    from dynsparse import tune
    from dynsparse.data.download import DataError
    from dynsparse.results.lock import LockedError, LockLostError
    from dynsparse.sampling import drawn_keys

    given = {"storage": storage, **given_options(context, options)}
    try:
        experiment = read_experiment(file, settings, num_samples)
        run_options = tune.RunOptions.of(experiment, **given)
        if run_options.searcher is None:
            outcome, configs = _run_grid(experiment, settings, run_options, yes=yes)
        else:
            echo(f"{experiment.name}: {experiment.question}", err=True)
            found = tune.search(experiment, run_options, dict(settings))
            outcome, configs = found.outcome, found.configs
    except (ValueError, OSError, DataError, LockedError) as error:
        raise Refusal(str(error)) from error
    except LockLostError as error:
        raise click.ClickException(printable(str(error))) from error
    drawn = drawn_keys(experiment.space).keys() - dict(settings).keys()
    show_outcome(outcome, configs, str(experiment.metric), drawn)
    if run_options.searcher is not None:
        show_best(outcome)
    exit_with(outcome, file)


def _run_grid(
    experiment: Experiment, settings: Sequence[tuple[str, list[Any]]], options: RunOptions, *, yes: bool
) -> tuple[Outcome, list[Config]]:
    """Train the trials of a grid. Return the outcome, and the trials. Raises: what `tune.run` raises."""
    from dynsparse import tune
    from dynsparse.tune.preflight import n_training_examples

    configs = expand(experiment, settings, yes=yes, limit=options.limit)
    echo(f"{experiment.name}: {experiment.question}", err=True)
    note = repeated_trainings(configs, n_training_examples)
    if note:
        echo(f"{'' if note == NOT_COMPARED else 'warning: '}{note}", err=True)
    unread = [name for name in unread_keys(configs) if name not in experiment.inert]
    if unread:
        echo(f"warning: these keys have no effect, because no trial reads them: {', '.join(unread)}", err=True)
    return tune.run_grid(experiment, configs, options, dict(settings)), configs


@click.command(cls=Command)
@folder_argument
@click.option("--once", is_flag=True, help="Print one line and exit.")
@click.option("--wait", is_flag=True, help="If the run has not started, wait for it.")
def watch(folder: str, once: bool, wait: bool) -> None:
    """Follow the progress of a run in DIR until it ends."""
    from dynsparse.results.watch import follow

    try:
        for line in follow(folder, once=once, wait=wait):
            echo(line)
        unproven = finished_without_proof(folder)
    except (OSError, ValueError) as error:
        raise Refusal(str(error)) from error
    if unproven:
        echo(unproven)


def finished_without_proof(folder: str) -> str:
    """Return how many trials of a run are done by its status, but not by their files; "" if none.

    Results in an object store would have to be downloaded, so they are not looked at.
    """
    if "://" in folder:
        return ""
    import analysis
    from dynsparse.io.storage import open_folder
    from dynsparse.results.watch import read_status

    n_done = (read_status(open_folder(folder)) or {}).get("done", 0)
    n_lost = n_done - int((analysis.load(folder)["status"] == "complete").sum())
    if n_lost <= 0:
        return ""
    return (
        f"{plural(n_lost, 'trial')} of these {n_done} cannot be believed: files are missing or were changed. "
        f"`dynsparse table {folder}` says which; rerun the same command to compute them again."
    )
