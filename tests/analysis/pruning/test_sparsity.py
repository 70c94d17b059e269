"""Pruning sweeps: worked examples against numbers by hand, pandas and scipy; and real trials."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from statsmodels.stats.multitest import multipletests
from support.study_folders import train, write_sweep

import analysis
from analysis import (
    agg,
    compare,
    first_training,
    kind_differences,
    load_history,
    mean_sparsity_at_fall,
    pivot,
    sparsity_at_fall,
    sparsity_summary,
    sweeps,
    where_kinds_differ,
)
from analysis.frame.schema import varying

SPARSITIES = [0, 0.5, 0.75, 0.9]
UNIT = [0.98, 0.98, 0.96, 0.1]
WEIGHT = [0.98, 0.985, 0.98, 0.975]


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """Two data sets and two seeds; the last trial has not come to units yet."""
    for n, (dataset, seed) in enumerate(itertools.product(["MNIST", "KMNIST"], [0, 1])):
        lower = 0.1 * (dataset == "KMNIST") + 0.01 * seed
        accuracies = {"weight": [x - lower for x in WEIGHT], "unit": [x - lower for x in UNIT]}
        if n == 3:
            accuracies["unit"] = []
        write_sweep(tmp_path / f"T_{n:05d}", accuracies, SPARSITIES, 0.98 - lower, dataset_name=dataset, seed=seed)
    return tmp_path


def test_a_network_that_diverged_is_left_out_and_counted(tmp_path: Path) -> None:
    nan = [math.nan] * 4
    write_sweep(tmp_path / "T_0", {"weight": WEIGHT, "unit": UNIT}, SPARSITIES, 0.98, seed=0)
    write_sweep(tmp_path / "T_1", {"weight": nan, "unit": nan}, SPARSITIES, math.nan, seed=1)
    frame = sweeps(load_history(tmp_path))
    assert frame["diverged"].tolist() == [False] * 8 + [True] * 8 and set(frame["status"]) == {"complete"}
    table = sparsity_summary(frame)
    assert table[["count", "incomplete", "diverged"]].values.tolist() == [[1, 0, 1]] * 8
    falls = sparsity_at_fall(frame)
    assert falls[["status", "diverged"]].values.tolist() == [["complete", False]] * 2 + [["complete", True]] * 2
    differences = kind_differences(frame, "val_acc")
    assert differences[["pairs", "unpaired", "left_out"]].values.tolist() == [[1, 0, 1]] * 4
    means = mean_sparsity_at_fall(falls)
    assert means[["count", "never_fell", "incomplete", "diverged"]].sum().tolist() == [1, 1, 0, 2]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    experiment = tmp_path_factory.mktemp("runs") / "sweep"
    grid = {"seed": [0, 1], "hidden_sizes": [[20, 10], [12]]}
    train(experiment, grid, study="sweep", sparsities=[0.0, 0.5, 0.9], retrain_epochs=1, val_fraction=0.2)
    return experiment


def one_trial(path: Path, unit: list[float], trained: float = 0.98, **config: Any) -> pd.DataFrame:
    write_sweep(path / "T_00000", {"weight": WEIGHT, "unit": unit}, SPARSITIES, trained, **config)
    return sweeps(load_history(path))


def test_a_row_for_each_trial_kind_and_sparsity(experiment: Path) -> None:
    frame = sweeps(load_history(experiment))
    assert len(frame) == 4 * 2 * 4 and frame["status"].value_counts().to_dict() == {"complete": 28, "incomplete": 4}
    first = frame[(frame["dataset_name"] == "MNIST") & (frame["seed"] == 0)]
    assert first["pruning"].tolist() == ["weight"] * 4 + ["unit"] * 4 and first["sparsity"].tolist() == SPARSITIES * 2
    assert first["val_acc"].tolist() == WEIGHT + UNIT and (first["val_acc_trained"] == 0.98).all()
    assert first["density"].tolist() == [1, 0.5, 0.25, 1 - 0.9] * 2 and first["train_acc"].isna().all()
    assert varying(frame) == {"seed": 2, "dataset_name": 2, "pruning": 2, "sparsity": 4}
    assert (frame["config/epochs"] == 2).all() and "epoch" not in frame and "retrained" not in frame
    missing = frame[frame["status"] == "incomplete"]
    assert set(missing["pruning"]) == {"unit"} and missing["val_acc"].isna().all()


def test_the_verbs_take_it(experiment: Path) -> None:
    frame = sweeps(load_history(experiment))
    row = compare(frame, ["pruning"], "val_acc").iloc[0]
    # 3 whole trials at 4 sparsities; weights are better by 0, 0.005, 0.02, 0.875 in each.
    assert (row["a"], row["b"], row["pairs"], row["unpaired"], row["left_out_a"]) == ("unit", "weight", 12, 4, 4)
    assert row["difference"] == pytest.approx((0.005 + 0.02 + 0.875) / 4)
    by_sparsity = compare(frame[frame["pruning"] == "unit"], "sparsity", "val_acc")
    assert by_sparsity["pairs"].tolist() == [3] * 6 and by_sparsity["difference"][2] == pytest.approx(0.1 - 0.98)
    table = agg(frame, ["pruning", "sparsity"], "val_acc")
    assert table["count"].tolist() == [3] * 4 + [4] * 4 and table["incomplete"].tolist() == [1] * 4 + [0] * 4
    assert pivot(frame, "pruning", "sparsity", "val_acc").loc["unit", 0.0] == "0.943 ± 0.055 (n=3, 1 incomplete)"
    # A filter, and two experiments together, keep what was measured.
    both = pd.concat([frame[frame["sparsity"] > 0], sweeps(load_history(experiment)).query("sparsity == 0")])
    assert compare(both, "pruning", "val_acc")["pairs"][0] == 12


def test_real_trials_before_and_after_retraining(real: Path) -> None:
    history = load_history(real)
    after, before = sweeps(history), sweeps(history, retrained=0)
    assert (after["status"] == "complete").all() and len(after) == len(before) == 4 * 2 * 3
    rows = history[history["pruning"].notna()]
    for frame, retrained in ((before, 0), (after, 1)):
        expected = rows[rows["retrained"] == retrained]
        keys = ["trial_dir", "pruning", "sparsity"]
        merged = frame.merge(expected, on=keys, suffixes=("", "_logged"), validate="one_to_one")
        assert len(merged) == 24
        for name in ("val_acc", "test_loss", "density", "density_l1"):
            pd.testing.assert_series_equal(merged[name], merged[f"{name}_logged"], check_names=False)
    # What depends on the sizes of the layers is measured: the pairs are those of the seeds.
    assert varying(after) == {"seed": 2, "hidden_sizes": 2, "pruning": 2, "sparsity": 3}
    assert compare(after, "hidden_sizes", "val_acc")["pairs"][0] == 2 * 2 * 3
    at_zero = before[before["sparsity"] == 0]
    assert at_zero["val_acc"].tolist() == at_zero["val_acc_trained"].tolist()
    assert len(first_training(history)) == 4 * 2 and first_training(history)["train_acc"].notna().all()


def test_summary_is_the_blogs_table(experiment: Path, real: Path) -> None:
    frame = sweeps(load_history(experiment))
    table = sparsity_summary(frame)
    assert list(table.columns) == [
        "dataset", "pruning", "sparsity", "test_loss", "test_accuracy", "test_loss_std", "test_accuracy_std", "count",
        "incomplete", "diverged",
    ]  # fmt: skip
    row = table[(table["dataset"] == "MNIST") & (table["pruning"] == "unit") & (table["sparsity"] == 0.75)].iloc[0]
    assert row["test_accuracy"] == pytest.approx(0.955) and row["test_loss"] == pytest.approx(0.045)
    assert row["test_accuracy_std"] == pytest.approx(0.01 / math.sqrt(2)) and row["count"] == 2
    assert table.loc[table["incomplete"] > 0, "dataset"].unique().tolist() == ["KMNIST"]
    # Where data is held out it is test_* that counts.
    frame = sweeps(load_history(real))
    expected = frame.groupby(["hidden_sizes", "pruning", "sparsity"])[["test_loss", "test_acc"]].mean()
    found = sparsity_summary(frame, by=["hidden_sizes"])
    assert found[["test_loss", "test_accuracy"]].to_numpy() == pytest.approx(expected.to_numpy())


@pytest.mark.parametrize(
    ("unit", "fall"),
    [
        (UNIT, 0.625),  # 0.97 lies half way between 0.98 at 0.5 and 0.96 at 0.75
        ([0.98, 0.97, 0.96, 0.1], 0.5),  # just reached
        ([0.98, 0.96, 0.99, 0.1], 0.25),  # it rises again, but the first fall counts
        ([0.96, 0.96, 0.96, 0.96], 0.0),  # at once
        ([0.98, 0.98, 0.98, 0.971], math.nan),  # never so far
    ],
)
def test_where_accuracy_falls(tmp_path: Path, unit: list[float], fall: float) -> None:
    falls = sparsity_at_fall(one_trial(tmp_path, unit)).set_index("pruning")
    assert falls.loc["unit", "sparsity_at_fall"] == pytest.approx(fall, nan_ok=True)
    assert falls.loc["unit", "never_fell"] == math.isnan(fall) and falls.loc["unit", "highest_sparsity"] == 0.9
    assert falls.loc["weight", "never_fell"] and falls.loc["weight", "trained"] == 0.98


def test_where_accuracy_falls_on_average(experiment: Path) -> None:
    falls = sparsity_at_fall(sweeps(load_history(experiment)))
    assert falls["status"].tolist().count("incomplete") == 1 and len(falls) == 8
    table = mean_sparsity_at_fall(falls).set_index(["dataset_name", "pruning"])
    assert table.loc[("MNIST", "unit"), ["mean", "low", "high", "count"]].tolist() == pytest.approx([0.625] * 3 + [2])
    assert table.loc[("MNIST", "weight"), ["count", "never_fell"]].tolist() == [0, 2]
    assert table.loc[("KMNIST", "unit"), ["count", "incomplete"]].tolist() == [1, 1]
    sentences = table["conclusion"]
    assert sentences["MNIST", "unit"].startswith("MNIST, unit pruning: accuracy has fallen at sparsity 0.625 (95%")
    assert sentences["MNIST", "weight"] == "MNIST, weight pruning: accuracy fell so far in none of 2 trials."
    assert sentences["KMNIST", "unit"].endswith("at sparsity 0.625 (1 of 1 trials).")
    mixed = falls.assign(sparsity_at_fall=falls["sparsity_at_fall"].where(falls["seed"] == 0))
    text = mean_sparsity_at_fall(mixed[mixed["status"] == "complete"])["conclusion"].tolist()
    assert any(t.endswith("The other 1 never fell so far, so that the mean is too low.") for t in text)


def many_seeds(path: Path, differences: np.ndarray) -> pd.DataFrame:
    """Differences between the kinds. Shapes: (seeds, sparsities)."""
    for seed, of_seed in enumerate(differences):
        unit = 0.5 + 0.01 * seed + np.zeros(len(SPARSITIES))
        accuracies = {"weight": list(unit + of_seed), "unit": list(unit)}
        write_sweep(path / f"T_{seed:05d}", accuracies, SPARSITIES, 0.9, seed=seed)
    return sweeps(load_history(path))


def test_differences_between_kinds_against_scipy(tmp_path: Path) -> None:
    differences = np.random.default_rng(0).normal([0.0, 0.0, 0.05, 0.2], 0.01, (5, 4))
    differences[:, 0] = 0
    table = kind_differences(many_seeds(tmp_path, differences), "val_acc")
    expected = [scipy.stats.ttest_1samp(differences[:, i], 0) for i in (1, 2, 3)]
    assert table["difference"].tolist() == pytest.approx(differences.mean(0).tolist())
    assert table["p"].tolist() == pytest.approx([1.0, *(each.pvalue for each in expected)])
    for i, each in enumerate(expected, start=1):
        assert table.loc[i, ["low", "high"]].tolist() == pytest.approx(list(each.confidence_interval(0.95)))
    assert table["p_holm"].tolist() == pytest.approx(multipletests(table["p"], method="holm")[1])
    assert table[["a", "b", "pairs", "unpaired"]].drop_duplicates().values.tolist() == [["unit", "weight", 5, 0]]
    found = where_kinds_differ(table).iloc[0]
    assert (found["first_sparsity"], found["largest_at"]) == (0.75, 0.9)
    first, largest = f"{found['first_difference']:+.3g}", f"{found['largest_difference']:+.3g}"
    start = (
        "MNIST: the first clear difference between weight and unit pruning is at sparsity 0.75: weight minus unit is "
    )
    assert found["conclusion"].startswith(f"{start}{first} (95% interval ") and "5 pairs" in found["conclusion"]
    end = f"after Holm's correction for 4 comparisons); the largest difference is {largest}, at 0.9."
    assert found["conclusion"].endswith(end)


def test_kinds_that_do_not_differ_or_cannot_be_compared(experiment: Path, tmp_path: Path) -> None:
    table = kind_differences(sweeps(load_history(experiment)), "val_acc")
    alike = table[table["dataset_name"] == "MNIST"].reset_index(drop=True)
    # Both seeds have the same differences, but for rounding in their numbers.
    assert alike["difference"].tolist() == pytest.approx([0, 0.005, 0.02, 0.875]) and alike["p"][0] == 1
    single = table[table["dataset_name"] == "KMNIST"]
    assert single["pairs"].tolist() == [1] * 4 and single["unpaired"].tolist() == [1] * 4 and single["p"].isna().all()
    text = where_kinds_differ(table)["conclusion"][0]
    assert text == "KMNIST: weight and unit pruning cannot be compared: fewer than 2 pairs at each sparsity."
    equal = kind_differences(many_seeds(tmp_path / "equal", np.zeros((3, 4))), "val_acc")
    assert equal["p_holm"].tolist() == [1.0] * 4
    text = where_kinds_differ(equal)["conclusion"][0]
    assert text.startswith("MNIST: no evidence that weight and unit pruning differ at any of 4 sparsities, after Holm")


def test_arguments_stay(experiment: Path) -> None:
    history = load_history(experiment)
    before, attrs = history.copy(), {name: list(value) for name, value in history.attrs.items()}
    frame = sweeps(history)
    kept = frame.copy()
    for verb in (sparsity_summary, sparsity_at_fall, lambda frame: kind_differences(frame, "val_acc")):
        verb(frame)
    pd.testing.assert_frame_equal(history, before)
    pd.testing.assert_frame_equal(frame, kept)
    assert {name: list(value) for name, value in history.attrs.items()} == attrs


def test_errors(experiment: Path, notebook_run: Path, tmp_path: Path) -> None:
    history = load_history(experiment)
    frame = sweeps(history)
    lost = history.copy()
    lost.attrs = {}
    first = load_history(experiment)
    first = first[first["pruning"].isna()].drop(columns=["pruning", "sparsity", "retrained"])
    for call, message in [
        (lambda: sweeps(load_history(notebook_run)), r"Unknown column 'study'"),
        (lambda: analysis.rounds(history), r"No trial has study='ticket'\. Studies in this history: sweep"),
        (
            lambda: sweeps(first),
            r"No trial with study='sweep' has logged pruning, sparsity, retrained yet",
        ),
        (lambda: sweeps(lost), r"has lost its schema: .* Pass it as load_history returns it"),
        (lambda: sweeps(history, retrained=1), r"retrained must be from 0 to 0, .* got 1"),
        (
            lambda: sparsity_at_fall(frame, points=0),
            r"points must be above 0, .*, got 0",
        ),
        (lambda: sparsity_at_fall(frame, metric="test_acc"), r"Unknown column 'test_acc'"),
        (
            lambda: kind_differences(frame[frame["pruning"] == "unit"], "val_acc"),
            r"pruning must have two values to compare, but has only 'unit'",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
