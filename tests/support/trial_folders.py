"""Trial folders written by hand, in the layout of Tune."""

import csv
import json
from pathlib import Path
from typing import Any

NOTEBOOK_CONFIG = {
    "device": "cuda",
    "dataset_name": "MNIST",
    "input_size": 784,
    "num_classes": 10,
    "hidden_sizes": [100, 100, 100],
    "data_dir": "data",
    "model": "DSNNMixedHeb",
    "network": "MLPHeb",
    "kwinners": True,
    "percent_on": 0.3,
    "on_perc": 0.1,
    "hebbian_prune_perc": 0.0,
    "weight_prune_perc": 0.0,
    "pruning_es": True,
    "pruning_active": True,
    "hebbian_grow": True,
    "test_noise": True,
    "noise_level": 0.15,
    "debug_weights": True,
    "debug_sparse": True,
}
NOTEBOOK_GRID = {
    "kwinners": [True, False],
    "on_perc": [0.05, 0.1, 0.2],
    "hebbian_prune_perc": [0.0, 0.1, 0.2],
    "weight_prune_perc": [0.0, 0.3],
    "hebbian_grow": [True, False],
}


def write_rows(folder: Path, rows: list[dict[str, Any]]) -> None:
    (folder / "result.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    names = [name for name in (rows[0] if rows else {}) if name != "config"]
    with open(folder / "progress.csv", "w", newline="") as file:
        if rows:
            writer = csv.DictWriter(file, names, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)


def write_trial(
    folder: Path,
    config: dict[str, Any],
    metrics: dict[str, list[Any]] | None = None,
    done: bool = True,
    error: str | None = None,
    **row: Any,
) -> Path:
    """One trial folder. `metrics` holds the values of each epoch, `row` what is the same in every row."""
    folder.mkdir(parents=True)
    (folder / "params.json").write_text(json.dumps(config))
    metrics = metrics or {}
    n_rows = max(map(len, metrics.values()), default=0)
    rows = [
        {
            **{name: values[i] for name, values in metrics.items()},
            "training_iteration": i + 1,
            "time_this_iter_s": 26.4,
            "done": done and i == n_rows - 1,
            "trial_id": folder.name.split("_")[1],
            "experiment_tag": folder.name,
            "config": config,
            **row,
        }
        for i in range(n_rows)
    ]
    write_rows(folder, rows)
    if error is not None:
        (folder / "error.txt").write_text(error)
    return folder


def write_state(experiment: Path, trials: list[dict[str, object]], layout: str, time: str = "1") -> None:
    """What Tune knows of its trials, in the layout of a Ray version: "0.7", "1" or "2"."""
    if layout == "0.7":
        content: dict[str, object] = {"checkpoints": trials, "runner_data": {}, "stats": {}}
    elif layout == "1":
        content = {"checkpoints": [json.dumps(trial) for trial in trials]}
    else:
        content = {"trial_data": [[json.dumps(trial), "{}"] for trial in trials]}
    (experiment / f"experiment_state-{time}.json").write_text(json.dumps(content))
