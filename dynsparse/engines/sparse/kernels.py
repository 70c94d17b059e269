"""What is computed on a batch, in time proportional to the number of active weights. Compiled by Numba, one thread.

A network is one list of units: the inputs, then layer after layer. Unit u has the active weights
`weight[start[u]:start[u + 1]]`, which come from the units `source[...]`: compressed rows. `ends` has where each layer
ends in the list, the inputs first. A batch is cut into blocks of 64 examples; of a block each unit has one row.

Shapes: x, d, scaled (units, 64), float32; passes (units,), uint64; start (units + 1,), int64;
source (active,), uint32; weight (active,), bias (units,), float32.
"""

from __future__ import annotations

import math

import numpy as np

from dynsparse.engines.sparse.compiler import inlined, inlined_in_order, kernel
from dynsparse.engines.sparse.simd import (
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
    scale_rows,
    sum_of_row,
    turn_tile,
    weighted_sum,
)

# Units whose activity stays in the processor's second cache while that of others passes by.
TILE = 64


@inlined
def turn(images, chosen, mean, scale, x):  # type: ignore[no-untyped-def]
    """The inputs of a batch: x[block, c, lane] = (images[chosen[block * 64 + lane], c] - mean) * scale.

    Lanes for which there is no example repeat another.

    Shapes: images (examples, inputs), uint8 or float32, at least 64 inputs; chosen (n,); x (blocks, units, 64).
    """
    width = images.shape[1]
    every = np.full(LANES, chosen[0])
    for first in range(0, len(chosen), LANES):
        n = min(LANES, len(chosen) - first)
        every[:n] = chosen[first : first + n]
        for column in range(0, width, LANES):
            # The last tile overlaps with the one before.
            turn_tile(images, every, min(column, width - LANES), mean, scale, x[first // LANES])


@inlined
def forward(start, source, weight, bias, ends, winners, factor, x, scaled, passes, turn):  # type: ignore[no-untyped-def]
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
            choose_winners(x, first, last, winners[layer], factor, scaled, passes, turn)
        else:
            for unit in range(first, last):
                # What has diverged is not hidden: NaN goes on, as in torch.
                passes[unit] = positive_or_nan(x, unit)
        for unit in range(first, last):
            keep(x, unit, passes[unit])


@inlined
def choose_winners(x, first, last, k, factor, scaled, passes, turn):  # type: ignore[no-untyped-def]
    """Let the k units of [first, last) with the largest x * factor pass, for each example: exactly k.

    A bound is sought that k units reach, for all examples at once: k or more reach `low`, fewer reach `high`, and what
    is between is cut about where the bound would be if the units lay there evenly. Of equal units that compete for the
    last places, others lose in each batch.
    """
    # Counts are floats, too: Numba would make 64 bits of integers, and twice as many instructions.
    low, high, tried, n_low, n_high, n_tried = np.zeros((6, LANES), np.float32)
    n_low[:] = last - first
    wanted, n_open, n_tries = np.float32(k), np.float32(1), 0
    # NaN is the highest, as for torch.topk.
    scale_rows(scaled, low, high, x, factor, first, last)
    for lane in range(LANES):
        high[lane] = number_at(place_of(high[lane]) + np.int32(1))
    while n_open > 0 and n_tries < 16 + 32:
        if n_tries < 16:
            for lane in range(LANES):
                part = (n_low[lane] - wanted) / (n_low[lane] - n_high[lane])
                # Not quite there: a bound far from the middle would too often leave the larger piece.
                cut = low[lane] + (high[lane] - low[lane]) * np.float32(0.5) * (part + np.float32(0.5))
                tried[lane] = cut if (low[lane] < cut) & (cut < high[lane]) else low[lane]
        else:
            # Equal numbers, or hugely different ones. Halving the row of all floats 32 times leaves one of them.
            for lane in range(LANES):
                a, b = place_of(low[lane]), place_of(high[lane])
                tried[lane] = number_at((a & b) + ((a ^ b) >> np.int32(1)))
        count_at_least(n_tried, scaled, first, last, tried)
        n_open = np.float32(0)
        for lane in range(LANES):
            enough = n_tried[lane] >= wanted
            low[lane] = tried[lane] if enough else low[lane]
            n_low[lane] = n_tried[lane] if enough else n_low[lane]
            high[lane] = high[lane] if enough else tried[lane]
            n_high[lane] = n_high[lane] if enough else n_tried[lane]
            n_open += np.float32(n_low[lane] != wanted)
        n_tries += 1
    for unit in range(first, last):
        passes[unit] = at_least(scaled, unit, low)
    for lane in range(LANES):
        surplus = np.int64(n_low[lane]) - k
        if surplus > 0:
            n_equal = 0
            for unit in range(first, last):
                n_equal += scaled[unit, lane] == low[lane]
            place = turn % n_equal
            for unit in range(first, last):
                if scaled[unit, lane] == low[lane]:
                    if place < surplus:
                        passes[unit] &= ~(np.uint64(1) << np.uint64(lane))
                    place = (place + 1) % n_equal


@inlined
def place_of(number):  # type: ignore[no-untyped-def]
    """The place of a float32 in the row of all of them, the smallest first."""
    bits = np.float32(number).view(np.int32)
    return bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF))


