"""Make the packaged examples of `analysis.load_example` with real runs:  python docs/make_examples.py [NAME ...]

Each example is one zip file in analysis/examples/, with experiment.json, and the params.json and result.json of each
trial. What depends on the machine is left out: paths, host names, process ids, times of day. Training takes about two
minutes on two cores. The numbers vary a little between CPU types, so run the docstrings afterwards:
pytest tests/analysis/test_docstrings.py.
"""

from __future__ import annotations

import json
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from ray import tune

from dynsparse.experiment import Experiment
from dynsparse.results.experiment_file import EXPERIMENT_FILE
from dynsparse.tune import run

EXAMPLES = Path(__file__).parents[1] / "analysis" / "examples"
DIGITS = dict(dataset_name="digits", batch_size=32, test_noise=False)
DENSE = dict(
    **DIGITS,
    network="MLP",
    model="Dense",
    hidden_sizes=[32, 16],
    optim_alg="Adam",
    learning_rate=0.003,
    weight_decay=0,
)
EXPERIMENTS = [
    Experiment(
        name="quickstart",
        question="At which density does growing new weights beat a static sparse network?",
        space=dict(
            **DIGITS,
            val_fraction=0.1,
            hidden_sizes=[100, 100],
            model=tune.grid_search(["SparseModel", "SET", "RigL"]),
            on_perc=tune.grid_search([0.02, 0.05, 0.1]),
            weight_prune_perc=0.3,
            seed=tune.grid_search([0, 1, 2]),
        ),
        epochs=8,
        metric="test_acc_at_best",
    ),
    Experiment(
        name="sweep",
        question="To which sparsity does accuracy hold when weights, or units, are pruned after training?",
        space=dict(
            **DENSE,
            study="sweep",
            seed=tune.grid_search([0, 1, 2, 3, 4]),
            prune_kinds=["weight", "unit"],
            sparsities=[0, 0.25, 0.5, 0.7, 0.8, 0.9],
        ),
        epochs=5,
        metric="val_acc",
    ),
    Experiment(
        name="tickets",
        question="Do tickets reach the dense accuracy, with their first weights and with new ones?",
        space=dict(
            **DENSE,
            study="ticket",
            seed=tune.grid_search([0, 1, 2]),
            criterion="l1",
            init=tune.grid_search(["original", "reinit"]),
            prune_ratio=tune.grid_search([0.5, 0.8, 0.95]),
            prune_iter=tune.grid_search([1, 3]),
            val_fraction=0.2,
        ),
        epochs=4,
    ),
    Experiment(
        name="time_limit",
        question="Which sizes of network train within the time limit?",
        space=dict(
            **DIGITS,
            model="SET",
            on_perc=tune.grid_search([0.02, 0.5]),
            hidden_sizes=tune.grid_search([[50], [100, 100], [2000, 2000]]),
            weight_prune_perc=0.3,
            seed=tune.grid_search([0, 1]),
        ),
        epochs=5,
    ),
]
# The limit of "time_limit", in seconds.
LIMITS = {"time_limit": 10.0}
# What depends on the machine or on the day.
LEFT_OUT_OF_CONFIG = {"data_dir"}
LEFT_OUT_OF_ROWS = {"config", "date", "hostname", "node_ip", "pid", "timestamp", "trial_log_path"}
# A zip file holds the time of each member: the same one in all, so that equal results give equal files.
TIME = (2020, 1, 1, 0, 0, 0)


def compact(value: Any) -> Any:
    """Round numbers to 6 digits: examples need no more."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, list):
        return [compact(each) for each in value]
    return {key: compact(each) for key, each in value.items()} if isinstance(value, dict) else value


def files_of(trial: Path) -> dict[str, str]:
    """Return the text of each file that the example keeps of a trial, by name."""
    config = json.loads((trial / "params.json").read_text())
    rows = [json.loads(line) for line in (trial / "result.json").read_text().splitlines()]
    config = {key: value for key, value in config.items() if key not in LEFT_OUT_OF_CONFIG}
    rows = [{key: value for key, value in row.items() if key not in LEFT_OUT_OF_ROWS} for row in rows]
    texts = {"params.json": json.dumps(config), "result.json": "".join(json.dumps(compact(row)) + "\n" for row in rows)}
    error = trial / "error.txt"
    return texts | ({"error.txt": error.read_text().splitlines()[-1] + "\n"} if error.exists() else {})


def write_example(results: Path, target: Path) -> None:
    """Write a results folder as one zip file."""
    with zipfile.ZipFile(target, "w") as archive:
        member = zipfile.ZipInfo(EXPERIMENT_FILE, TIME)
        archive.writestr(member, (results / EXPERIMENT_FILE).read_bytes(), zipfile.ZIP_DEFLATED, 9)
        for trial in sorted(path.parent for path in results.glob("*/params.json")):
            for name, text in files_of(trial).items():
                member = zipfile.ZipInfo(f"{trial.name}/{name}", TIME)
                archive.writestr(member, text, zipfile.ZIP_DEFLATED, 9)


def main() -> None:
    """Run the experiments whose names are given, or all, and write their examples."""
    chosen = sys.argv[1:] or [experiment.name for experiment in EXPERIMENTS]
    EXAMPLES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as storage:
        for experiment in EXPERIMENTS:
            if experiment.name in chosen:
                run(experiment, storage, trial_seconds=LIMITS.get(experiment.name))
                write_example(Path(storage, experiment.name), EXAMPLES / f"{experiment.name}.zip")


if __name__ == "__main__":
    main()
