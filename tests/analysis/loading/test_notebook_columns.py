"""The cells of the notebook, as they stand, on a loaded DataFrame."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis import mean_and_std, round_mean, stats


@pytest.fixture(scope="module")
def df(notebook_run: Path) -> pd.DataFrame:
    df = analysis.load(notebook_run)
    df = df[df["epochs"]>=30]  # fmt: skip
    return df


CELL = {
    "val_acc_max_epoch": round_mean,
    "val_acc_max": stats,
    "noise_acc_max_epoch": round_mean,
    "noise_acc_max": stats,
    "model": ["count"],
}


def expected_stats(values: pd.Series) -> list[float]:
    array = values.to_numpy()
    return [round(float(x), 3) for x in (array.min(), array.max(), array.mean(), np.std(array, ddof=1))]


def test_short_trials_are_dropped(df: pd.DataFrame) -> None:
    assert len(df) == 64 and df["on_perc"].value_counts().to_dict() == {0.05: 16, 0.1: 24, 0.2: 24}


@pytest.mark.parametrize("keys", [["on_perc"], ["kwinners"], ["on_perc", "hebbian_grow"]])
def test_groupby(df: pd.DataFrame, keys: list[str]) -> None:
    table = df.groupby(keys[0] if len(keys) == 1 else keys).agg(CELL)
    for values, group in df.groupby(keys):
        row = table.loc[values[0] if len(keys) == 1 else values]
        assert row["val_acc_max", "stats"] == expected_stats(group["val_acc_max"])
        assert row["noise_acc_max", "stats"] == expected_stats(group["noise_acc_max"])
        assert row["val_acc_max_epoch", "round_mean"] == round(sum(group["val_acc_max_epoch"]) / len(group))
        assert row["model", "count"] == len(group)
    assert len(table) == df[keys].drop_duplicates().shape[0]


def test_groupby_in_the_mixed_form(df: pd.DataFrame) -> None:
    cell = {"val_acc_max_epoch": [round_mean], "val_acc_max": ["max", stats], "model": ["count"]}
    table = df.groupby("on_perc").agg(cell)
    assert list(table.columns) == [
        ("val_acc_max_epoch", "round_mean"),
        ("val_acc_max", "max"),
        ("val_acc_max", "stats"),
        ("model", "count"),
    ]
    top = df.loc[df["on_perc"] == 0.2, "val_acc_max"]
    assert table.loc[0.2, ("val_acc_max", "max")] == top.max()
    assert table.loc[0.2, ("val_acc_max", "stats")] == expected_stats(top)


def test_filter_then_groupby(df: pd.DataFrame) -> None:
    filter = df["on_perc"] == 0.2
    table = df[filter].groupby("hebbian_prune_perc").agg(CELL)
    assert table["model", "count"].tolist() == [8, 8, 8]
    filter = (df["on_perc"] == 0.2) & (df["weight_prune_perc"] == 0)
    assert df[filter].groupby("kwinners").agg(CELL)["model", "count"].tolist() == [6, 6]


def test_pivot_table(df: pd.DataFrame) -> None:
    filter = df["on_perc"] == 0.2
    table = pd.pivot_table(
        df[filter],
        index=["kwinners", "hebbian_prune_perc"],
        columns="weight_prune_perc",
        values="val_acc_max",
        aggfunc=mean_and_std,
    )
    assert table.shape == (6, 2)
    for (kwinners, heb), row in table.iterrows():
        for weight, text in row.items():
            cell = df[
                filter
                & (df["kwinners"] == kwinners)
                & (df["hebbian_prune_perc"] == heb)
                & (df["weight_prune_perc"] == weight)
            ]["val_acc_max"].to_numpy()
            assert len(cell) == 2
            assert text == f"{cell.mean():.3f} ± {abs(cell[0] - cell[1]) / 2**0.5:.3f}"


def test_pivot_table_of_single_trials(df: pd.DataFrame) -> None:
    filter = (df["on_perc"] == 0.2) & df["hebbian_grow"]
    keys = ["kwinners", "hebbian_prune_perc"]
    table = pd.pivot_table(
        df[filter], index=keys, columns="weight_prune_perc", values="val_acc_max", aggfunc=mean_and_std
    )
    assert all(text.endswith(" (n=1)") for text in table.to_numpy().ravel())
