"""Arrays that the kernels read and write, grouped by purpose.

The units of a network have consecutive indices: the inputs first, then the units of each layer. A batch is cut into
blocks of 64 examples. Within a block, each unit has one row of 64 values, and each example one lane.

The active weights are stored by source: first those from unit 0, then those from unit 1. The backward pass then reads
the gradient of each target once, for both the gradient of the weight and that of its source, and it skips inputs that
are zero in the whole block. The forward pass reads a copy of the weights that is ordered by target.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]

LANES = 64


class NetworkArrays(NamedTuple):
    """A network. Unit u has the weights `weight[out_indptr[u] : out_indptr[u + 1]]` to the units `targets[...]`.

    By target, it has the weights `in_weight[in_indptr[u] : in_indptr[u + 1]]` from the units `sources[...]`.
    """

    out_indptr: Array  # (units + 1,), int64
    targets: Array  # (active weights,), uint32
    weight: Array  # (active weights,), float32
    in_indptr: Array  # (units + 1,), int64
    sources: Array  # (active weights,), uint32
    index_by_target: Array  # (active weights,), uint32: the index in `weight` of each weight by target
    # Temporary: `kernels.prepare_forward` writes both before each forward pass, in training and in evaluation.
    in_weight: Array  # (active weights,), float32: weight[index_by_target]
    in_bias: Array  # (units,), float32: the bias, less the mean of the inputs times their weights
    bias: Array  # (units,), float32
    layer_ends: Array  # (1 + layers,), int64: index after the last input, and after the last unit of each layer
    k: Array  # (hidden layers,), int64: number of winners; 0 means ReLU
    unit_boost: Array  # (units,), float32: factor of a unit when winners are chosen
    # Share of the target probability that is spread over all classes; 0 in evaluation.
    label_smoothing: np.float32 = np.float32(0)
    # Of batch norm: (units,), float32, of which only those of hidden units are used; (0,) without batch norm.
    gain: Array = np.zeros(0, np.float32)
    shift: Array = np.zeros(0, np.float32)
    # Of strong boosting, (units,), float64: see `nn.functional.boost_penalty`; (0,) if `unit_boost` is used.
    penalty: Array = np.zeros(0, np.float64)
    dropout: np.float32 = np.float32(0)  # share of hidden units that are dropped; 0 in evaluation


class Buffers(NamedTuple):
    """Temporary values of one batch, overwritten by the next."""

    x: Array  # (blocks, units, 64), float32: activations; inputs are scaled, but their mean is not subtracted
    nonzero: Array  # (blocks, units), uint64: one bit per lane, set if an input in `x` is not 0
    dx: Array  # (blocks, units, 64), float32: gradient of the loss with respect to the activations
    boosted: Array  # (units, 64), float32: activations times boost
    passing: Array  # (blocks, units), uint64: one bit per lane, set if the activation function passes the unit
    positive: Array  # (blocks, units), uint64: one bit per lane, set if a hidden unit is positive before dropout
    kept: Array  # (blocks, units), uint64: one bit per lane, set if dropout keeps the unit
    normalised: Array  # (blocks, units, 64), float32: hidden units after batch norm, without gain and shift
    mean: Array  # (units,), float32: of hidden units before batch norm
    variance: Array  # (units,), float32: the same


class BatchResults(NamedTuple):
    """Sums over the examples of a batch. The gradients must be 0 before it."""

    weight_gradient: Array  # (active weights,), float32
    bias_gradient: Array  # (units,), float32
    gain_gradient: Array  # (units,) or (0,) without batch norm, float32
    shift_gradient: Array  # the same
    n_active: Array  # (units,), float32: examples for which a hidden unit is positive, in the last batch
    # (units, blocks of a pass, rounded up to a multiple of 8), uint64: one bit per lane, set if the unit is positive;
    # (units, 0) if nobody counts coactivations.
    activity: Array


class OptimizerArrays(NamedTuple):
    """Parameters with their gradients and optimizer state. All arrays (parameters,), float32; `second` may be (0,)."""

    kind: int  # see `optimizer_steps.KINDS`
    values: Array
    gradient: Array
    first: Array  # velocity, or the mean of the gradients for Adam
    second: Array  # the mean of their squares for Adam
    momentum: np.float32
    decay: np.float32
    clip_norm: float  # infinite: do not clip


class UnitStatistics(NamedTuple):
    """Running statistics of hidden units, and how to update them. Shapes of arrays: (hidden units,), float32."""

    mean: Array  # of batch norm, for evaluation
    variance: Array
    duty: Array  # duty cycles of k-winners
    unit_boost: Array
    boost_strength: float
    duty_cycle_period: int  # in examples; 0 without k-winners


class Batches(NamedTuple):
    """Training examples in the order in which they are visited, cut into batches."""

    images: Array  # (examples, inputs), uint8 or float32
    labels: Array  # (examples,), int64, or (examples, outputs), float32
    class_weights: Array  # (classes,), float32; (0,) if all classes count alike
    scale: np.float32  # of the images
    input_mean: np.float32  # to subtract from the scaled images
    order: Array  # (visited examples,), int64
    size: int  # examples of a batch; the last one may have fewer
    is_loaded: bool  # the images are in the buffers already; then there is a single batch


class Progress(NamedTuple):
    """Seed of a trial, and what it has done before some steps."""

    seed: int
    epoch: int  # of these steps, counted from 1
    n_steps: int  # optimizer steps before
    n_seen: int  # examples before
    n_blocks: int  # blocks of this pass before


def aligned_zeros(n_blocks: int, n_units: int) -> Array:
    """Return zeros of shape (blocks, units, 64) that start at a multiple of 64 bytes, the length of a cache line."""
    content = np.zeros(n_blocks * n_units * LANES * 4 + 64, np.uint8)
    first = -content.ctypes.data % 64
    return content[first : first + content.size - 64].view(np.float32).reshape(n_blocks, n_units, LANES)


def allocate_buffers(n_blocks: int, n_units: int) -> Buffers:
    """Allocate the buffers of batches of up to `n_blocks` blocks."""
    return Buffers(
        # Images are loaded 64 pixels at a time, even if the network has fewer units.
        x=aligned_zeros(n_blocks, max(n_units, LANES)),
        nonzero=np.zeros((n_blocks, max(n_units, LANES)), np.uint64),
        dx=aligned_zeros(n_blocks, n_units),
        boosted=aligned_zeros(1, n_units)[0],
        passing=np.zeros((n_blocks, n_units), np.uint64),
        positive=np.zeros((n_blocks, n_units), np.uint64),
        kept=np.zeros((n_blocks, n_units), np.uint64),
        normalised=aligned_zeros(n_blocks, n_units),
        mean=np.zeros(n_units, np.float32),
        variance=np.zeros(n_units, np.float32),
    )
