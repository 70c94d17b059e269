"""Time a decision of early stopping: how long a worker waits for it after an epoch, for each rule.

`rule` is the decision alone, in this process; `asked through Ray` includes the question to the process that decides.
All trials report after every epoch, in random order. That trials are stopped at all shows that the rules decide.
"""

import argparse
import random
import statistics
import tempfile
import time

import ray
from ray.tune.schedulers import ASHAScheduler
from tabulate import tabulate
from turns import write

from dynsparse.config import Config
from dynsparse.io.storage import open_folder
from dynsparse.results.trial_folder import identity
from dynsparse.search import Judge, Measurement, StoppingOptions
from dynsparse.tune.remote_judge import RemoteJudge


def milliseconds(judge, configs, n_epochs):
    """Return the milliseconds of each decision, and the number of trials that were stopped."""
    chance, times, stopped = random.Random(0), [], set()
    skill = {identity(config): chance.random() for config in configs}
    for epoch in range(1, n_epochs + 1):
        for trial in chance.sample(sorted(skill), len(skill)):
            if trial not in stopped:
                start = time.perf_counter()
                stops = judge({trial: Measurement(epoch, skill[trial] + 0.1 * chance.random())})
                times.append(1000 * (time.perf_counter() - start))
                stopped |= stops.keys()
    return times, len(stopped)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[64, 1000])
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    rules = {"asha": "asha", "median": "median", "ASHAScheduler": ASHAScheduler(max_t=options.epochs)}
    rows = []
    with tempfile.TemporaryDirectory() as path:
        for n_trials in options.trials:
            configs = [Config(seed=seed, val_fraction=0.1) for seed in range(n_trials)]
            for name, scheduler in rules.items():
                of_rule = StoppingOptions(scheduler)
                for way, judge in {
                    "rule": Judge(of_rule, configs, open_folder(path)).judge,
                    "asked through Ray": RemoteJudge(of_rule, configs, path),
                }.items():
                    judge({identity(configs[0]): Measurement(1, 0.5)})  # the process starts
                    times, n_stopped = milliseconds(judge, configs, options.epochs)
                    rows.append([n_trials, name, way, statistics.median(times), sorted(times)[int(0.99 * len(times))]])
                    rows[-1] += [len(times), n_stopped]
    headers = ["trials", "scheduler", "", "median ms", "99% ms", "decisions", "stopped"]
    print(tabulate(rows, headers, floatfmt=(None, None, None, ".3f", ".2f")))
    write(options.json, rows)


if __name__ == "__main__":
    main()
