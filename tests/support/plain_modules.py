"""The network of one trial as plain torch modules, for tests to compare the engines with."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dynsparse import random
from dynsparse.config import Config
from dynsparse.engines.base import Engine
from dynsparse.random import Purpose, Stream


class MaskedLinear(nn.Linear):
    """The usual way to train under a mask: the weight is multiplied by it in each forward pass."""

    mask: Tensor

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.mask, self.bias)


class PlainKWinners(nn.Module):
    """k-winners of one trial with the formulas as they are in the paper."""

    def __init__(self, n_units: int, config: Config) -> None:
        super().__init__()
        self.k = round(n_units * config.percent_on)
        self.boost, self.factor = config.boost_strength, config.boost_strength_factor
        self.period, self.n_seen, self.duty = config.duty_cycle_period, 0, torch.zeros(n_units)

    def forward(self, x: Tensor) -> Tensor:
        boosted = x * torch.exp(self.boost * (self.k / x.shape[1] - self.duty))
        winners = boosted.argsort(1, descending=True)[:, : self.k]
        out = x * torch.zeros_like(x).scatter(1, winners, 1.0)
        if self.training:
            self.n_seen += len(x)
            period = min(self.period, self.n_seen)
            self.duty = (self.duty * (period - len(x)) + (out > 0).sum(0)) / period
        return out


class PlainDropout(nn.Module):
    """Dropout with the random numbers of a layer; `step` is that of the training."""

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__()
        self.share, self.seed, self.layer, self.step = config.dropout, config.seed, layer, 0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        self.step += 1
        stream = Stream(self.seed, Purpose.DROPOUT, epoch=1, layer=self.layer, step=self.step)
        numbers = random.dropout_numbers(*x.shape, stream)
        return torch.where(numbers < round(self.share * 2**16), 0.0, x / (1 - self.share))


def reference(engine: Engine, trial: int, config: Config) -> nn.Sequential:
    """A plain network with the weights and masks of one trial of an engine."""
    layers: list[nn.Module] = []
    for layer, (n_in, n_out) in enumerate(pairwise(engine.plan.network.sizes)):
        linear = MaskedLinear(n_in, n_out)
        linear.weight.data.copy_(engine.weights[layer][trial])
        linear.bias.data.copy_(engine.biases[layer][trial])
        linear.mask = engine.masks[layer][trial]
        layers.append(linear)
        if layer < len(config.hidden_sizes):
            layers += [nn.BatchNorm1d(n_out)] if config.batch_norm else []
            layers.append(PlainKWinners(n_out, config) if config.kwinners else nn.ReLU())
            layers += [PlainDropout(config, layer)] if config.dropout else []
    return nn.Sequential(*layers)
