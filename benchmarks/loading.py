"""Measure the seconds to read an experiment from the disk with `analysis.load`, `load_history`, and Ray's ResultGrid.

Ray's `get_dataframe` and the `metrics_dataframe` of each trial together hold as much as our DataFrames. "First" is
without our cache, "again" is with it. Our loader is also measured on 5,000 copies of the trials. All files are in the
operating system's page cache.
"""

import argparse
import itertools
import json
import os
import shutil
import tempfile
from hashlib import sha256
from pathlib import Path

from ray import tune
from tabulate import tabulate
from turns import rows, seconds_in_turns, write

from analysis import load, load_history
from analysis.loading.cache import NAME

HEADERS = ["", "median s", "min", "max", "ratio"]


def copied(experiment, to, n_trials):
    """Copy an experiment with this number of trials, with times old enough for the cache.

    `load` leaves out a trial that is a copy of another one, so each further copy of a trial gets an id of its own.
    """
    to.mkdir()
    trials = [path for path in sorted(experiment.iterdir()) if path.is_dir()]
    for number, trial in zip(range(n_trials), itertools.cycle(trials), strict=False):
        copy = to / (trial.name if number < len(trials) else f"trial_{number:012x}")
        shutil.copytree(trial, copy, ignore=shutil.ignore_patterns("checkpoint*", "events*"))
        if number >= len(trials):
            rename(copy, f"{number:012x}")
        for path in copy.iterdir():
            os.utime(path, (0, 0))
    for path in experiment.iterdir():
        if path.is_file() and path.name != NAME:
            shutil.copy2(path, to)
            os.utime(to / path.name, (0, 0))
    return len(trials)


def rename(trial, new):
    """Give a trial another id: in its rows, for which its mark of completion, if it has one, vouches."""
    rows, mark = trial / "result.json", trial / "complete.json"
    old = json.loads(rows.read_bytes().splitlines()[-1])["trial_id"]
    rows.write_text(rows.read_text().replace(old, new))
    if mark.exists():
        mark.write_text(json.dumps(json.loads(mark.read_text()) | {"sha256": sha256(rows.read_bytes()).hexdigest()}))


def first(experiment):
    (experiment / NAME).unlink(missing_ok=True)
    load(experiment)


def rays(experiment):
    grid = tune.ExperimentAnalysis(str(experiment))
    grid = tune.ResultGrid(grid)
    grid.get_dataframe()
    return [result.metrics_dataframe for result in grid]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", help="the folder of an experiment that dynsparse or Tune has run")
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        few, many = Path(folder, "few"), Path(folder, "many")
        n_few = copied(Path(options.experiment), few, len(list(Path(options.experiment).iterdir())))
        copied(Path(options.experiment), many, options.trials)
        history = load_history(few)
        print(f"{len(history)} rows of {n_few} trials, {history.shape[1]} columns")
        seconds = seconds_in_turns(
            {
                "load, first": lambda: first(few),
                "load, again": lambda: load(few),
                "load_history, again": lambda: load_history(few),
                "Ray's ResultGrid": lambda: rays(few),
            },
            options.repeats,
        )
        of_many = seconds_in_turns(
            {
                f"load of {options.trials} trials, first": lambda: first(many),
                f"load of {options.trials} trials, again": lambda: load(many),
            },
            options.repeats,
        )
    table = rows(seconds, "load, first") + rows(of_many, f"load of {options.trials} trials, first")
    print(tabulate(table, HEADERS, floatfmt=(None, ".3f", ".3f", ".3f", ".2f")))
    write(options.json, {**seconds, **of_many})


if __name__ == "__main__":
    main()
