"""Optimisers: the steps of torch's own, with rates of each trial, and nothing moves where the gradient is masked."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from dynsparse.config import Config
from dynsparse.nn.optimizers import OPTIMIZERS, Optimizer
from dynsparse.planning.packs import PackConfig

N_STEPS = 20
# Rates of three trials. With a weight decay of 0.5 a decay that is left out, or decoupled, shows at once.
RATES: dict[str, list[dict[str, float]]] = {
    "SGD": [
        {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 1e-4},
        {"learning_rate": 0.02, "momentum": 0.0, "weight_decay": 0.5},
        {"learning_rate": 0.05, "momentum": 0.5, "weight_decay": 0.0},
    ],
    "Nesterov": [
        {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 1e-4},
        {"learning_rate": 0.02, "momentum": 0.2, "weight_decay": 0.5},
        {"learning_rate": 0.05, "momentum": 0.5, "weight_decay": 0.0},
    ],
    "Adam": [
        {"learning_rate": 0.1, "weight_decay": 1e-4},
        {"learning_rate": 0.001, "weight_decay": 0.5},
        {"learning_rate": 0.02, "weight_decay": 0.0},
    ],
}
RATES["AdamW"] = RATES["Adam"]
TORCHS: dict[str, Any] = {
    "SGD": torch.optim.SGD,
    "Nesterov": partial(torch.optim.SGD, nesterov=True),
    "Adam": torch.optim.Adam,
    "AdamW": torch.optim.AdamW,
}
SHAPES = [(4, 5), (4,)]  # a weight and a bias


def optimizer(name: str) -> Optimizer:
    """The optimiser of a pack of three trials."""
    values: dict[str, Any] = {"optim_alg": "SGD", "nesterov": True} if name == "Nesterov" else {"optim_alg": name}
    return OPTIMIZERS[values["optim_alg"]](PackConfig([Config.of({**values, **rates}) for rates in RATES[name]]))


def rate(name: str) -> Tensor:
    """Return the learning rates of the three trials."""
    return torch.tensor([rates["learning_rate"] for rates in RATES[name]])


def starts_and_slopes(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Where the three trials start; and a part of the gradient for each step, of very different sizes."""
    generator = torch.Generator().manual_seed(0)
    sizes = [10.0 ** (step % 5 - 4) for step in range(N_STEPS)]
    slopes = [size * torch.randn(3, *shape, generator=generator) for size in sizes]
    return torch.randn(3, *shape, generator=generator), torch.stack(slopes)


def gradient(parameter: Tensor, slope: Tensor) -> Tensor:
    """A gradient that depends on where the parameter is, so that one wrong step changes all later ones."""
    return parameter.sin() + slope


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", TORCHS)
def test_each_trial_of_a_stack_takes_the_steps_of_torchs(name: str, shape: tuple[int, ...]) -> None:
    start, slopes = starts_and_slopes(shape)
    ours, parameter = optimizer(name), start.clone()
    state = ours.init(parameter)
    theirs = [start[trial].clone().requires_grad_() for trial in range(3)]
    optimizers = [
        TORCHS[name]([own], **{key.replace("learning_rate", "lr"): rate for key, rate in rates.items()})
        for own, rates in zip(theirs, RATES[name], strict=True)
    ]
    for t in range(N_STEPS):
        ours.step_(parameter, gradient(parameter, slopes[t]), state, t + 1, rate(name))
        for trial, (own, step) in enumerate(zip(theirs, optimizers, strict=True)):
            own.grad = gradient(own.detach(), slopes[t, trial])
            step.step()
            # Rates are rounded to float32 here, and not there.
            torch.testing.assert_close(parameter[trial], own.detach(), rtol=1e-5, atol=1e-6)
    assert (parameter - start).abs().amin() > 0


@pytest.mark.parametrize("name", TORCHS)
def test_masked_positions_and_their_state_stay_exactly_zero(name: str) -> None:
    start, slopes = starts_and_slopes(SHAPES[0])
    mask = torch.rand(start.shape, generator=torch.Generator().manual_seed(1)) < 0.5
    ours = optimizer(name)
    dense, sparse = start * mask, start * mask
    dense_state, state = ours.init(dense), ours.init(sparse)
    for t in range(N_STEPS):
        slope = slopes[t]
        ours.step_(sparse, gradient(sparse, slope) * mask, state, t + 1, rate(name))
        ours.step_(dense, gradient(dense, slope), dense_state, t + 1, rate(name))
        for each in (sparse, *state.values()):
            assert (each[~mask] == 0).all()
    # Active positions do not notice the mask, and unmasked ones would have moved.
    assert torch.equal(sparse[mask], dense[mask])
    assert (dense[~mask] != 0).all()


@pytest.mark.parametrize("name", TORCHS)
def test_the_state_starts_at_zero_and_has_the_shape_of_the_parameter(name: str) -> None:
    for shape in SHAPES:
        state = optimizer(name).init(torch.ones(3, *shape))
        assert state
        assert all(torch.equal(each, torch.zeros(3, *shape)) for each in state.values())


@pytest.mark.parametrize("name", TORCHS)
def test_a_step_leaves_the_gradient_as_it_was(name: str) -> None:
    ours, parameter, slope = optimizer(name), torch.ones(3, 4, 5), torch.full((3, 4, 5), 0.3)
    state = ours.init(parameter)
    ours.step_(parameter, slope, state, 1, rate(name))
    ours.step_(parameter, slope, state, 2, rate(name))
    assert (slope == 0.3).all()
