"""Compare batch norm of the sparse engine with torch's, in float64 and by autograd."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.sparse_network import LANES, SIZES, DenseNetwork, new_buffers, new_results
from torch import nn

from dynsparse.engines.sparse.arrays import Buffers, NetworkArrays

batch_norm = pytest.importorskip("dynsparse.engines.sparse.batch_norm")

Array = np.ndarray[Any, Any]
UNIT = 20
HIDDEN = slice(SIZES[0], SIZES[0] + SIZES[1] + SIZES[2])


def network_with_batch_norm() -> NetworkArrays:
    arrays, random = DenseNetwork().arrays((0, 0)), np.random.RandomState(5)
    gain, shift = random.randn(2, len(arrays.bias)).astype(np.float32)
    return arrays._replace(gain=gain, shift=shift)


def filled_buffers(values: Array) -> Buffers:
    """Return buffers with the values of a unit, and a large number in the lanes without an example."""
    buffers = new_buffers(n_blocks=-(-len(values) // LANES))
    buffers.x[:, UNIT] = in_blocks(values, 1e6)
    return buffers


def in_blocks(values: Array, elsewhere: float) -> Array:
    """Return the values of examples in blocks of 64 lanes, with another number in the lanes that remain."""
    lanes = np.full(-(-len(values) // LANES) * LANES, elsewhere, np.float32)
    lanes[: len(values)] = values
    return lanes.reshape(-1, LANES)


def of_examples(rows: Array, n: int) -> Array:
    """Return the values of a unit, by example. Shapes: rows (blocks, units, 64)."""
    return rows[:, UNIT].reshape(-1)[:n]


@pytest.mark.parametrize("n", [2, 64, 65, 150, 1000])
@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_forward_and_backward_are_those_of_torch_in_float64(n: int, offset: float) -> None:
    random = np.random.RandomState(n)
    values, weights = (offset + 3 * random.randn(n)).astype(np.float32), random.randn(n).astype(np.float32)
    network, buffers = network_with_batch_norm(), filled_buffers(values)
    results = new_results(network)
    x = torch.tensor(values[:, None], dtype=torch.float64, requires_grad=True)
    gain, shift = (torch.tensor(each[UNIT : UNIT + 1], dtype=torch.float64) for each in (network.gain, network.shift))
    out = F.batch_norm(x, None, None, gain.requires_grad_(), shift.requires_grad_(), training=True)
    (out[:, 0] * torch.tensor(weights)).sum().backward()

    batch_norm.normalise(network, buffers, UNIT, n)
    # A float32 of about 300 has a rounding error of 1e-5, which normalising divides by the deviation, 3.
    tolerance = {"rtol": 1e-5, "atol": 2e-5 if offset else 2e-6}
    np.testing.assert_allclose(of_examples(buffers.x, n), out.detach()[:, 0], **tolerance)
    assert buffers.mean[UNIT] == pytest.approx(values.astype(np.float64).mean(), rel=1e-6, abs=1e-6)
    assert buffers.variance[UNIT] == pytest.approx(values.astype(np.float64).var(), rel=1e-5)

    buffers.dx[:, UNIT] = in_blocks(weights, 0)
    batch_norm.normalise_backward(network, buffers, UNIT, n, results)
    assert x.grad is not None
    np.testing.assert_allclose(of_examples(buffers.dx, n), x.grad[:, 0], rtol=1e-4, atol=1e-4 if n == 2 else 1e-5)
    assert results.gain_gradient[UNIT] == pytest.approx(gain.grad.item(), rel=1e-4, abs=1e-4)
    assert results.shift_gradient[UNIT] == pytest.approx(shift.grad.item(), rel=1e-4, abs=1e-4)
    assert not buffers.dx[:, UNIT].reshape(-1)[n:].any(), "a lane without an example has no gradient"


@pytest.mark.parametrize("n", [7, 64, 100, 999])
def test_a_constant_unit_becomes_exactly_its_shift(n: int) -> None:
    # A mean that differs by rounding would be multiplied by 1 / sqrt(1e-5), and its sign would decide what ReLU passes.
    for constant in np.random.RandomState(0).randn(50).astype(np.float32):
        network, buffers = network_with_batch_norm(), filled_buffers(np.full(n, constant))
        batch_norm.normalise(network, buffers, UNIT, n)
        assert (of_examples(buffers.x, n) == network.shift[UNIT]).all()


def test_one_nan_makes_the_whole_unit_nan() -> None:
    values = np.random.RandomState(0).randn(100).astype(np.float32)
    values[70] = np.nan
    network, buffers = network_with_batch_norm(), filled_buffers(values)
    batch_norm.normalise(network, buffers, UNIT, 100)
    assert np.isnan(of_examples(buffers.x, 100)).all()


def test_running_moments_and_the_folded_network_are_those_of_a_torch_module() -> None:
    random, dense = np.random.RandomState(3), DenseNetwork()
    network = network_with_batch_norm()
    n_units = len(network.bias)
    means, variances = np.zeros(n_units, np.float32), np.ones(n_units, np.float32)
    modules = []
    for layer, (first, last) in enumerate([(12, 32), (32, 47)]):
        linear, norm = nn.Linear(dense.sizes[layer], last - first), nn.BatchNorm1d(last - first)
        linear.weight.data, linear.bias.data = torch.tensor(dense.weights[layer]), torch.tensor(dense.biases[layer])
        norm.weight.data, norm.bias.data = (torch.tensor(each[first:last]) for each in (network.gain, network.shift))
        for n_batch in (100, 2, 37):
            batch = (2 + 3 * random.randn(n_batch, last - first)).astype(np.float32)
            norm(torch.tensor(batch))
            batch_norm.update_running_moments(
                means[first:last], variances[first:last], batch.mean(0), batch.var(0), n_batch
            )
        np.testing.assert_allclose(means[first:last], norm.running_mean, rtol=1e-5)
        np.testing.assert_allclose(variances[first:last], norm.running_var, rtol=1e-5)
        modules += [linear, norm]
    folded = batch_norm.fold(network, HIDDEN, means, variances)
    assert len(folded.gain) == len(folded.shift) == 0
    dense.biases = [folded.bias[12:32], folded.bias[32:47], dense.biases[2]]
    # By source: the columns of each matrix, one after the other.
    ends = folded.out_indptr[[0, 12, 32, 47]]
    for layer, mask in enumerate(dense.masks):
        dense.weights[layer] = np.zeros(mask.shape, np.float32)
        dense.weights[layer].T[mask.T] = folded.weight[ends[layer] : ends[layer + 1]]
    inputs = random.randn(30, 12).astype(np.float32)
    expected = torch.tensor(inputs)
    for linear, norm in zip(modules[::2], modules[1::2], strict=True):
        expected = norm.eval()(linear(expected)).relu()
    np.testing.assert_allclose(dense.forward(inputs, (0, 0))[2], expected.detach(), rtol=1e-4, atol=1e-5)
    # The last layer has no batch norm.
    np.testing.assert_array_equal(folded.weight[ends[2] :], network.weight[ends[2] :])
    np.testing.assert_array_equal(folded.bias[47:], network.bias[47:])
