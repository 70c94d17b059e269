"""Multilayer perceptrons. A `Network` describes sizes, activation, batch norm and dropout; engines compute it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from dynsparse.nn.functional import STRONG_BOOST
from dynsparse.nn.settings import NetworkSettings


@dataclass(frozen=True)
class KWinnersSettings:
    """The k-winners activation of all hidden layers.

    Reference: Ahmad and Scheinkman, How Can We Be So Dense? The Benefits of Using Highly Sparse Representations,
    2019, https://arxiv.org/abs/1903.11257
    """

    activation_density: float | Tensor  # k / units, in training
    inference_factor: float  # k in evaluation over k in training
    boost_strength: float | Tensor  # in the first epoch
    boost_factor: float | Tensor  # boost_strength is multiplied by it each epoch
    period: int  # examples over which the duty cycle runs

    @property
    def is_strong(self) -> Tensor | None:
        """Mark the trials whose boosting needs `winner_scores` that cannot be 0 for many units; None if none does."""
        strong = torch.as_tensor(self.boost_strength).reshape(-1) > STRONG_BOOST
        return strong if bool(strong.any()) else None

    def winners(self, n_units: int, *, training: bool) -> list[int]:
        """Return the k of each trial, at least 1."""
        densities = torch.as_tensor(self.activation_density, dtype=torch.float64).reshape(-1).tolist()
        in_training = [round(density * n_units) for density in densities]
        # float64 may put 1.1 * 30 just below 33, which int would make 32.
        k = in_training if training else [int(each * self.inference_factor + 1e-9) for each in in_training]
        return [min(max(each, 1), n_units) for each in k]


@dataclass(frozen=True)
class Network:
    """The description of a network from which an engine builds it. Weights belong to the engine."""

    sizes: tuple[int, ...]  # inputs, units of each hidden layer, classes
    kwinners: KWinnersSettings | None = None  # None: ReLU
    batch_norm: bool = False
    dropout: float | Tensor = 0.0
    has_dropout: bool = field(default=False)  # whether any trial of the pack drops units

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Shape of each linear layer's weights, (out, in)."""
        return [(n_out, n_in) for n_in, n_out in pairwise(self.sizes)]

    @property
    def weight_shapes(self) -> list[tuple[int, ...]]:
        """Shape of each layer's weights in its own dimensions, which a convolution has more of than `shapes` says."""
        return list(self.shapes)

    @property
    def positions(self) -> list[int]:
        """Number of outputs that each unit of a layer has for one example: 1, but more in a convolution."""
        return [1] * len(self.shapes)

    def dense_layers(self, config: NetworkSettings) -> set[int]:
        """Return the layers that are dense whatever the method, besides the first and the last."""
        return set()

    @property
    def is_chain(self) -> bool:
        """True if the outputs of each layer are the inputs of the next one."""
        return True


def mlp(config: NetworkSettings) -> Network:
    """Describe a multilayer perceptron with ReLU."""
    dropout = config.dropout
    return Network(
        sizes=(config.input_size, *config.hidden_sizes, config.num_classes),
        batch_norm=config.batch_norm,
        dropout=dropout,
        has_dropout=bool((dropout > 0).any()) if isinstance(dropout, Tensor) else dropout > 0,
    )


def mlp_heb(config: NetworkSettings) -> Network:
    """Describe a multilayer perceptron with ReLU or k-winners.

    With rules="legacy_2019" the key `kwinners` has no effect, as in 2019.
    """
    plain = mlp(config)
    if config.rules == "legacy_2019" or not config.kwinners:
        return plain
    return Network(plain.sizes, k_winners_settings(config), plain.batch_norm, plain.dropout, plain.has_dropout)


def k_winners_settings(config: NetworkSettings) -> KWinnersSettings:
    """Return the settings of k-winners."""
    return KWinnersSettings(
        activation_density=config.percent_on,
        inference_factor=config.k_inference_factor,
        boost_strength=config.boost_strength,
        boost_factor=config.boost_strength_factor,
        period=config.duty_cycle_period,
    )


NETWORKS: dict[str, Callable[[NetworkSettings], Network]] = {"MLPHeb": mlp_heb, "MLP": mlp}
