"""Commands for grids and runs: show, run, watch, keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from dynsparse.cli.outcome import exit_with, show_outcome
from dynsparse.cli.parsing import (
    Command,
    Refusal,
    echo,
    file_argument,
    folder_argument,
    load_grid,
    samples_option,
    set_option,
    yes_option,
)
from dynsparse.cli.searches import search
from dynsparse.io.terminal import printable
from dynsparse.results.progress import plural

if TYPE_CHECKING:
    from dynsparse.config import Config
    from dynsparse.engines import EngineChoice

SHOWN_VALUES = 20  # of an axis
# Trials with the same training are looked for only in grids that are not larger: in this one it takes seconds.
COMPARED_TRIALS = 10_000
NOT_COMPARED = (
    f"The grid has more than {COMPARED_TRIALS:,} trials: whether some repeat the training of others was not checked."
)


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
@yes_option
@click.option("--all", "all_keys", is_flag=True, help="Also list the keys that have their defaults or are not read.")
def show(
    file: str, settings: Sequence[tuple[str, list[Any]]], num_samples: int | None, yes: bool, all_keys: bool
) -> None:
    """Show the number of trials of an experiment FILE and the keys in which they differ. Trains nothing."""
    from dynsparse.config import is_default
    from dynsparse.experiment import axes, axes_without_effect
    from dynsparse.planning.packs import one_of_each_kind
    from dynsparse.planning.plan import keys_read

    experiment, configs = load_grid(file, settings, num_samples=num_samples, yes=yes)
    varying, kinds = axes(configs), one_of_each_kind(configs)
    inert = axes_without_effect(configs) if experiment.inert else []
    echo(f"{experiment.name}: {experiment.question}\n")
    steps = ", ".join(dict.fromkeys(trial_length(config) for config in kinds))
    echo(f"{plural(len(configs), 'trial')} of {steps}")
    for name, values in varying.items():
        note = "   (no effect; listed as inert)" if name in inert else ""
        echo(f"  {name:<24} {first_values(values)}{note}")
    echo("\nthe same in all trials")
    read = frozenset().union(*(keys_read(config) for config in kinds))
    fixed = {name: value for name, value in configs[0].values().items() if name not in varying}
    set_here = {name for name in fixed if not is_default(configs[0], name)}
    for name, value in fixed.items():
        if name in read and (all_keys or name in set_here):
            echo(f"  {name:<24} {value}")
    unread = [name for name in fixed if name not in read and (all_keys or name in set_here)]
    if unread:
        echo(f"\nread by no trial: {', '.join(unread)}")
    if not all_keys:
        echo(f"\n{len(fixed) - len(set_here)} other keys have their defaults; --all lists them")
    echo("\nengine")
    for name, text in engine_lines(configs):
        echo(f"  {name:<24} {text}")
    repeats = repeated_trainings(configs)
    if repeats:
        echo(f"\n{repeats}")


def first_values(values: Sequence[Any]) -> str:
    """Return the values of an axis as text; only the first ones if there are many."""
    shown = ", ".join(map(str, values[:SHOWN_VALUES]))
    return shown if len(values) <= SHOWN_VALUES else f"{shown}, ... ({len(values)} values)"


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
@click.option("--scheduler", type=click.Choice(["asha", "median"]),
              help="End trials early that do worse than others. Without it, such trials are resumed.")  # fmt: skip
@click.option("--grace", default=1, show_default=True, type=click.IntRange(min=1), metavar="N",
              help="Epochs before the scheduler may end a trial.")  # fmt: skip
@click.option("--reduction-factor", default=3.0, show_default=True, type=click.FloatRange(min=1, min_open=True),
              help="asha: about one of this many trials goes on at each rung.")  # fmt: skip
@click.option("--group-by", metavar="KEY", help="Judge trials that differ only in KEY, such as seed, by their mean.")
@click.option("--searcher", type=click.Choice(["optuna"]),
              help="Let Optuna propose the values that the experiment gives as domains.")  # fmt: skip
@click.option("--repeats", type=click.IntRange(min=1), metavar="N",
              help="With a searcher: train each setting with N seeds.  [default: 1]")  # fmt: skip
@click.option("--objective", "objectives", multiple=True, metavar="COLUMN",
              help="With a searcher: a column such as val_acc_max, the mean over seeds counts. Give it again to trade "
              "off several.  [default: val_acc_max]")  # fmt: skip
@click.option("--in-process", is_flag=True,
              help="Train one trial after another in this process, without Ray: for small grids.")  # fmt: skip
@click.option("--address", help="Address of a Ray cluster. Default: RAY_ADDRESS, or a local Ray.")
@click.option("--tensorboard", is_flag=True, help="Also write event files for TensorBoard.")
@click.option("--wandb", metavar="PROJECT", help="Also write each trial as a run of a project of Weights & Biases.")
@click.option("--mlflow", metavar="URI",
              help="Also write each trial as a run of MLflow: a server, or sqlite:///mlflow.db.")  # fmt: skip
def run(
    file: str,
    settings: Sequence[tuple[str, list[Any]]],
    num_samples: int | None,
    storage: str,
    yes: bool,
    searcher: str | None,
    repeats: int | None,
    objectives: tuple[str, ...],
    **options: Any,
) -> None:
    """Train the trials of an experiment FILE with Ray Tune.

    Rerun the same command to resume: complete trials stay, unfinished ones resume from their last checkpoint.

    Exit code: 0 if all trials of the grid are complete, 1 if not, 2 for bad input, 130 or 143 if the run was stopped.
    """
    if searcher is not None:
        search(file, settings, num_samples, searcher, repeats, objectives, {"storage": storage, **options})
        return
    if repeats is not None or objectives:
        raise Refusal("--repeats and --objective need --searcher optuna. Repeats of a grid are an axis of seeds.")
    experiment, configs = load_grid(file, settings, num_samples=num_samples, yes=yes, limit=options["limit"])
    from dynsparse import tune
    from dynsparse.data.download import DataError
    from dynsparse.results.lock import LockedError, LockLostError
    from dynsparse.tune.preflight import n_training_examples

    echo(f"{experiment.name}: {experiment.question}", err=True)
    try:
        note = repeated_trainings(configs, n_training_examples)
        if note:
            echo(f"{'' if note == NOT_COMPARED else 'warning: '}{note}", err=True)
        outcome = tune.run_grid(experiment, configs, tune.RunOptions(storage=storage, **options))
    except (ValueError, OSError, DataError, LockedError) as error:
        raise Refusal(str(error)) from error
    except LockLostError as error:
        raise click.ClickException(printable(str(error))) from error
    show_outcome(outcome, configs, str(experiment.metric))
    exit_with(outcome, file)


def repeated_trainings(configs: Sequence[Config], n_examples: Callable[[Config], int] | None = None) -> str:
    """Return which trials repeat the training of another trial; "" if none do. Large grids are not checked.

    Args:
        configs: the trials.
        n_examples: returns the number of training examples of a trial; None: the usual number of the data set.
    """
    from dynsparse.experiment import axes
    from dynsparse.planning.same_training import same_trials, usual_training_examples

    if len(configs) > COMPARED_TRIALS:
        return NOT_COMPARED
    groups = same_trials(configs, n_examples or usual_training_examples)
    if not groups:
        return ""
    n_spare = sum(len(group) - 1 for group in groups)
    lines = [f"{plural(n_spare, 'trial')} would repeat the training of another trial:"]
    kinds: dict[str, list[list[Config]]] = {}
    for group in groups:
        kinds.setdefault(", ".join(axes(group)), []).append(group)
    for names, alike in kinds.items():
        first = alike[0]
        lines.append(f"  {plural(len(alike), 'group')} of trials that differ only in {names}, without effect on them:")
        fixed = [f"{key}={getattr(first[0], key)}" for key in axes(configs) if key not in axes(first)]
        varying = [f"{key}={' or '.join(map(str, values))}" for key, values in axes(first).items()]
        lines.append(f"    for example {', '.join([*fixed, *varying])}")
    return "\n".join(lines)


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


@click.command(cls=Command)
def keys() -> None:
    """List every key of a configuration by subject: default, meaning, range, and what reads it."""
    from dynsparse.config import SUBJECTS, check_of
    from dynsparse.config import keys as config_keys
    from dynsparse.planning.readers import readers

    for name, each in config_keys().items():
        if name in SUBJECTS:
            echo(f"\n{SUBJECTS[name]}\n")
        echo(f"{name} = {each.default!r}\n    {each.metadata['meaning']}; {check_of(each)}")
        for choice, values in readers(name).items():
            echo(f"    read by {choice}: {', '.join(values)}")


def engine_lines(configs: Sequence[Config]) -> list[tuple[str, str]]:
    """Return each engine that trials will use, with their number and, if a faster engine cannot train them, the reason.

    Raises: Refusal if a trial names an engine that does not support it.
    """
    from dynsparse.engines import MOST_COMPARED, TORCH_SLOWDOWN, choose_for_configs, one_by_one_reasons

    try:
        choices = choose_for_configs(configs)
    except ValueError as error:
        raise Refusal(str(error)) from error
    groups: dict[tuple[EngineChoice, bool], list[Config]] = {}
    for choice, config in zip(choices, configs, strict=True):
        groups.setdefault((choice, config.device == "cpu"), []).append(config)
    lines = []
    for (choice, on_cpu), group in groups.items():
        text = plural(len(group), "trial")
        if choice.reason:
            models = ", ".join(dict.fromkeys(config.model for config in group))
            text += f" of {models}: the {'sparse' if on_cpu else 'packed'} engine does not support {choice.reason}"
            text += f". An epoch takes {TORCH_SLOWDOWN} as long" if on_cpu and choice.name == "torch" else ""
        if choice.name == "module":
            reasons = one_by_one_reasons(group, MOST_COMPARED).items()
            text += "".join(f"; packs one trial after another for network={name!r}: {why}" for name, why in reasons)
        lines.append((choice.name, text))
    return lines


def trial_length(config: Config) -> str:
    """Return the length of a trial: "30 epochs", or "30 epochs (50 rows)" if the numbers differ."""
    from dynsparse.planning.plan import steps

    all_steps = steps(config)
    n_epochs = sum(step.train for step in all_steps)
    return plural(n_epochs, "epoch") + (f" ({plural(len(all_steps), 'row')})" if len(all_steps) != n_epochs else "")
