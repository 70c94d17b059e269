"""Configuration keys that methods read; `Config` documents them.

In a pack, a key in which the trials may differ is a tensor of shape (trials,).
"""

# ruff: noqa: D102

from typing import Protocol

from torch import Tensor


class MethodSettings(Protocol):
    """A Config, or the combined configuration of a pack."""

    @property
    def model(self) -> str: ...
    @property
    def model_hash(self) -> str | None: ...
    @property
    def rules(self) -> str: ...
    @property
    def on_perc(self) -> float | Tensor: ...
    @property
    def initial_density(self) -> float | Tensor: ...
    @property
    def score_examples(self) -> int: ...
    @property
    def weight_prune_perc(self) -> float | Tensor | None: ...
    @property
    def hebbian_prune_perc(self) -> float | Tensor | None: ...
    @property
    def hebbian_grow(self) -> bool | Tensor: ...
    @property
    def gradient_momentum(self) -> float | Tensor: ...
    @property
    def prune_gradient_weight(self) -> float | Tensor: ...
