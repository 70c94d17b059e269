"""Multilayer perceptrons over a leading trials axis: linear layers, k-winners, batch norm, dropout.

Shapes: weights are (trials, out, in), biases (trials, out), activations (trials, batch, units).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from dynsparse.config import Config


@dataclass(frozen=True)
class KWinners:
    """The k-winners activation of all hidden layers.

    Reference: Ahmad and Scheinkman, How Can We Be So Dense? The Benefits of Using Highly Sparse Representations,
    2019, https://arxiv.org/abs/1903.11257
    """

    activation_density: float | Tensor  # k / units, in training
    inference_factor: float  # k in evaluation over k in training
    boost_strength: float | Tensor  # in the first epoch
    boost_factor: float | Tensor  # boost_strength is multiplied by it each epoch
    period: int  # examples over which the duty cycle runs

    def winners(self, n_units: int, *, training: bool) -> list[int]:
        """k of each trial, at least 1."""
        densities = torch.as_tensor(self.activation_density, dtype=torch.float64).reshape(-1).tolist()
        in_training = [round(density * n_units) for density in densities]
        # float64 may put 1.1 * 30 just below 33, which int would make 32.
        k = in_training if training else [int(each * self.inference_factor + 1e-9) for each in in_training]
        return [min(max(each, 1), n_units) for each in k]


@dataclass(frozen=True)
class Network:
    """What an engine must know of a network; the weights are the engine's."""

    sizes: tuple[int, ...]  # inputs, units of each hidden layer, classes
    kwinners: KWinners | None = None  # None: ReLU
    batch_norm: bool = False
    dropout: float | Tensor = 0.0
    has_dropout: bool = field(default=False)  # whether any trial of the pack drops units

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(out, in) of each linear layer."""
        return [(n_out, n_in) for n_in, n_out in pairwise(self.sizes)]


def mlp(config: Config) -> Network:
    """A multilayer perceptron with ReLU."""
    dropout = config.dropout
    return Network(
        sizes=(config.input_size or 0, *config.hidden_sizes, config.num_classes or 0),
        batch_norm=config.batch_norm,
        dropout=dropout,
        has_dropout=bool(torch.as_tensor(dropout).gt(0).any()),
    )


def mlp_heb(config: Config) -> Network:
    """A multilayer perceptron with ReLU or k-winners; under legacy_2019 `kwinners` is ignored, as it was in 2019.

    Raises: ValueError where no unit would win.
    """
    plain = mlp(config)
    if config.rules == "legacy_2019" or not config.kwinners:
        return plain
    smallest = min(config.hidden_sizes, default=None)
    least = float(torch.as_tensor(config.percent_on).min())
    if smallest is not None and round(least * smallest) < 1:
        raise ValueError(f"percent_on={least:g} leaves no winner among {smallest} units; raise it")
    kwinners = KWinners(
        activation_density=config.percent_on,
        inference_factor=config.k_inference_factor,
        boost_strength=config.boost_strength,
        boost_factor=config.boost_strength_factor,
        period=config.duty_cycle_period,
    )
    return Network(plain.sizes, kwinners, plain.batch_norm, plain.dropout, plain.has_dropout)


NETWORKS: dict[str, Callable[[Config], Network]] = {"MLPHeb": mlp_heb, "MLP": mlp}


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x @ weight^T + bias for each trial. Shapes: (trials, batch, in) to (trials, batch, out)."""
    return torch.baddbmm(bias[:, None], x, weight.mT)


def k_winners(x: Tensor, k: Sequence[int], boost: Tensor, duty: Tensor) -> Tensor:
    """Keep the k units with the largest x * exp(boost * (k / units - duty)) of each example; the others give 0.

    Winners pass their own x, and the gradient goes through winners only. Exactly k win; a tie at the margin is
    decided by the order in which `torch.topk` meets the units.

    Shapes: x (trials, batch, units); k one number per trial; boost (trials,); duty (trials, units).
    """
    # The factor exp(boost * k / units) is the same for all units, so the winners are the same without it.
    boosted = x.detach() * torch.exp(-boost[:, None] * duty)[:, None]
    won = torch.zeros_like(x)
    # One k at a time: among ties, the first k of a larger selection would be others than a trial's own.
    for each in dict.fromkeys(k):
        trials = [i for i, its in enumerate(k) if its == each]
        # A slice, where it is all of them, copies nothing.
        some = slice(None) if len(trials) == len(k) else torch.tensor(trials, device=x.device)
        index = boosted[some].topk(each, dim=-1, sorted=False).indices
        won[some] = torch.zeros_like(boosted[some]).scatter_(-1, index, 1.0)
    return x * won


def updated_duty(duty: Tensor, out: Tensor, period: int, n_seen: int) -> Tensor:
    """The running share of examples for which each unit is positive, after one more batch.

    Shapes: duty (trials, units); out (trials, batch, units). `n_seen` counts examples, this batch included.
    """
    n_batch = out.shape[1]
    # A batch longer than the period would give the past a negative weight.
    length = max(min(period, n_seen), n_batch)
    return (duty * (length - n_batch) + (out > 0).sum(1)) / length


def batch_norm(x: Tensor, gain: Tensor, shift: Tensor, mean: Tensor, variance: Tensor, *, training: bool) -> Tensor:
    """Batch normalisation of each trial's units; in training, `mean` and `variance` move by 0.1 in place.

    Written out, because torch's own over all trials' units at once rounds otherwise for each width of the pack.

    Shapes: x (trials, batch, units), of at least 2 examples in training; the others (trials, units).

    Reference: Ioffe and Szegedy, Batch Normalization, 2015, https://arxiv.org/abs/1502.03167
    """
    if training:
        batch_mean = x.mean(1)
        centred = x - batch_mean[:, None]
        batch_variance = centred.square().mean(1)
        with torch.no_grad():
            n = x.shape[1]
            mean.lerp_(batch_mean, 0.1)
            variance.lerp_(batch_variance * (n / (n - 1)), 0.1)
    else:
        centred, batch_variance = x - mean[:, None], variance
    return torch.addcmul(shift[:, None], centred, (gain * (batch_variance + 1e-5).rsqrt())[:, None])
