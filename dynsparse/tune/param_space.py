"""The parameter space that Tune runs, and how a worker reads its trials from it.

A worker receives the values of its own trials only: a list of all configs would be sent to, and read by, each worker.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ray import tune

from dynsparse.config import Config

# The index of a pack, and the indices of its trials in the run. They are not hyperparameters and appear in no file of a
# trial.
PACK, INDICES = "pack_index", "trial_indices"


def param_space(configs: Sequence[Config], packs: Sequence[list[int]], axis_names: Collection[str]) -> dict[str, Any]:
    """Return the space that Tune runs: one Tune trial for each pack.

    A grid of Tune is a full product; ours may be any list of trials. The only axis is therefore the index of the pack,
    and the other values are looked up by it. Tune copies the space for each pack, and asks for the folder's name before
    it looks up the values.

    Args:
        configs: all trials of the run.
        packs: the trials of each pack, by their index in `configs`.
        axis_names: the keys in which the trials of the run differ.
    """
    pack_indices = tune.grid_search(list(range(len(packs))))
    indices = tune.sample_from(lambda spec: packs[spec.config[PACK]])  # type: ignore[attr-defined]  # Ray says dict
    space: dict[str, Any] = {**configs[0].values(), PACK: pack_indices, INDICES: indices}
    for key in axis_names:
        space[key] = tune.sample_from(lambda spec, key=key: _value(configs, packs[spec.config[PACK]], key))  # type: ignore[misc]
    return space


def _value(configs: Sequence[Config], indices: Sequence[int], key: str) -> Any:
    """Return the value of a single trial, as users of Tune expect it, or the list of values of a pack."""
    values = [getattr(configs[index], key) for index in indices]
    return values[0] if len(indices) == 1 else values


def indices_of(config: Mapping[str, Any]) -> list[int]:
    """Return the indices of the trials of a pack, read from the config of a worker."""
    return list(config.get(INDICES, [0]))


def trial_configs(config: Mapping[str, Any], axis_names: Collection[str]) -> dict[int, Config]:
    """Return the trials of a pack by their index, read from the config of a worker. Raises: ConfigError."""
    indices = indices_of(config)
    shared = {key: value for key, value in config.items() if key not in (PACK, INDICES)}
    if len(indices) == 1:
        return {indices[0]: Config.of(shared)}
    return {
        index: Config.of({**shared, **{key: config[key][position] for key in axis_names}})
        for position, index in enumerate(indices)
    }


def experiment_tag(config: Config, axis_names: Collection[str]) -> str:
    """Return the values of a trial on the axes of the grid: "on_perc=0.1,seed=2"."""
    return ",".join(f"{key}={getattr(config, key)}" for key in axis_names)
