"""Compare forward and backward pass of the sparse engine with matrices in float64 and with autograd."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.sparse_network import (
    LANES,
    RELU,
    SIZES,
    UNTOUCHED,
    WINNERS,
    DenseNetwork,
    bits,
    examples,
    new_buffers,
    new_results,
)

from dynsparse.engines.sparse.arrays import Buffers, NetworkArrays
from dynsparse.engines.sparse.cross_entropy import cross_entropy

kernels = pytest.importorskip("dynsparse.engines.sparse.kernels")

Array = np.ndarray[Any, Any]


# The mean that is not yet subtracted from the inputs in the buffers.
MEAN = np.float32(0.7)
NO_WEIGHTS = np.empty(0, np.float32)


def copy_to_blocks(inputs: Array, buffers: Buffers) -> None:
    n_inputs = inputs.shape[1]
    for block, rows in enumerate(buffers.x):
        part = inputs[block * LANES : (block + 1) * LANES] + MEAN
        rows[:n_inputs] = 0
        rows[:n_inputs, : len(part)] = part.T
        # 0 only where the whole row is 0.
        buffers.nonzero[block, :n_inputs] = (rows[:n_inputs] != 0).any(1)


def run_forward(arrays: NetworkArrays, buffers: Buffers, n: int) -> None:
    kernels.prepare_forward(arrays, MEAN)
    kernels.forward(arrays, buffers, 0, 1, n, 0)


@pytest.mark.parametrize("width", [64, 65, 100, 128, 300])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_load_batch_scales_and_transposes_each_pixel(width: int, dtype: type) -> None:
    random = np.random.RandomState(0)
    images = random.randint(0, 256, (500, width)).astype(dtype) * (random.rand(500, width) < 0.3).astype(dtype)
    index = random.permutation(500)[: 2 * LANES + 37]
    buffers = new_buffers(width + 9, n_blocks=3)
    kernels.load_batch(images, index, np.float32(0.0127), buffers)
    expected = images[index].astype(np.float64) * np.float32(0.0127)
    nonzero = bits(buffers.nonzero)
    for block, first in enumerate(range(0, len(index), LANES)):
        part = expected[first : first + LANES]
        np.testing.assert_allclose(buffers.x[block, :width, : len(part)], part.T, rtol=3e-7)
        np.testing.assert_array_equal(nonzero[block, :width, : len(part)], part.T != 0)
    assert np.isfinite(buffers.x[2, :width, 37:]).all(), "a lane without an example must not put NaN into a sum"
    assert np.isnan(buffers.x[:, width:]).all(), "units that are not inputs are left alone"
    assert (buffers.nonzero[:, width:] == UNTOUCHED).all()


@pytest.mark.parametrize("k", [RELU, WINNERS, (0, 3), (20, 1)], ids=str)
def test_forward_equals_dense_matrices(k: tuple[int, ...]) -> None:
    network, buffers = DenseNetwork(), new_buffers()
    inputs, _ = examples(LANES)
    copy_to_blocks(inputs, buffers)
    run_forward(network.arrays(k), buffers, LANES)
    activations = network.forward(inputs, k)
    n_inputs = inputs.shape[1]
    np.testing.assert_allclose(buffers.x[0, n_inputs:].T, torch.cat(activations[1:], 1), rtol=1e-5, atol=4e-6)
    passing = bits(buffers.passing[0])
    for layer, (first, last) in enumerate(pairwise(network.ends[:-1])):
        np.testing.assert_array_equal(passing[first:last].T, activations[layer + 1] != 0)
        if k[layer]:
            assert (passing[first:last].sum(0) == k[layer]).all()
        else:
            assert 0.2 < passing[first:last].mean() < 0.8


def test_a_network_without_hidden_layers_is_one_matrix() -> None:
    network, buffers = DenseNetwork((12, 5)), new_buffers(17)
    inputs, _ = examples(LANES)
    copy_to_blocks(inputs, buffers)
    run_forward(network.arrays(()), buffers, LANES)
    np.testing.assert_allclose(buffers.x[0][12:].T, network.forward(inputs, ())[-1], rtol=1e-5, atol=1e-6)
    assert (buffers.passing == UNTOUCHED).all()


@pytest.mark.parametrize("n", [64, 40, 32, 7])
@pytest.mark.parametrize("k", [RELU, WINNERS], ids=["relu", "k-winners"])
def test_backward_adds_the_gradients_of_active_weights_and_biases(k: tuple[int, ...], n: int) -> None:
    network, buffers = DenseNetwork(), new_buffers()
    inputs, labels = examples(n)
    inputs[:, [2, 5]] = -MEAN  # stored as 0, which the backward pass skips
    copy_to_blocks(inputs, buffers)
    assert (buffers.nonzero[0, : inputs.shape[1]] == 0).sum() == 2
    arrays = network.arrays(k)
    results = new_results(arrays)
    run_forward(arrays, buffers, n)
    buffers.x[0, [2, 5]] = np.nan  # rows of zeros are not read
    results.bias_gradient[:] = 1
    cross_entropy(buffers.x[0], buffers.dx[0], *network.ends[-2:], labels, n, np.float32(0))
    kernels.backward(arrays, buffers, 0, 1, n, results)
    results.bias_gradient[:] -= 1
    kernels.subtract_mean_from_gradient(arrays, MEAN, results)
    of_weights, of_biases = network.gradients(inputs, labels, k)
    np.testing.assert_allclose(results.weight_gradient, of_weights, rtol=1e-5, atol=3e-7)
    np.testing.assert_allclose(results.bias_gradient, of_biases, rtol=1e-5, atol=3e-7)


@pytest.mark.parametrize("k", [RELU, WINNERS], ids=["relu", "k-winners"])
def test_a_batch_of_several_blocks_is_one_batch(k: tuple[int, ...]) -> None:
    # One more block than the batch has.
    network, buffers = DenseNetwork(), new_buffers(n_blocks=4)
    inputs, labels = examples(150)
    copy_to_blocks(inputs, buffers)
    arrays = network.arrays(k)
    results = new_results(arrays, n_blocks=9)
    loss, n_correct = kernels.train_batch(arrays, buffers, results, labels, NO_WEIGHTS, MEAN, 1, 5)
    activations = network.forward(inputs, k)
    logits, classes = activations[-1], torch.tensor(labels)
    assert loss == pytest.approx(F.cross_entropy(logits, classes, reduction="sum").item(), rel=1e-6)
    assert n_correct == (logits.argmax(1) == classes).sum()
    of_weights, of_biases = network.gradients(inputs, labels, k)
    np.testing.assert_allclose(results.weight_gradient, of_weights, rtol=1e-5, atol=3e-7)
    np.testing.assert_allclose(results.bias_gradient, of_biases, rtol=1e-5, atol=1e-7)
    # Only hidden units are counted, and only in lanes with an example: the last 42 of the third block have none.
    counts = np.concatenate([np.zeros(12), *((each > 0).sum(0) for each in activations[1:-1]), np.zeros(5)])
    np.testing.assert_array_equal(results.n_active, counts)
    active = np.concatenate([(each > 0).T for each in activations])
    np.testing.assert_array_equal(bits(results.activity[:, 5:8]).reshape(len(active), -1)[:, :150], active)
    assert (bits(results.activity[:, 7])[:, 22:] == 0).all()
    assert (results.activity[:, [0, 1, 2, 3, 4, 8]] == 7).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("k", [RELU, WINNERS], ids=["relu", "k-winners"])
@pytest.mark.parametrize("n", [150, 128, 3])
def test_evaluation_counts_every_image_once(n: int, k: tuple[int, ...], dtype: type) -> None:
    network, buffers = DenseNetwork((70, *SIZES[1:])), new_buffers(70 + sum(SIZES[1:]))
    images, labels = examples(n, n_inputs=70)
    images = np.clip(100 + 50 * images, 0, 255).astype(dtype)
    mean, scale = np.float32(99.5), np.float32(1 / 60.25)
    # Images that are mapped from a file are read-only. Noisy ones are not.
    images.flags.writeable = dtype is np.float32
    calibration, active = np.zeros(15), np.zeros(len(network.arrays(k).bias), np.bool_)
    data = images, labels, scale, mean * scale
    loss, n_correct = kernels.evaluate(network.arrays(k), buffers, *data, calibration, active)
    *hidden, logits = network.forward((images.astype(np.float64) - mean) * scale, k)
    classes = torch.tensor(labels)
    assert loss == pytest.approx(F.cross_entropy(logits, classes, reduction="sum").item(), rel=1e-6)
    assert n_correct == (logits.argmax(1) == classes).sum()
    confidence, is_correct = logits.softmax(1).amax(1), logits.argmax(1) == classes
    assert calibration.sum() == pytest.approx((is_correct.double() - confidence).sum().item(), rel=1e-5, abs=1e-5)
    ever_positive = np.concatenate([(np.asarray(each) > 0).any(0) for each in hidden[-2:]])
    assert active[70 : -SIZES[-1]].tolist() == ever_positive.tolist()
    assert not active[:70].any() and not active[-SIZES[-1] :].any()
