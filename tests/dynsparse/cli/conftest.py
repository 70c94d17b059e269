"""An experiment file, and a folder of results."""

import json

import pytest
from support.command_line import GRID


@pytest.fixture
def grid(tmp_path):
    """The path of an experiment file."""
    path = tmp_path / "grid.py"
    path.write_text(GRID)
    return str(path)


@pytest.fixture
def results(tmp_path):
    """A folder of four trials, one of which failed."""
    for i, (model, seed, accuracy) in enumerate(
        [("SET", 0, 0.5), ("SET", 1, 0.7), ("RigL", 0, 0.8), ("RigL", 1, None)]
    ):
        folder = tmp_path / "results" / f"trial_{i}"
        folder.mkdir(parents=True)
        (folder / "params.json").write_text(json.dumps({"model": model, "seed": seed, "on_perc": 0.1}))
        if accuracy is None:
            (folder / "error.txt").write_text("Traceback\nRuntimeError: boom\n")
        else:
            row = {"val_acc": accuracy, "training_iteration": 1, "done": True, "time_this_iter_s": 1.0}
            (folder / "result.json").write_text(json.dumps(row) + "\n")
    return str(tmp_path / "results")
