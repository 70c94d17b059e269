"""Commands for grids: show, keys."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from dynsparse.cli.parsing import (
    Command,
    Refusal,
    echo,
    expand,
    file_argument,
    given_options,
    read_experiment,
    repeats_option,
    samples_option,
    searcher_option,
    set_option,
    yes_option,
)
from dynsparse.results.progress import plural

if TYPE_CHECKING:
    from dynsparse.config import Config
    from dynsparse.engines import EngineChoice
    from dynsparse.experiment import Experiment
    from dynsparse.tune import RunOptions

SHOWN_VALUES = 20  # of an axis
# Trials with the same training are looked for only in grids that are not larger: in this one it takes seconds.
COMPARED_TRIALS = 10_000
NOT_COMPARED = (
    f"The grid has more than {COMPARED_TRIALS:,} trials: whether some repeat the training of others was not checked."
)


@click.command(cls=Command)
@file_argument
@set_option
@samples_option
@searcher_option
@repeats_option
@yes_option
@click.option("--all", "all_keys", is_flag=True, help="Also list the keys that have their defaults or are not read.")
@click.pass_context
def show(
    context: click.Context,
    /,
    file: str,
    settings: Sequence[tuple[str, list[Any]]],
    num_samples: int | None,
    yes: bool,
    all_keys: bool,
    **search_options: Any,
) -> None:
    """Show the number of trials of an experiment FILE and the keys in which they differ. Trains nothing."""
    experiment = read_experiment(file, settings, num_samples)
    options: RunOptions | None = None
    given = given_options(context, search_options)
    if given or experiment.run_options:
        from dynsparse.tune import RunOptions

        try:
            options = RunOptions.of(experiment, **given)
            if options.searcher is not None:
                show_search(experiment, options, dict(settings), all_keys=all_keys)
                show_run_options(experiment)
                return
        except ValueError as error:
            raise Refusal(str(error)) from error
    configs = expand(experiment, settings, yes=yes)
    show_grid(experiment, configs, all_keys=all_keys)
    if options is not None and options.scheduler == "pbt":
        from dynsparse.tune.pbt_rounds import PbtRounds

        try:
            echo(f"\nscheduler\n  {'pbt':<24} {PbtRounds(experiment, configs, options, dict(settings)).description()}")
        except ValueError as error:
            raise Refusal(str(error)) from error
    show_run_options(experiment)


def show_run_options(experiment: Experiment) -> None:
    """Print the options of a run that the experiment gives."""
    if experiment.run_options:
        echo("\nrun_options of the file")
    for name, value in experiment.run_options.items():
        echo(f"  {name:<24} {value}")


def show_grid(experiment: Experiment, configs: Sequence[Config], *, all_keys: bool) -> None:
    """Print the trials of a grid."""
    from dynsparse.experiment import axes, axes_without_effect

    varying = axes(configs)
    inert = axes_without_effect(configs) if experiment.inert else []
    echo(f"{experiment.name}: {experiment.question}\n")
    echo(f"{plural(len(configs), 'trial')} of {lengths(configs)}")
    for name, values in varying.items():
        note = "   (no effect; listed as inert)" if name in inert else ""
        echo(f"  {name:<24} {first_values(values)}{note}")
    show_common(configs, varying, all_keys=all_keys)
    repeats = repeated_trainings(configs)
    if repeats:
        echo(f"\n{repeats}")


def show_search(
    experiment: Experiment, options: RunOptions, overrides: Mapping[str, Sequence[Any]], *, all_keys: bool
) -> None:
    """Print what a searcher chooses, and how many trials it trains. Raises: ExperimentError."""
    from dynsparse.tune.search_run import check_search, example_trials, searched_space

    of_search = check_search(experiment, options, overrides)
    configs = example_trials(experiment, overrides)
    settings = plural(experiment.num_samples, "setting")
    n_trials = plural(experiment.num_samples * of_search.repeats, "trial")
    echo(f"{experiment.name}: {experiment.question}\n")
    echo(
        f"{settings} proposed by {of_search.searcher}, each with {plural(of_search.repeats, 'seed')}: {n_trials} of "
        f"{lengths(configs)}"
    )
    domains = domains_of(searched_space(experiment, overrides))
    for name, text in domains.items():
        echo(f"  {name:<24} {text}")
    echo(f"  {'objective':<24} {', '.join(of_search.objectives)}")
    show_common(configs, {"seed", *domains}, all_keys=all_keys)


def lengths(configs: Sequence[Config]) -> str:
    """Return the lengths of trials, such as "30 epochs"."""
    from dynsparse.planning.packs import one_of_each_kind

    return ", ".join(dict.fromkeys(trial_length(config) for config in one_of_each_kind(configs)))


def show_common(configs: Sequence[Config], varying: Collection[str], *, all_keys: bool) -> None:
    """Print the keys that are the same in all trials, and the engines that train them."""
    from dynsparse.config import is_default
    from dynsparse.planning.packs import one_of_each_kind

    echo("\nthe same in all trials")
    read = keys_read_by_any(one_of_each_kind(configs))
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


def keys_read_by_any(configs: Sequence[Config]) -> frozenset[str]:
    """Return the keys that at least one of some trials reads, such as one trial of each kind."""
    from dynsparse.planning.plan import keys_read

    return frozenset().union(*map(keys_read, configs))


def unread_keys(configs: Sequence[Config]) -> list[str]:
    """Return the keys that no trial reads, although a trial has another value than the default."""
    from dynsparse.config import is_default
    from dynsparse.planning.packs import one_of_each_kind

    kinds = one_of_each_kind(configs)
    read = keys_read_by_any(kinds)
    unread = [name for name in configs[0].values() if name not in read]
    return [name for name in unread if not all(is_default(config, name) for config in kinds)]


def domains_of(space: Mapping[str, Any]) -> dict[str, str]:
    """Return the domains of a space as text, by the name of their key; those within lists, with their place."""
    from dynsparse.sampling import describe, with_values

    found = {}

    def note(domain: Any, name: str) -> None:
        found[name] = describe(domain, name)

    with_values(space, note)
    return found


def first_values(values: Sequence[Any]) -> str:
    """Return the values of an axis as text; only the first ones if there are many."""
    shown = ", ".join(map(str, values[:SHOWN_VALUES]))
    return shown if len(values) <= SHOWN_VALUES else f"{shown}, ... ({len(values)} values)"


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
