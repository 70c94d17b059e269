"""The configuration keys that methods read. `Config` says what each means.

For a pack, a key in which its trials may differ is a tensor of shape (trials,).
"""

# ruff: noqa: D102

from typing import Protocol

from torch import Tensor


class MethodSettings(Protocol):
    """What a method is built from: a Config, or the configuration of a pack."""

    @property
    def rules(self) -> str: ...
    @property
    def on_perc(self) -> float | Tensor: ...
    @property
    def weight_prune_perc(self) -> float | Tensor | None: ...
    @property
    def hebbian_prune_perc(self) -> float | Tensor | None: ...
    @property
    def hebbian_grow(self) -> bool | Tensor: ...
    @property
    def gradient_momentum(self) -> float | Tensor: ...
