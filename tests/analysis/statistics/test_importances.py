"""importance against scikit-learn and scipy used directly."""

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from sklearn.ensemble import RandomForestRegressor
from support.grids import fail, grid, noisy, shuffled

from analysis import importance

METRIC = "val_acc_max"


def test_a_forest_finds_what_matters_and_which_way() -> None:
    df = grid(
        lambda on_perc, kwinners, model, seed: on_perc - 0.1 * kwinners + 0.02 * (model == "b"),
        on_perc=[0.1, 0.2, 0.4],
        kwinners=[False, True],
        model=["a", "b", "c"],
        seed=range(3),
    )
    table = importance(df, METRIC).set_index("parameter")
    assert list(table.columns) == ["importance", "correlation", "p", "n"]
    assert table.index.tolist()[:3] == ["on_perc", "kwinners", "model"], "the most important first"
    assert table["importance"].sum() == pytest.approx(1) and table.loc["seed", "importance"] < 1e-3
    assert (table["n"] == 54).all() and "constant" not in table.index
    r, p = scipy.stats.pearsonr(df["on_perc"], df[METRIC])
    assert table.loc["on_perc", ["correlation", "p"]].tolist() == pytest.approx([r, p])
    r, p = scipy.stats.pearsonr(df["kwinners"].astype(int), df[METRIC])
    assert table.loc["kwinners", ["correlation", "p"]].tolist() == pytest.approx([r, p]) and r < 0
    assert table.loc["model", ["correlation", "p"]].isna().all()


def test_importances_are_those_of_scikit_learn() -> None:
    df = grid(noisy(0, x=1.0, y=0.3), x=[0.1, 0.2, 0.3, 0.4], y=[0.0, 0.5, 1.0], seed=range(4))
    features = df[["x", "y", "seed"]]
    forest = RandomForestRegressor(200, random_state=0).fit(features.to_numpy(float), df[METRIC])
    table = importance(df, METRIC).set_index("parameter")["importance"]
    assert table[["x", "y", "seed"]].tolist() == pytest.approx(forest.feature_importances_.tolist())


def test_an_interaction_has_importance_without_correlation() -> None:
    df = grid(lambda a, b, seed: (a - 0.5) * (b - 0.5), a=[0, 1], b=[0, 1], seed=range(6))
    table = importance(df, METRIC).set_index("parameter")
    assert table.loc[["a", "b"], "correlation"].tolist() == pytest.approx([0, 0], abs=1e-12)
    assert (table.loc[["a", "b"], "importance"] > 0.3).all()


def test_texts_tuples_and_missing_values() -> None:
    df = grid(noisy(0), model=["a", "b"], sizes=[(3, 1), (3,), None], rate=[0.1, None, 0.2], seed=range(3))
    table = importance(df.assign(val_acc_max=df[METRIC] + (df["model"] == "b")), METRIC).set_index("parameter")
    assert table.loc["model", "correlation"] > 0.99 and table.loc["model", "importance"] > 0.9
    assert table["n"].to_dict() == {"model": 54, "sizes": 36, "rate": 36, "seed": 54}
    used = df[df["rate"].notna()]
    value = used[METRIC] + (used["model"] == "b")
    assert table.loc["rate", "correlation"] == pytest.approx(np.corrcoef(used["rate"].astype(float), value)[0, 1])


def test_only_complete_trials_count() -> None:
    df = grid(noisy(0), on=[False, True], x=[1, 2, 3], seed=range(3))
    table = importance(fail(df, df["on"]), METRIC)
    assert set(table["parameter"]) == {"x", "seed"} and (table["n"] == 9).all()
    df.loc[0, METRIC] = math.nan
    assert (importance(df, METRIC)["n"] == 17).all()


def test_a_constant_metric_and_too_few_trials() -> None:
    table = importance(grid(lambda x: 0.5, x=[1, 2, 3]), METRIC)
    assert table["importance"].tolist() == [0.0] and table["correlation"].isna().all() and table["p"].isna().all()
    assert importance(grid(lambda x: x, x=[1, 2]), METRIC)["correlation"].isna().all()


def test_order_of_rows_does_not_matter_and_arguments_stay() -> None:
    df = grid(noisy(0, x=1.0), x=[0.1, 0.2, 0.3], model=["a", "b"], on=[True, False], seed=range(3))
    before = df.copy()
    table = importance(df, METRIC)
    pd.testing.assert_frame_equal(df, before)
    # The tolerance: sums in another order.
    pd.testing.assert_frame_equal(importance(shuffled(df), METRIC), table, rtol=1e-9)
    assert table["importance"].tolist() == importance(df, METRIC)["importance"].tolist()


def test_errors() -> None:
    df = grid(noisy(0), on=[False, True])
    with pytest.raises(ValueError, match=r"Unknown column 'val_acc'\. Did you mean 'val_acc_max'"):
        importance(df, "val_acc")
    with pytest.raises(ValueError, match="metric must be a column of numbers, got 'status'"):
        importance(df, "status")
    with pytest.raises(ValueError, match=r"No hyperparameter varies among the 1 complete trials\. .*that vary: on\.$"):
        importance(fail(df, df["on"]), METRIC)
    with pytest.raises(ValueError, match=r"No hyperparameter varies among the 0 complete trials\. .*that vary: on\.$"):
        importance(fail(df, df["on"] | True), METRIC)
