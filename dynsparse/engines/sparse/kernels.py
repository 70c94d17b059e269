"""Forward and backward pass of a batch, in time proportional to the number of active weights.

Compiled by Numba, for one thread. Each of the 64 examples of a block is computed in its own lane: see arrays.py.
"""

from __future__ import annotations

import numpy as np

from dynsparse.engines.sparse.activity import record_activity, valid_lanes
from dynsparse.engines.sparse.arrays import (
    LANES,
    Array,
    Batches,
    BatchResults,
    Buffers,
    NetworkArrays,
    OptimizerArrays,
    Progress,
    UnitStatistics,
)
from dynsparse.engines.sparse.batch_norm import normalise, normalise_backward, update_running_moments
from dynsparse.engines.sparse.compiler import inlined, kernel
from dynsparse.engines.sparse.dropout import draw_kept_units
from dynsparse.engines.sparse.k_winners import choose_winners, update_duty_cycles
from dynsparse.engines.sparse.losses import loss_and_gradient, loss_and_score, weights_of_batch
from dynsparse.engines.sparse.optimizer_steps import optimizer_step
from dynsparse.engines.sparse.simd import (
    add_dot_products,
    add_dot_products_half,
    count_bits,
    lanes_above,
    positive_or_nan_lanes,
    propagate_back,
    propagate_back_half,
    row_sum,
    scale_lanes,
    transpose_tile,
    weighted_sum,
    weighted_sum_half,
    zero_other_lanes,
)


@inlined
def load_batch(images, index, scale, buffers):  # type: ignore[no-untyped-def]
    """Transpose and scale images: x[block, c, lane] = images[index[block * 64 + lane], c] * scale.

    The mean is not subtracted, so that a pixel of 0 stays 0: see `prepare_forward`. In the last block, lanes without an
    example get a copy of an arbitrary one, so that they are finite.

    Shapes: images (examples, at least 64 inputs), uint8 or float32; index (batch,).
    """
    width = images.shape[1]
    padded = np.full(LANES, index[0])
    for first in range(0, len(index), LANES):
        n = min(LANES, len(index) - first)
        padded[:n] = index[first : first + n]
        for column in range(0, width, LANES):
            # The last tile may overlap with the one before it.
            block, column = first // LANES, min(column, width - LANES)
            transpose_tile(images, padded, column, scale, buffers.x[block], buffers.nonzero[block])


@inlined
def prepare_forward(network, input_mean):  # type: ignore[no-untyped-def]
    """Write `in_weight`, the weights by target, and `in_bias`.

    An input x is stored without its mean subtracted. A unit of the first layer is
    bias + sum of w * (x - mean) = (bias - mean * sum of w) + sum of w * x; `in_bias` is the term in parentheses.

    Shapes: input_mean (), the mean of the scaled inputs, float32.
    """
    ends = network.layer_ends
    for unit in range(ends[0], ends[-1]):
        total = np.float32(0)
        for j in range(network.in_indptr[unit], network.in_indptr[unit + 1]):
            weight = network.weight[network.index_by_target[j]]
            network.in_weight[j] = weight
            total += weight
        network.in_bias[unit] = network.bias[unit] - (input_mean * total if unit < ends[1] else np.float32(0))


@inlined
def is_half(n_batch, block):  # type: ignore[no-untyped-def]
    """Return True for a block of at most 32 examples."""
    return n_batch - block * LANES <= LANES // 2


@inlined
def forward(network, buffers, first_block, last_block, n_batch, tie_offset):  # type: ignore[no-untyped-def]
    """Compute the activations of all units in blocks [first_block, last_block) from those of the inputs.

    With batch norm, these must be all blocks of the batch. See `choose_winners` for `tie_offset`.
    """
    indptr, sources, weight, bias, ends = (
        network.in_indptr, network.sources, network.in_weight, network.in_bias, network.layer_ends,
    )  # fmt: skip
    for layer in range(len(ends) - 1):
        first, last = ends[layer], ends[layer + 1]
        for block in range(first_block, last_block):
            for unit in range(first, last):
                start, end = indptr[unit], indptr[unit + 1]
                if is_half(n_batch, block):
                    weighted_sum_half(buffers.x[block], unit, bias[unit], sources, weight, start, end)
                else:
                    weighted_sum(buffers.x[block], unit, bias[unit], sources, weight, start, end)
        if layer == len(ends) - 2:
            return
        if len(network.gain) > 0:
            for unit in range(first, last):
                normalise(network, buffers, unit, n_batch)
        for block in range(first_block, last_block):
            activate(network, buffers, layer, block, tie_offset)
            if network.dropout > 0:
                for unit in range(first, last):
                    drop_lanes(network, buffers.x[block], unit, buffers.kept[block, unit])


