"""Faults 5 and 12, the narrow window: a trial is cut off between its last row and the mark that it is complete."""

import shutil

import pytest
from support.packed_trials import begin

from dynsparse.config import Config
from dynsparse.io.storage import open_folder
from dynsparse.results.trial_folder import State, TrialFolder, folder_name
from dynsparse.tune.packed_trial import WorkerOptions
from dynsparse.tune.trainable import SparseTrial

CONFIG = Config.of(dict(dataset_name="digits", hidden_sizes=[20], batch_size=64, epochs=4))


def train(path, after_epoch=lambda row: None):
    class Trial(SparseTrial):
        def setup(self, config):
            begin(path, config)
            super().setup(config, WorkerOptions(str(path), checkpoint_epochs=2))

    trial, row = Trial(CONFIG.values()), {}
    while not row.get("done"):
        row = trial.train()
        after_epoch(row)


@pytest.mark.parametrize("left", [None, 2, 4], ids=["no checkpoint", "an older checkpoint", "the last checkpoint"])
def test_a_trial_with_all_its_rows_and_no_mark_becomes_complete(tmp_path, left):
    path, kept = tmp_path / "run" / folder_name(CONFIG), tmp_path / "kept"

    def keep(row):
        if row["training_iteration"] == left:
            shutil.copy(path / f"checkpoint_{left:06}.pt", kept)

    train(path.parent, keep)
    before = (path / "result.json").read_bytes()
    (path / "complete.json").unlink()
    (path / "checkpoint_000004.pt").unlink()
    if left:
        kept.rename(path / f"checkpoint_{left:06}.pt")
    epochs = []
    train(path.parent, lambda row: epochs.append(row["training_iteration"]))
    assert epochs == {None: [1, 2, 3, 4], 2: [3, 4], 4: [4]}[left]
    assert TrialFolder(open_folder(str(path))).state() is State.COMPLETE
    assert (path / "result.json").read_bytes() == before
    assert (path / "checkpoint_000004.pt").exists()
