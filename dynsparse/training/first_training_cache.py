"""The first trainings that this process has done, for trials that begin with the same one.

All tickets of a seed begin with one dense network: a worker that has trained it takes it from here.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from dynsparse.config import Config
from dynsparse.planning.plan import Plan, keys_read

# Weights, optimiser state and the network to go back to: 5 MB for a trial of 784-300-100-10.
REMEMBERED = 4
# A pack of more is not remembered: its memory is the device's.
MOST_TRIALS = 16


class FirstTraining(NamedTuple):
    """What it gave."""

    rows: list[Any]  # of each epoch
    state: dict[str, Any]  # of the Trainer after it


_found: OrderedDict[Hashable, FirstTraining] = OrderedDict()


def key(configs: Sequence[Config], plan: Plan) -> Hashable:
    """Equal for packs that begin with the same training; None for one that is too wide to be remembered."""
    if len(configs) > MOST_TRIALS:
        return None
    ordinary = [replace(config, study="train") for config in configs]
    values = tuple(tuple((name, getattr(each, name)) for name in sorted(keys_read(each))) for each in ordinary)
    return values, plan.study.rewind_step


def recall(which: Hashable) -> FirstTraining | None:
    """What such a training gave, if one is remembered; None of None."""
    found = None if which is None else _found.get(which)
    if found is not None:
        _found.move_to_end(which)
    return found


def remember(which: Hashable, rows: list[Any], state: dict[str, Any]) -> None:
    """Keep a copy; the one that was used longest ago is forgotten."""
    _found[which] = FirstTraining(list(rows), copy.deepcopy(state))
    while len(_found) > REMEMBERED:
        _found.popitem(last=False)


def forget() -> None:
    """Empty the memory."""
    _found.clear()
