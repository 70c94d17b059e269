"""The configuration keys that networks and optimizers read. `Config` documents each key.

For a pack, a key in which its trials may differ is a tensor of shape (trials,).
"""

# ruff: noqa: D102

from typing import Protocol

from torch import Tensor


class NetworkSettings(Protocol):
    """The keys that describe a network, from a Config or from the configuration of a pack."""

    @property
    def rules(self) -> str: ...
    @property
    def input_size(self) -> int: ...
    @property
    def num_classes(self) -> int: ...
    @property
    def hidden_sizes(self) -> tuple[int, ...]: ...
    @property
    def batch_norm(self) -> bool: ...
    @property
    def dropout(self) -> float | Tensor: ...
    @property
    def kwinners(self) -> bool: ...
    @property
    def percent_on(self) -> float | Tensor: ...
    @property
    def k_inference_factor(self) -> float: ...
    @property
    def boost_strength(self) -> float | Tensor: ...
    @property
    def boost_strength_factor(self) -> float | Tensor: ...
    @property
    def duty_cycle_period(self) -> int: ...


class OptimizerSettings(Protocol):
    """The keys that describe an optimizer, from a Config or from the configuration of a pack."""

    @property
    def learning_rate(self) -> float | Tensor: ...
    @property
    def momentum(self) -> float | Tensor: ...
    @property
    def weight_decay(self) -> float | Tensor: ...
