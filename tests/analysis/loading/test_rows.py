"""The rows of a trial: those of one straight run, the config of each, and whether it diverged."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from support.trial_folders import write_rows, write_trial

import analysis
from analysis.loading.cache import read
from analysis.loading.columns import history_of
from analysis.loading.rows import config_by_row, divergence, straight_run
from analysis.loading.trial_dir import stamp_of_states, trial_folders


@pytest.mark.parametrize(
    ("iterations", "kept"),
    [
        ([1, 2, 3], [0, 1, 2]),
        ([1, 2, 3, 4, 5, 3, 4], [0, 1, 5, 6]),
        ([1, 2, 3, 1, 2], [3, 4]),
        ([1, 2, 2, 3], [0, 2, 3]),
        ([1, 2, 3, 2, 3, 4, 1], [6]),
        ([1, 2, 5, 6, 5], [0, 1, 4]),
        ([None, None], [0, 1]),
        ([1, 2, None, 3, None, 2, None], [0, 5, 6]),
        (["1", "2", "3", "2"], [0, 3]),
        ([1, "x", math.nan, 2], [0, 1, 2, 3]),
        ([], []),
    ],
)
def test_rows_of_an_attempt_that_was_thrown_away_are_dropped(iterations: list[Any], kept: list[int]) -> None:
    rows = [{"place": place, "training_iteration": number} for place, number in enumerate(iterations)]
    assert [row["place"] for row in straight_run(rows)] == kept


def test_a_trial_that_was_restored_ends_where_its_last_attempt_ended(tmp_path: Path) -> None:
    folder = write_trial(tmp_path / "T_0", {"lr": 1}, {"val_acc": [0.1, 0.2, 0.3, 0.4, 0.5]}, done=False)
    rows = [json.loads(line) for line in (folder / "result.json").read_text().splitlines()]
    again = [
        {**rows[2], "val_acc": 0.33, "iterations_since_restore": 1},
        {**rows[3], "val_acc": 0.44, "iterations_since_restore": 2, "done": True},
    ]
    write_rows(folder, [*rows, *again])
    (row,) = analysis.load(tmp_path).to_dict("records")
    assert (row["epochs"], row["val_acc_last"], row["val_acc_max"], row["status"]) == (4, 0.44, 0.44, "complete")
    assert row["trial_time"] == pytest.approx(4 * 26.4 / 60)
    assert analysis.load_history(tmp_path)["val_acc"].tolist() == [0.1, 0.2, 0.33, 0.44]


def perturbed(since: list[int | None]) -> list[dict[str, Any]]:
    """Return the rows of a trial of which a restore changed the rate and the sizes."""
    configs = [{"optim": {"lr": 0.1}, "sizes": [3], "seed": 0}] * 2 + [
        {"optim": {"lr": 0.2}, "sizes": [3, 3], "seed": 0}
    ]
    return [
        {"training_iteration": n + 1, "val_acc": 0.1 * n, "config": config, "iterations_since_restore": each}
        for n, (config, each) in enumerate(zip(configs, since, strict=True))
    ]


@pytest.mark.parametrize("since", [[1, 2, 1], [None, None, None]])
def test_a_config_that_changes_within_a_trial_is_seen_in_each_row(since: list[int | None], tmp_path: Path) -> None:
    rows = perturbed(since)
    assert config_by_row(rows) == {"optim/lr": [0.1, 0.1, 0.2], "sizes": [(3,), (3,), (3, 3)]}
    folder = write_trial(tmp_path / "T_b", rows[-1]["config"], {"val_acc": [0]})
    write_rows(folder, rows)
    write_trial(tmp_path / "T_a", {"optim": {"lr": 0.05}, "sizes": [9], "seed": 0}, {"val_acc": [0.1]})
    df = analysis.load_history(tmp_path)
    assert df["optim/lr"].tolist() == [0.05, 0.1, 0.1, 0.2]
    assert df["sizes"].tolist() == [(9,), (3,), (3,), (3, 3)]
    assert df["seed"].tolist() == [0] * 4
    assert analysis.load(tmp_path)["optim/lr"].tolist() == [0.05, 0.2], "load has the last value"


def test_a_config_that_changes_survives_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows(write_trial(tmp_path / "T_b", {"lr": 1}, {"val_acc": [0]}), perturbed([1, 2, 1]))
    monkeypatch.setattr("analysis.loading.experiment.TOO_SMALL", 0)
    monkeypatch.setattr("analysis.loading.experiment.SETTLED_AFTER_SECONDS", -60)
    first = analysis.load_history(tmp_path)
    cached = read(tmp_path, stamp_of_states(tmp_path), trial_folders(tmp_path))
    assert cached is not None and cached.stamps.keys() == {"T_b"}
    again = analysis.load_history(tmp_path)
    assert again["sizes"].tolist() == first["sizes"].tolist() == [(3,), (3,), (3, 3)]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([{"train_loss": 1.0, "val_loss": math.nan}, {"train_loss": 1.0}], [1]),
        ([{"loss": math.nan}, {"loss": 0.5}], [1, 2]),
        ([{"loss": 0.5}, {"loss": None}], []),
        ([{"loss": 0.5}, {"loss": "tensor(nan)"}], [2]),
        ([{"loss": 0.5}, {"loss": "nan"}, {"loss": None}, {"loss": "text"}, {"loss": math.inf}], [2, 4, 5]),
        ([{"info": {"loss": 1}}, {"info": {"loss": math.inf}}], [2]),
        ([{"val_acc": math.nan}], []),
        ([], []),
    ],
)
def test_the_last_loss_that_was_logged_decides_whether_a_trial_diverged(rows: list[Any], expected: list[int]) -> None:
    assert divergence(history_of(rows, set())) == expected
