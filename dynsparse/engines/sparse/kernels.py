"""What is computed on a batch, in time proportional to the number of active weights. Compiled by Numba, one thread.

A network is one list of units: the inputs, then layer after layer. Unit u has the active weights
`weight[start[u]:start[u + 1]]`, which come from the units `source[...]`: compressed rows. `ends` has where each layer
ends in the list, the inputs first. A batch is cut into blocks of 64 examples; of a block each unit has one row.

Shapes: x, d (units, 64), float32; keys (units, 64), uint32; passes (units,), uint64; start (units + 1,), int64;
source (active,), uint32; weight (active,), bias (units,), float32.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from dynsparse.engines.sparse.lanes import (
    LANES,
    add_dots,
    add_scaled,
    at_least,
    count_at_least,
    count_common,
    keep,
    ones,
    positive,
    positive_or_nan,
    weighted_sum,
)

# Numba's cache is renewed when this file changes, but not when lanes.py does: so its checksum stands here, and a test
# says what it should be.
LANES_CHECKSUM = "cb7ff7ab3f0bc8e5"
# Words of each unit whose bits are counted at once: those of a layer stay in the processor's second cache.
CHUNK = 64

# Sums may be taken in any order, as they are in torch.
kernel = njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"}, boundscheck=False)


@kernel
def turn(images, n, mean, std, x):  # type: ignore[no-untyped-def]
    """The inputs of a block: x[c, lane] = (images[lane, c] - mean) / std for the first n images, 0 for the others.

    Shapes: images (64, inputs), of any numbers.
    """
    # Turned and computed in loops of their own, both of 64 steps: the compiler makes three times as much of them.
    row = np.empty(LANES, images.dtype)
    for c in range(images.shape[1]):
        for lane in range(LANES):
            row[lane] = images[lane, c]
        for lane in range(LANES):
            x[c, lane] = (np.float32(row[lane]) - mean) / std
        for lane in range(n, LANES):
            x[c, lane] = 0


@kernel
def forward(start, source, weight, bias, ends, winners, factor, x, keys, passes, turn):  # type: ignore[no-untyped-def]
    """The activations of all units of a block, from those of the inputs.

    Args:
        winners: k of each hidden layer; 0: ReLU.
        factor: (units,) what a unit is multiplied with when winners are chosen.
        passes: written: for which examples each hidden unit lets the gradient through.
        turn: which unit comes first where equal ones compete.
    """
    for layer in range(len(ends) - 1):
        first, last = ends[layer], ends[layer + 1]
        for unit in range(first, last):
            weighted_sum(x, unit, bias[unit], source, weight, start[unit], start[unit + 1])
        if layer == len(ends) - 2:
            return
        if winners[layer] > 0:
            choose_winners(x, first, last, winners[layer], factor, keys, passes, turn)
        else:
            for unit in range(first, last):
                # What has diverged is not hidden: NaN goes on, as in torch.
                passes[unit] = positive_or_nan(x, unit)
        for unit in range(first, last):
            keep(x, unit, passes[unit])


@kernel
def choose_winners(x, first, last, k, factor, keys, passes, turn):  # type: ignore[no-untyped-def]
    """Let the k units of [first, last) with the largest x * factor pass, for each example: exactly k.

    The k-th largest number is found bit by bit from the highest, for all examples at once, until no example has more
    than k units above the bound. Of equal numbers that compete for the last places, others lose in each batch.
    """
    numbers = keys.view(np.float32)
    for unit in range(first, last):
        for lane in range(LANES):
            numbers[unit, lane] = x[unit, lane] * factor[unit]
        for lane in range(LANES):
            # As whole numbers floats are in order once all bits of negative ones, and the sign of others, are flipped.
            bits = keys[unit, lane]
            keys[unit, lane] = bits ^ (np.uint32(np.int32(bits) >> 31) | np.uint32(0x80000000))
        for lane in range(LANES):
            # NaN is the highest, as for torch.topk.
            is_nan = x[unit, lane] != x[unit, lane]
            keys[unit, lane] = np.uint32(0xFFFFFFFF) if is_nan else keys[unit, lane]
    bound, tried = np.zeros((1, LANES), np.uint32), np.empty((1, LANES), np.uint32)
    n_tried, n_above = np.empty((1, LANES), np.uint32), np.full(LANES, last - first, np.uint32)
    for bit in range(31, -1, -1):
        for lane in range(LANES):
            tried[0, lane] = bound[0, lane] | np.uint32(1 << bit)
        count_at_least(n_tried, keys, first, last, tried)
        differs = np.uint32(0)
        for lane in range(LANES):
            enough = n_tried[0, lane] >= k
            bound[0, lane] = tried[0, lane] if enough else bound[0, lane]
            n_above[lane] = n_tried[0, lane] if enough else n_above[lane]
            differs |= n_above[lane] ^ np.uint32(k)
        if differs == 0:
            break
    for unit in range(first, last):
        passes[unit] = at_least(keys, unit, bound)
    for lane in range(LANES):
        surplus = np.int64(n_above[lane]) - k
        if surplus > 0:
            n_equal = 0
            for unit in range(first, last):
                n_equal += keys[unit, lane] == bound[0, lane]
            place = turn % n_equal
            for unit in range(first, last):
                if keys[unit, lane] == bound[0, lane]:
                    if place < surplus:
                        passes[unit] &= ~(np.uint64(1) << np.uint64(lane))
                    place = (place + 1) % n_equal


@kernel
def loss_and_gradient(x, d, first, last, target, n, n_batch):  # type: ignore[no-untyped-def]
    """Cross-entropy of a block: d = its gradient at the logits, of the mean over the batch.

    Args:
        target: (64,) the class of each example.
        n: examples in the block; n_batch: in the batch.

    Returns: the sum of the losses, and how many examples are classified right.
    """
    total, n_right = 0.0, 0
    for lane in range(n):
        best = first
        for unit in range(first + 1, last):
            best = unit if x[unit, lane] > x[best, lane] else best
        sum_exp = np.float32(0)
        for unit in range(first, last):
            d[unit, lane] = math.exp(x[unit, lane] - x[best, lane])
            sum_exp += d[unit, lane]
        right = first + target[lane]
        total += math.log(sum_exp) - (x[right, lane] - x[best, lane])
        n_right += best == right
        for unit in range(first, last):
            d[unit, lane] /= sum_exp * np.float32(n_batch)
        d[right, lane] -= np.float32(1) / np.float32(n_batch)
    for unit in range(first, last):
        for lane in range(n, LANES):
            d[unit, lane] = 0
    return total, n_right


@kernel
def backward(start, source, weight, ends, x, d, passes, weight_gradient, bias_gradient):  # type: ignore[no-untyped-def]
    """Add a block's gradient of all active weights and biases, from `d` of the last layer. `d` is written."""
    n_layers = len(ends) - 1
    for unit in range(ends[0], ends[n_layers - 1]):
        for lane in range(LANES):
            d[unit, lane] = 0
    for layer in range(n_layers - 1, -1, -1):
        for unit in range(ends[layer], ends[layer + 1]):
            if layer < n_layers - 1:
                keep(d, unit, passes[unit])
            total = np.float32(0)
            for lane in range(LANES):
                total += d[unit, lane]
            bias_gradient[unit] += total
            add_dots(weight_gradient, d, unit, x, source, start[unit], start[unit + 1])
            # Nobody asks for the gradient of the inputs.
            if layer > 0:
                add_scaled(d, source, weight, unit, start[unit], start[unit + 1])


