"""The FLOPs of each trial: columns of load that are metrics, never hyperparameters."""

import math
from pathlib import Path

import pandas as pd
import pytest
from support.trial_folders import write_trial

import analysis

NAMES = ["flops_inference", "flops_inference_ratio", "flops_train", "flops_train_ratio"]


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """A new trial, one of a version that did not count, one that failed before its first row, and one resumed."""
    acc = [0.5, 0.9]
    costs = {"flops_inference": [2e5, 1e5], "flops_inference_ratio": [0.2, 0.1]}
    costs |= {"flops_train": [6e5, 5e5], "flops_train_ratio": [0.2, 0.15]}
    write_trial(tmp_path / "T_0", {"on_perc": 0.1, "seed": 0}, {"val_acc": acc, **costs})
    write_trial(tmp_path / "T_1", {"on_perc": 0.1, "seed": 1}, {"val_acc": acc})
    write_trial(tmp_path / "T_2", {"on_perc": 0.1, "seed": 2}, error="boom")
    resumed = {**costs, "flops_train": [math.nan, math.nan], "flops_train_ratio": [math.nan, math.nan]}
    write_trial(tmp_path / "T_3", {"on_perc": 0.2, "seed": 0}, {"val_acc": acc, **resumed})
    return tmp_path


def test_the_value_of_the_last_row(experiment: Path) -> None:
    df = analysis.load(experiment)
    rows = {path.parent.name: pd.read_json(path, lines=True) for path in experiment.glob("*/result.json")}
    for name in NAMES:
        for trial, value in df.set_index("trial_dir")[name].items():
            frame = rows[trial]
            expected = frame[name].iloc[-1] if name in frame else math.nan
            assert value == pytest.approx(expected, nan_ok=True)
    assert df["flops_train"].notna().sum() == 1 and df["flops_inference"].notna().sum() == 2


@pytest.mark.parametrize("metrics", [None, ["val_acc"], ["flops_train"]])
def test_they_are_metrics_whatever_else_is_loaded(experiment: Path, metrics: list[str] | None) -> None:
    df = analysis.load(experiment, metrics)
    assert set(NAMES) <= set(analysis.metrics(df)) and analysis.hyperparameters(df) == ["on_perc", "seed"]
    df.attrs = {}
    assert set(NAMES) <= set(analysis.metrics(df)) and analysis.hyperparameters(df) == ["on_perc", "seed"]
    assert analysis.compare(analysis.load(experiment, metrics), "on_perc", "flops_inference")[
        "difference"
    ].tolist() == [0]


def test_folders_without_them_have_no_such_column(tmp_path: Path) -> None:
    write_trial(tmp_path / "T_0", {"flops_train": 3}, {"val_acc": [0.5]})
    df = analysis.load(tmp_path)
    assert analysis.hyperparameters(df) == ["flops_train", "seed"] and "flops_inference" not in df


def test_a_hyperparameter_of_the_same_name_has_another_column(tmp_path: Path) -> None:
    write_trial(tmp_path / "T_0", {"flops_train": 3}, {"val_acc": [0.5], "flops_train": [7.0]})
    df = analysis.load(tmp_path)
    assert (df["flops_train"][0], df["config/flops_train"][0]) == (7.0, 3)
