"""Whether the sparse engine is as good as the torch engine: accuracies on MNIST, paired by seed, with k-winners."""

import argparse
import math
import statistics

import torch
from scipy import stats
from tabulate import tabulate
from turns import write

from dynsparse.config import Config
from dynsparse.training import Trainer


def accuracies(engine, seed, epochs):
    trainer = Trainer([Config(kwinners=True, engine=engine, seed=seed, epochs=epochs)])
    rows = [trainer.train_epoch()[0] for _ in range(epochs)]
    return rows[-1]["val_acc"], rows[-1]["noise_acc"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = {engine: [] for engine in ("torch", "sparse")}
    for seed in range(options.seeds):
        for engine, values in found.items():
            values.append(accuracies(engine, seed, options.epochs))
        print(
            f"seed {seed}: {', '.join(f'{engine} {values[-1][0]:.4f}' for engine, values in found.items())}", flush=True
        )
    rows = []
    for i, metric in enumerate(["val_acc", "noise_acc"]):
        differences = [
            100 * (ours[i] - theirs[i]) for ours, theirs in zip(found["sparse"], found["torch"], strict=True)
        ]
        mean, error = statistics.mean(differences), statistics.stdev(differences) / math.sqrt(len(differences))
        half = error * stats.t.ppf(0.975, len(differences) - 1)
        means = [100 * statistics.mean(value[i] for value in found[engine]) for engine in found]
        rows.append([metric, *means, mean, mean - half, mean + half])
    print(tabulate(rows, ["", "torch %", "sparse %", "difference", "95% from", "to"], floatfmt=".3f"))
    write(options.json, found)


if __name__ == "__main__":
    main()
