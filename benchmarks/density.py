"""Plot the seconds of one epoch over the density, for both engines, to benchmarks/density.png."""

import argparse
import statistics
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from turns import seconds_in_turns, write

from dynsparse.config import Config
from dynsparse.training.trainer import Trainer

DENSITIES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
ENGINES = ("torch", "sparse")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", help="also write the figures to this file")
    parser.add_argument("--output", default=str(Path(__file__).with_name("density.png")))
    options = parser.parse_args()
    torch.set_num_threads(1)
    ways = {
        (engine, density): Trainer([Config(kwinners=True, epochs=1000, engine=engine, on_perc=density)]).step
        for density in DENSITIES
        for engine in ENGINES
    }
    seconds = seconds_in_turns(ways, options.repeats)
    figure, axes = plt.subplots(figsize=(5, 3.4), layout="constrained")
    for engine in ENGINES:
        medians = [statistics.median(seconds[engine, density]) for density in DENSITIES]
        axes.plot(DENSITIES, medians, marker="o", label=f"{engine} engine")
    axes.set(
        xscale="log", yscale="log", xlabel="density (on_perc)", ylabel="seconds for one epoch",
        title="784-100-100-100-10 on MNIST, k-winners, one thread",
    )  # fmt: skip
    axes.set_xticks(DENSITIES, [f"{each:g}" for each in DENSITIES])
    axes.set_yticks(ticks := (0.1, 0.2, 0.5, 1, 2), [f"{each:g}" for each in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(options.output, dpi=150)
    write(options.json, {f"{engine} {density}": times for (engine, density), times in seconds.items()})


if __name__ == "__main__":
    main()
