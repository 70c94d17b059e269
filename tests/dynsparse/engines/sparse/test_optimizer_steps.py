"""Compare the compiled optimizer steps with torch.optim in float64."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from dynsparse.engines.sparse.arrays import OptimizerArrays

optimizer_steps = pytest.importorskip("dynsparse.engines.sparse.optimizer_steps")

RATE, DECAY = 0.03, 0.05
THEIRS = {
    "SGD": partial(torch.optim.SGD, momentum=0.9),
    "Nesterov": partial(torch.optim.SGD, momentum=0.9, nesterov=True),
    "Adam": torch.optim.Adam,
    "AdamW": torch.optim.AdamW,
}


def initial_parameter() -> Tensor:
    return torch.tensor(np.random.RandomState(0).randn(1000), requires_grad=True)


def test_every_optimizer_is_compared() -> None:
    assert set(THEIRS) == set(optimizer_steps.KINDS)


# The norms of the gradients lie between 53 and 78.
@pytest.mark.parametrize("clip_norm", [2.0, 65.0, np.inf])
@pytest.mark.parametrize("decay", [0.0, DECAY])
@pytest.mark.parametrize("name", THEIRS)
def test_steps_equal_those_of_torchs_optimizers_and_set_the_gradient_to_zero(
    name: str, decay: float, clip_norm: float
) -> None:
    theirs = initial_parameter()
    optimizer = THEIRS[name]([theirs], RATE, weight_decay=decay)  # type: ignore[operator]
    ours = OptimizerArrays(
        kind=optimizer_steps.KINDS.index(name),
        values=theirs.detach().numpy().astype(np.float32),
        gradient=np.zeros(1000, np.float32),
        first=np.zeros(1000, np.float32),
        second=np.zeros(1000 if "Adam" in name else 0, np.float32),
        momentum=np.float32(0.9),
        decay=np.float32(decay),
        clip_norm=clip_norm,
    )
    random = np.random.RandomState(1)
    for t in range(1, 9):
        # From tiny to large gradients.
        ours.gradient[:] = random.randn(1000) * 10.0 ** random.uniform(-4, 1, 1000)
        theirs.grad = torch.tensor(ours.gradient, dtype=torch.float64)
        torch.nn.utils.clip_grad_norm_([theirs], clip_norm)
        optimizer.step()
        optimizer_steps.optimizer_step(ours, np.float32(RATE), t)
        np.testing.assert_allclose(ours.values, theirs.detach(), rtol=1e-5, atol=1e-6)
        assert (ours.gradient == 0).all()
