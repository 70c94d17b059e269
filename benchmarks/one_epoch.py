"""Seconds for one epoch of one trial on MNIST: dynsparse beside the plain way, in one run on one thread.

784-100-100-100-10, on_perc 0.1, k-winners, DSNNMixedHeb, with a test and a noise test. The two take turns, epoch by
epoch, so that whatever else the machine does meets both.
"""

import argparse
import json
import statistics
import time

import torch
from plain import PlainTrial
from tabulate import tabulate

from dynsparse.config import Config
from dynsparse.data import resolve_data_dir
from dynsparse.training import Trainer


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)

    config = Config(kwinners=True, on_perc=0.1, epochs=options.repeats + 2)
    ours = Trainer([config])
    plain = PlainTrial(resolve_data_dir(None))
    ways = {
        "dynsparse, torch engine": lambda: ours.train_epoch()[0]["val_acc"],
        "plain torch, DataLoader": lambda: plain.epoch()[0],
    }
    seconds = {way: [] for way in ways}
    accuracy = {}
    for repeat in range(options.repeats + 1):
        for way, epoch in ways.items():
            started = time.perf_counter()
            accuracy[way] = epoch()
            # The first epoch of each warms up.
            if repeat:
                seconds[way].append(time.perf_counter() - started)
            print(f"epoch {repeat + 1}: {way} {time.perf_counter() - started:.2f} s", flush=True)

    median = {way: statistics.median(times) for way, times in seconds.items()}
    ratio = median["plain torch, DataLoader"] / median["dynsparse, torch engine"]
    rows = [(way, median[way], min(times), max(times), accuracy[way]) for way, times in seconds.items()]
    print(tabulate(rows, ["one epoch", "median s", "min", "max", "val_acc at the end"], floatfmt=".3f"))
    print(f"ratio of the medians: {ratio:.1f}")
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"seconds": seconds, "ratio": ratio}, file, indent=1)


if __name__ == "__main__":
    main()
