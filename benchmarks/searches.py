"""Measure what early stopping and a searcher save on MNIST: ASHA beside whole trainings, Optuna beside a random search.

The same samples of density, drop fraction and learning rate are trained to their end, and with ASHA. Optuna then
proposes settings, each trained with three seeds, beside a random search of twice as many settings. Times are the sums
over the epochs of all trials, and those of the whole runs with their starts. The best setting of each is trained again
with new seeds, because the best of many is partly chance.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

from ray import tune
from tabulate import tabulate
from turns import write

import analysis
from dynsparse import Experiment, run

FIXED = {"dataset_name": "MNIST", "model": "SET", "hidden_sizes": [100, 100, 100], "val_fraction": 0.1}
DOMAINS = {
    "on_perc": tune.loguniform(0.02, 0.5),
    "weight_prune_perc": tune.uniform(0.05, 0.5),
    "learning_rate": tune.loguniform(0.001, 1.0),
}
SEEDS, NEW_SEEDS = [0, 1, 2], [100, 101, 102, 103, 104]


def make_experiment(name, n_samples, options, **space):
    space = {**FIXED, "test_noise": False, **DOMAINS, **space}
    given = Experiment(name, "Which setting is best?", space, epochs=options.epochs, num_samples=n_samples)
    return replace(given, search_seed=options.search_seed)


def train(experiment, options, **of_run):
    """Train an experiment. Return its results, and what they took."""
    start = time.monotonic()
    run(experiment, options.storage, quiet=True, **of_run)
    wall = time.monotonic() - start
    folder = Path(options.storage) / experiment.name
    lines = [line for path in folder.glob("trial_*/result.json") for line in path.read_text().splitlines()]
    seconds = sum(json.loads(line)["time_this_iter_s"] for line in lines)
    return analysis.load(folder), [len(list(folder.glob("trial_*"))), len(lines), seconds, wall]


def best_setting(df):
    """Return the setting with the highest mean of val_acc_max over its seeds, among those trained to their end."""
    means = df[df["status"] == "complete"].groupby(list(DOMAINS))["val_acc_max"].mean()
    return dict(zip(DOMAINS, map(float, means.idxmax()), strict=True)), float(means.max())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--proposals", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--search-seed", type=int, default=0)
    parser.add_argument("--storage", required=True, help="an empty folder; results that are there are not timed again")
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()
    seeds = tune.grid_search(SEEDS)
    rows, found = [], {}
    for name, experiment, of_run in [
        ("to the end", make_experiment("to_the_end", options.samples, options), {}),
        ("ASHA", make_experiment("asha", options.samples, options), {"scheduler": "asha"}),
        ("random, 3 seeds", make_experiment("random", 2 * options.proposals, options, seed=seeds), {}),
        (
            "Optuna, 3 seeds",
            make_experiment("optuna", options.proposals, options),
            {"searcher": "optuna", "repeats": 3},
        ),
    ]:
        df, spent = train(experiment, options, **of_run)
        found[name], accuracy = best_setting(df)
        rows.append([name, *spent, accuracy])
        print(f"{name}: {found[name]}: {accuracy:.4f}", flush=True)
    # Two searches may have found the same setting.
    different = [dict(each) for each in dict.fromkeys(tuple(each.items()) for each in found.values())]
    space = {**FIXED, "test_noise": False, "best": tune.grid_search(different)}
    space["seed"] = tune.grid_search(NEW_SEEDS)
    again, _ = train(Experiment("again", "And with new seeds?", space, epochs=options.epochs), options)
    for row in rows:
        same = again[(again[list(DOMAINS)] == found[row[0]]).all(axis=1)]["test_acc_at_best"]
        row += [float(same.mean()), float(same.std())]
    headers = ["search", "trials", "epochs", "training, s", "whole run, s", "best val_acc", "test, new seeds", "sd"]
    print(tabulate(rows, headers, floatfmt=(None, None, None, ".0f", ".0f", ".4f", ".4f", ".4f")))
    write(options.json, {"rows": rows, "best": found})


if __name__ == "__main__":
    main()
