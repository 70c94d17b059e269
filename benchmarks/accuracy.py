"""Compare the accuracy of two engines on MNIST with k-winners, paired by seed.

`--engines sparse packed` compares the packed engine, on a GPU if there is one, with the sparse engine on the CPU.
Rounding makes two runs of the same seed diverge after a few dozen steps, so single trials differ by chance, and only
the mean difference counts. `last half` is the mean over the last half of the epochs, `max` the best epoch.
"""

import argparse
import math
import os
import statistics
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

import torch
from scipy import stats
from tabulate import tabulate
from turns import write

from dynsparse.config import Config
from dynsparse.training.trainer import Trainer


def accuracies(engine, seeds, epochs):
    """Return the accuracies of each trial of a pack, in percent."""
    torch.set_num_threads(1)
    device = "cuda" if engine == "packed" and torch.cuda.is_available() else "cpu"
    trainer = Trainer([Config(kwinners=True, engine=engine, seed=s, epochs=epochs, device=device) for s in seeds])
    steps = [trainer.step() for _ in range(epochs)]
    return [summary([rows[place] for rows in steps]) for place in range(len(seeds))]


def summary(rows):
    found = {}
    for name in ("val_acc", "noise_acc"):
        values = [100 * row[name] for row in rows]
        found |= {f"{name} max": max(values), f"{name} last half": statistics.mean(values[len(rows) // 2 :])}
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--engines", nargs=2, choices=["torch", "sparse", "packed"], default=["torch", "sparse"])
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()

    found, engines = {}, options.engines
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as processes:
        trials = {
            processes.submit(accuracies, engine, seeds, options.epochs): (engine, seeds)
            for engine in engines
            for seeds in ([range(options.seeds)] if engine == "packed" else [[seed] for seed in range(options.seeds)])
        }
        for done in as_completed(trials):
            engine, seeds = trials[done]
            found |= {(engine, seed): each for seed, each in zip(seeds, done.result(), strict=True)}
            print(f"{len(found)} of {2 * options.seeds}", end="\r", flush=True)
    rows = []
    for metric in found[engines[0], 0]:
        theirs, ours = ([found[engine, seed][metric] for seed in range(options.seeds)] for engine in engines)
        differences = [a - b for a, b in zip(ours, theirs, strict=True)]
        mean, error = statistics.mean(differences), statistics.stdev(differences) / math.sqrt(len(differences))
        half = error * stats.t.ppf(0.975, len(differences) - 1)
        rows.append([metric, statistics.mean(theirs), statistics.mean(ours), mean, mean - half, mean + half])
    print(tabulate(rows, ["%", *engines, "difference", "95% from", "to"], floatfmt=".3f"))
    write(options.json, {f"{engine} {seed}": values for (engine, seed), values in found.items()})


if __name__ == "__main__":
    main()
