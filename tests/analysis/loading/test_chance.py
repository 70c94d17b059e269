"""The column `at_chance`: which trials never left chance level."""

import math
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binom
from support.trial_folders import write_trial

import analysis
from analysis.loading.chance import chance_level


def at_chance(tmp_path: Path, config: dict[str, Any], metrics: dict[str, list[Any]]) -> bool:
    write_trial(tmp_path / "T_0", config, metrics)
    [found] = analysis.load(tmp_path, list(metrics)[:1])["at_chance"]
    return bool(found)


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        # The best accuracies of two trials of the packaged quickstart, and a guess of MNIST's commonest class.
        ({"train_acc": [0.106, 0.1], "val_acc": [0.103, 0.1]}, True),
        ({"train_acc": [0.102, 0.1], "val_acc": [0.1, 0.158]}, False),
        ({"val_acc": [0.1135, 0.0974], "noise_acc": [0.1135, 0.1]}, True),
        ({"val_acc": [0.187, 0.1]}, False),  # it has learned, and forgotten
        ({"val_acc": [0.1, 0.1], "train_acc": [0.5, 0.9]}, False),  # it fits its training set
        ({"val_acc": [math.nan, 0.1]}, True),
        ({"val_acc": [math.nan, math.nan]}, False),
        ({"val_loss": [2.3, 2.3]}, False),
        ({"val_acc": [10.0, 11.0]}, False),  # in percent
        ({"val_acc": ["tensor(0.1000)", "null"]}, True),
        ({}, False),
    ],
)
def test_ten_classes(tmp_path: Path, metrics: dict[str, list[Any]], expected: bool) -> None:
    if not metrics:
        write_trial(tmp_path / "T_0", {"num_classes": 10}, error="boom")
        write_trial(tmp_path / "T_1", {"num_classes": 10}, {"val_acc": [0.1]})
        assert analysis.load(tmp_path).set_index("trial_dir")["at_chance"].to_dict() == {"T_0": False, "T_1": True}
    else:
        assert at_chance(tmp_path, {"num_classes": 10}, metrics) is expected


@pytest.mark.parametrize("config", [{}, {"num_classes": None}, {"num_classes": "many"}, {"num_classes": 1}])
def test_nothing_is_said_where_the_number_of_classes_is_unknown(tmp_path: Path, config: dict[str, Any]) -> None:
    assert not at_chance(tmp_path, config, {"val_acc": [0.1]})


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        ({"val_r2": [-0.2, 0.005], "train_r2": [0.0, 0.009]}, True),
        ({"val_r2": [-0.2, 0.02]}, False),
        ({"val_r2": [-0.2, -0.1], "train_r2": [0.0, 0.3]}, False),  # it fits its training set
        ({"val_r2": [math.nan]}, False),
        ({"lr2": [0.0], "val_rmse": [3.0]}, False),
    ],
)
def test_a_regression_must_be_better_than_the_mean(
    tmp_path: Path, metrics: dict[str, list[Any]], expected: bool
) -> None:
    assert at_chance(tmp_path, {"num_classes": 1}, metrics) is expected


@pytest.mark.parametrize("n_classes", [2, 3, 10, 100])
def test_the_level_separates_guesses_from_learning_for_any_number_of_classes(n_classes: int) -> None:
    level = chance_level(n_classes)
    odds = level / (1 - level) / (1 / (n_classes - 1))
    assert odds == pytest.approx(1.25)
    # Of a hundred networks that guess 10,000 balanced examples, none is above it; one that is right half more often is.
    assert binom.sf(level * 10_000, 10_000, 1 / n_classes) < 1e-2
    assert level < 1.5 / n_classes


def test_it_is_of_every_metric_and_of_any_status(tmp_path: Path) -> None:
    config = {"num_classes": 10}
    write_trial(tmp_path / "T_0", config, {"val_acc": [0.1], "val_loss": [2.3]}, done=False)
    write_trial(tmp_path / "T_1", config, {"val_acc": [0.9], "val_loss": [2.3]})
    df = analysis.load(tmp_path, ["val_loss"])
    assert df["at_chance"].tolist() == [True, False]
    assert analysis.left_out(df) == "left out: 1 incomplete of 2 trials", "the unfinished trial may still learn"


def test_real_runs() -> None:
    df = analysis.load_example("time_limit")
    found = df.loc[df["at_chance"], ["hidden_sizes", "on_perc", "seed"]].values.tolist()
    # The last one failed after three epochs at 0.1.
    assert found == [[(100, 100), 0.02, 0], [(100, 100), 0.02, 1], [(2000, 2000), 0.02, 0]]
    assert not analysis.load_example("tickets")["at_chance"].any()
