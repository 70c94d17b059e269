"""Parameters as rows: one row for each trial, with all that training keeps of each parameter in rows alike."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from dynsparse.nn.optimizers import Optimizer


class Rows:
    """Some parameters of all trials side by side, so that one step moves them all. All are changed in place only.

    Shapes: `values`, `gradient`, `active` and each of `state` are (trials, numbers). `active` is 1 where a weight is
    active, and at biases.

    Args:
        pad_to: each parameter begins at a multiple of it; zeros that nothing reads are between.
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
        self.active = torch.ones_like(self.values)
        self.state = optimizer.init(self.values)

    def views(self, rows: Tensor) -> list[Tensor]:
        """What rows have of each parameter, to read and to write. Shapes: (trials, numbers) to (trials, ...) each."""
        parts = rows.split(self._sizes, dim=1)
        pairs = zip(parts, self._shapes, strict=True)
        return [part[:, : math.prod(shape)].view(-1, *shape) for part, shape in pairs]

    def step_(self, t: Tensor) -> None:
        """One step of the optimiser, the t-th, that leaves inactive weights where they are."""
        self._optimizer.step_(self.values, self.gradient * self.active, self.state, t)
