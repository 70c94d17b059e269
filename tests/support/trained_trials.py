"""Folders of small trials, written as a run of an experiment writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dynsparse.config import Config
from dynsparse.io.storage import open_folder
from dynsparse.results.trial_folder import TrialFolder, folder_name
from dynsparse.training.trainer import Trainer

SMALL = dict(
    dataset_name="digits", hidden_sizes=(40, 30), epochs=3, batch_size=32, test_noise=False, on_perc=0.3, model="Dense"
)


def train(root: Path, *, n_rows: int | None = None, may_fail: bool = False, **values: Any) -> Path:
    """Return the folder of a trained trial; `n_rows` ends it early, with a checkpoint.

    With `may_fail`, the trial may end with an error.
    """
    config = Config(**{**SMALL, **values})
    path = root / folder_name(config)
    trainer, trial = Trainer([config]), TrialFolder(open_folder(str(path)))
    trial.create(config, {"version": "1"})
    while not trainer.is_done and trainer.n_rows != n_rows:
        [row] = trainer.step()
        if row is None and may_fail:
            trial.fail(str(trainer.errors[0]))
            return path
        assert row is not None
        place = {"training_iteration": trainer.n_rows, "hostname": "machine-7", "done": trainer.is_done}
        trial.append({**row, **place})
    trial.save_checkpoint(trainer.n_rows, trainer.state_dict())
    if trainer.is_done:
        trial.complete()
    return path


def read_rows(path: Path) -> list[dict[str, Any]]:
    return TrialFolder(open_folder(str(path))).rows()
