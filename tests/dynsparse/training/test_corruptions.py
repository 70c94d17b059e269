"""Tests on corrupted images: against the data sets whose test images are corrupted; what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.trained_trials import train

import analysis
from dynsparse.config import Config, ConfigError
from dynsparse.data import DATASETS, Source
from dynsparse.results.trial_folder import identity
from dynsparse.training.trainer import Trainer, TrialError

pytestmark = pytest.mark.usefixtures("one_thread", "blobs")

BASE: dict[str, Any] = {
    "dataset_name": "blobs", "hidden_sizes": [24, 16], "batch_size": 32, "epochs": 2, "on_perc": 0.3, "model": "RigL",
}  # fmt: skip
CORRUPTIONS = ["rotation", "impulse_noise"]


def config(**values: Any) -> Config:
    return Config.of({**BASE, **values})


@pytest.mark.parametrize("engine", ["sparse", "torch", "packed"])
def test_each_corruption_is_that_of_the_corrupted_data_set(engine: str) -> None:
    trainer = Trainer([config(engine=engine, seed=seed, test_corruptions=CORRUPTIONS) for seed in (1, 2)])
    others = {
        name: Trainer([config(engine=engine, seed=seed, dataset_name=f"corrupted:blobs:{name}") for seed in (1, 2)])
        for name in CORRUPTIONS
    }
    plain = Trainer([config(engine=engine, seed=seed) for seed in (1, 2)])
    for _ in range(2):
        rows, without = trainer.step(), plain.step()
        for name, other in others.items():
            for row, expected in zip(rows, other.step(), strict=True):
                assert row is not None and expected is not None
                assert row[f"corrupted_acc@{name}"] == expected["val_acc"]
                assert row[f"corrupted_loss@{name}"] == pytest.approx(expected["val_loss"], rel=1e-5)
                assert row["val_loss"] != pytest.approx(expected["val_loss"], rel=1e-2)
        for row, same in zip(rows, without, strict=True):
            assert row is not None and same is not None
            assert {name: row[name] for name in same} == pytest.approx(same, rel=1e-6, nan_ok=True)


def test_corruptions_are_part_of_the_identity_and_columns_can_be_chosen(tmp_path: Path) -> None:
    assert identity(config(test_corruptions=[])) == identity(config()) != identity(config(test_corruptions=CORRUPTIONS))
    for seed in (0, 1):
        train(tmp_path, **BASE, seed=seed, test_corruptions=["stripe"])
    df = analysis.load(tmp_path)
    assert df["corrupted_acc@stripe_last"].between(0, 1).all()
    chosen = analysis.select(df, "corrupted_acc@stripe_last >= 0 and seed == 1")
    assert chosen["seed"].tolist() == [1]


def test_what_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"test_corruptions .*'fog'\. .*Available: shot_noise"):
        config(test_corruptions=["fog"])
    with pytest.raises(
        ConfigError, match=r"test_corruptions must be empty for data that are not images .*'sklearn:wine'"
    ):
        config(test_corruptions=CORRUPTIONS, dataset_name="sklearn:wine", test_fraction=0.2)
    with pytest.raises(ConfigError, match="test_corruptions must be empty with rules='legacy_2019'"):
        config(test_corruptions=CORRUPTIONS, rules="legacy_2019", model="DSNNMixedHeb")
    source = DATASETS["blobs"]

    def read(folder: Path, download: bool) -> Any:
        train_x, train_y, test_x, test_y = source.read(folder, download)
        return train_x // 16, train_y, test_x // 16, test_y

    monkeypatch.setitem(DATASETS, "dark", Source(32, 5, read, image_shape=(1, 4, 8)))
    with pytest.raises(
        TrialError, match=r"whose white is not 255 in uint8, got \d+ of type uint8 for .*'dark'\. Leave"
    ):
        Trainer([config(dataset_name="dark", test_corruptions=CORRUPTIONS)])
