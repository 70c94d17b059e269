"""Cache, in this process, of finished first trainings, for trials that start with the same one.

All tickets of a seed start with one dense network. A worker that has already trained it takes rows and state from here.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from dynsparse.config import Config
from dynsparse.planning.plan import Plan, keys_read

# An entry holds weights, optimizer state and the network to rewind to: 5 MB for a trial of 784-300-100-10.
MAX_ENTRIES = 4
# Larger packs are not cached, because their state occupies the memory of the device.
MAX_TRIALS = 16


class FirstTraining(NamedTuple):
    """The results of a first training."""

    rows: list[Any]  # of each epoch
    state: dict[str, Any]  # of the Trainer after the last epoch


_cache: OrderedDict[Hashable, FirstTraining] = OrderedDict()


def cache_key(configs: Sequence[Config], plan: Plan) -> Hashable:
    """Return a key that is equal for packs that start with the same training; None for a pack too large to cache."""
    if len(configs) > MAX_TRIALS:
        return None
    ordinary = [replace(config, study="train") for config in configs]
    values = tuple(tuple((name, getattr(each, name)) for name in sorted(keys_read(each))) for each in ordinary)
    return values, plan.study.rewind_step


def load(key: Hashable) -> FirstTraining | None:
    """Return the cached training of a key; None if it is not cached or the key is None."""
    cached = None if key is None else _cache.get(key)
    if cached is not None:
        _cache.move_to_end(key)
    return cached


def store(key: Hashable, rows: list[Any], state: dict[str, Any]) -> None:
    """Cache a copy of a training, and drop the least recently used entry if there are too many."""
    _cache[key] = FirstTraining(list(rows), copy.deepcopy(state))
    while len(_cache) > MAX_ENTRIES:
        _cache.popitem(last=False)


def clear() -> None:
    """Empty the cache."""
    _cache.clear()
