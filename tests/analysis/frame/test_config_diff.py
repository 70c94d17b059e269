"""Which keys differ between experiments or trials."""

from pathlib import Path

import pandas as pd
import pytest
from support.trial_folders import write_trial

from analysis import differences, load, load_many, without_constant


@pytest.fixture
def two(tmp_path: Path) -> pd.DataFrame:
    """Experiments "a" and "b", which differ in on_perc and sizes; only "b" knows `extra`."""
    for n in range(3):
        write_trial(tmp_path / "a" / f"T_{n}", {"on_perc": 0.1, "sizes": [3, n], "model": "SET", "seed": n})
        config = {"on_perc": 0.1 * n, "sizes": [3, 0], "model": "SET", "seed": n, "extra": "x"}
        write_trial(tmp_path / "b" / f"T_{n}", config)
    return load_many([tmp_path / "a", tmp_path / "b"])


def test_differences_of_experiments(two: pd.DataFrame) -> None:
    before = two.copy()
    table = differences(two)
    a, b = sorted(two["experiment_file_name"].unique())
    assert list(table.columns) == ["parameter", a, b]
    found = table.set_index("parameter")
    assert list(found.index) == ["on_perc", "sizes", "extra"]
    assert found.loc["on_perc", a] == 0.1
    assert found.loc["on_perc", b] == (0.0, 0.1, 0.2)
    assert found.loc["sizes", a] == ((3, 0), (3, 1), (3, 2))
    assert found.loc["sizes", b] == (3, 0)
    assert pd.isna(found.loc["extra", a])
    assert found.loc["extra", b] == "x"
    pd.testing.assert_frame_equal(two, before)


def test_differences_of_trials(two: pd.DataFrame, tmp_path: Path) -> None:
    table = differences(load(tmp_path / "a"), by="trial_dir")
    assert table.to_dict("list") == {
        "parameter": ["sizes", "seed"],
        "T_0": [(3, 0), 0],
        "T_1": [(3, 1), 1],
        "T_2": [(3, 2), 2],
    }


def test_a_single_group_differs_from_nothing(tmp_path: Path) -> None:
    write_trial(tmp_path / "a" / "T_0", {"on_perc": 0.1})
    assert len(differences(load(tmp_path / "a"))) == 0


def test_a_column_that_does_not_exist(two: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match=r"Unknown column 'trial_dirr'.*trial_dir"):
        differences(two, by="trial_dirr")
    with pytest.raises(ValueError, match=r"Unknown column 'modl'.*model"):
        without_constant(two, keep=["modl"])


def test_constant_columns_are_hidden(two: pd.DataFrame) -> None:
    shown = without_constant(two, keep=["model"])
    assert {"on_perc", "sizes", "seed", "extra", "model", "trial_dir"} <= set(shown)
    assert not {"status", "epochs", "error"} & set(shown)
    assert len(shown) == len(two)
    assert "model" not in without_constant(two)
