"""Compare squared errors and their gradient in the sparse engine with those of torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.sparse_network import LANES, new_buffers

NONE = np.zeros(0, np.float32)
module = pytest.importorskip("dynsparse.engines.sparse.losses")


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize(("n", "n_batch"), [(64, 64), (64, 150), (22, 150), (1, 1)])
def test_loss_and_gradient_equal_those_of_torch(n: int, n_batch: int, n_outputs: int) -> None:
    buffers, random = new_buffers(9), np.random.RandomState(0)
    x, dx, last = buffers.x[0], buffers.dx[0], 2 + n_outputs
    outputs, targets = (random.randn(LANES, n_outputs).astype(np.float32) for _ in range(2))
    x[2:last] = outputs.T
    loss, n_correct = module.loss_and_gradient(x, dx, 2, last, targets[:n], n_batch, np.float32(0), NONE, 1.0)
    theirs = torch.tensor(outputs[:n], requires_grad=True)
    expected = F.mse_loss(theirs, torch.tensor(targets[:n]), reduction="none").mean(1).sum()
    (gradient,) = torch.autograd.grad(expected / n_batch, theirs)
    assert (loss, n_correct) == (pytest.approx(expected.item(), rel=1e-5), 0)
    np.testing.assert_allclose(dx[2:last, :n].T, gradient, rtol=1e-5)
    assert (dx[2:last, n:] == 0).all() and np.isnan(dx[[0, 1, last]]).all()
    calibration = np.zeros(15)
    assert module.loss_and_score(x, dx, 2, last, targets[:n], calibration) == (pytest.approx(loss), 0)
    assert not calibration.any()
