"""What Tune is given of the trials of a run, and how a worker makes trials of it again.

A worker gets what its own trials need and no more: a list of all of them would be sent, and read, for each of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ray import tune

from dynsparse.config import Config

# The number of a pack, and where its trials stand in the list of the run. They are no hyperparameters, and no file of a
# trial shows them.
PACK, PLACES = "pack_of_list", "places_in_list"


def space(configs: Sequence[Config], packs: Sequence[list[int]], varying: Collection[str]) -> dict[str, Any]:
    """What Tune is to run: a trial of its own for each pack.

    A grid of Tune's own is a full product; ours may be any list of trials: the grid is over numbers of packs. Tune
    copies it for each of them, and asks for the name of a folder before it has looked up anything else.

    Args:
        varying: the keys in which the trials of the run differ.
    """
    numbers = tune.grid_search(list(range(len(packs))))
    places = tune.sample_from(lambda spec: packs[spec.config[PACK]])  # type: ignore[attr-defined]  # Ray says dict
    found: dict[str, Any] = {**configs[0].values(), PACK: numbers, PLACES: places}
    for key in varying:
        found[key] = tune.sample_from(lambda spec, key=key: looked_up(configs, packs[spec.config[PACK]], key))  # type: ignore[misc]
    return found


def given(configs: Sequence[Config], places: list[int], varying: Collection[str]) -> dict[str, Any]:
    """What a worker gets of a pack: its places, and the values of its trials."""
    values = {key: looked_up(configs, places, key) for key in varying}
    return {**configs[0].values(), **values, PLACES: places}


def looked_up(configs: Sequence[Config], places: Sequence[int], key: str) -> Any:
    """Of one trial that is by itself its own value, as users of Tune know it; of a pack those of its trials."""
    values = [getattr(configs[place], key) for place in places]
    return values[0] if len(places) == 1 else values


def trials_of(config: Mapping[str, Any], varying: Collection[str]) -> dict[int, Config]:
    """The trials of a pack by their places, from what a worker was given. Raises: ConfigError."""
    places = config.get(PLACES, [0])
    same = {key: value for key, value in config.items() if key not in (PACK, PLACES)}
    if len(places) == 1:
        return {places[0]: Config.of(same)}
    return {
        place: Config.of({**same, **{key: config[key][number] for key in varying}})
        for number, place in enumerate(places)
    }


def tag(config: Config, varying: Collection[str]) -> str:
    """What tells a trial from the others of its grid, in whichever run: "on_perc=0.1,seed=2"."""
    return ",".join(f"{key}={getattr(config, key)}" for key in varying)
