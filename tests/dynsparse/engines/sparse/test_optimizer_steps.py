"""Compare the compiled optimizer steps with torch.optim in float64."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

optimizer_steps = pytest.importorskip("dynsparse.engines.sparse.optimizer_steps")

Array = np.ndarray[Any, Any]


Made = tuple[Callable[..., None], torch.optim.Optimizer, Tensor]


def make_sgd(rate: float, decay: float, name: str = "SGD") -> Made:
    theirs = initial_parameter()
    velocity = np.zeros(1000, np.float32)

    def step(parameter: Array, gradient: Array, t: int) -> None:
        hyperparameters = np.float32(rate), np.float32(0.9), np.float32(decay)
        optimizer_steps.STEPS[name](parameter, gradient, velocity, *hyperparameters)

    return step, torch.optim.SGD([theirs], rate, 0.9, weight_decay=decay, nesterov=name == "Nesterov"), theirs


def make_adam(rate: float, decay: float, name: str = "Adam") -> Made:
    theirs = initial_parameter()
    mean, square = np.zeros(1000, np.float32), np.zeros(1000, np.float32)

    def step(parameter: Array, gradient: Array, t: int) -> None:
        hyperparameters = np.float32(rate), np.float32(decay), np.float32(1 - 0.9**t), np.float32(1 - 0.999**t)
        optimizer_steps.CORRECTED_STEPS[name](parameter, gradient, mean, square, *hyperparameters)

    kind = {"Adam": torch.optim.Adam, "AdamW": torch.optim.AdamW}[name]
    return step, kind([theirs], rate, weight_decay=decay), theirs


def initial_parameter() -> Tensor:
    return torch.tensor(np.random.RandomState(0).randn(1000), requires_grad=True)


@pytest.mark.parametrize("decay", [0.0, 0.05])
@pytest.mark.parametrize(
    "make",
    [make_sgd, partial(make_sgd, name="Nesterov"), make_adam, partial(make_adam, name="AdamW")],
    ids=["SGD", "Nesterov", "Adam", "AdamW"],
)
def test_steps_equal_those_of_torchs_optimizers_and_set_the_gradient_to_zero(make: Any, decay: float) -> None:
    step, optimizer, theirs = make(0.03, decay)
    parameter = theirs.detach().numpy().astype(np.float32)
    random = np.random.RandomState(1)
    for t in range(1, 9):
        # From tiny to large gradients.
        gradient = (random.randn(1000) * 10.0 ** random.uniform(-4, 1, 1000)).astype(np.float32)
        theirs.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
        step(parameter, gradient, t)
        np.testing.assert_allclose(parameter, theirs.detach(), rtol=1e-5, atol=1e-6)
        assert (gradient == 0).all()
