"""Packs: trials whose networks have equal shapes and the same control flow are computed together."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from dynsparse.config import Config, keys

# Keys in which the trials of one pack may differ: each becomes a tensor over the trials.
PER_TRIAL = frozenset(name for name, each in keys().items() if each.metadata["per_trial"])

# How wide a pack is computed: few widths, so that one that is continued, or that some have left, is most often computed
# as before. Where a copy costs what a trial costs they come in even steps.
WIDTHS: tuple[int, ...] = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, *range(48, 513, 16))
WIDEST = WIDTHS[-1]


def pack_key(config: Config) -> tuple[tuple[str, Hashable], ...]:
    """Equal for two trials that can be trained as one pack."""
    # None is another control flow than 0: under legacy_2019 it is another rule.
    return tuple((name, v is None if name in PER_TRIAL else v) for name, v in config.values().items())


class PackConfig:
    """The trials of a pack seen as one configuration; the keys in PER_TRIAL are tensors of shape (trials,).

    Floats become float64, integers int64, flags bool. A builder that takes a Config takes a PackConfig as well, as long
    as it does not branch on a key in PER_TRIAL. `keys_read` records the keys that have been read.

    Raises: ValueError, naming the keys in which the trials may not differ.
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
        dtypes = {float: torch.float64, int: torch.int64, bool: torch.bool}
        return torch.tensor(values, dtype=dtypes[type(values[0])], device=self._device)


def _check_one_pack(configs: Sequence[Config]) -> None:
    differ = sorted({name for config in configs for name, _ in set(pack_key(config)) ^ set(pack_key(configs[0]))})
    if differ:
        raise ValueError(f"These trials cannot be trained as one pack: they differ in {', '.join(differ)}.")


# Which trials are trained together


def pack_up(configs: Sequence[Config], width: int) -> list[list[int]]:
    """Packs of at most `width` trials, each a list of places in `configs`.

    Trials of one seed share each batch, so they are kept together: a pack has the trials of one seed or, where those
    are few, all trials of several seeds. Packs of one kind are of nearly equal size. Within a seed the order stays.
    """
    kinds: dict[Hashable, dict[int, list[int]]] = {}
    for place, config in enumerate(configs):
        # Where one trial drops units all are computed by an engine that can, and on a CPU that may be another one.
        kind = (pack_key(config), config.dropout > 0)
        kinds.setdefault(kind, {}).setdefault(config.seed, []).append(place)
    return [pack for seeds in kinds.values() for pack in _cut(list(seeds.values()), width)]


def _cut(seeds: list[list[int]], width: int) -> list[list[int]]:
    """The trials of each seed, cut where there are more than `width`, and gathered where there are fewer."""
    parts = [part for places in seeds for part in _nearly_equal(places, -(-len(places) // width))]
    fewest = len(_gathered(parts, width))
    # As few packs as the width allows, but no wider than so many need be: 2 and 2 seeds rather than 3 and 1.
    limits = range(-(-sum(map(len, parts)) // fewest), width + 1)
    return next(packs for limit in limits if len(packs := _gathered(parts, limit)) == fewest)


def _gathered(parts: list[list[int]], limit: int) -> list[list[int]]:
    packs: list[list[int]] = [[]]
    for part in parts:
        if packs[-1] and len(packs[-1]) + len(part) > limit:
            packs.append([])
        packs[-1] = packs[-1] + part
    return packs


def _nearly_equal(places: list[int], n: int) -> list[list[int]]:
    """n runs whose lengths differ by 1 at most."""
    bounds = [len(places) * i // n for i in range(n + 1)]
    return [places[lo:hi] for lo, hi in pairwise(bounds)]


def width_of(n_trials: int) -> int:
    """How wide a pack of so many trials, at most WIDEST, is computed: the smallest of WIDTHS into which they go."""
    return WIDTHS[bisect_left(WIDTHS, n_trials)]


def filled_up(seeds: Sequence[int]) -> list[int]:
    """Which trial of a pack is computed in each place of its width: each one, and copies, which nobody looks at.

    Trials of one seed are side by side, and each seed has equally many where these go into the width, so that they
    share their batches evenly; the width is rounded down for that. Else the copies are of the last trial.

    Args:
        seeds: of the trials.
    """
    runs: dict[int, list[int]] = {}
    for place, seed in enumerate(seeds):
        runs.setdefault(seed, []).append(place)
    width, longest = width_of(len(seeds)), max(map(len, runs.values()))
    if len(runs) * longest <= width:
        return [place for run in runs.values() for place in _repeated_last(run, width // len(runs))]
    return _repeated_last([place for run in runs.values() for place in run], width)


def _repeated_last(places: list[int], n: int) -> list[int]:
    return places + places[-1:] * (n - len(places))


# The state of a pack, as `Trainer.state_dict` gives it


def select(state: Any, places: Sequence[int]) -> Any:
    """The state of some trials of a pack, as a Trainer of theirs has it; what is in it is copied.

    A state is made of dicts and lists. A tensor has a leading trials axis, a list of texts or None one for each trial;
    a number is that of all trials.
    """
    if isinstance(state, Tensor):
        return state[list(places)]
    if isinstance(state, dict):
        return {name: select(value, places) for name, value in state.items()}
    if isinstance(state, list):
        return [state[place] for place in places] if _one_per_trial(state) else [select(e, places) for e in state]
    return state


def join(states: Sequence[Any]) -> Any:
    """The state of a pack, from states of its trials, or of parts of it, in their order. `select` undoes it.

    Raises: ValueError where trials are not equally far, and so can be no pack.
    """
    first = states[0]
    if isinstance(first, Tensor):
        return torch.cat(list(states))
    if isinstance(first, dict):
        if any(each.keys() != first.keys() for each in states):
            raise ValueError("These states cannot be joined: they have different entries.")
        return {name: join([each[name] for each in states]) for name in first}
    if isinstance(first, list):
        if _one_per_trial(first):
            return [value for each in states for value in each]
        return [join(parts) for parts in zip(*states, strict=True)]
    if any(each != first for each in states):
        raise ValueError(f"These states cannot be joined: the trials are at different steps: {sorted(set(states))}.")
    return first


def moved(state: Any, device: str) -> Any:
    """A state on a device; what is there already is not copied."""
    if isinstance(state, Tensor):
        return state.to(device)
    if isinstance(state, dict):
        return {name: moved(value, device) for name, value in state.items()}
    if isinstance(state, list):
        return [moved(value, device) for value in state]
    return state


def _one_per_trial(values: list[Any]) -> bool:
    return bool(values) and all(value is None or isinstance(value, str) for value in values)


# What a user asks for


def read_pack(value: object) -> str | int:
    """ "auto", "off", or how many trials may be in a pack. Raises: ValueError for anything else."""
    text = str(value).strip()
    if text in ("auto", "off"):
        return text
    if isinstance(value, bool) or not text.isdecimal() or not 1 <= int(text) <= WIDEST:
        raise ValueError(f"pack must be 'auto', 'off' or a number of trials from 1 to {WIDEST}, got {text}.")
    return int(text)
