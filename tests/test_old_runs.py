"""A run that dynsparse 0.1.0 wrote still loads and resumes, and its trials keep their identity."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from ray.tune import Callback

import analysis
from analysis.loading import cache, experiment
from dynsparse import tune
from dynsparse.config import Config
from dynsparse.io.storage import open_folder
from dynsparse.results.trial_folder import TrialFolder, identity

OLD_RUN = Path(__file__).parent / "support" / "old_run"
COMPLETE, INTERRUPTED, NOT_STARTED = ["94ee377a3b35", "b2f88cacedfa"], "7bbf13ab08e0", "289eabb12395"

# The validation accuracy of each epoch, by model and seed.
VAL_ACC = {
    ("DSNNMixedHeb", 0): [59, 73, 68, 94, 98, 104],
    ("DSNNMixedHeb", 1): [36, 87, 87, 104, 117, 150],
    ("RigL", 0): [59, 80, 88, 114],
    ("RigL", 1): [],
}
N_TEST, N_TRAIN = 360, 1437


@pytest.fixture
def old_run(tmp_path: Path) -> Path:
    """A copy of the run."""
    return Path(shutil.copytree(OLD_RUN / "old", tmp_path / "old"))


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_load_returns_the_rows_of_an_old_run(old_run: Path) -> None:
    df = analysis.load(old_run)
    history = analysis.load_history(old_run)
    assert list(zip(df["model"], df["seed"], strict=True)) == list(VAL_ACC)
    assert df["status"].tolist() == ["complete", "complete", "incomplete", "incomplete"]
    for (model, seed), n_correct in VAL_ACC.items():
        rows = history[(history["model"] == model) & (history["seed"] == seed)]
        assert (rows["val_acc"] * N_TEST).tolist() == pytest.approx(n_correct)
        assert rows["epoch"].tolist() == list(range(1, len(n_correct) + 1))
    assert df["val_acc_max"][:3].tolist() == pytest.approx([104 / 360, 150 / 360, 114 / 360])
    assert df["val_acc_max_epoch"][:3].tolist() == [5, 5, 3]
    assert df["on_perc"].tolist() == [0.1] * 4 and df["hidden_sizes"].tolist() == [(12, 8)] * 4


def test_the_cache_of_an_old_run_is_rebuilt(old_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = (old_run / cache.NAME).read_bytes()
    with_cache = analysis.load_history(old_run)
    (old_run / cache.NAME).unlink()
    assert_frame_equal(with_cache, analysis.load_history(old_run))
    # The files of the copy are newer than the cache, so a load replaces it where a cache is worth its while.
    (old_run / cache.NAME).write_bytes(written)
    monkeypatch.setattr(experiment, "TOO_SMALL", 0)
    monkeypatch.setattr(experiment, "SETTLED_AFTER_SECONDS", -1)
    assert_frame_equal(with_cache, analysis.load_history(old_run))
    assert (old_run / cache.NAME).read_bytes() != written
    assert_frame_equal(with_cache, analysis.load_history(old_run))


class Epochs(Callback):
    """The epochs that Tune hears of, by seed: those of the interrupted trial and of the one that was not started."""

    def __init__(self) -> None:
        self.trained: dict[int, list[int]] = {}

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: dict[str, Any], **info: Any) -> None:
        self.trained.setdefault(result["config"]["seed"], []).append(result["training_iteration"])


@pytest.mark.ray
def test_an_old_run_resumes_with_the_numbers_that_the_old_version_gives(old_run: Path) -> None:
    def all_files(trial: str) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (old_run / f"trial_{trial}").iterdir()}

    before = {trial: all_files(trial) for trial in COMPLETE}
    params = {trial: json.loads(files.pop("params.json")) for trial, files in before.items()}
    rows_before = (old_run / f"trial_{INTERRUPTED}" / "result.json").read_bytes()

    epochs = Epochs()
    outcome = tune.run(OLD_RUN / "experiment.py", storage=old_run.parent, cpus_per_trial=1, callbacks=[epochs])

    assert (outcome.n_complete, outcome.n_unfinished, outcome.failures) == (4, 0, [])
    assert epochs.trained == {0: [5, 6], 1: [1, 2, 3, 4, 5, 6]}
    for trial in COMPLETE:
        files = all_files(trial)
        # The keys that came later are filled in, with what the trial did before they existed.
        filled = json.loads(files.pop("params.json"))
        assert filled.items() >= params[trial].items()
        assert filled["weight_init"] == "dense_uniform"
        assert files == before[trial]
    assert (old_run / f"trial_{INTERRUPTED}" / "result.json").read_bytes().startswith(rows_before)
    for trial in (INTERRUPTED, NOT_STARTED):
        rows = read_rows(old_run / f"trial_{trial}" / "result.json")
        expected = read_rows(OLD_RUN / "reference" / f"trial_{trial}.jsonl")
        assert [row["training_iteration"] for row in rows] == [1, 2, 3, 4, 5, 6]
        for row, numbers in zip(rows, expected, strict=True):
            assert numbers.keys() <= row.keys()
            for name, number in numbers.items():
                assert row[name] == pytest.approx(number, **tolerance(name), nan_ok=True), name
    # What the old version did not count of a trial stays unknown; what the network has now is known.
    history = analysis.load_history(old_run, metrics=["flops_inference", "flops_train", "explored"])
    for seed, counted, known in ((0, [False] * 6, [False] * 4 + [True] * 2), (1, [True] * 6, [True] * 6)):
        rows = history[(history["model"] == "RigL") & (history["seed"] == seed)]
        assert rows["flops_train"].notna().tolist() == rows["explored"].notna().tolist() == counted
        assert rows["flops_inference"].notna().tolist() == known
    table = pd.read_csv(old_run / f"trial_{INTERRUPTED}" / "progress.csv")
    assert table["flops_inference"].notna().tolist() == [False] * 4 + [True] * 2
    assert analysis.issues(analysis.load(old_run)).empty


def tolerance(name: str) -> dict[str, float]:
    """The last digits of a loss or weight vary between CPU types; an example whose two best classes tie may flip."""
    if name.endswith("_acc"):
        return {"rel": 0, "abs": 1.5 / (N_TRAIN if name == "train_acc" else N_TEST)}
    if name.endswith(("_loss", "_mean", "_std")):
        return {"rel": 1e-4, "abs": 1e-6}
    return {"rel": 1e-12, "abs": 0}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "f995384ddf2d"),
        ({"model": "RigL", "dataset_name": "MNIST", "on_perc": 0.05, "seed": 3}, "19a27080a939"),
        ({"rules": "legacy_2019", "model": "DSNNMixedHeb", "dataset_name": "MNIST"}, "7653f183063b"),
        (
            {
                "study": "sweep", "dataset_name": "digits", "model": "Dense", "network": "MLP",
                "hidden_sizes": [30, 20], "sparsities": [0.0, 0.5],
            },
            "c3a589aa22d9",
        ),
        (
            {
                "study": "ticket", "dataset_name": "FashionMNIST", "model": "Dense", "network": "MLP", "prune_iter": 3,
                "rewind_step": 100,
            },
            "0987b660030a",
        ),
        (
            {
                "network": "MLPHeb", "kwinners": True, "batch_norm": True, "optim_alg": "Adam", "learning_rate": 0.001,
                "val_fraction": 0.1,
            },
            "9a80f21c9baf",
        ),
    ],
    ids=["defaults", "RigL", "legacy_2019", "sweep", "ticket", "k-winners"],
)  # fmt: skip
def test_trials_keep_their_identity(values: dict[str, Any], expected: str) -> None:
    assert identity(Config.saved(values)) == expected


def test_the_cosine_decay_of_an_old_trial_keeps_its_meaning_and_the_identity(tmp_path: Path) -> None:
    # As version 0.1.0 computed it.
    old, expected = {"model": "RigL", "prune_decay": "cosine", "seed": 3}, "18b3a7e808d0"
    config = Config.saved(old)
    assert config.prune_decay == "cosine_0.1"
    assert identity(config) == expected
    of_today = {**old, "weight_init": "dense_uniform"}
    assert Config.saved(of_today).prune_decay == "cosine"
    assert identity(Config.of(of_today)) != expected
    assert identity(Config.of({**of_today, "prune_decay": "cosine_0.1"})) == expected
    # Once the keys that came later are filled in, the value says what it means.
    (tmp_path / "params.json").write_text(json.dumps(old))
    folder = TrialFolder(open_folder(str(tmp_path)))
    folder.create(config, {"version": "0.1.0"})
    assert json.loads((tmp_path / "params.json").read_text())["prune_decay"] == "cosine_0.1"
    assert folder.config() == config


def test_folders_of_an_old_run_are_named_after_their_identity() -> None:
    for folder in (OLD_RUN / "old").glob("trial_*"):
        assert identity(Config.saved(json.loads((folder / "params.json").read_text()))) == folder.name[6:]
