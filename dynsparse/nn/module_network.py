"""Networks that are torch modules: their description, from which an engine builds the module of each trial."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

from torch import nn

from dynsparse.config import check_of, keys, unknown
from dynsparse.data import DATASETS
from dynsparse.nn.mlp import NETWORKS, Network, k_winners_settings
from dynsparse.nn.module_layers import Inspection, ModuleError, ModuleLayer, inspect_module
from dynsparse.nn.settings import NetworkSettings
from dynsparse.random import Purpose, Stream, torch_generators


@dataclass(frozen=True)
class ModuleNetwork(Network):
    """The description of a network that is a torch module, and a function for each trial that builds it."""

    layers: tuple[ModuleLayer, ...] = ()  # in the order in which the forward pass reaches them
    input_shape: tuple[int, ...] = ()  # of an example
    builders: tuple[Callable[[int], nn.Module], ...] = ()  # from the seed of a trial to its module
    keys_read: frozenset[str] = frozenset()  # by the function of the network
    differing: tuple[str, ...] = ()  # keys that the function reads, in which the trials differ

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Shape of each layer's weights as a matrix (out, in); a filter is one row."""
        return [(n_out, math.prod(rest)) for n_out, *rest in self.weight_shapes]

    @property
    def weight_shapes(self) -> list[tuple[int, ...]]:
        """Shape of each layer's weights, such as (out, in, rows, columns) of a convolution."""
        return [layer.weight_shape for layer in self.layers]

    @property
    def positions(self) -> list[int]:
        """Number of outputs that each unit of a layer has for one example."""
        return [layer.positions for layer in self.layers]

    def dense_layers(self, config: NetworkSettings) -> set[int]:
        """Return the layers that the key `dense_layers` names."""
        return {place for place, layer in enumerate(self.layers) if layer.name in config.dense_layers}

    @property
    def is_chain(self) -> bool:
        """False: between two layers there may be reshaping, and paths may branch."""
        return False


class _Settings:
    """The keys of a trial and the shape of an example: `ModuleSettings`."""

    def __init__(self, config: Any, input_shape: tuple[int, ...]) -> None:
        self._config, self.input_shape = config, input_shape
        self.read: dict[str, Any] = {}  # the keys that were read, in order, and their values

    def __getattr__(self, name: str) -> Any:
        if name not in keys():
            raise AttributeError(unknown("key", name, keys()))
        self.read[name] = getattr(self._config, name)
        return self.read[name]


def is_module(network: str) -> bool:
    """Return True if a value of the key `network` stands for a torch module."""
    return network not in NETWORKS


def network_of(config: Any, trials: Sequence[Any]) -> Network:
    """Return the description of a network.

    Args:
        config: A Config, or the combined configuration of a pack.
        trials: The configuration of each trial.

    Raises:
        ValueError: If a torch module cannot be trained sparsely, with what is wrong in which of its layers.
    """
    return _module_network(config, trials) if is_module(config.network) else NETWORKS[config.network](config)


def _module_network(config: Any, trials: Sequence[Any]) -> ModuleNetwork:
    function: Callable[..., nn.Module] = check_of(keys()["network"]).row(config.network)  # type: ignore[attr-defined]
    # Read so that it counts among the keys on which a trial depends.
    _ = config.network_hash
    source = DATASETS.get(config.dataset_name)
    sizes, shape = (
        ((config.input_size, config.num_classes), config.input_shape)
        if source is None
        else ((source.input_size, source.num_classes), source.image_shape)
    )
    input_shape = shape or sizes[:1]
    try:
        if math.prod(input_shape) != sizes[0]:
            raise ModuleError(f"the data set has image_shape={input_shape}, but input_size={sizes[0]}.")
        settings = [_Settings(trial, input_shape) for trial in trials]
        arguments = [(each,) if _takes_settings(function) else () for each in settings]
        builders = tuple(partial(_build, function, each) for each in arguments)
        found = _inspected(function, settings[0], builders[0], sizes[1])
    except ModuleError as error:
        raise ValueError(f"network={config.network!r} on dataset_name={config.dataset_name!r}: {error}") from error
    return ModuleNetwork(
        sizes=sizes,
        # The gain of the initial weights, in all layers, is that of k-winners if there are any.
        kwinners=k_winners_settings(config) if found.has_k_winners else None,
        batch_norm=found.has_batch_norm,
        layers=found.layers,
        input_shape=input_shape,
        builders=builders,
        keys_read=frozenset(settings[0].read),
        differing=tuple(
            name for name, value in settings[0].read.items() if any(getattr(each, name) != value for each in trials)
        ),
    )


def new_module(network: str, **settings: Any) -> nn.Module:
    """Return a network that is a torch module, as its function builds it.

    Args:
        network: A value of the key `network`, such as "LeNet5" or "nets.py:small_net".
        settings: What its function reads of the settings of a trial, such as `input_shape` and `num_classes`.

    Raises:
        ValueError: If there is no such network, or it is a multilayer perceptron.

    Example:
        >>> from dynsparse.export import new_module
        >>> new_module("LeNet5", input_shape=(1, 28, 28), num_classes=10).conv1
        Conv2d(1, 6, kernel_size=(5, 5), stride=(1, 1), padding=(2, 2))
    """
    if not is_module(network):
        raise ValueError(
            f"network must be a torch module, got {network!r}, a multilayer perceptron. Use load_exported without a "
            "module."
        )
    check = check_of(keys()["network"])
    function: Callable[..., nn.Module] = check.row(check.read("network", network))  # type: ignore[attr-defined]
    return function(SimpleNamespace(**settings)) if _takes_settings(function) else function()


def _takes_settings(function: Callable[..., Any]) -> bool:
    """Return whether a network's function is called with the settings, or without arguments."""
    required = [
        each
        for each in inspect.signature(function).parameters.values()
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    if len(required) > 1 or any(each.kind is each.KEYWORD_ONLY for each in required):
        names = ", ".join(each.name for each in required)
        raise ModuleError(
            f"its function must have one argument without a default, the settings of the trial, or none, got {names}. "
            "Give the others defaults."
        )
    return bool(required)


def _build(function: Callable[..., nn.Module], arguments: tuple[Any, ...], seed: int) -> nn.Module:
    """Build the module of a trial; what it draws from torch's generator depends on the seed alone."""
    with torch_generators(Stream(seed, Purpose.MODULE)):
        return function(*arguments)


# For each function, shape of an example and number of classes: the keys that the function read with their values, and
# what was found.
_found: dict[Any, list[tuple[dict[str, Any], Inspection]]] = {}


def _inspected(
    function: Callable[..., nn.Module], settings: _Settings, build: Callable[[int], nn.Module], n_classes: int
) -> Inspection:
    """Return what is found in a module; from memory if its function gets the same values.

    Raises: ModuleError.
    """
    found = _found.setdefault((function, settings.input_shape, n_classes), [])
    for read, inspection in found:
        # A function reads the same keys in the same order as long as their values are the same. So those that are
        # compared here are read by this trial, too.
        if all(getattr(settings, name) == value for name, value in read.items()):
            return inspection
    inspection = inspect_module(build, settings.input_shape, n_classes)
    found.append((dict(settings.read), inspection))
    return inspection