@inlined
def activate(network, buffers, layer, block, tie_offset):  # type: ignore[no-untyped-def]
    """Apply the activation function to a hidden layer, and set which units pass the gradient and which are positive."""
    first, last = network.layer_ends[layer], network.layer_ends[layer + 1]
    x, passing, positive = buffers.x[block], buffers.passing[block], buffers.positive[block]
    if network.k[layer] > 0:
        choose_winners(network, layer, x, buffers.boosted, passing, tie_offset)
    else:
        for unit in range(first, last):
            # NaN is passed on, so that the loss becomes NaN too, as in torch.
            passing[unit] = positive_or_nan_lanes(x, unit)
    for unit in range(first, last):
        zero_other_lanes(x, unit, passing[unit])
        positive[unit] = lanes_above(x, unit, np.float32(0))


@inlined
def drop_lanes(network, x, unit, kept):  # type: ignore[no-untyped-def]
    """Apply dropout to the activations of a unit, or to their gradient."""
    scale_lanes(x, unit, kept, np.float32(1) / (np.float32(1) - network.dropout))


@inlined
def backward(network, buffers, first_block, last_block, n_batch, results):  # type: ignore[no-untyped-def]
    """Add the gradients of the parameters over blocks [first_block, last_block).

    `dx` holds the gradient of the logits. Then it holds that of each unit before batch norm and activation function.
    The gradients of the inputs' weights are those for inputs as they are stored: see `subtract_mean_from_gradient`.
    """
    indptr, targets, weight, ends = network.out_indptr, network.targets, network.weight, network.layer_ends
    weight_gradient, bias_gradient = results.weight_gradient, results.bias_gradient
    n_layers = len(ends) - 1
    for layer in range(n_layers - 1, -1, -1):
        first, last = ends[layer], ends[layer + 1]
        if layer < n_layers - 1:
            for block in range(first_block, last_block):
                for unit in range(first, last):
                    if network.dropout > 0:
                        drop_lanes(network, buffers.dx[block], unit, buffers.kept[block, unit])
                    zero_other_lanes(buffers.dx[block], unit, buffers.passing[block, unit])
            if len(network.gain) > 0:
                for unit in range(first, last):
                    normalise_backward(network, buffers, unit, n_batch, results)
        for block in range(first_block, last_block):
            x, dx, half = buffers.x[block], buffers.dx[block], is_half(n_batch, block)
            for unit in range(first, last):
                bias_gradient[unit] += row_sum(dx, unit)
            if layer > 0:
                for source in range(ends[layer - 1], first):
                    start, end = indptr[source], indptr[source + 1]
                    if half:
                        propagate_back_half(weight_gradient, x, source, dx, targets, weight, start, end)
                    else:
                        propagate_back(weight_gradient, x, source, dx, targets, weight, start, end)
            else:
                # The inputs need no gradient.
                for source in range(first):
                    start, end = indptr[source], indptr[source + 1]
                    if buffers.nonzero[block, source] == 0:
                        continue
                    if half:
                        add_dot_products_half(weight_gradient, x, source, dx, targets, start, end)
                    else:
                        add_dot_products(weight_gradient, x, source, dx, targets, start, end)


@inlined
def subtract_mean_from_gradient(network, input_mean, results):  # type: ignore[no-untyped-def]
    """Subtract from the gradients of the inputs' weights what the mean of the inputs has added to them.

    A weight's gradient is the sum of dx * (x - mean) over the examples. The sum of dx is the gradient of the bias. Call
    it once for a batch, after all of its blocks.
    """
    for j in range(network.out_indptr[network.layer_ends[0]]):
        results.weight_gradient[j] -= input_mean * results.bias_gradient[network.targets[j]]


def train_steps(
    network: NetworkArrays,
    buffers: Buffers,
    results: BatchResults,
    optimizer: OptimizerArrays,
    running: UnitStatistics,
    batches: Batches,
    rates: Array,
    progress: Progress,
) -> tuple[float, int]:
    """Do one optimizer step for each batch.

    Args:
        network: The network in training. Its parameters are views of `optimizer.values`.
        buffers: For batches of up to `batches.size` examples.
        results: Its gradients are views of `optimizer.gradient`, and 0.
        optimizer: Parameters and optimizer state, updated in place.
        running: Running statistics, updated in place.
        batches: The examples of these steps.
        rates: (steps,), float32, the learning rates.
        progress: What the trial has done before these steps.

    Returns:
        The sum of the losses, and the number of correctly classified examples.
    """
    # For each call Numba looks up the types of the arguments, which takes longer for a NamedTuple than for a tuple.
    arguments = network, buffers, results, optimizer, running, batches
    sums: tuple[float, int] = _train_steps(*map(tuple, arguments), rates, tuple(progress))
    return sums


