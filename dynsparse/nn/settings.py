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
    def dense_layers(self) -> tuple[str, ...]: ...
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


class ModuleSettings(NetworkSettings, Protocol):
    """The keys of one trial, and the shape of an example, for a function that returns a torch module."""

    @property
    def input_shape(self) -> tuple[int, ...]: ...  # of images: channels, height, width
    @property
    def dropout(self) -> float: ...
    @property
    def percent_on(self) -> float: ...
    @property
    def boost_strength(self) -> float: ...
    @property
    def boost_strength_factor(self) -> float: ...


class OptimizerSettings(Protocol):
    """The keys that describe an optimizer, from a Config or from the configuration of a pack."""

    @property
    def momentum(self) -> float | Tensor: ...
    @property
    def nesterov(self) -> bool: ...
    @property
    def weight_decay(self) -> float | Tensor: ...


class ScheduleSettings(Protocol):
    """The keys that learning-rate schedules read, of one trial."""

    @property
    def epochs(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def lr_schedule(self) -> str: ...
    @property
    def lr_milestones(self) -> tuple[int, ...]: ...
    @property
    def lr_gamma(self) -> float: ...
    @property
    def lr_final(self) -> float: ...
    @property
    def warmup_epochs(self) -> float: ...


def image_shape(settings: ModuleSettings, at_least: int) -> tuple[int, int, int]:
    """Return channels, height and width of an image. Raises: ValueError if it has no shape or is smaller."""
    if len(settings.input_shape) != 3 or min(settings.input_shape[1:]) < at_least:
        raise ValueError(
            f"the network needs images (channels, height, width) of at least {at_least} x {at_least} pixels, but an "
            f"example has the shape {settings.input_shape}. Choose another network or data set."
        )
    channels, height, width = settings.input_shape
    return channels, height, width
