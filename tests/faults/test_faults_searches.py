"""Faults of searches: the driver is killed in the middle of a rung, or of a proposal; the same command goes on."""

import os
import random
import sys
import time

import pytest
from support.fault_bed import NOT_NUMBERS, Run, held

import analysis
from dynsparse.io.json_object import parse_object

FILE = """
from ray import tune
from dynsparse import Experiment

experiment = Experiment(
    name="searched",
    question="Does a search survive?",
    space=dict(
        dataset_name="digits", model="SET", hidden_sizes=[40], batch_size=16, val_fraction=0.2,
        learning_rate=tune.loguniform(1e-3, 0.5), on_perc=tune.uniform(0.1, 0.5),
    ),
    epochs=9,
    num_samples=8,
)
"""
ASHA = ("--scheduler", "asha", "--checkpoint-epochs", "2")
PBT = ("--scheduler", "pbt", "--grace", "2", "--checkpoint-epochs", "2")
HYPERBAND = ("--scheduler", "hyperband", "--checkpoint-epochs", "2")
SEARCHES = {
    "asha": ("--set", "seed=0,1", *ASHA, "--group-by", "seed", "--in-process"),
    "asha, each trial alone": (*ASHA, "--in-process"),
    "hyperband": (*HYPERBAND, "--in-process"),
    "hyperband, Ray and packs": ("--set", "seed=0,1", *HYPERBAND, "--group-by", "seed"),
    "pbt": (*PBT, "--in-process"),
    "pbt, Ray and packs": ("--set", "seed=0,1", *PBT, "--pack", "4"),
    "median": ("--scheduler", "median", "--in-process"),
    "optuna": ("--searcher", "optuna", "--repeats", "2", "--in-process"),
    "optuna and asha": ("--searcher", "optuna", "--repeats", "2", *ASHA, "--group-by", "seed", "--in-process"),
}


class Search:
    """A folder, and the runs of one search in it."""

    def __init__(self, path, words):
        path.mkdir()
        (path / "searched.py").write_text(FILE)
        self.path, self.folder = path, path / "results" / "searched"
        self._command = [sys.executable, "-m", "dynsparse.cli", "run", str(path / "searched.py")]
        self._command += ["--storage", str(path / "results"), *words]
        self._n_runs = 0

    def start(self):
        self._n_runs += 1
        return Run(self._command, self.path / f"output-{self._n_runs}", {"PYTHONPATH": os.environ.get("PYTHONPATH")})

    def finish(self):
        run = self.start()
        assert run.wait(300) == 0, run.text

    def kill_after(self, n_rows):
        """Kill a run when so many rows are written. Return whether it was still running."""
        run = self.start()
        while run.process.poll() is None and self.n_rows() < n_rows:
            time.sleep(0.005)
        run.kill()
        run.wait()
        run.end()
        return run.process.returncode < 0

    def n_rows(self):
        return sum(path.read_bytes().count(b"\n") for path in self.folder.glob("trial_*/result.json"))

    def found(self):
        """Of each trial its status, its reason, and its rows without what may differ between runs."""
        df = analysis.load(self.folder)
        ends = df.set_index("trial_id")[["status", "error"]].fillna("")
        rows = {
            path.parent.name.removeprefix("trial_"): [
                {name: value for name, value in (parse_object(line) or {}).items() if name not in NOT_NUMBERS}
                for line in path.read_bytes().splitlines()
            ]
            for path in self.folder.glob("trial_*/result.json")
        }
        return {trial: (*end, repr(rows[trial])) for trial, end in zip(ends.index, ends.to_numpy(), strict=True)}


@pytest.mark.faults
@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_that_is_killed_again_and_again_finds_the_same(name, tmp_path):
    whole, killed = Search(tmp_path / "whole", SEARCHES[name]), Search(tmp_path / "killed", SEARCHES[name])
    whole.finish()
    n_rows, chance, n_killed = whole.n_rows(), random.Random(name), 0
    for share in (0.1, 0.3, 0.5, 0.8):
        n_killed += killed.kill_after(round(n_rows * (share + 0.1 * chance.random())))
    killed.finish()
    assert n_killed >= 3
    assert killed.found() == whole.found()
    statuses = {each[0] for each in whole.found().values()}
    assert statuses == ({"complete"} if name == "optuna" else {"complete", "stopped"})
    held("I1", "I2", "I3")