@inlined
def number_at(place):  # type: ignore[no-untyped-def]
    """The float32 at a place."""
    return np.int32(place ^ ((place >> np.int32(31)) & np.int32(0x7FFFFFFF))).view(np.float32)


@inlined
def loss_and_gradient(x, d, first, last, target, n, n_batch):  # type: ignore[no-untyped-def]
    """Cross-entropy of a block: d = its gradient at the logits, of the mean over the batch.

    Args:
        target: (64,) the class of each example.
        n: examples in the block; n_batch: in the batch.

    Returns: the sum of the losses, and how many examples are classified right.
    """
    best, highest, total_exp = np.full(LANES, first), x[first].copy(), np.zeros(LANES, np.float32)
    for unit in range(first + 1, last):
        for lane in range(LANES):
            is_higher = x[unit, lane] > highest[lane]
            best[lane] = unit if is_higher else best[lane]
            highest[lane] = x[unit, lane] if is_higher else highest[lane]
    for unit in range(first, last):
        for lane in range(LANES):
            d[unit, lane] = exp(x[unit, lane] - highest[lane])
            total_exp[lane] += d[unit, lane]
    loss, n_right = 0.0, 0
    for lane in range(n):
        right = first + target[lane]
        loss += math.log(total_exp[lane]) - (x[right, lane] - highest[lane])
        n_right += best[lane] == right
    for unit in range(first, last):
        for lane in range(LANES):
            d[unit, lane] /= total_exp[lane] * np.float32(n_batch)
        for lane in range(n, LANES):
            d[unit, lane] = 0
    for lane in range(n):
        d[first + target[lane], lane] -= np.float32(1) / np.float32(n_batch)
    return loss, n_right


@inlined_in_order
def exp(x):  # type: ignore[no-untyped-def]
    """The exponential of a float32 that is not positive, to 1e-7 of itself; 0 below -87. Unlike math.exp, for lanes.

    x = n * log(2) + r, and exp(r) is a polynomial: Cody and Waite, Software Manual for the Elementary Functions, 1980;
    its coefficients are those of Taylor's series.
    """
    n = np.float32(math.floor(x * np.float32(1 / math.log(2)) + np.float32(0.5)))
    # log(2) in two parts, of which the first has so few digits that n times it is exact.
    r = x - n * np.float32(0.693359375) - n * np.float32(math.log(2) - 0.693359375)
    result = np.float32(1)
    for i in range(7, 0, -1):
        result = result * r * np.float32(1 / i) + np.float32(1)
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    return np.float32(0) if x < -87 else result * power


@inlined
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
            bias_gradient[unit] += sum_of_row(d, unit)
            add_dots(weight_gradient, d, unit, x, source, start[unit], start[unit + 1])
            # Nobody asks for the gradient of the inputs.
            if layer > 0:
                add_scaled(d, source, weight, unit, start[unit], start[unit + 1])


