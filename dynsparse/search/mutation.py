"""Mutation of drawn values: how population-based training changes the settings of a copy."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from dynsparse.config import Config
from dynsparse.planning.packs import PER_TRIAL
from dynsparse.planning.plan import keys_read
from dynsparse.results.trial_folder import identity
from dynsparse.sampling import distribution_of, round_value, value_at
from dynsparse.search.hyperband import ROUNDING

# As in Ray's `PopulationBasedTraining`: the probability that a value is drawn again, and the factors of the others.
P_DRAWN_AGAIN, FACTORS = 0.25, (0.8, 1.2)
ATTEMPTS = 20
# Keys that a copy cannot change, with what they determine: it is in the state of the parent, or in the data. Of the
# other keys in which the trials of a pack may differ, the next epoch reads the new values.
FIXED_KEYS = {
    "seed": "the order of the examples, and all other random numbers",
    "on_perc": "the number of active weights",
    "initial_density": "the number of active weights",
    "global_floor": "the number of active weights of each layer",
    "boost_strength": "the boost, which is in the state and has faded since the start",
    "prune_ratio": "a study that prunes",
    "last_layer_rate": "a study that prunes",
    "starts_from": "the state itself",
}
MUTABLE_KEYS = frozenset(PER_TRIAL - FIXED_KEYS.keys())

# Returns the random number, in (0, 1), for a purpose.
Chance = Callable[[str], float]


def chance_of(*seeds: object) -> Chance:
    """Return random numbers that depend only on the seeds, such as the trial and the epoch, and on the purpose."""

    def chance(purpose: str) -> float:
        digest = hashlib.sha256("/".join(map(str, (*seeds, purpose))).encode()).digest()
        return (int.from_bytes(digest[:6]) + 0.5) / 2**48

    return chance


def mutate(domain: Any, name: str, value: Any, chance: Chance) -> Any:
    """Return a mutated value of a key: one in four is drawn again, the others move a little within their domain.

    A number is multiplied by 0.8 or 1.2, clipped to the bounds and rounded as drawn values are, so that whole numbers
    below 3 stay. A value of `tune.choice` is replaced by the one before or after it in the list; at an end of the list
    it may stay.

    Args:
        domain: a domain of Ray Tune.
        name: the name of the key.
        value: the value to mutate.
        chance: random numbers.

    Raises: SamplingError for a domain from which nothing can be drawn.

    Reference: see `Pbt`.
    """
    is_up = chance(f"{name} goes up") < 0.5
    if chance(f"{name} is drawn") < P_DRAWN_AGAIN:
        return value_at(domain, name, chance(f"{name} value"))
    if hasattr(domain, "categories"):
        places = [place for place, each in enumerate(domain.categories) if _as_in_config(each) == value]
        if not places:
            return value_at(domain, name, chance(f"{name} value"))
        return domain.categories[min(max(places[0] + (1 if is_up else -1), 0), len(domain.categories) - 1)]
    kind, lower, upper, step, is_whole = distribution_of(domain, name)
    number = value * FACTORS[is_up]
    if is_whole and step is None:
        # tune.randint never draws its upper bound; with a step, tune.qrandint may.
        step, upper = 1, upper - 1
    if step is not None and kind != "Normal":
        # The smallest and the largest multiple of the step that are drawn.
        lower = round_value(math.ceil(lower / step - ROUNDING) * step, None)
        upper = round_value(math.floor(upper / step + ROUNDING) * step, None)
    number = round_value(number, step)
    if kind != "Normal":
        number = min(max(number, lower), upper)
    return int(number) if is_whole else float(number)


def mutated_copy(
    parent: Config, n_rows: int, domains: Mapping[str, Any], chance: Callable[[int], Chance], taken: set[str]
) -> Config | None:
    """Return a copy of a trial with other values that no trial has yet; None if all attempts to find one fail.

    Args:
        parent: the trial that is copied.
        n_rows: the number of rows that are copied.
        domains: key to domain, for the drawn keys that have one.
        chance: returns the random numbers of an attempt, given its number.
        taken: identities of the existing trials.

    Raises: SamplingError.
    """
    names = sorted(domains.keys() & MUTABLE_KEYS & keys_read(parent))
    origin: dict[str, Any] = {"starts_from": f"{identity(parent)}@{n_rows}"}
    for attempt in range(ATTEMPTS):
        values = {name: mutate(domains[name], name, getattr(parent, name), chance(attempt)) for name in names}
        try:
            child = replace(parent, **origin, **values)
        except ValueError:
            # A mutated value is out of its range, or contradicts another one.
            continue
        is_new = any(getattr(child, name) != getattr(parent, name) for name in names)
        if is_new and identity(child) not in taken:
            return child
    return None


def _as_in_config(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
