"""Compare loss and gradient of the sparse engine with those of torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.sparse_network import LANES, examples, new_buffers

cross_entropy = pytest.importorskip("dynsparse.engines.sparse.cross_entropy").cross_entropy


@pytest.mark.parametrize("scale", [0.0, 1.0, 50.0, 1e6, 1e30])
@pytest.mark.parametrize(("n", "n_batch"), [(64, 64), (64, 150), (22, 150), (1, 1)])
def test_loss_and_gradient_equal_those_of_torch_even_for_huge_logits(scale: float, n: int, n_batch: int) -> None:
    buffers = new_buffers(9)
    x, dx = buffers.x[0], buffers.dx[0]
    logits, labels = examples(LANES, n_inputs=6, n_classes=6)
    logits *= np.float32(scale)
    x[2:8] = logits.T
    loss, n_correct = cross_entropy(x, dx, 2, 8, labels[:n], n_batch, np.float32(0))
    theirs = torch.tensor(logits[:n], dtype=torch.float64, requires_grad=True)
    expected = F.cross_entropy(theirs, torch.tensor(labels[:n]), reduction="sum")
    (gradient,) = torch.autograd.grad(expected / n_batch, theirs)
    assert loss == pytest.approx(expected.item(), rel=1e-6)
    assert n_correct == (logits[:n].argmax(1) == labels[:n]).sum()
    np.testing.assert_allclose(dx[2:8, :n].T, gradient, rtol=1e-5, atol=1e-7 / n_batch)
    assert (dx[2:8, n:] == 0).all()
    assert np.isnan(dx[[0, 1, 8]]).all()
