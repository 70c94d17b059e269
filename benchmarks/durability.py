"""Measure the cost of durability: milliseconds for an epoch of a small trial with its folder, and without.

Without: the Trainer alone. With: what a trial does in a run, which writes a row to the disk after each epoch and a
checkpoint after every fifth. The two take turns. Epochs of digits are as short as they get: the cost is the same for
longer ones.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch
from tabulate import tabulate

from dynsparse.config import Config
from dynsparse.training.trainer import Trainer
from dynsparse.tune.packed_trial import WorkerOptions
from dynsparse.tune.trainable import SparseTrial


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--storage", help="where the folder is made; the system's temporary folder if not given")
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    config = Config.of(dict(dataset_name="digits", hidden_sizes=[100, 100], on_perc=0.1, epochs=options.epochs + 1))

    with tempfile.TemporaryDirectory(dir=options.storage) as folder:

        class Trial(SparseTrial):
            def setup(self, config):
                super().setup(config, WorkerOptions(str(Path(folder))))

        alone, durable = Trainer([config]), Trial(config.values())
        seconds = {"with": [], "without": []}
        for epoch in range(options.epochs):
            for way, step in [("without", alone.step), ("with", durable.train)]:
                started = time.perf_counter()
                step()
                # The first epoch of each warms up.
                if epoch:
                    seconds[way].append(time.perf_counter() - started)
    # The mean: a checkpoint comes at every fifth epoch, and a median would not see it.
    milliseconds = {way: 1000 * statistics.mean(times) for way, times in seconds.items()}
    rows = [
        (way, milliseconds[way], 1000 * statistics.median(times), 1000 * max(times)) for way, times in seconds.items()
    ]
    print(tabulate(rows, ["folder", "mean ms", "median", "max"], floatfmt=".1f"))
    print(f"cost of an epoch: {milliseconds['with'] - milliseconds['without']:.1f} ms")
    if options.json:
        Path(options.json).write_text(json.dumps({"milliseconds": milliseconds}))


if __name__ == "__main__":
    main()
