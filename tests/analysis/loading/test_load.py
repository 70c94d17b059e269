"""load and load_many: the columns, the numbers, the trial's fate, the order of rows, other layouts."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.trial_folders import NOTEBOOK_CONFIG, write_rows, write_state, write_trial

import analysis

SUMMARIES = ["_max", "_max_epoch", "_min", "_min_epoch", "_median", "_last"]


def test_the_notebooks_43_columns_come_in_its_order(notebook_run: Path) -> None:
    expected = ["Experiment Name"]
    expected += [f"{metric}{summary}" for metric in ("train_acc", "val_acc", "noise_acc") for summary in SUMMARIES]
    expected += ["epochs", "experiment_file_name", "trial_time", "mean_epoch_time"]
    expected += ["device", "dataset_name", "input_size", "num_classes", "hidden_sizes", "data_dir", "model"]
    expected += ["network", "kwinners", "percent_on", "on_perc", "hebbian_prune_perc", "weight_prune_perc"]
    expected += ["pruning_es", "pruning_active", "hebbian_grow", "test_noise", "noise_level"]
    expected += ["debug_weights", "debug_sparse"]
    assert len(expected) == 43
    df = analysis.load(notebook_run)
    assert list(df.columns) == [*expected, "seed", "status", "error", "diverged", "at_chance", "trial_id", "trial_dir"]
    assert len(df) == 72
    assert df["seed"].isna().all()


@pytest.mark.parametrize(
    ("losses", "diverged"),
    [([1.0, 0.5], False), ([1.0, math.nan], True), ([1.0, -math.inf], True), ([math.nan, 0.5], False)],
)
def test_a_trial_has_diverged_if_its_last_loss_is_no_finite_number(tmp_path, losses, diverged):
    # A metric that is NaN for another reason says nothing.
    write_trial(tmp_path / "e" / "T_a", {"lr": 0.1}, {"val_loss": losses, "survivors": [math.nan, math.nan]})
    df = analysis.load(tmp_path / "e", ["val_loss"])
    assert df["diverged"].tolist() == [diverged]
    assert (analysis.left_out(df) == "left out: 1 diverged of 1 trial") == diverged
    assert set(analysis.load_history(tmp_path / "e")["diverged"]) == {diverged}


def test_a_small_trial_by_eye(tmp_path: Path) -> None:
    metrics = {"val_acc": [0.5, 0.9, 0.2, 0.9], "val_loss": [4.0, 3.0, 2.0, 1.0]}
    write_trial(tmp_path / "e" / "T_a", {"lr": 0.1}, metrics)
    row = analysis.load(tmp_path / "e").iloc[0].to_dict()
    assert row.pop("trial_time") == pytest.approx(4 * 26.4 / 60)
    assert row.pop("mean_epoch_time") == pytest.approx(26.4 / 60)
    assert row.pop("val_acc_median") == pytest.approx(0.7)
    assert math.isnan(row.pop("seed"))
    assert row.pop("error") is None
    assert row == {
        "Experiment Name": "T_a",
        "val_acc_max": 0.9,
        "val_acc_max_epoch": 1,
        "val_acc_min": 0.2,
        "val_acc_min_epoch": 2,
        "val_acc_last": 0.9,
        "epochs": 4,
        "experiment_file_name": str(tmp_path / "e"),
        "lr": 0.1,
        "status": "complete",
        "diverged": False,
        "at_chance": False,
        "trial_id": "a",
        "trial_dir": "T_a",
    }


def test_numbers_equal_plain_pandas(notebook_run: Path) -> None:
    df = analysis.load(notebook_run).set_index("trial_dir")
    for folder in sorted(notebook_run.iterdir()):
        rows = pd.read_json(folder / "result.json", lines=True)
        got = df.loc[folder.name]
        for name in ("train_acc", "val_acc", "noise_acc"):
            s = rows[name]
            expected = [s.max(), s.idxmax(), s.min(), s.idxmin(), s.median(), s.iloc[-1]]
            assert [got[name + summary] for summary in SUMMARIES] == pytest.approx(expected)
        assert got["epochs"] == len(rows)
        assert got["trial_time"] == pytest.approx(rows["time_this_iter_s"].sum() / 60)


def test_metrics_chooses_others(notebook_run: Path) -> None:
    df = analysis.load(notebook_run, metrics=["val_loss"])
    assert "val_loss_min" in df and "val_acc_max" not in df


def test_hyperparameters_keep_their_values(tmp_path: Path) -> None:
    configs = [
        {
            "hidden_sizes": [300, 100],
            "optim": {"name": "sgd", "lr": 0.1},
            "epochs": 30,
            "status": "x",
            "drop": None,
        },
        {"hidden_sizes": [100, 300], "optim": {"name": "sgd", "lr": 0.2}, "epochs": 30, "status": "x"},
    ]
    for n, config in enumerate(configs):
        write_trial(tmp_path / f"T_{n}", config, {"val_acc": [0.5]})
    df = analysis.load(tmp_path)
    assert df["hidden_sizes"].tolist() == [(100, 300), (300, 100)]
    assert df.groupby("hidden_sizes")["val_acc_max"].count().tolist() == [1, 1]
    assert df["optim/lr"].tolist() == [0.2, 0.1]
    assert df["optim/name"].tolist() == ["sgd", "sgd"]
    assert df["config/epochs"].tolist() == [30, 30] and df["epochs"].tolist() == [1, 1]
    assert df["config/status"].tolist() == ["x", "x"] and df["status"].tolist() == ["complete"] * 2
    assert df["drop"].isna().all()


@pytest.mark.parametrize(
    ("config", "columns"),
    [
        ({"epochs": 5, "config": {"epochs": 7}}, {"config/config/epochs": 5, "config/epochs": 7}),
        ({"config": {"epochs": 7}, "epochs": 5}, {"config/config/epochs": 5, "config/epochs": 7}),
        ({"a/b": 5, "a": {"b": 7}}, {"'a/b'": 5, "a/b": 7}),
        ({"a": {"b": 7}, "a/b": 5}, {"'a/b'": 5, "a/b": 7}),
        ({"a/b": {"c": 5}, "a": {"b/c": 7, "d": 0}}, {"'a/b'/c": 5, "a/'b/c'": 7, "a/d": 0}),
        ({"a/b": 5, "a": {"c": 7}}, {"a/b": 5, "a/c": 7}),
    ],
)
def test_of_two_hyperparameters_with_one_name_both_are_shown(config: Any, columns: Any, tmp_path: Path) -> None:
    write_trial(tmp_path / "T_0", config, {"val_acc": [0.5]})
    df = analysis.load(tmp_path)
    assert sorted(analysis.hyperparameters(df)) == sorted([*columns, "seed"])
    assert df[list(columns)].iloc[0].to_dict() == columns
    assert df["epochs"].tolist() == [1]


def test_a_list_of_dicts_can_be_grouped_by(tmp_path: Path) -> None:
    write_trial(tmp_path / "T_0", {"layers": [{"n": 1}, {}], "options": {}}, {"val_acc": [0.5]})
    df = analysis.load(tmp_path)
    assert df.groupby(["layers", "options"]).size().index.tolist() == [(('{"n": 1}', "{}"), "{}")]


def test_keys_that_differ_are_united(tmp_path: Path) -> None:
    write_trial(tmp_path / "T_0", {"a": 1}, {"val_acc": [0.5]})
    write_trial(tmp_path / "T_1", {"b": "x"}, {"top5_acc": [0.8]})
    df = analysis.load(tmp_path)
    assert df["a"].tolist()[0] == 1 and pd.isna(df["a"][1])
    assert pd.isna(df["b"][0]) and df["b"][1] == "x"
    assert df["val_acc_max"].tolist()[0] == 0.5 and pd.isna(df["val_acc_max"][1])
    assert df["top5_acc_max"][1] == 0.8


def test_values_that_are_no_plain_numbers(tmp_path: Path) -> None:
    metrics = {
        "val_acc": ["null", "tensor(0.5000)", float("nan"), "tensor(0.7, device='cuda:0')", None],
        "all_nan_acc": [float("nan")] * 5,
        "inf_acc": [0.1, "inf", "-inf", 0.2, 0.3],
        "accepted": [True, False, True, True, True],
        "accelerator": ["cpu"] * 5,
        "acc_tag": ["1_000"] * 5,
    }
    write_trial(tmp_path / "T_0", {}, metrics)
    df = analysis.load(tmp_path)
    assert df.loc[0, "val_acc_max":"val_acc_median"].tolist() == pytest.approx([0.7, 3, 0.5, 1, 0.6])
    assert math.isnan(df["val_acc_last"][0])
    assert df.loc[0, "all_nan_acc_max":"all_nan_acc_last"].isna().all()
    assert (df["inf_acc_max"][0], df["inf_acc_min"][0], df["inf_acc_median"][0]) == (math.inf, -math.inf, 0.2)
    assert "accepted_max" not in df and "accelerator_max" not in df and "acc_tag_max" not in df
    numeric = df.filter(regex="_acc_").dtypes
    assert all(pd.api.types.is_numeric_dtype(dtype) for dtype in numeric)
    assert analysis.issues(df).empty


def test_a_text_among_numbers_is_nan_and_named(tmp_path: Path) -> None:
    write_trial(tmp_path / "T_0", {}, {"val_acc": [0.5, "oops", [1]]})
    df = analysis.load(tmp_path)
    assert df["val_acc_max"].tolist() == [0.5]
    problem = "val_acc is not a number in 2 rows, first 'oops'"
    assert analysis.issues(df).values.tolist() == [["T_0", "result.json", problem]]


def test_metrics_may_appear_late_or_vanish(tmp_path: Path) -> None:
    folder = write_trial(tmp_path / "T_0", {}, {"val_acc": [0.1, 0.2, 0.3]})
    rows = [json.loads(line) for line in (folder / "result.json").read_text().splitlines()]
    rows[2]["late_acc"] = 0.7
    del rows[2]["val_acc"]
    write_rows(folder, rows)
    df = analysis.load(tmp_path)
    assert (df["late_acc_max"][0], df["late_acc_max_epoch"][0], df["late_acc_last"][0]) == (0.7, 2, 0.7)
    assert df["val_acc_max"][0] == 0.2 and math.isnan(df["val_acc_last"][0])


def test_the_trials_fate(tmp_path: Path) -> None:
    acc = {"val_acc": [0.5, 0.6]}
    write_trial(tmp_path / "T_0", {"n": 0}, acc)
    write_trial(tmp_path / "T_1", {"n": 1}, acc, error="Failure # 1\nKilled\n")
    write_trial(tmp_path / "T_2", {"n": 2}, acc, done=False, error="a\n\x1b[36mValueError: b\x1b[39m\n \n")
    write_trial(tmp_path / "T_3", {"n": 3}, error="boom")
    write_trial(tmp_path / "T_4", {"n": 4}, acc, done=False)
    write_trial(tmp_path / "T_5", {"n": 5})
    df = analysis.load(tmp_path)
    assert df["status"].tolist() == ["complete", "complete", "error", "error", "incomplete", "incomplete"]
    assert df["error"].isna().tolist() == [True, False, False, False, True, True]
    assert df["error"].tolist()[1:4] == ["Killed", "ValueError: b", "boom"]
    assert df["epochs"].tolist() == [2, 2, 2, 0, 2, 0]
    assert df["val_acc_max"].isna().tolist() == [False, False, False, True, False, True]
    assert df["trial_time"].isna().tolist() == [False, False, False, True, False, True]
    assert df["trial_id"].tolist()[3] == "T_3", "without a row and a state, the folder's name stands in"
    assert analysis.issues(df).empty, "a trial that never reported is not damaged"


def test_of_repeated_epochs_the_later_wins(tmp_path: Path) -> None:
    folder = write_trial(tmp_path / "T_0", {}, {"val_acc": [0.1, 0.2, 0.9]}, done=False)
    again = write_trial(tmp_path / "elsewhere" / "T_0", {}, {"val_acc": [0.1, 0.2, 0.3, 0.4]})
    with open(folder / "result.json", "a") as file:
        file.writelines((again / "result.json").read_text().splitlines(keepends=True)[2:])
    df = analysis.load(tmp_path)
    assert df["epochs"].tolist() == [4]
    assert df["val_acc_max"].tolist() == [0.4]
    assert df["trial_time"].tolist() == pytest.approx([4 * 26.4 / 60])
    assert analysis.load_history(tmp_path)["val_acc"].tolist() == [0.1, 0.2, 0.3, 0.4]


def test_epochs_without_training_iteration_is_the_number_of_rows(tmp_path: Path) -> None:
    folder = tmp_path / "T_0"
    folder.mkdir()
    write_rows(folder, [{"val_acc": 0.1}, {"val_acc": 0.2, "done": True}])
    df = analysis.load(tmp_path)
    assert (df["epochs"][0], df["val_acc_max"][0], df["status"][0]) == (2, 0.2, "complete")


@pytest.mark.parametrize("how", ["missing", "empty"])
def test_rows_come_from_progress_csv_when_result_json_has_none(how: str, tmp_path: Path) -> None:
    metrics = {"val_acc": [0.1, float("nan"), 0.3], "n_active": [3, 4, 5]}
    folder = write_trial(tmp_path / "T_0", {"lr": 0.1}, metrics)
    expected, expected_history = analysis.load(tmp_path), analysis.load_history(tmp_path)
    (folder / "result.json").unlink()
    if how == "empty":
        (folder / "result.json").touch()
    df = analysis.load(tmp_path)
    pd.testing.assert_frame_equal(df, expected)
    pd.testing.assert_frame_equal(analysis.load_history(tmp_path), expected_history)
    problem = f"{how}; the rows are read from progress.csv"
    assert analysis.issues(df).values.tolist() == [["T_0", "result.json", problem]]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", ["params.json", "result.json", "progress.csv"])
def test_a_byte_order_mark_is_no_part_of_a_file(name: str, encoding: str, tmp_path: Path) -> None:
    folder = write_trial(tmp_path / "T_0", {"lr": 1}, {"val_acc": [0.5, 0.9]})
    expected = analysis.load(tmp_path)
    if name == "progress.csv":
        (folder / "result.json").unlink()
    (folder / name).write_bytes((folder / name).read_text().encode(encoding))
    df = analysis.load(tmp_path)
    pd.testing.assert_frame_equal(df, expected)
    assert name == "progress.csv" or analysis.issues(df).empty


def test_of_two_csv_columns_with_one_name_none_is_lost(tmp_path: Path) -> None:
    folder = tmp_path / "T_0"
    folder.mkdir()
    (folder / "params.json").write_text("{}")
    (folder / "progress.csv").write_text("val_acc,val_acc,training_iteration,done\n0.5,0.7,1,True\n")
    df = analysis.load(tmp_path)
    assert (df["val_acc_max"][0], df["val_acc.1_max"][0]) == (0.5, 0.7)


def test_the_config_is_that_inside_the_folder(tmp_path: Path) -> None:
    folder = write_trial(tmp_path / "T_0_lr=0.5", {"lr": 0.1}, {"val_acc": [0.5]})
    assert analysis.load(tmp_path)["lr"].tolist() == [0.1]
    (folder / "params.json").unlink()
    df = analysis.load(tmp_path)
    assert df["lr"].tolist() == [0.1]
    problem = "missing; the config is taken from its rows"
    assert analysis.issues(df).values.tolist() == [["T_0_lr=0.5", "params.json", problem]]


def test_rows_are_ordered_by_values_not_by_folders(tmp_path: Path) -> None:
    values = [(2, 0.1, "b"), (1, 0.2, "a"), (1, 0.1, "b"), (2, 0.1, "a"), (1, 0.1, "a")]
    for n, (seed, on_perc, model) in enumerate(values):
        config = {"constant": 1, "seed": seed, "on_perc": on_perc, "model": model}
        write_trial(tmp_path / f"T_{n}", config, {"val_acc": [0.5]})
    rows = analysis.load(tmp_path)[["on_perc", "model", "seed"]]
    expected = [(0.1, "a", 1), (0.1, "a", 2), (0.1, "b", 1), (0.1, "b", 2), (0.2, "a", 1)]
    assert list(rows.itertuples(index=False, name=None)) == expected


def test_values_of_different_kinds_have_an_order(tmp_path: Path) -> None:
    for n, value in enumerate([None, [2, 1], "auto", [1, 2], 0.5, True, 0]):
        write_trial(tmp_path / f"T_{n}", {"x": value}, {"val_acc": [0.5]})
    values = analysis.load(tmp_path)["x"].tolist()
    assert values[:-1] == [0, 0.5, True, "auto", (1, 2), (2, 1)]
    assert pd.isna(values[-1])


def test_load_many_unites_and_tells_apart(tmp_path: Path) -> None:
    write_trial(tmp_path / "b" / "T_0", {"lr": 0.1}, {"val_acc": [0.5]})
    write_trial(tmp_path / "a" / "T_0", {"density": 0.2}, {"noise_acc": [0.4]})
    (tmp_path / "b" / "T_0" / "params.json").write_text("{")
    paths = [tmp_path / "b", str(tmp_path / "a")]
    df = analysis.load_many(paths)
    assert df["experiment_file_name"].tolist() == [str(path) for path in paths]
    assert df["val_acc_max"].tolist()[0] == 0.5 and df["noise_acc_max"].tolist()[1] == 0.4
    assert df["lr"].tolist()[0] == 0.1 and df["density"].tolist()[1] == 0.2
    assert analysis.issues(df)["file"].tolist() == ["params.json"]


def test_another_projects_rows_without_any_acc(tmp_path: Path) -> None:
    metrics = {"info": [{"loss": 2.0, "by_class": {"cat": 1.0}}, {"loss": 1.0, "by_class": {"cat": 3.0}}]}
    write_trial(tmp_path / "T_0", {"env": "CartPole"}, metrics)
    df = analysis.load(tmp_path)
    assert list(df.columns)[:2] == ["Experiment Name", "epochs"]
    df = analysis.load(tmp_path, metrics=["info/loss", "info/by_class/cat"])
    assert (df["info/loss_min"][0], df["info/by_class/cat_max"][0]) == (1.0, 3.0)


def test_a_hyperparameter_called_like_a_metric_column(tmp_path: Path) -> None:
    write_trial(tmp_path / "T_0", {"val_acc_max": 7}, {"val_acc": [0.5]})
    df = analysis.load(tmp_path)
    assert (df["val_acc_max"][0], df["config/val_acc_max"][0]) == (0.5, 7)


@pytest.mark.parametrize("layout", ["0.7", "1", "2"])
def test_experiment_state_fills_in_what_the_folder_lacks(layout: str, tmp_path: Path) -> None:
    (write_trial(tmp_path / "T_0", {}, error="boom") / "params.json").unlink()
    key = "relative_logdir" if layout == "2" else "logdir"
    logdir = "T_0" if layout == "2" else "/home/someone/ray_results/e/T_0"
    trial = {
        key: logdir,
        "trial_id": "id0",
        "experiment_tag": "0_lr=0.1",
        "config": {"lr": 0.1},
        "status": "ERROR",
    }
    write_state(tmp_path, [trial], layout)
    df = analysis.load(tmp_path)
    got = df[["Experiment Name", "trial_id", "lr", "status"]].values.tolist()
    assert got == [["0_lr=0.1", "id0", 0.1, "error"]]
    assert "taken from experiment_state" in analysis.issues(df)["problem"][0]


def test_of_several_states_the_newest_that_knows_the_trial_counts(tmp_path: Path) -> None:
    for name in ("T_0", "T_1"):
        write_trial(tmp_path / name, {"n": name})
    both = [{"relative_logdir": name, "experiment_tag": f"old {name}"} for name in ("T_0", "T_1")]
    write_state(tmp_path, both, "2", time="2019-01-01")
    write_state(tmp_path, [{"relative_logdir": "T_1", "experiment_tag": "new T_1"}], "2", time="2019-01-02")
    assert analysis.load(tmp_path)["Experiment Name"].tolist() == ["old T_0", "new T_1"]


@pytest.mark.parametrize(
    ("layout", "row", "expected"),
    [
        ("2", {}, "incomplete"),  # a class that Tune cut short
        ("2", {"checkpoint_dir_name": None}, "complete"),  # a function that returned
        ("1", {}, "complete"),
        ("0.7", {}, "complete"),
    ],
)
def test_terminated_completes_only_what_never_writes_done(
    layout: str, row: dict[str, object], expected: str, tmp_path: Path
) -> None:
    write_trial(tmp_path / "T_0", {}, {"val_acc": [0.5]}, done=False, **row)
    write_state(tmp_path, [{"logdir": "T_0", "status": "TERMINATED"}], layout)
    assert analysis.load(tmp_path)["status"].tolist() == [expected]


@pytest.mark.parametrize("logdir", ["C:\\Users\\me\\exp\\train_1_lr=0.1", "C:/Users/me\\exp\\train_1_lr=0.1\\"])
def test_a_run_on_windows_matches_its_record(logdir: str, tmp_path: Path) -> None:
    write_trial(tmp_path / "train_1_lr=0.1", {"lr": 0.1}, {"val_acc": [0.5]}, done=False)
    write_state(tmp_path, [{"logdir": logdir, "status": "TERMINATED"}], "1")
    df = analysis.load(tmp_path)
    assert df["status"].tolist() == ["complete"] and analysis.issues(df).empty


def test_a_backslash_may_be_part_of_a_folders_name(tmp_path: Path) -> None:
    write_trial(tmp_path / "train_1_path=a\\b", {"path": "a\\b"}, {"val_acc": [0.5]}, done=False)
    write_state(tmp_path, [{"logdir": "/home/me/exp/train_1_path=a\\b", "status": "TERMINATED"}], "1")
    df = analysis.load(tmp_path)
    assert df["status"].tolist() == ["complete"] and analysis.issues(df).empty


def test_the_layout_of_ray_0_7(tmp_path: Path) -> None:
    experiment = tmp_path / "mlp_heb_eval2"
    tag = "0_hebbian_prune_perc=0.1"
    row = {"experiment_tag": tag, "experiment_id": "cafe", "hostname": "host", "iterations_since_restore": 1}
    folder = experiment / "Trainable_0_hebbian_prune_perc=0.1_2019-09-01_00-00-00abcdefgh"
    write_trial(folder, NOTEBOOK_CONFIG, {"train_acc": [0.8], "val_acc": [0.9], "noise_acc": [0.7]}, **row)
    logdir = f"/home/someone/ray/results/mlp_heb_eval2/{folder.name}"
    state = {"logdir": logdir, "experiment_tag": tag, "config": NOTEBOOK_CONFIG, "status": "TERMINATED"}
    write_state(experiment, [state], "0.7", time="2019-09-01_00-00-00")
    df = analysis.load(experiment)
    assert df["Experiment Name"].tolist() == [tag]
    assert df["hidden_sizes"].tolist() == [(100, 100, 100)]
    assert len(df.columns) == 50


def test_issues_survive_filters_and_concat_does_not_crash(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for n in range(2):
            folder = write_trial(tmp_path / name / f"T_{name}{n}", {"n": n}, {"val_acc": [0.5]})
        (folder / "params.json").write_text("torn {")
    a, b = analysis.load(tmp_path / "a"), analysis.load(tmp_path / "b")
    assert len(analysis.issues(a)) == 1
    assert analysis.issues(a[a["epochs"] >= 1]).equals(analysis.issues(a))
    assert len(pd.concat([a, b])) == 4
    assert len(pd.concat([a, a.copy()])) == 4
    assert analysis.issues(analysis.load_many([tmp_path / "a", tmp_path / "b"]))["trial_dir"].tolist() == [
        "T_a1",
        "T_b1",
    ]
    assert list(analysis.issues(pd.DataFrame()).columns) == ["trial_dir", "file", "problem"]


def test_huge_integers_stay_numbers(tmp_path: Path) -> None:
    write_trial(tmp_path / "T_0", {}, {"acc": [10**30, 1], "huge_acc": [10**400, 1]})
    df = analysis.load(tmp_path)
    assert df["acc_max"].tolist() == [1e30] and df["huge_acc_max"].tolist() == [math.inf]
    assert df["acc_max"].dtype == np.float64


def test_a_loss_that_a_trial_never_logged_has_not_diverged(tmp_path: Path) -> None:
    write_trial(tmp_path / "T_1", {"val_fraction": 0}, {"val_loss": [0.5, 0.4]})
    write_trial(tmp_path / "T_2", {"val_fraction": 0.1}, {"val_loss": [0.5, 0.4], "test_loss": [0.5, math.inf]})
    assert analysis.load(tmp_path).set_index("trial_dir")["diverged"].to_dict() == {"T_1": False, "T_2": True}


def test_a_trial_that_has_lost_its_hyperparameters_is_no_value_of_an_axis(tmp_path: Path) -> None:
    for n in range(16):
        config = {"model": ["SET", "RigL"][n % 2], "on_perc": 0.1, "seed": n // 2}
        write_trial(tmp_path / f"T_{n:02}", config, {"val_acc": [0.5 + 0.01 * (n % 2)]})
    whole = analysis.compare(analysis.load(tmp_path), "model", "val_acc_max")["conclusion"][0]
    for name in ("params.json", "result.json", "progress.csv"):
        (tmp_path / "T_00" / name).write_text("{")
    df = analysis.load(tmp_path)
    assert analysis.varying(df) == {"model": 2, "seed": 8}
    assert "1 without hyperparameters" in analysis.left_out(df)
    (found,) = analysis.compare(df, "model", "val_acc_max")["conclusion"]
    assert "nothing" not in found
    assert found.startswith(whole.split(" (")[0])


def test_a_trial_of_ours_that_died_and_goes_on_has_not_failed(tmp_path: Path) -> None:
    rows = {"val_acc": [0.5]}
    error = "Traceback\nActorUnavailableError: gone\n"
    trial = write_trial(tmp_path / "trial_0123456789ab", {"on_perc": 0.1}, rows, done=False, error=error)

    def told() -> list[str | None]:
        [(status, last_line)] = analysis.load(tmp_path)[["status", "error"]].itertuples(index=False)
        return [status, None if pd.isna(last_line) else last_line]

    # Of another project the file is all there is to go by.
    assert told() == ["error", "ActorUnavailableError: gone"]
    (trial / "about.json").write_text("{}")
    assert told() == ["incomplete", None]
    (trial / "failed.json").write_text(json.dumps({"error": "ValueError: no"}))
    assert told() == ["error", "ValueError: no"]
