"""Weight initializations: a row of WEIGHT_INITS is `weight_init="..."`.

A layer keeps the size of its signal only if the variance of its weights is inversely proportional to the number of
inputs that a unit reads. In a sparse layer these are the active ones: with a variance for all inputs the signal shrinks
by sqrt(density) in every layer, and deep or very sparse networks do not learn.

To add one, write its two functions and add a row to the table.

Reference: Utku Evci, Yani Ioannou, Cem Keskin and Yann Dauphin, Gradient Flow in Sparse Neural Networks and How Lottery
Tickets Win, 2022, https://arxiv.org/abs/2010.03533; the gain: Kaiming He, Xiangyu Zhang, Shaoqing Ren and Jian Sun,
Delving Deep into Rectifiers, 2015, https://arxiv.org/abs/1502.01852
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dynsparse.nn.mlp import KWinnersSettings, Network


@dataclass(frozen=True)
class WeightInit:
    """A distribution: a weight is `draw(u)` times the scale of its unit."""

    draw: Callable[[Tensor], Tensor]  # uniform in [0, 1) to numbers of mean 0, of the same shape
    # Mask (trials, out, in) and gain (trials or 1, 1, 1) to a scale (trials or 1, out or 1, 1), float64.
    scale: Callable[[Tensor, Tensor], Tensor]


def centred_uniform(u: Tensor) -> Tensor:
    """Return U(-1, 1) from U(0, 1)."""
    drawn: Tensor = u * 2 - 1
    return drawn


def standard_normal(u: Tensor) -> Tensor:
    """Return N(0, 1) from U(0, 1), whose numbers are multiples of 2**-24."""
    # The middle of each step, because the quantile of 0 is infinite.
    quantiles: Tensor = torch.special.ndtri(u.double() + 2**-25)
    return quantiles.float()


def active_fan_in(mask: Tensor) -> Tensor:
    """Return the number of active inputs of each unit, at least 1.

    Shapes: mask (..., out, in) to (..., out, 1), float64.

    Example:
        >>> import torch
        >>> active_fan_in(torch.tensor([[True, True, False], [False, False, False]])).tolist()
        [[2.0], [1.0]]
    """
    return mask.sum(-1, keepdim=True).clamp(min=1).double()


def activation_gain(kwinners: KWinnersSettings | None) -> Tensor:
    """Return 1 / sqrt(E[f(z)^2]) for a standard normal z: the gain with which a layer keeps the size of its signal.

    For ReLU it is sqrt(2). k-winners of activation density a pass the values above the quantile t of 1 - a, so that
    E[f(z)^2] = a + t phi(t) with the normal density phi; at a = 1/2 the gain is that of ReLU.

    Shapes: () or (trials,), like the activation density; float64.
    """
    if kwinners is None:
        return torch.tensor(2.0, dtype=torch.float64).sqrt()
    density = torch.as_tensor(kwinners.activation_density, dtype=torch.float64)
    quantile = torch.special.ndtri(1 - density)
    # At density 1 the quantile is -inf, and the product is 0.
    product = torch.nan_to_num(quantile * torch.exp(-quantile.square() / 2) / math.sqrt(2 * math.pi), nan=0.0)
    return (density + product).rsqrt()


def layer_gain(network: Network, layer: int) -> Tensor:
    """Return the gain of a layer's weights, for the activation that its inputs have passed; 1 for the first layer.

    Shapes: (trials or 1, 1, 1), float64.
    """
    gain = activation_gain(network.kwinners) if layer > 0 else torch.ones((), dtype=torch.float64)
    return gain.view(-1, 1, 1)


def he(mask: Tensor, gain: Tensor) -> Tensor:
    """Return the standard deviation gain / sqrt(n) for n active inputs."""
    return gain.to(mask.device) / active_fan_in(mask).sqrt()


def he_bound(mask: Tensor, gain: Tensor) -> Tensor:
    """Return the bound of a uniform distribution with standard deviation gain / sqrt(n)."""
    return he(mask, gain) * math.sqrt(3)


def active_bound(mask: Tensor, gain: Tensor) -> Tensor:
    """Return 1 / sqrt(n) for n active inputs."""
    return 1 / active_fan_in(mask).sqrt()


def glorot_bound(mask: Tensor, gain: Tensor) -> Tensor:
    """Return sqrt(6 / (n + m)) for n active inputs of a unit; m is the mean number of active outputs of an input.

    For a dense layer it is the default of Keras.

    Reference: Xavier Glorot and Yoshua Bengio, Understanding the Difficulty of Training Deep Feedforward Neural
    Networks, 2010, https://proceedings.mlr.press/v9/glorot10a.html
    """
    active_fan_out = mask.sum((-2, -1), keepdim=True).double() / mask.shape[-1]
    return (6 / (active_fan_in(mask) + active_fan_out)).sqrt()


def dense_bound(mask: Tensor, gain: Tensor) -> Tensor:
    """Return 1 / sqrt(n) for n inputs, active or not: torch's default for linear layers."""
    return torch.full((1, 1, 1), 1 / math.sqrt(mask.shape[-1]), dtype=torch.float64, device=mask.device)


WEIGHT_INITS = {
    "he_uniform": WeightInit(centred_uniform, he_bound),
    "he_normal": WeightInit(standard_normal, he),
    "active_uniform": WeightInit(centred_uniform, active_bound),
    "glorot_uniform": WeightInit(centred_uniform, glorot_bound),
    "dense_uniform": WeightInit(centred_uniform, dense_bound),
}
