"""Copies of other trials: their first rows belong to the trials that trained them."""

from pathlib import Path

import pytest
from support.trial_folders import write_trial

import analysis


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Trial b is a copy of a after 2 epochs, and c is a copy of b after 3."""
    write_trial(tmp_path / "T_a", {"lr": 0.1, "n": 5}, {"val_acc": [0.1, 0.2, 0.3, 0.4]})
    write_trial(
        tmp_path / "T_b",
        {"lr": 0.2, "n": 5, "starts_from": "a@2"},
        {"val_acc": [0.1, 0.2, 0.6, 0.7], "copied_from": ["T_a", "T_a", None, None]},
    )
    write_trial(
        tmp_path / "T_c",
        {"lr": 0.3, "n": 5, "starts_from": "b@3"},
        {"val_acc": [0.1, 0.2, 0.6, 0.9], "copied_from": ["T_a", "T_a", "T_b", None]},
    )
    return tmp_path


def test_each_row_of_the_history_has_the_settings_with_which_it_was_trained(folder: Path) -> None:
    history = analysis.load_history(folder)
    assert {name: rows["lr"].tolist() for name, rows in history.groupby("trial_dir")} == {
        "T_a": [0.1, 0.1, 0.1, 0.1],
        "T_b": [0.1, 0.1, 0.2, 0.2],
        "T_c": [0.1, 0.1, 0.2, 0.3],
    }
    assert history["n"].eq(5).all()
    assert history.loc[history["trial_dir"] == "T_c", "starts_from"].eq("b@3").all()
    # One row per trial: the settings of its last row.
    assert analysis.load(folder)["lr"].tolist() == [0.1, 0.2, 0.3]


@pytest.mark.parametrize("lost", ["T_a", "T_b"])
def test_without_the_folder_of_the_other_trial_a_row_has_the_settings_of_the_copy(folder: Path, lost: str) -> None:
    for path in (folder / lost).iterdir():
        path.unlink()
    (folder / lost).rmdir()
    rates = analysis.load_history(folder).groupby("trial_dir")["lr"].agg(list)["T_c"]
    assert rates == {"T_a": [0.3, 0.3, 0.2, 0.3], "T_b": [0.1, 0.1, 0.3, 0.3]}[lost]


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [(2, {"T_a": 0.2}), (3, {"T_a": 0.3, "T_b": 0.6}), (4, {"T_a": 0.4, "T_b": 0.7, "T_c": 0.9})],
)
def test_at_an_epoch_a_copy_counts_once_it_has_trained_itself(
    epoch: int, expected: dict[str, float], folder: Path
) -> None:
    df = analysis.load_many([folder], at_epoch=epoch)
    assert df.set_index("trial_dir")["val_acc_last"].to_dict() == expected
    assert df["status"].eq("complete").all() and df["experiment_file_name"].eq(str(folder)).all()
    # The table of the rows, without result.json, has the same trials.
    for path in folder.glob("*/result.json"):
        path.unlink()
    assert analysis.load(folder, at_epoch=epoch)["trial_dir"].tolist() == list(expected)