@kernel
def train_blocks(  # type: ignore[no-untyped-def]
    start, source, weight, bias, ends, winners, factor, turn, x, d, scaled, passes, target, n_batch,
    weight_gradient, bias_gradient, n_active, activity, n_words,
):  # fmt: skip
    """Forward, loss and backward of a batch, whose gradients are added to `weight_gradient` and `bias_gradient`.

    Args:
        n_active: (units,) written: for how many examples a hidden unit is positive.
        activity: (units, words) each block writes a word of it, from `n_words` on, unless it has none.

    Shapes: x, d (blocks, units, 64); target (n_batch,).

    Returns: the sum of the losses, and how many examples are classified right.
    """
    total, n_right = 0.0, 0
    n_active[:] = 0
    for block in range(len(x)):
        first = block * LANES
        n = min(LANES, n_batch - first)
        forward(start, source, weight, bias, ends, winners, factor, x[block], scaled, passes, turn)
        loss, right = loss_and_gradient(x[block], d[block], ends[-2], ends[-1], target[first : first + n], n, n_batch)
        backward(start, source, weight, ends, x[block], d[block], passes, weight_gradient, bias_gradient)
        total, n_right = total + loss, n_right + right
        for unit in range(ends[0], ends[-2]):
            n_active[unit] += np.float32(ones(positive(x[block], unit) & first_lanes(n)))
        if activity.shape[1] > 0:
            keep_activity(x[block], n, activity, n_words + block)
    return total, n_right


@kernel
def test_all(  # type: ignore[no-untyped-def]
    start, source, weight, bias, ends, winners, factor, images, mean, scale, target, x, d, scaled, passes
):
    """The sum of the losses over images, and how many are classified right.

    Shapes: images (examples, inputs), as for `turn`; x, d (1, units, 64).
    """
    total, n_right = 0.0, 0
    for first in range(0, len(images), LANES):
        end = min(first + LANES, len(images))
        turn(images, np.arange(first, end), mean, scale, x)
        forward(start, source, weight, bias, ends, winners, factor, x[0], scaled, passes, first // LANES)
        loss, right = loss_and_gradient(x[0], d[0], ends[-2], ends[-1], target[first:end], end - first, end - first)
        total, n_right = total + loss, n_right + right
    return total, n_right


@kernel
def update_duty(duty, n_active, n_batch, length, boost, factor, first, last):  # type: ignore[no-untyped-def]
    """One more batch in the duty cycles of units, and what they are multiplied with in the next. Shapes: (units,)."""
    for unit in range(first, last):
        duty[unit] = (duty[unit] * np.float32(length - n_batch) + n_active[unit]) / np.float32(length)
        factor[unit] = math.exp(-boost * duty[unit])


@inlined
def keep_activity(x, n, activity, block):  # type: ignore[no-untyped-def]
    """activity[unit, block] = for which examples of the block a unit is positive. Shapes: (units, blocks), uint64."""
    there = first_lanes(n)
    for unit in range(len(activity)):
        activity[unit, block] = positive(x, unit) & there


@inlined
def first_lanes(n):  # type: ignore[no-untyped-def]
    """The bits of the first n lanes, n from 1 to 64."""
    return ~np.uint64(0) >> np.uint64(LANES - n)


@kernel
def count_coactivations(activity, first, middle, last, total):  # type: ignore[no-untyped-def]
    """total[o, i] = for how many examples the units middle + o and first + i are positive together.

    Shapes: activity (units, a multiple of 8 words), uint64; total (last - middle, middle - first), float32.
    """
    for tile in range(middle, last, TILE):
        for a in range(first, middle, 2):
            for b in range(tile, min(tile + TILE, last), 2):
                # Two and two; where their number is odd, the last one twice.
                more_a, more_b = min(a + 1, middle - 1), min(b + 1, last - 1)
                n = count_common(activity, b, more_b, a, more_a)
                total[b - middle, a - first], total[b - middle, more_a - first] = n[0], n[1]
                total[more_b - middle, a - first], total[more_b - middle, more_a - first] = n[2], n[3]


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