@kernel
def _train_steps(network, buffers, results, optimizer, running, batches, rates, progress):  # type: ignore[no-untyped-def]
    network, buffers, results = NetworkArrays(*network), Buffers(*buffers), BatchResults(*results)
    optimizer, running = OptimizerArrays(*optimizer), UnitStatistics(*running)
    batches, progress = Batches(*batches), Progress(*progress)
    total, n_correct, n_seen, n_blocks = 0.0, 0, progress.n_seen, progress.n_blocks
    first_hidden, last_hidden = network.layer_ends[0], network.layer_ends[-2]
    for step in range(len(rates)):
        index = batches.order[step * batches.size : (step + 1) * batches.size]
        n_batch, n_steps = len(index), progress.n_steps + step + 1
        n_seen += n_batch
        if not batches.is_loaded:
            load_batch(batches.images, index, batches.scale, buffers)
        if network.dropout > 0:
            ends = network.layer_ends
            draw_kept_units(buffers.kept, ends, n_batch, network.dropout, progress.seed, progress.epoch, n_steps)
        labels = batches.labels[index]
        loss, correct = train_batch(
            network, buffers, results, labels, batches.class_weights, batches.input_mean, n_steps, n_blocks
        )
        total, n_correct = total + loss, n_correct + correct
        n_blocks += (n_batch + LANES - 1) // LANES
        optimizer_step(optimizer, rates[step], n_steps)
        if len(network.gain) > 0:
            mean, variance = buffers.mean[first_hidden:last_hidden], buffers.variance[first_hidden:last_hidden]
            update_running_moments(running.mean, running.variance, mean, variance, n_batch)
        if running.duty_cycle_period > 0:
            # If the batch is longer than the period, the old duty cycle would get a negative weight.
            period = max(min(running.duty_cycle_period, n_seen), n_batch)
            n_active = results.n_active[first_hidden:last_hidden]
            update_duty_cycles(running.duty, running.unit_boost, n_active, n_batch, period, running.boost_strength)
    return total, n_correct


@inlined
def train_batch(network, buffers, results, labels, weights, input_mean, tie_offset, n_previous):  # type: ignore[no-untyped-def]
    """Compute forward pass, loss and backward pass of a batch that `load_batch` has put into the buffers.

    The units that dropout keeps are in `buffers.kept`. The gradients are those of the mean loss. If `results.activity`
    has columns, block i of the batch is written to column `n_previous + i`; `n_previous` is the number of blocks before
    it in this pass. See `choose_winners` for `tie_offset`.

    Shapes: labels (batch,), int64, or (batch, outputs), float32; weights (classes,), float32, or (0,) without class
    weights; input_mean (): the mean to subtract from the scaled inputs.

    Returns:
        The sum of the losses, and the number of correctly classified examples.
    """
    total, n_correct, n_batch = 0.0, 0, len(labels)
    ends, n_active, activity = network.layer_ends, results.n_active, results.activity
    n_active[:], scale = 0, weights_of_batch(labels, weights)
    prepare_forward(network, input_mean)
    n_blocks = (n_batch + LANES - 1) // LANES
    # Batch norm needs all blocks at each layer. Without it, one block is computed at a time, and stays in the cache.
    n_together = n_blocks if len(network.gain) > 0 else 1
    for first_block in range(0, n_blocks, n_together):
        last_block = first_block + n_together
        forward(network, buffers, first_block, last_block, n_batch, tie_offset)
        for block in range(first_block, last_block):
            first, last = block * LANES, min((block + 1) * LANES, n_batch)
            loss, correct = loss_and_gradient(
                buffers.x[block], buffers.dx[block], ends[-2], ends[-1], labels[first:last], n_batch,
                network.label_smoothing, weights, scale,
            )  # fmt: skip
            total, n_correct = total + loss, n_correct + correct
        backward(network, buffers, first_block, last_block, n_batch, results)
        for block in range(first_block, last_block):
            n, positive = min(LANES, n_batch - block * LANES), buffers.positive[block]
            for unit in range(ends[0], ends[-2]):
                n_active[unit] += np.float32(count_bits(positive[unit] & valid_lanes(n)))
            if activity.shape[1] > 0:
                record_activity(
                    buffers.x[block], input_mean, positive, ends[0], ends[-2], n, activity, n_previous + block
                )
    subtract_mean_from_gradient(network, input_mean, results)
    return total, n_correct


@kernel
def evaluate(network, buffers, images, labels, scale, input_mean, calibration, active):  # type: ignore[no-untyped-def]
    """Compute the sum of the losses over images, and the number of correctly classified ones.

    The images are added to `calibration`, and hidden units that are positive for any of them become True in `active`.
    The network must be one without batch norm: see `batch_norm.fold`.

    Shapes: images (examples, inputs), as for `load_batch`; labels as in training; input_mean (), the mean of the
    scaled inputs; calibration (bins,), float64, see `nn.functional.calibration_gaps`; active (units,), bool.
    """
    total, n_correct, ends = 0.0, 0, network.layer_ends
    x, dx = buffers.x[0], buffers.dx[0]
    prepare_forward(network, input_mean)
    for first in range(0, len(labels), LANES):
        last = min(first + LANES, len(labels))
        load_batch(images, np.arange(first, last), scale, buffers)
        forward(network, buffers, 0, 1, last - first, first // LANES)
        loss, correct = loss_and_score(x, dx, ends[-2], ends[-1], labels[first:last], calibration)
        total, n_correct = total + loss, n_correct + correct
        for unit in range(ends[0], ends[-2]):
            # Lanes without an image have a copy of one of this block.
            active[unit] |= buffers.positive[0, unit] != 0
    return total, n_correct
