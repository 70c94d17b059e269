"""Cross-entropy of a block of examples, and its gradient. Compiled by Numba."""

from __future__ import annotations

import math

import numpy as np

from dynsparse.engines.sparse.arrays import LANES
from dynsparse.engines.sparse.compiler import inlined, inlined_in_order


@inlined
def cross_entropy(x, dx, first, last, labels, n_batch, smoothing):  # type: ignore[no-untyped-def]
    """Compute the losses of a block, and the gradient of the batch's mean loss with respect to the logits.

    The logits are the rows [first, last) of x; the gradient is written to the same rows of dx. It is zero in lanes
    without an example.

    `smoothing`, a float32, is the share of the target probability that is spread evenly over all classes.

    Shapes: x, dx (units, 64); labels (examples of the block,).

    Returns:
        The sum of the losses, and the number of correctly classified examples.
    """
    n = len(labels)
    best, highest, total_exp = exponentials(x, dx, first, last)
    loss, n_correct = 0.0, 0
    for lane in range(n):
        label = first + labels[lane]
        log_total = math.log(total_exp[lane])
        loss += (1 - smoothing) * (log_total - (x[label, lane] - highest[lane]))
        if smoothing > 0:
            for unit in range(first, last):
                loss += smoothing / (last - first) * (log_total - (x[unit, lane] - highest[lane]))
        n_correct += best[lane] == label
    everywhere = smoothing / np.float32((last - first) * n_batch)
    for unit in range(first, last):
        for lane in range(LANES):
            dx[unit, lane] /= total_exp[lane] * np.float32(n_batch)
            dx[unit, lane] -= everywhere
        for lane in range(n, LANES):
            dx[unit, lane] = 0
    for lane in range(n):
        dx[first + labels[lane], lane] -= (np.float32(1) - smoothing) / np.float32(n_batch)
    return loss, n_correct


@inlined
def weighted_cross_entropy(x, dx, first, last, labels, weights, scale, smoothing):  # type: ignore[no-untyped-def]
    """Compute the losses of a block with class weights, and the gradient of their mean over the batch.

    `scale` is the sum of the weights over the batch's examples, by which torch divides: see `DenseEngine.losses`.

    Shapes: weights (classes,), float32; the others as for `cross_entropy`.

    Returns:
        The sum of the losses, before it is divided by the mean weight; and the number of correctly classified examples.
    """
    n = len(labels)
    best, highest, total_exp = exponentials(x, dx, first, last)
    everywhere = smoothing / np.float32(last - first)
    loss, n_correct, of_all_classes = 0.0, 0, everywhere * weights.sum()
    for lane in range(n):
        label, log_total = first + labels[lane], math.log(total_exp[lane])
        own = (np.float32(1) - smoothing) * weights[labels[lane]]
        loss += own * (log_total - (x[label, lane] - highest[lane]))
        for unit in range(first, last):
            if smoothing > 0:
                loss += everywhere * weights[unit - first] * (log_total - (x[unit, lane] - highest[lane]))
            probability = dx[unit, lane] / total_exp[lane]
            dx[unit, lane] = (probability * (own + of_all_classes) - everywhere * weights[unit - first]) / scale
        dx[label, lane] -= own / scale
        n_correct += best[lane] == label
    for unit in range(first, last):
        for lane in range(n, LANES):
            dx[unit, lane] = 0
    return loss, n_correct


@inlined
def score(x, dx, first, last, labels, calibration):  # type: ignore[no-untyped-def]
    """Compute the losses of a block without label smoothing, and add its examples to the calibration.

    The logits are the rows [first, last) of x; the same rows of dx are overwritten. See `nn.functional` for
    `calibration_gaps`; the confidence of an example is exp(0) over the sum of the exponentials.

    Shapes: x, dx (units, 64); labels (examples of the block,); calibration (bins,), float64.

    Returns:
        The sum of the losses, and the number of correctly classified examples.
    """
    best, highest, total_exp = exponentials(x, dx, first, last)
    loss, n_correct, n_bins = 0.0, 0, len(calibration)
    for lane in range(len(labels)):
        label = first + labels[lane]
        loss += math.log(total_exp[lane]) - (x[label, lane] - highest[lane])
        n_correct += best[lane] == label
        confidence = np.float32(1) / total_exp[lane]
        place = 0
        # NaN counts in the first interval.
        if confidence > 0:
            place = min(math.ceil(confidence * np.float32(n_bins)), n_bins) - 1
        calibration[place] += np.float64(best[lane] == label) - np.float64(confidence)
    return loss, n_correct


@inlined
def exponentials(x, dx, first, last):  # type: ignore[no-untyped-def]
    """Set dx to the exponential of each logit minus the highest one of its lane, for the rows [first, last).

    Returns:
        The row of the highest logit, the highest logit and the sum of the exponentials. Shapes: (64,).
    """
    best, highest, total_exp = np.full(LANES, first), x[first].copy(), np.zeros(LANES, np.float32)
    for unit in range(first + 1, last):
        for lane in range(LANES):
            is_higher = x[unit, lane] > highest[lane]
            best[lane] = unit if is_higher else best[lane]
            highest[lane] = x[unit, lane] if is_higher else highest[lane]
    for unit in range(first, last):
        for lane in range(LANES):
            dx[unit, lane] = exp_of_nonpositive(x[unit, lane] - highest[lane])
            total_exp[lane] += dx[unit, lane]
    return best, highest, total_exp


@inlined_in_order
def exp_of_nonpositive(x):  # type: ignore[no-untyped-def]
    """Compute the exponential of a float32 that is at most 0, with a relative error of 1e-7; below -87 return 0.

    Unlike math.exp, it is computed for all lanes at once. With x = n * log(2) + r, exp(r) is a Taylor polynomial.

    Reference: Cody and Waite, Software Manual for the Elementary Functions, 1980
    """
    n = np.float32(math.floor(x * np.float32(1 / math.log(2)) + np.float32(0.5)))
    # log(2) is split in two parts. The first has so few digits that its product with n is exact.
    r = x - n * np.float32(0.693359375) - n * np.float32(math.log(2) - 0.693359375)
    result = np.float32(1)
    for i in range(7, 0, -1):
        result = result * r * np.float32(1 / i) + np.float32(1)
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    return np.float32(0) if x < -87 else result * power
