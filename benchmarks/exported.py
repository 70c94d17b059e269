"""Measure what pruning saves in an exported network: file size, and torch's time for one image and for a batch of 128.

The network is that of experiments/sparsity_sweep.py, 784-1000-1000-500-200-10, pruned to a sparsity of 0.95 by unit and
by weight. Masked: dense tensors with zeros. Compressed: without dead units. Sparse: active weights in CSR format,
multiplied by torch. Random weights need the same memory and time as trained ones, except with weight pruning, where
training may leave more dead units. Times are medians on one thread; the forms are timed in turns.
"""

import argparse
import statistics
import time

import torch
from tabulate import tabulate
from turns import write

from dynsparse.config import Config
from dynsparse.engines.base import initial_parameters
from dynsparse.export.modules import build
from dynsparse.export.network import Trained, compressed, pruned
from dynsparse.export.tensor_files import file_content, to_safetensors
from dynsparse.planning.plan import plan

BATCHES = (1, 128)
# Repeated calls of one form find its weights in the caches, as in a program that does nothing else.
CALLS = 20


def networks(sparsity):
    """Return each network and its form by name."""
    config = Config(network="MLP", model="Dense", hidden_sizes=(1000, 1000, 500, 200))
    drawn = initial_parameters(plan([config]))
    dense = Trained(config, {}, *([each[0] for each in layers] for layers in drawn))
    found = {"dense": (dense, "dense")}
    for kind in ("unit", "weight"):
        each = pruned(dense, kind, sparsity)
        found |= {
            f"{kind}, masked": (each, "dense"),
            f"{kind}, compressed": (compressed(each), "dense"),
            f"{kind}, sparse": (each, "sparse"),
        }
    return found


@torch.inference_mode()
def microseconds(models, n_images, repeats):
    """Return the median seconds of each turn, for each model."""
    x = torch.randn(n_images, 784)
    found = {name: [] for name in models}
    for repeat in range(repeats + 1):
        for name, model in models.items():
            taken = []
            for _ in range(CALLS):
                started = time.perf_counter()
                model(x)
                taken.append((time.perf_counter() - started) * 1e6)
            if repeat:
                found[name].append(statistics.median(taken))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=50, help=f"turns of {CALLS} calls")
    parser.add_argument("--sparsity", type=float, default=0.95)
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    ways = networks(options.sparsity)
    models = {}
    for name, (network, form) in ways.items():
        tensors, about = file_content(network, form)
        models[name] = build(tensors, about["winners"])
    sizes = {name: len(to_safetensors(network, form)) for name, (network, form) in ways.items()}
    taken = {n: microseconds(models, n, options.repeats) for n in BATCHES}
    rows = []
    for name, (network, _) in ways.items():
        medians = [statistics.median(taken[n][name]) for n in BATCHES]
        than_dense = [statistics.median(taken[n]["dense"]) / median for n, median in zip(BATCHES, medians, strict=True)]
        n_active = sum(int(mask.sum()) for mask in network.masks)
        rows.append([name, "-".join(map(str, network.sizes)), n_active, sizes[name] / 1000, *medians, *than_dense])
    headers = ["form", "network", "active weights", "file, kB", *(f"batch of {n}, µs" for n in BATCHES)]
    headers += [f"batch of {n}, times as fast" for n in BATCHES]
    print(tabulate(rows, headers, tablefmt="pipe", floatfmt=("", "", ",.0f", ",.0f", ",.0f", ",.0f", ".3g", ".3g")))
    write(options.json, {"bytes": sizes, "microseconds": taken})


if __name__ == "__main__":
    main()
