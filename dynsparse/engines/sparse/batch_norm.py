"""Batch norm of hidden units, over all blocks of a batch. Compiled by Numba."""

from __future__ import annotations

import math

import numpy as np

from dynsparse.engines.sparse.arrays import LANES, Array, NetworkArrays
from dynsparse.engines.sparse.compiler import inlined
from dynsparse.nn import functional

EPSILON = np.float32(functional.EPSILON)
# The share by which running means and variances move towards those of a batch.
RATE = np.float32(0.1)


@inlined
def normalise(network, buffers, unit, n_batch):  # type: ignore[no-untyped-def]
    """Normalise a unit over the batch, and apply its gain and shift: x = gain * normalised + shift."""
    # In float64 the mean of equal numbers is exact, so that a constant unit becomes exactly its shift, as in torch.
    total = 0.0
    for block in range((n_batch + LANES - 1) // LANES):
        x = buffers.x[block, unit]
        for lane in range(min(LANES, n_batch - block * LANES)):
            total += np.float64(x[lane])
    mean, squares = np.float32(total / n_batch), np.float32(0)
    for block in range((n_batch + LANES - 1) // LANES):
        x = buffers.x[block, unit]
        for lane in range(min(LANES, n_batch - block * LANES)):
            squares += (x[lane] - mean) * (x[lane] - mean)
    variance = squares / np.float32(n_batch)
    factor = inverse_deviation(variance)
    for block in range((n_batch + LANES - 1) // LANES):
        x, normalised = buffers.x[block, unit], buffers.normalised[block, unit]
        # Lanes without an example are normalised too. They are finite, and their gradient is 0.
        for lane in range(LANES):
            normalised[lane] = (x[lane] - mean) * factor
            x[lane] = normalised[lane] * network.gain[unit] + network.shift[unit]
    buffers.mean[unit], buffers.variance[unit] = mean, variance


@inlined
def normalise_backward(network, buffers, unit, n_batch, results):  # type: ignore[no-untyped-def]
    """Replace the gradient of a unit after batch norm by that before it, and add those of its gain and shift.

    With y = gain * z + shift, the gradient before batch norm is gain / deviation * (dy - mean(dy) - z * mean(dy * z)).
    """
    of_gain, of_shift = np.float32(0), np.float32(0)
    for block in range((n_batch + LANES - 1) // LANES):
        dx, normalised = buffers.dx[block, unit], buffers.normalised[block, unit]
        # In lanes without an example, dx is 0.
        for lane in range(LANES):
            of_gain += dx[lane] * normalised[lane]
            of_shift += dx[lane]
    results.gain_gradient[unit] += of_gain
    results.shift_gradient[unit] += of_shift
    factor = network.gain[unit] * inverse_deviation(buffers.variance[unit])
    mean, slope = of_shift / np.float32(n_batch), of_gain / np.float32(n_batch)
    for block in range((n_batch + LANES - 1) // LANES):
        dx, normalised = buffers.dx[block, unit], buffers.normalised[block, unit]
        for lane in range(min(LANES, n_batch - block * LANES)):
            dx[lane] = factor * (dx[lane] - mean - normalised[lane] * slope)


@inlined
def inverse_deviation(variance):  # type: ignore[no-untyped-def]
    """Return 1 / sqrt(variance + epsilon)."""
    return np.float32(1) / np.float32(math.sqrt(variance + EPSILON))


@inlined
def update_running_moments(means, variances, mean, variance, n_batch):  # type: ignore[no-untyped-def]
    """Move running means and variances a tenth of the way to those of a batch. The running variances are unbiased.

    Shapes: all (units,).
    """
    unbiased = np.float32(n_batch / (n_batch - 1))
    for unit in range(len(means)):
        means[unit] += RATE * (mean[unit] - means[unit])
        variances[unit] += RATE * (variance[unit] * unbiased - variances[unit])


def fold(network: NetworkArrays, hidden: slice, means: Array, variances: Array) -> NetworkArrays:
    """Return the network without batch norm that computes the same with running means and variances.

    The weights and biases of the `hidden` units absorb the normalisation, the gains and the shifts. The temporary
    arrays of the network are shared.
    """
    scale, bias = np.ones_like(network.bias), network.bias.copy()
    scale[hidden] = network.gain[hidden] / np.sqrt(variances[hidden] + EPSILON)
    bias[hidden] = (bias[hidden] - means[hidden]) * scale[hidden] + network.shift[hidden]
    weight = network.weight * scale[network.targets]
    none = np.zeros(0, np.float32)
    return network._replace(weight=weight, bias=bias, gain=none, shift=none)
