"""load with at_epoch: trials as if their training had ended after some epochs."""

import math
from pathlib import Path

import pytest
from support.trial_folders import write_rows, write_trial

import analysis


def test_a_trial_that_diverged_later_has_not_diverged(tmp_path: Path) -> None:
    acc = [0.5, 0.6, 0.1]
    write_trial(tmp_path / "T_0", {"lr": 0.1}, {"val_acc": acc, "val_loss": [1.0, 0.9, 0.8]})
    write_trial(tmp_path / "T_1", {"lr": 1}, {"val_acc": acc, "val_loss": [1.0, 0.9, math.nan]})
    write_trial(tmp_path / "T_2", {"lr": 2}, {"val_acc": acc, "val_loss": [math.nan, 0.9, 0.8]})
    # Never logged: no value of another trial's loss.
    write_trial(tmp_path / "T_3", {"lr": 3}, {"val_acc": acc, "train_loss": [math.inf] * 3})
    assert analysis.load(tmp_path)["diverged"].tolist() == [False, True, False, True]
    assert analysis.load(tmp_path, at_epoch=2)["diverged"].tolist() == [False, False, False, True]
    assert analysis.load(tmp_path, at_epoch=1)["diverged"].tolist() == [False, False, True, True]


def test_hyperparameters_that_change_have_the_value_of_the_last_epoch(tmp_path: Path) -> None:
    configs = [{"lr": 0.1}, {"lr": 0.1}, {"lr": 0.2}]
    folder = write_trial(tmp_path / "T_0", configs[-1], {"val_acc": [0.1]})
    rows = [
        {"training_iteration": place, "val_acc": 0.1 * place, "config": config, "iterations_since_restore": since}
        for place, (config, since) in enumerate(zip(configs, [1, 2, 1], strict=True), start=1)
    ]
    write_rows(folder, rows)
    assert analysis.load(tmp_path)["lr"].tolist() == [0.2]
    df = analysis.load(tmp_path, at_epoch=2)
    assert (df["lr"].tolist(), df["val_acc_max"].tolist(), df["epochs"].tolist()) == ([0.1], [0.2], [2])


@pytest.mark.parametrize("epoch", [0, 4, True, 1.0])
def test_only_epochs_that_a_trial_has_are_allowed(epoch: object, tmp_path: Path) -> None:
    write_trial(tmp_path / "T_0", {"lr": 0.1}, {"val_acc": [0.5, 0.6, 0.1]})
    with pytest.raises(ValueError, match=rf"^at_epoch must be a whole number from 1 to 3, .* got {epoch}\.$"):
        analysis.load(tmp_path, at_epoch=epoch)
