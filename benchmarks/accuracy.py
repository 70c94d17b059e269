"""Whether the sparse engine is as good as the torch engine: accuracies on MNIST with k-winners, paired by seed.

After a few dozen steps rounding has made two different networks of one seed, so single trials differ by chance; their
mean difference is what counts. `last half` is the mean over the last half of the epochs, `max` the best epoch.
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
from dynsparse.training import Trainer

ENGINES = ("torch", "sparse")


def accuracies(engine, seed, epochs):
    """Percentages of one trial."""
    torch.set_num_threads(1)
    trainer = Trainer([Config(kwinners=True, engine=engine, seed=seed, epochs=epochs)])
    rows = [trainer.step()[0] for _ in range(epochs)]
    found = {}
    for name in ("val_acc", "noise_acc"):
        values = [100 * row[name] for row in rows]
        found |= {f"{name} max": max(values), f"{name} last half": statistics.mean(values[epochs // 2 :])}
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()

    found = {}
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as processes:
        trials = {
            processes.submit(accuracies, engine, seed, options.epochs): (engine, seed)
            for seed in range(options.seeds)
            for engine in ENGINES
        }
        for done in as_completed(trials):
            found[trials[done]] = done.result()
            print(f"{len(found)} of {len(trials)}", end="\r", flush=True)
    rows = []
    for metric in found["torch", 0]:
        ours, theirs = ([found[engine, seed][metric] for seed in range(options.seeds)] for engine in ENGINES[::-1])
        differences = [a - b for a, b in zip(ours, theirs, strict=True)]
        mean, error = statistics.mean(differences), statistics.stdev(differences) / math.sqrt(len(differences))
        half = error * stats.t.ppf(0.975, len(differences) - 1)
        rows.append([metric, statistics.mean(theirs), statistics.mean(ours), mean, mean - half, mean + half])
    print(tabulate(rows, ["%", *ENGINES, "difference", "95% from", "to"], floatfmt=".3f"))
    write(options.json, {f"{engine} {seed}": values for (engine, seed), values in found.items()})


if __name__ == "__main__":
    main()