@kernel
def train_blocks(  # type: ignore[no-untyped-def]
    start, source, weight, bias, ends, winners, factor, turn, x, d, keys, passes, target, n_batch,
    weight_gradient, bias_gradient, n_active,
):  # fmt: skip
    """Forward, loss and backward of a batch, whose gradients are added to `weight_gradient` and `bias_gradient`.

    Shapes: x, d (blocks, units, 64); target (n_batch,); n_active (units,), written: for how many examples a hidden unit
    is positive.

    Returns: the sum of the losses, and how many examples are classified right.
    """
    total, n_right = 0.0, 0
    n_active[:] = 0
    for block in range(len(x)):
        first = block * LANES
        n = min(LANES, n_batch - first)
        forward(start, source, weight, bias, ends, winners, factor, x[block], keys, passes, turn)
        loss, right = loss_and_gradient(x[block], d[block], ends[-2], ends[-1], target[first : first + n], n, n_batch)
        backward(start, source, weight, ends, x[block], d[block], passes, weight_gradient, bias_gradient)
        total, n_right = total + loss, n_right + right
        for unit in range(ends[0], ends[-2]):
            n_active[unit] += np.float32(ones(positive(x[block], unit) & first_lanes(n)))
    return total, n_right


@kernel
def test_all(  # type: ignore[no-untyped-def]
    start, source, weight, bias, ends, winners, factor, images, mean, std, target, x, d, keys, passes
):
    """The sum of the losses over images, and how many are classified right. Shapes: images (examples, inputs)."""
    total, n_right = 0.0, 0
    for first in range(0, len(images), LANES):
        n = min(LANES, len(images) - first)
        if n == LANES:
            turn(images[first : first + LANES], n, mean, std, x)
        else:
            last = np.zeros((LANES, images.shape[1]), images.dtype)
            last[:n] = images[first:]
            turn(last, n, mean, std, x)
        forward(start, source, weight, bias, ends, winners, factor, x, keys, passes, first // LANES)
        loss, right = loss_and_gradient(x, d, ends[-2], ends[-1], target[first : first + n], n, n)
        total, n_right = total + loss, n_right + right
    return total, n_right


@kernel
def update_duty(duty, n_active, n_batch, length, boost, factor):  # type: ignore[no-untyped-def]
    """One more batch in the duty cycles, and what units are multiplied with in the next. Shapes: (units,)."""
    for unit in range(len(duty)):
        duty[unit] = (duty[unit] * np.float32(length - n_batch) + n_active[unit]) / np.float32(length)
        factor[unit] = math.exp(-boost * duty[unit])


@kernel
def keep_activity(x, n, activity, block):  # type: ignore[no-untyped-def]
    """activity[unit, block] = for which examples of the block a unit is positive. Shapes: (units, blocks), uint64."""
    there = first_lanes(n)
    for unit in range(len(x)):
        activity[unit, block] = positive(x, unit) & there


@kernel
def first_lanes(n):  # type: ignore[no-untyped-def]
    """The bits of the first n lanes, n from 1 to 64."""
    return ~np.uint64(0) >> np.uint64(LANES - n)


@kernel
def count_coactivations(activity, first, middle, last, total):  # type: ignore[no-untyped-def]
    """total[o, i] += for how many examples the units middle + o and first + i are positive together.

    Shapes: activity (units, a multiple of 8 blocks), uint64; total (last - middle, middle - first), float32.
    """
    for begin in range(0, activity.shape[1], CHUNK):
        end = min(begin + CHUNK, activity.shape[1])
        for out in range(middle, last):
            for unit in range(first, middle):
                total[out - middle, unit - first] += np.float32(count_common(activity, out, unit, begin, end))


@kernel
def sgd(parameter, gradient, velocity, rate, momentum, decay):  # type: ignore[no-untyped-def]
    """A step of stochastic gradient descent with momentum; the gradient is zero afterwards. Shapes: all (n,)."""
    for i in range(len(parameter)):
        velocity[i] = velocity[i] * momentum + gradient[i] + parameter[i] * decay
        parameter[i] -= velocity[i] * rate
        gradient[i] = 0


@kernel
def adam(parameter, gradient, mean, square, rate, decay, correction, correction_of_square):  # type: ignore[no-untyped-def]
    """A step of Adam with betas 0.9 and 0.999, epsilon 1e-8; the gradient is zero afterwards. Shapes: all (n,).

    Args:
        correction: 1 - 0.9**t; correction_of_square: 1 - 0.999**t.
    """
    for i in range(len(parameter)):
        g = gradient[i] + parameter[i] * decay
        mean[i] += (g - mean[i]) * np.float32(0.1)
        square[i] = square[i] * np.float32(0.999) + g * g * np.float32(0.001)
        scale = np.float32(math.sqrt(square[i] / correction_of_square)) + np.float32(1e-8)
        parameter[i] -= mean[i] / correction / scale * rate
        gradient[i] = 0
