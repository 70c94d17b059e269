"""The k-winners activation: choice of the winners, and duty cycles. Compiled by Numba."""

from __future__ import annotations

import math

import numpy as np

from dynsparse.engines.sparse.arrays import LANES
from dynsparse.engines.sparse.compiler import inlined
from dynsparse.engines.sparse.simd import count_at_least, lanes_at_least, scale_rows

# Tries of an interpolated threshold, and then of a bisection over all 2^32 floats.
INTERPOLATIONS, BISECTIONS = 16, 32
# The largest float32, and a number above its logarithm.
HIGHEST, ABOVE_LOGS = float(np.finfo(np.float32).max), 100.0


@inlined
def choose_winners(network, layer, x, boosted, passing, tie_offset):  # type: ignore[no-untyped-def]
    """Let exactly k units of a hidden layer pass for each example, those with the largest x * unit_boost.

    With strong boosting, they are those with the largest `nn.functional.winner_scores`.

    The search looks for a threshold that exactly k units reach, in all lanes at once. At least k units reach `low`, and
    fewer than k reach `high`. Each try cuts the interval near the place where the threshold would be if the units were
    spread evenly over it. If equal units compete for the last places, `tie_offset` rotates which of them lose, so that
    over many batches all lose equally often.
    """
    first, last, k = network.layer_ends[layer], network.layer_ends[layer + 1], network.k[layer]
    # Counts are floats too: Numba would use 64-bit integers, and twice as many instructions.
    low, high, threshold, n_low, n_high, n_reached = np.zeros((6, LANES), np.float32)
    n_low[:] = last - first
    wanted, n_open, n_tries = np.float32(k), np.float32(1), 0
    # NaN is the largest, as for torch.topk.
    if len(network.penalty) > 0:
        rank_rows(boosted, low, high, x, network.penalty, first, last)
    else:
        scale_rows(boosted, low, high, x, network.unit_boost, first, last)
    for lane in range(LANES):
        high[lane] = float_of_rank(rank_of_float(high[lane]) + np.int32(1))
    while n_open > 0 and n_tries < INTERPOLATIONS + BISECTIONS:
        if n_tries < INTERPOLATIONS:
            for lane in range(LANES):
                part = (n_low[lane] - wanted) / (n_low[lane] - n_high[lane])
                # Half-way towards the middle: a cut far from it would too often leave the larger piece.
                cut = low[lane] + (high[lane] - low[lane]) * np.float32(0.5) * (part + np.float32(0.5))
                threshold[lane] = cut if (low[lane] < cut) & (cut < high[lane]) else low[lane]
        else:
            # Units are equal or differ by orders of magnitude. Halving the ranks 32 times leaves a single float.
            for lane in range(LANES):
                a, b = rank_of_float(low[lane]), rank_of_float(high[lane])
                threshold[lane] = float_of_rank((a & b) + ((a ^ b) >> np.int32(1)))
        count_at_least(n_reached, boosted, first, last, threshold)
        n_open = np.float32(0)
        for lane in range(LANES):
            enough = n_reached[lane] >= wanted
            low[lane] = threshold[lane] if enough else low[lane]
            n_low[lane] = n_reached[lane] if enough else n_low[lane]
            high[lane] = high[lane] if enough else threshold[lane]
            n_high[lane] = n_high[lane] if enough else n_reached[lane]
            n_open += np.float32(n_low[lane] != wanted)
        n_tries += 1
    for unit in range(first, last):
        passing[unit] = lanes_at_least(boosted, unit, low)
    for lane in range(LANES):
        surplus = np.int64(n_low[lane]) - k
        if surplus > 0:
            drop_ties(boosted, passing, first, last, lane, low[lane], surplus, tie_offset)


@inlined
def rank_rows(ranks, low, high, x, penalty, first, last):  # type: ignore[no-untyped-def]
    """Set ranks[unit, lane] in the order of `nn.functional.winner_scores`, and low and high to the extremes of a lane.

    Equal scores have equal ranks.
    """
    scores = np.empty(last - first)
    for lane in range(LANES):
        for unit in range(first, last):
            number = np.float64(x[unit, lane])
            size = min(abs(number), HIGHEST)
            score = np.sign(number) / (ABOVE_LOGS - math.log(size) + penalty[unit]) if size > 0 else 0.0
            scores[unit - first] = np.inf if np.isnan(number) else score
        order = np.argsort(scores)
        rank = 0
        for place in range(len(order)):
            rank += place > 0 and scores[order[place]] != scores[order[place - 1]]
            ranks[first + order[place], lane] = rank
        low[lane], high[lane] = 0, rank


@inlined
def drop_ties(boosted, passing, first, last, lane, value, surplus, tie_offset):  # type: ignore[no-untyped-def]
    """Clear the bit of `surplus` of the units that have a value, in one lane."""
    n_equal = 0
    for unit in range(first, last):
        n_equal += boosted[unit, lane] == value
    position = tie_offset % n_equal
    for unit in range(first, last):
        if boosted[unit, lane] == value:
            if position < surplus:
                passing[unit] &= ~(np.uint64(1) << np.uint64(lane))
            position = (position + 1) % n_equal


@inlined
def rank_of_float(number):  # type: ignore[no-untyped-def]
    """Return the rank of a float32 among all floats in ascending order, as an int32."""
    bits = np.float32(number).view(np.int32)
    return bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF))


@inlined
def float_of_rank(rank):  # type: ignore[no-untyped-def]
    """Return the float32 of a rank: the inverse of `rank_of_float`."""
    return np.int32(rank ^ ((rank >> np.int32(31)) & np.int32(0x7FFFFFFF))).view(np.float32)


@inlined
def update_duty_cycles(duty, unit_boost, n_active, n_batch, period, boost_strength):  # type: ignore[no-untyped-def]
    """Add a batch to the duty cycles of units, and set their boost to exp(-boost_strength * duty).

    The duty cycles then cover the last `period` examples, at least those of the batch. They are rounded as in torch,
    because with strong boosting their last digit may decide who wins.

    Shapes: duty, unit_boost, n_active (units,).
    """
    for unit in range(len(duty)):
        # Rounded through float64, or LLVM would make one operation of the product and the sum, with one rounding.
        of_earlier = np.float32(np.float64(duty[unit]) * (period - n_batch))
        duty[unit] = (of_earlier + n_active[unit]) / np.float32(period)
        unit_boost[unit] = math.exp(-boost_strength * duty[unit])
