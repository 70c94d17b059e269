"""Loss of a block of examples: cross-entropy for classes, squared error for numbers. Compiled by Numba."""

from __future__ import annotations

import numpy as np

from dynsparse.engines.sparse.arrays import LANES
from dynsparse.engines.sparse.compiler import inlined
from dynsparse.engines.sparse.cross_entropy import cross_entropy, score, weighted_cross_entropy


@inlined
def loss_and_gradient(x, dx, first, last, labels, n_batch, smoothing, weights, scale):  # type: ignore[no-untyped-def]
    """Compute the losses of a block, and the gradient of the batch's mean loss, as `cross_entropy`.

    Shapes: labels (examples of the block,), int64, classes; or (examples of the block, last - first), float32, numbers
    to predict. Numba compiles one of the branches for each type. weights (classes,), or (0,) without class weights;
    scale (): see `weights_of_batch`.
    """
    if labels.ndim == 1:
        if len(weights) == 0:
            return cross_entropy(x, dx, first, last, labels, n_batch, smoothing)
        loss, n_correct = weighted_cross_entropy(x, dx, first, last, labels, weights, scale, smoothing)
        return loss * n_batch / scale, n_correct
    return squared_error(x, dx, first, last, labels, n_batch), 0


@inlined
def weights_of_batch(labels, weights):  # type: ignore[no-untyped-def]
    """Return the sum of the class weights of a batch's labels; the number of examples without class weights."""
    if labels.ndim == 2:
        return np.float32(len(labels))
    return weights[labels].sum() if len(weights) > 0 else np.float32(len(labels))


@inlined
def loss_and_score(x, dx, first, last, labels, calibration):  # type: ignore[no-untyped-def]
    """Compute the losses of a block, as `score`; numbers to predict are not added to the calibration."""
    if labels.ndim == 1:
        return score(x, dx, first, last, labels, calibration)
    return squared_error(x, dx, first, last, labels, 1), 0


@inlined
def squared_error(x, dx, first, last, targets, n_batch):  # type: ignore[no-untyped-def]
    """Compute the squared errors of a block, and the gradient of the batch's mean loss with respect to the outputs.

    The outputs are the rows [first, last) of x; the gradient is written to the same rows of dx. It is zero in lanes
    without an example.

    Shapes: x, dx (units, 64); targets (examples of the block, last - first), float32.

    Returns:
        The sum of the losses: of each example the mean over its outputs.
    """
    total, scale = 0.0, np.float32(2 / ((last - first) * n_batch))
    for unit in range(first, last):
        for lane in range(LANES):
            dx[unit, lane] = 0
        for lane in range(len(targets)):
            difference = x[unit, lane] - targets[lane, unit - first]
            total += np.float64(difference) * np.float64(difference)
            dx[unit, lane] = scale * difference
    return total / (last - first)
