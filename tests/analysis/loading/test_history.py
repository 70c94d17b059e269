"""load_history: one row per trial and epoch."""

from pathlib import Path

import pandas as pd
from support.trial_folders import write_trial

import analysis


def test_columns_and_values(tmp_path: Path) -> None:
    metrics = {
        "val_acc": [0.1, 0.2],
        "note": ["x", "y"],
        "mask": [[1, 2], [3, 4]],
        "inner": [{"a": 1}, {"a": 2}],
    }
    write_trial(tmp_path / "T_b", {"lr": 0.1, "val_acc": "planned"}, metrics, pid=1, hostname="h", date="d")
    write_trial(tmp_path / "T_a", {"lr": 0.2, "val_acc": "planned"}, {"val_acc": [0.3], "late": ["null"]})
    write_trial(tmp_path / "T_c", {"lr": 0.3, "val_acc": "planned"}, error="before the first row")
    df = analysis.load_history(tmp_path)
    names = ["val_acc", "note", "mask", "inner/a", "late"]
    assert list(df.columns[:3]) == ["trial_id", "trial_dir", "epoch"]
    assert sorted(df.columns[3:8]) == sorted(names)
    assert list(df.columns[8:]) == ["lr", "config/val_acc", "seed", "diverged"]
    assert df["trial_id"].tolist() == ["b", "b", "a"]
    assert df["epoch"].tolist() == [1, 2, 1]
    assert df["val_acc"].tolist() == [0.1, 0.2, 0.3]
    assert df["lr"].tolist() == [0.1, 0.1, 0.2]
    assert df["note"].tolist()[:2] == ["x", "y"]
    assert df["mask"].tolist()[:2] == [(1, 2), (3, 4)]
    assert df["inner/a"].tolist()[:2] == [1, 2]
    assert pd.api.types.is_numeric_dtype(df["late"]) and df["late"].isna().all()


def test_whole_numbers_stay_whole_and_bools_stay_bools(tmp_path: Path) -> None:
    write_trial(tmp_path / "T_0", {}, {"mask_sizes_l1": [10, 11], "stopped": [False, True]})
    df = analysis.load_history(tmp_path)
    assert df["mask_sizes_l1"].dtype == "int64"
    assert df["stopped"].tolist() == [False, True] and df["stopped"].dtype == bool


def test_values_of_progress_csv_have_the_types_of_result_json(tmp_path: Path) -> None:
    metrics = {
        "val_acc": [0.4, 0.8],
        "converged": [False, True],
        "n": [3, 4],
        "note": [None, "x"],
        "mask": [[1, 2], [3, 4]],
        "loss": ["tensor(0.5)", "tf.Tensor(0.25, shape=(), dtype=float32)"],
    }
    write_trial(tmp_path / "T_0", {"lr": 1}, metrics)
    expected = analysis.load_history(tmp_path)
    assert expected["loss"].tolist() == [0.5, 0.25]
    (tmp_path / "T_0" / "result.json").unlink()
    pd.testing.assert_frame_equal(analysis.load_history(tmp_path), expected)
    write_trial(tmp_path / "T_1", {"lr": 2}, metrics)
    df = analysis.load_history(tmp_path)
    assert df["converged"].tolist() == [False, True] * 2
    assert df.groupby("converged").size().to_dict() == {False: 2, True: 2}


def test_a_logged_epoch_does_not_hide_tunes(tmp_path: Path) -> None:
    write_trial(tmp_path / "T_0", {"epoch": 9}, {"epoch": [0, 1]})
    df = analysis.load_history(tmp_path)
    assert df["epoch"].tolist() == [1, 2]
    assert df["result/epoch"].tolist() == [0, 1]
    assert df["config/epoch"].tolist() == [9, 9]


def test_of_two_logged_values_with_one_name_both_are_shown(tmp_path: Path) -> None:
    write_trial(tmp_path / "T_0", {}, {"epoch": [0], "result": [{"epoch": 5}], "a/b": [1], "a": [{"b": 2}]})
    (row,) = analysis.load_history(tmp_path).to_dict("records")
    assert (row["epoch"], row["result/result/epoch"], row["result/epoch"]) == (1, 0, 5)
    assert (row["'a/b'"], row["a/b"]) == (1, 2)


def test_metrics_chooses(notebook_run: Path) -> None:
    df = analysis.load_history(notebook_run, metrics=["val_loss"])
    assert list(df.columns[:4]) == ["trial_id", "trial_dir", "epoch", "val_loss"] and "val_acc" not in df


def test_it_agrees_with_load(notebook_run: Path) -> None:
    history, df = analysis.load_history(notebook_run), analysis.load(notebook_run)
    trials = history.groupby("trial_id", sort=False)
    assert list(trials.groups) == df["trial_id"].tolist()
    assert trials["val_acc"].max().tolist() == df["val_acc_max"].tolist()
    assert trials["epoch"].max().tolist() == df["epochs"].tolist()


def test_an_experiment_without_any_row(tmp_path: Path) -> None:
    write_trial(tmp_path / "T_0", {"lr": 0.1}, error="boom")
    df = analysis.load_history(tmp_path)
    assert df.empty and list(df.columns) == ["trial_id", "trial_dir", "epoch", "lr", "seed", "diverged"]
