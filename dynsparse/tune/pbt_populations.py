"""The populations of population-based training, and checks of the options and the space before anything is trained."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from dynsparse.config import Config, keys
from dynsparse.experiment import ExperimentError, axes
from dynsparse.results.trial_folder import NOT_IN_IDENTITY
from dynsparse.search import FIXED_KEYS, MUTABLE_KEYS
from dynsparse.tune.options import RunOptions

# Keys that dynsparse sets from the value of another key. If that key is drawn, they differ within a population, too.
FOLLOWERS = {
    "network": ("network_hash",),
    "model": ("model_hash",),
    "rules": ("weight_init",),
    "dataset_name": ("input_size", "num_classes", "input_shape", "data_hash"),
}


def populations_of(configs: Sequence[Config], drawn: Mapping[str, Any]) -> list[list[Config]]:
    """Return the trials in groups that share all keys that are not drawn.

    Raises: ExperimentError if a group has a single trial.
    """
    ignored = {*drawn, *NOT_IN_IDENTITY, *(name for key in drawn for name in FOLLOWERS.get(key, ()))}
    fixed = [name for name in keys() if name not in ignored]
    groups: dict[Hashable, list[Config]] = {}
    for config in configs:
        groups.setdefault(tuple(getattr(config, name) for name in fixed), []).append(config)
    smallest = min(groups.values(), key=len)
    if len(smallest) < 2:
        names = [name for name in axes(configs) if name in fixed]
        where = ", ".join(f"{name}={getattr(smallest[0], name)}" for name in names)
        raise ExperimentError(
            "scheduler='pbt' needs at least 2 different samples of each point of the grid, which are a population, got "
            f"1{f' for {where}' if where else ''}. Raise num_samples: 8 or more are usual."
        )
    return list(groups.values())


def check_domains(drawn: Mapping[str, Any], domains: Mapping[str, Any]) -> None:
    """Check that a copy can differ from its parent. Raises: ExperimentError."""
    if not drawn:
        raise ExperimentError(
            "scheduler='pbt' changes values that are drawn from domains, and the space has none. Give some, such as "
            "learning_rate=tune.loguniform(0.01, 1)."
        )
    if not domains:
        fixed = "".join(f" {key} is fixed by {FIXED_KEYS[key]}." for key in drawn if key in FIXED_KEYS)
        raise ExperimentError(
            f"scheduler='pbt' cannot change any of the drawn keys ({', '.join(drawn)}) during a training.{fixed} Draw "
            f"at least one of {', '.join(sorted(MUTABLE_KEYS))} from a domain of its own, or give another scheduler."
        )


def check_options(options: RunOptions) -> None:
    """Check the options that population-based training cannot follow. Raises: ExperimentError."""
    if options.limit is not None:
        raise ExperimentError(
            f"limit must not be given with scheduler='pbt', got {options.limit}: the trials would be other "
            "populations. Give a smaller num_samples."
        )
    if options.retry_failed:
        raise ExperimentError(
            "retry_failed must not be given with scheduler='pbt': the others have been compared without the trials "
            "that failed. Leave it out, or give another --name."
        )
