"""Measure what limits the sparse engine: microseconds of each kernel for 64 examples, and its memory bandwidth.

The network is that of one_epoch.py after two epochs on MNIST. A row of 64 examples has 256 bytes. Each active weight
reads one row in the forward pass. In the backward pass it reads one unless its input is zero in all examples. For
comparison, the script measures the highest bandwidth of this machine with the same instructions. It reads rows in the
L1 cache, and as many rows in order as there are inputs, which are in the L2 cache.
"""

import argparse
import statistics
import time

import numpy as np
import torch
from numba import njit
from tabulate import tabulate
from turns import write

from dynsparse.config import Config
from dynsparse.engines.sparse import activity, kernels
from dynsparse.engines.sparse.arrays import LANES, BatchResults
from dynsparse.engines.sparse.cross_entropy import cross_entropy
from dynsparse.engines.sparse.simd import weighted_sum
from dynsparse.training.trainer import Trainer

ROW = 4 * LANES


@njit(error_model="numpy")
def sums(x, source, weight, n_units, n_sources):
    for unit in range(n_units):
        weighted_sum(x, len(x) - 1, np.float32(0), source, weight, unit * n_sources, (unit + 1) * n_sources)


def microseconds(step, repeats):
    """Return the median microseconds of a step, after a first call that compiles it."""
    step()
    found = []
    for _ in range(repeats):
        started = time.perf_counter()
        for _ in range(50):
            step()
        found.append((time.perf_counter() - started) / 50 * 1e6)
    return statistics.median(found)


def limits(repeats):
    """Return the gigabytes per second that weighted sums read, for rows in the first and the second cache."""
    n_units, n_sources = 100, 500
    weight = np.ones(n_units * n_sources, np.float32)
    found = {}
    for place, n_rows in [("first cache", 16), ("second cache", 784)]:
        x = np.ones((n_rows + 1, LANES), np.float32)
        source = (np.arange(n_units * n_sources) % n_rows).astype(np.uint32)
        taken = microseconds(lambda x=x, source=source: sums(x, source, weight, n_units, n_sources), repeats)
        found[place] = n_units * n_sources * ROW / taken / 1e3
    return found


def measured(on_perc, repeats):
    trainer = Trainer([Config(dataset_name="MNIST", kwinners=True, epochs=9, engine="sparse", on_perc=on_perc)])
    for _ in range(2):
        trainer.step()
    engine = trainer.engine
    [images], labels = trainer.splits.train
    network, buffers = engine._networks[0].arrays(training=True), engine._buffers
    x, dx, ends = buffers.x[0], buffers.dx[0], network.layer_ends
    results = BatchResults(
        weight_gradient=np.zeros_like(network.weight),
        bias_gradient=np.zeros_like(network.bias),
        gain_gradient=np.zeros_like(network.gain),
        shift_gradient=np.zeros_like(network.shift),
        n_active=np.zeros_like(network.bias),
        activity=np.zeros((0, 0), np.uint64),
    )
    # Without winners: ReLU. Without weights: the winners are all that is left.
    with_relu = network._replace(k=np.zeros_like(network.k))
    without_weights = network._replace(in_indptr=np.zeros_like(network.in_indptr))
    order = np.random.default_rng(0).permutation(len(labels[0]))
    some_labels = labels[0].numpy()[order[:LANES]]
    bits = np.zeros((ends[-1], 944), np.uint64)
    total = np.empty((ends[1] - ends[0], ends[0]), np.float32)
    n_weights, n_of_source = len(network.weight), np.diff(network.out_indptr)
    mean, scale = np.float32(images.mean), np.float32(images.scale)
    first = iter(np.tile(np.arange(0, len(order) - LANES, LANES), 1000))

    def load_batch():
        begin = next(first)
        kernels.load_batch(images.pixels, order[begin : begin + LANES], scale, buffers)

    def prepare_forward():
        kernels.prepare_forward(network, mean * scale)

    def forward(network=network):
        kernels.forward(network, buffers, 0, 1, LANES, 0)

    def backward():
        kernels.backward(network, buffers, 0, 1, LANES, results)

    def subtract_mean_from_gradient():
        kernels.subtract_mean_from_gradient(network, mean * scale, results)

    def record_activity():
        activity.record_activity(x, mean * scale, buffers.positive[0], ends[0], ends[-2], LANES, bits, 0)

    load_batch()
    prepare_forward()
    forward()
    is_read = np.append(buffers.nonzero[0, : ends[0]] != 0, np.ones(ends[-1] - ends[0], bool))
    steps = {
        "pixels to rows": (load_batch, ends[0] * (LANES + ROW)),
        "forward, without choosing winners": (lambda: forward(with_relu), n_weights * ROW),
        "choosing winners, three layers": (lambda: forward(without_weights), None),
        "loss": (lambda: cross_entropy(x, dx, ends[-2], ends[-1], some_labels, LANES, np.float32(0)), None),
        "backward": (backward, int(n_of_source[is_read].sum()) * ROW),
        "weights by target, once in each step": (prepare_forward, None),
        "mean of the inputs in the gradient, once in each step": (subtract_mean_from_gradient, None),
        "activity as bits": (record_activity, len(x) * ROW),
    }
    rows = []
    for name, (step, n_bytes) in steps.items():
        taken = microseconds(step, repeats)
        rows.append([on_perc, name, taken, n_bytes / taken / 1e3 if n_bytes else None])
        forward()
    taken = microseconds(lambda: activity.count_coactivations(bits, 0, ends[0], ends[1], total), 3)
    # Four words are read for each four results.
    rows.append([on_perc, "coactivation, first layer, an epoch", taken, total.size * bits.shape[1] * 8 / taken / 1e3])
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = [row for on_perc in (0.05, 0.1, 0.2) for row in measured(on_perc, options.repeats)]
    print(tabulate(found, ["on_perc", "kernel", "µs", "GB/s"], floatfmt=("g", "", ".1f", ".0f"), missingval=""))
    most = limits(options.repeats)
    print(", ".join(f"{speed:.0f} GB/s from the {place}" for place, speed in most.items()))
    write(options.json, {"kernels": found, "limits": most})


if __name__ == "__main__":
    main()
