"""One experiment that many tests read and none changes."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from support.trial_folders import NOTEBOOK_CONFIG, NOTEBOOK_GRID, write_trial


@pytest.fixture(scope="session")
def notebook_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """72 trials of the notebook's grid with 30 epochs; the 8 at on_perc=0.05, hebbian_prune_perc=0 failed."""
    experiment = tmp_path_factory.mktemp("runs") / "mlp_heb"
    rng = np.random.default_rng(0)
    for n, values in enumerate(itertools.product(*NOTEBOOK_GRID.values())):
        config = {**NOTEBOOK_CONFIG, **dict(zip(NOTEBOOK_GRID, values, strict=True))}
        fails = config["on_perc"] == 0.05 and config["hebbian_prune_perc"] == 0.0
        n_epochs = 2 if fails else 30
        metrics = {
            name: rng.uniform(0.9, 0.98, n_epochs).round(4).tolist()
            for name in ("train_loss", "train_acc", "val_loss", "val_acc", "noise_loss", "noise_acc")
        }
        error = "Traceback:\nRuntimeError: kthvalue of an empty tensor\n\n" if fails else None
        write_trial(experiment / f"T_{n:05d}", config, metrics, done=not fails, error=error)
    return experiment
