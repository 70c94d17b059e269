"""Measure the driver of a run of many trials: memory, CPU time, and seconds per trial.

The trials are as short as they get, two epochs of a tiny network on digits, so that nothing is measured but what
surrounds them. Each size is run in a process of its own. With --paper no trial is trained: the folders of complete
trials are written, and each command is timed on them.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ray import tune
from tabulate import tabulate

from analysis import load
from dynsparse.experiment import Experiment
from dynsparse.io.storage import open_folder
from dynsparse.results.grid_status import scan
from dynsparse.results.trial_folder import TrialFolder, folder_name
from dynsparse.tune import run

SPACE = dict(dataset_name="digits", hidden_sizes=[8], batch_size=1500, test_noise=False, debug_weights=False)
EPOCHS = 2


class Clock(tune.Callback):
    """Records when trials end, and the memory and CPU time of the driver until then."""

    def __init__(self):
        self.started, self.ends = time.monotonic(), []

    def on_trial_complete(self, iteration, trials, trial, **info):
        own = resource.getrusage(resource.RUSAGE_SELF)
        self.ends.append((time.monotonic() - self.started, own.ru_utime + own.ru_stime, own.ru_maxrss / 1024))


def a_run(n_trials, options, folder):
    """Figures of one run. The first tenth of the trials pays for processes that start."""
    space = {**SPACE, "seed": tune.grid_search(list(range(n_trials)))}
    experiment = Experiment(name="scale", question="How many?", space=space, epochs=EPOCHS)
    clock = Clock()
    outcome = run(experiment, folder, callbacks=[clock], **options)
    assert outcome.n_complete == n_trials, outcome
    first, last = clock.ends[n_trials // 10], clock.ends[-1]
    n_between = n_trials - n_trials // 10 - 1
    per_trial = [(b - a) / n_between for a, b in zip(first, last, strict=True)]
    return {
        "trials": n_trials,
        "s to first": clock.ends[0][0],
        "ms a trial": 1000 * per_trial[0],
        "driver ms a trial": 1000 * per_trial[1],
        "driver MB at first": clock.ends[0][2],
        "driver MB at end": last[2],
        "kB a trial": 1024 * per_trial[2],
        "s in all": outcome.seconds,
    }


def on_paper(n_trials, folder):
    """Seconds of each thing that is done with all trials of a grid, when all are complete."""
    space = {**SPACE, "seed": tune.grid_search(list(range(n_trials)))}
    experiment = Experiment(name="scale", question="How many?", space=space, epochs=EPOCHS)
    found, clock = {"trials": n_trials}, time.perf_counter()

    def lap(name):
        nonlocal clock
        found[name] = time.perf_counter() - clock
        clock = time.perf_counter()

    configs = experiment.configs()
    lap("s grid")
    path = open_folder(str(Path(folder, "scale")))
    for config in configs:
        write_complete(TrialFolder(path.sub(folder_name(config))), config)
    lap("s write")
    grid = scan(path, configs)
    assert len(grid.todo(retry_failed=False)) == 0
    lap("s take stock")
    first = load(path.path)
    assert len(first) == n_trials
    lap("s load")
    load(path.path)
    lap("s load again")
    found["MB"] = int(subprocess.run(["du", "-sm", path.path], capture_output=True, text=True).stdout.split()[0])
    found["MB of process"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


def write_complete(trial, config):
    """Write the folder of a complete trial of two epochs, without its checkpoint."""
    trial.create(config, {"version": "scale", "engine": "sparse"})
    rows = [
        {
            **{f"{part}_{what}": 0.5 for part in ("train", "val") for what in ("loss", "acc")},
            "done": epoch == EPOCHS,
            "training_iteration": epoch,
            "trial_id": folder_name(config).removeprefix("trial_"),
            "time_this_iter_s": 0.01,
            "time_total_s": 0.01 * epoch,
        }
        for epoch in range(1, EPOCHS + 1)
    ]
    for row in rows:
        trial.append(row)
    trial.write_csv(rows)
    trial.complete()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trials", type=int, nargs="+")
    parser.add_argument("--paper", action="store_true", help="train nothing")
    parser.add_argument("--storage", help="where the folder is made; the system's temporary folder if not given")
    parser.add_argument("--options", type=json.loads, default={}, help='of run, as JSON: {"pack": 50}')
    parser.add_argument("--json", help="also write the figures to this file")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        [n_trials] = options.trials
        with tempfile.TemporaryDirectory(dir=options.storage) as folder:
            print(json.dumps(on_paper(n_trials, folder) if options.paper else a_run(n_trials, options.options, folder)))
        return
    figures = []
    for n_trials in options.trials:
        words = [word for word in sys.argv[1:] if word not in map(str, options.trials)]
        done = subprocess.run(
            [sys.executable, __file__, str(n_trials), "--one", *words], stdout=subprocess.PIPE, text=True, check=True
        )
        figures.append(json.loads(done.stdout.splitlines()[-1]))
    print(tabulate(figures, headers="keys", floatfmt=".2f"))
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
