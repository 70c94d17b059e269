"""Packs: trials whose networks have equal shapes and the same control flow are computed together."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, cast

import torch

from dynsparse.config import Config, keys

# Keys in which the trials of one pack may differ: each becomes a tensor over the trials.
PER_TRIAL = frozenset(name for name, each in keys().items() if each.metadata["per_trial"])


def pack_key(config: Config) -> tuple[tuple[str, Hashable], ...]:
    """Equal for two trials that can be trained as one pack."""
    # None is another control flow than 0: under legacy_2019 it is another rule.
    return tuple((name, v is None if name in PER_TRIAL else v) for name, v in config.values().items())


def stack(configs: Sequence[Config], device: str = "cpu") -> Config:
    """The trials of a pack seen as one Config, whose keys in PER_TRIAL are tensors of shape (trials,).

    Floats become float64, whole numbers int64. What takes a Config takes this as well, as long as it does not branch
    on a key in PER_TRIAL.

    Raises: ValueError, naming the keys in which the trials may not differ.
    """
    differ = sorted({name for config in configs for name, _ in set(pack_key(config)) ^ set(pack_key(configs[0]))})
    if differ:
        raise ValueError(f"these trials cannot be one pack: they differ in {', '.join(differ)}")
    return cast(Config, _Stacked(configs, device))


class _Stacked:
    def __init__(self, configs: Sequence[Config], device: str) -> None:
        self._configs = configs
        self._device = device

    def __getattr__(self, name: str) -> Any:
        values = [getattr(config, name) for config in self._configs]
        if name not in PER_TRIAL or values[0] is None:
            return values[0]
        dtype = torch.float64 if isinstance(values[0], float) else torch.int64
        return torch.tensor(values, dtype=dtype, device=self._device)
