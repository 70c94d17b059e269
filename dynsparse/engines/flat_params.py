"""Parameters of many trials in one flat tensor, so that one optimizer step updates them all."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from dynsparse.engines.active_bits import active_bits, zero_inactive
from dynsparse.nn.optimizers import Optimizer, State


class FlatParameters:
    """Several parameters of all trials, side by side in one row per trial. All tensors are changed in place only.

    Shapes: `values`, `gradient`, `active` and each entry of `state` are (trials, columns). `active` has the
    `active_bits` of the masks, and those of True for biases.

    Args:
        n_trials: Number of rows.
        shapes: Shape of each parameter, without the trials axis.
        optimizer: Updates the values.
        device: Of all tensors.
        pad_to: Each parameter starts at a multiple of this number of columns; the zeros in between are not used.
    """

    def __init__(
        self,
        n_trials: int,
        shapes: Sequence[tuple[int, ...]],
        optimizer: Optimizer,
        device: torch.device,
        *,
        pad_to: int = 1,
    ) -> None:
        self._shapes = shapes
        self._sizes = [math.prod(shape) + -math.prod(shape) % pad_to for shape in shapes]
        self._optimizer = optimizer
        self.values = torch.zeros(n_trials, sum(self._sizes), device=device)
        self.gradient = torch.zeros_like(self.values)
        self.active = active_bits(torch.ones_like(self.values, dtype=torch.bool))
        self.state = optimizer.init(self.values)

    def views(self, flat: Tensor) -> list[Tensor]:
        """Return a view of each parameter in a flat tensor. Shapes: (trials, columns) to (trials, ...) each."""
        parts = flat.split(self._sizes, dim=1)
        pairs = zip(parts, self._shapes, strict=True)
        return [part[:, : math.prod(shape)].view(-1, *shape) for part, shape in pairs]

    def masked_gradient(self) -> Tensor:
        """Return the gradient, with zeros for inactive weights. Shapes: (trials, columns)."""
        return zero_inactive(self.gradient, self.active)

    def clipped(self, gradient: Tensor, factor: Tensor) -> Tensor:
        """Return a masked gradient times a factor of each trial, NaN if it diverges. Shapes: factor (trials,)."""
        return zero_inactive(gradient * factor[:, None], self.active)

    def state_views(self) -> list[State]:
        """Return the optimizer state of each parameter. Shapes of the views: (trials, ...)."""
        by_name = {name: self.views(flat) for name, flat in self.state.items()}
        return [dict(zip(by_name, each, strict=True)) for each in zip(*by_name.values(), strict=True)]

    def step_(self, gradient: Tensor, t: int | Tensor, rate: Tensor) -> None:
        """Do the t-th optimizer step. Inactive weights stay at zero if the gradient is masked.

        Shapes: gradient (trials, columns); t (), counted from 1; rate (trials,), the learning rates.
        """
        self._optimizer.step_(self.values, gradient, self.state, t, rate)
