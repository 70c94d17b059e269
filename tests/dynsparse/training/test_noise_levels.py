"""Several levels of noise: each has its columns, which the analysis can load, choose and compare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch.nn.functional as F
from click.testing import CliRunner
from support.trained_trials import train

import analysis
from dynsparse.cli import main
from dynsparse.config import Config, ConfigError
from dynsparse.data import load_dataset, noise_images
from dynsparse.results.trial_folder import identity
from dynsparse.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread", "blobs")

BASE = {"dataset_name": "blobs", "hidden_sizes": [24, 16], "batch_size": 32, "epochs": 2, "on_perc": 0.3}


def test_levels_are_part_of_a_trials_identity_but_none_are_not() -> None:
    without, with_levels = Config.of(BASE), Config.of({**BASE, "noise_levels": [0.1, 0.5]})
    params = {name: value for name, value in without.values().items() if name != "noise_levels"}
    assert identity(Config.saved(params)) == identity(without) != identity(with_levels)
    assert Config.of(with_levels.values()).noise_levels == (0.1, 0.5)


@pytest.mark.parametrize("levels", [[0.1, 0.1], [1.5], 0.3, "0.3"])
def test_levels_are_distinct_shares(levels: Any) -> None:
    with pytest.raises(ConfigError, match=r"noise_levels must be "):
        Config.of({**BASE, "noise_levels": levels})


def test_the_2019_rules_which_learn_from_noisy_images_have_one_level() -> None:
    with pytest.raises(ConfigError, match="noise_levels must be empty with rules='legacy_2019'"):
        Config.of({**BASE, "rules": "legacy_2019", "noise_levels": [0.1]})


@pytest.mark.parametrize("engine", ["sparse", "torch", "packed"])
def test_each_level_is_evaluated_on_images_with_that_noise(engine: str) -> None:
    values = {**BASE, "model": "SparseModel", "engine": engine, "noise_level": 0.25}
    levels = {"noise_levels": [0.5, 0.25]}
    trainer = Trainer([Config.of({**values, **levels, "seed": seed}) for seed in (1, 2)])
    plain = Trainer([Config.of({**values, "seed": seed}) for seed in (1, 2)])
    blobs = load_dataset("blobs")
    for _ in range(2):
        for trial, (row, without) in enumerate(zip(trainer.step(), plain.step(), strict=True)):
            assert row is not None and without is not None
            for level in (0.25, 0.5):
                x = noise_images(blobs.test_x, level, seed=trial + 1)
                for layer, weight in enumerate(trainer.engine.weights):
                    x = F.linear(x.relu() if layer else x, weight[trial], trainer.engine.biases[layer][trial])
                expected = F.cross_entropy(x, blobs.test_y).item()
                assert row[f"noise_loss@{level}"] == pytest.approx(expected, rel=1e-4)
                accuracy = (x.argmax(1) == blobs.test_y).double().mean().item()
                assert row[f"noise_acc@{level}"] == pytest.approx(accuracy, abs=1.5 / 64)
            # Nothing else changes.
            new = {f"noise_{name}@{level}" for name in ("acc", "loss") for level in (0.25, 0.5)}
            assert row.keys() == without.keys() | new
            assert repr({name: row[name] for name in without}) == repr(without)
            assert row["noise_acc"] == row["noise_acc@0.25"]


def test_the_analysis_loads_chooses_and_tabulates_a_level(tmp_path: Path) -> None:
    for seed in (0, 1):
        train(tmp_path, seed=seed, noise_levels=(0.3,), test_noise=True, epochs=2, engine="torch")
    df, history = analysis.load(tmp_path), analysis.load_history(tmp_path)
    assert {"noise_acc@0.3_max", "noise_acc@0.3_last", "noise_acc@0.3_max_epoch"} <= set(analysis.metrics(df))
    assert df["noise_acc@0.3_last"].tolist() == history["noise_acc@0.3"][1::2].tolist()
    assert analysis.load(tmp_path, metrics=["noise_loss@0.3"])["noise_loss@0.3_min"].gt(0).all()

    def table(*arguments: str) -> str:
        command = ["table", str(tmp_path), "--rows", "on_perc", "--metric", "noise_acc@0.3_max", *arguments]
        return CliRunner().invoke(main, command).output

    assert f"{df['noise_acc@0.3_max'].mean():.3f}"[:4] in table("--format", "csv")
    assert "0.3" in table("--where", "`noise_acc@0.3_max` > 0.001")
    assert "0.3" in table("--where", "noise_acc@0.3_max > 0.001")
    assert "contains noise_acc @ 0.4_max" not in table("--where", "noise_acc@0.4 > 0.1")
    assert "backticks around a column" in table("--where", "noise_acc@0.4 > 0.1")
