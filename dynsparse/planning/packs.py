"""Packs: groups of trials with equal network shapes and the same control flow, computed together."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Iterable, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from dynsparse.config import Config, check_of, keys, unknown
from dynsparse.config.checks import Choice

# Keys in which the trials of one pack may differ: each becomes a tensor over the trials.
PER_TRIAL = frozenset(name for name, each in keys().items() if each.metadata["per_trial"])
# Of these, the keys that training reads. It does not read `starts_from`: a copy continues from the state in its folder.
OWN = sorted(PER_TRIAL - {"starts_from"})
# The keys in which they must agree.
SHARED = sorted(keys().keys() - PER_TRIAL)

# An attrgetter reads many attributes much faster than a loop does.
_shared_values = attrgetter(*SHARED)
_own_values = attrgetter(*OWN)
# Which keys a trial reads may depend on these, too: each trial of a pack builds its own learning rates.
_own_choices = attrgetter(*[name for name in OWN if isinstance(check_of(keys()[name]), Choice)])

# The widths at which packs are computed. They are few, so that a pack that is resumed, or has lost some of its trials,
# mostly keeps its width. From 32 on, where a copy costs as much as a trial, they rise in even steps.
WIDTHS: tuple[int, ...] = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, *range(48, 513, 16))
WIDEST = WIDTHS[-1]


def pack_key(config: Config) -> tuple[Hashable, ...]:
    """Return a key that is equal for trials that can be trained as one pack: a part for each of SHARED, then OWN."""
    # None has a different control flow from 0: under legacy_2019 it is a different rule.
    return *_shared_values(config), *[value is None for value in _own_values(config)]


def pack_kind(config: Config) -> Hashable:
    """Return a key that is equal for trials that can be one pack, and that have the same engine."""
    # If one trial uses dropout, the pack needs an engine that supports it, which on a GPU is a different one.
    return pack_key(config), config.dropout > 0


def one_of_each_kind(configs: Iterable[Config]) -> list[Config]:
    """Return the first trial of each kind, and of each learning-rate schedule within a kind: they read the same keys.

    A grid of 100,000 trials has few kinds.
    """
    kinds: dict[Hashable, Config] = {}
    for config in configs:
        kinds.setdefault((pack_kind(config), _own_choices(config)), config)
    return list(kinds.values())


class PackConfig:
    """The configs of a pack combined into one; the keys in PER_TRIAL are tensors of shape (trials,).

    Floats become float64, integers int64, flags bool. A builder that takes a Config accepts a PackConfig too, unless it
    branches on a key in PER_TRIAL. `keys_read` records the keys that have been read.

    Raises: ValueError that names the keys in which the trials must not differ.
    """

    def __init__(self, configs: Sequence[Config], device: str = "cpu") -> None:
        _check_one_pack(configs)
        self._configs = configs
        self._device = device
        self.keys_read: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        values = [getattr(config, name) for config in self._configs]
        if name in keys():
            self.keys_read.add(name)
        if name not in PER_TRIAL or values[0] is None:
            return values[0]
        return self._stack(values)

    def trials(self) -> list[RecordingConfig]:
        """Return the trials of the pack, for what is built for each of them. What they read counts as read here."""
        return [RecordingConfig(config, self.keys_read) for config in self._configs]

    def _stack(self, values: list[Any]) -> Tensor:
        dtypes = {float: torch.float64, int: torch.int64, bool: torch.bool}
        return torch.tensor(values, dtype=dtypes[type(values[0])], device=self._device)


class RecordingConfig:
    """A Config that records the names of the keys that are read."""

    def __init__(self, config: Config, keys_read: set[str]) -> None:
        self._config = config
        self._keys_read = keys_read

    def __getattr__(self, name: str) -> Any:
        if name not in vars(self._config):
            raise AttributeError(unknown("key", name, vars(self._config)))
        self._keys_read.add(name)
        return getattr(self._config, name)


def _check_one_pack(configs: Sequence[Config]) -> None:
    parts = zip([*SHARED, *OWN], *map(pack_key, configs), strict=True)
    differ = sorted(name for name, *values in parts if len(set(values)) > 1)
    if differ:
        raise ValueError(
            f"These trials cannot be trained as one pack: they must be equal in {', '.join(differ)}, but differ. Group "
            "them with group_into_packs."
        )


# Grouping


def group_into_packs(configs: Sequence[Config], width: int) -> list[list[int]]:
    """Return packs of at most `width` trials, each a list of indices into `configs`.

    Trials of one seed share each batch, so they stay together: a pack has trials of one seed or, if those are few, all
    trials of several seeds. Packs of the same kind have nearly equal sizes. Within a seed the order is kept.
    """
    kinds: dict[Hashable, dict[int, list[int]]] = {}
    for place, config in enumerate(configs):
        kinds.setdefault(pack_kind(config), {}).setdefault(config.seed, []).append(place)
    return [pack for seeds in kinds.values() for pack in _split_seeds(list(seeds.values()), width)]


def _split_seeds(seeds: list[list[int]], width: int) -> list[list[int]]:
    """Split the trials of a seed that exceed `width`, and combine the seeds that have fewer."""
    parts = [part for places in seeds for part in _split_evenly(places, -(-len(places) // width))]
    fewest = len(_gather(parts, width))
    # The fewest packs that the width allows, then the narrowest that give this number: 2 and 2 seeds, not 3 and 1.
    limits = range(-(-sum(map(len, parts)) // fewest), width + 1)
    return next(packs for limit in limits if len(packs := _gather(parts, limit)) == fewest)


def _gather(parts: list[list[int]], limit: int) -> list[list[int]]:
    packs: list[list[int]] = [[]]
    for part in parts:
        if packs[-1] and len(packs[-1]) + len(part) > limit:
            packs.append([])
        packs[-1] = packs[-1] + part
    return packs


def _split_evenly(places: list[int], n: int) -> list[list[int]]:
    """Split a list into `n` parts whose lengths differ by at most 1."""
    bounds = [len(places) * i // n for i in range(n + 1)]
    return [places[lo:hi] for lo, hi in pairwise(bounds)]


def pack_width(n_trials: int) -> int:
    """Return the width at which a pack of `n_trials`, at most WIDEST, is computed: the smallest of WIDTHS that fits."""
    return WIDTHS[bisect_left(WIDTHS, n_trials)]


def fill_width(seeds: Sequence[int]) -> list[int]:
    """Return the trial to compute in each place of a pack's width: each trial, then copies whose results are ignored.

    Trials of one seed are adjacent. Each seed gets the same number of places if these fit into the width, so that the
    seeds share their batches evenly; the width is rounded down for that. Otherwise the last trial is copied.

    Args:
        seeds: the seed of each trial.
    """
    runs: dict[int, list[int]] = {}
    for place, seed in enumerate(seeds):
        runs.setdefault(seed, []).append(place)
    width, longest = pack_width(len(seeds)), max(map(len, runs.values()))
    if len(runs) * longest <= width:
        return [place for run in runs.values() for place in _pad_with_last(run, width // len(runs))]
    return _pad_with_last([place for run in runs.values() for place in run], width)


def _pad_with_last(places: list[int], n: int) -> list[int]:
    return places + places[-1:] * (n - len(places))


# States of packs, as `Trainer.state_dict` returns them


def select_trials(state: Any, places: Sequence[int]) -> Any:
    """Return a copy of the state of some trials of a pack, as their own Trainer would return it.

    A state consists of nested dicts and lists. Tensors have a leading trials axis, a list of strings or None has one
    entry per trial, and a number holds for all trials.
    """
    if isinstance(state, Tensor):
        return state[list(places)]
    if isinstance(state, dict):
        return {name: select_trials(value, places) for name, value in state.items()}
    if isinstance(state, list):
        return (
            [state[place] for place in places] if _one_per_trial(state) else [select_trials(e, places) for e in state]
        )
    return state


def join_trials(states: Sequence[Any]) -> Any:
    """Return the state of a pack from the states of its trials, or of parts of it, in order.

    It is the inverse of `select_trials`.

    Raises: ValueError if the trials are at different steps.
    """
    first = states[0]
    if isinstance(first, Tensor):
        return torch.cat(list(states))
    if isinstance(first, dict):
        if any(each.keys() != first.keys() for each in states):
            raise ValueError("These states cannot be joined: they have different entries.")
        return {name: join_trials([each[name] for each in states]) for name in first}
    if isinstance(first, list):
        if _one_per_trial(first):
            return [value for each in states for value in each]
        return [join_trials(parts) for parts in zip(*states, strict=True)]
    if any(each != first for each in states):
        raise ValueError(f"These states cannot be joined: the trials are at different steps: {sorted(set(states))}.")
    return first


def to_device(state: Any, device: str) -> Any:
    """Return a state on a device. Tensors that are there already are not copied."""
    if isinstance(state, Tensor):
        return state.to(device)
    if isinstance(state, dict):
        return {name: to_device(value, device) for name, value in state.items()}
    if isinstance(state, list):
        return [to_device(value, device) for value in state]
    return state


def _one_per_trial(values: list[Any]) -> bool:
    return bool(values) and all(value is None or isinstance(value, str) for value in values)


# The command line's option


def parse_pack(value: object) -> str | int:
    """Parse the `pack` option: "auto", "off" or the largest number of trials in a pack. Raises: ValueError."""
    text = str(value).strip()
    if text in ("auto", "off"):
        return text
    if isinstance(value, bool) or not text.isdecimal() or not 1 <= int(text) <= WIDEST:
        raise ValueError(f"pack must be 'auto', 'off' or a number of trials from 1 to {WIDEST}, got {text}.")
    return int(text)
