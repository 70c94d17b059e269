"""Which columns are hyperparameters and metrics: decided at load, whatever happens to the DataFrame afterwards."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.grids import grid, noisy
from support.trial_folders import write_trial

import analysis
from analysis.plots import plot_axis, plot_parallel

AXES = ["model", "on_perc", "seed"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A full grid of 2 x 3 x 4 trials with 3 epochs."""
    experiment = tmp_path_factory.mktemp("schema") / "run"
    rng = np.random.default_rng(0)
    for n in range(24):
        config = {"model": ["SET", "RigL"][n % 2], "on_perc": [0.1, 0.2, 0.3][n // 2 % 3], "seed": n // 6, "epochs": 3}
        write_trial(experiment / f"T_{n:02d}", config, {"val_acc": rng.uniform(0.8, 0.9, 3).tolist()})
    return experiment


@pytest.fixture
def df(folder: Path) -> pd.DataFrame:
    return analysis.load(folder)


def with_own_columns(df: pd.DataFrame) -> pd.DataFrame:
    """Columns that a user may add: numbers that differ in every trial, a label, and one called like a metric."""
    return df.assign(
        percent=np.arange(len(df)) * 1.5, label=[f"t{n}" for n in range(len(df))], my_acc_max_epoch=np.arange(len(df))
    )


def test_schema_of_trials(df: pd.DataFrame) -> None:
    assert analysis.hyperparameters(df) == ["model", "on_perc", "seed", "config/epochs"]
    summaries = ["val_acc_max", "val_acc_max_epoch", "val_acc_min", "val_acc_min_epoch", "val_acc_median"]
    assert analysis.metrics(df) == [*summaries, "val_acc_last"]
    assert analysis.logged(df) == ["val_acc"]
    assert analysis.varying(df) == {"model": 2, "on_perc": 3, "seed": 4}
    assert all(isinstance(df.attrs[name], tuple) for name in ("hyperparameters", "metrics"))


def test_schema_of_a_history(folder: Path) -> None:
    history = analysis.load_history(folder)
    # Here no column of the run takes the name of this key.
    assert analysis.hyperparameters(history) == ["model", "on_perc", "seed", "epochs"]
    assert analysis.metrics(history) == ["val_acc"]


KEEPS_SCHEMA: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "filter": lambda df: df[df["on_perc"] > 0.1],
    "query": lambda df: df.query("on_perc > 0.1"),
    "sort": lambda df: df.sort_values("val_acc_max", ascending=False),
    "copy": lambda df: df.copy(),
    "assign": lambda df: df.assign(more=1),
    "reset": lambda df: df.reset_index(drop=True),
    "reorder": lambda df: df[list(reversed(df.columns))],
    "set a column": lambda df: df.copy().pipe(lambda copy: copy.__setitem__("more", range(len(copy))) or copy),
    "concat of the same experiment": lambda df: pd.concat([df, df]),
}


@pytest.mark.parametrize("change", KEEPS_SCHEMA)
def test_schema_survives(change: str, df: pd.DataFrame) -> None:
    changed = KEEPS_SCHEMA[change](with_own_columns(df))
    assert set(analysis.hyperparameters(changed)) == set(analysis.hyperparameters(df))
    assert set(analysis.metrics(changed)) == set(analysis.metrics(df))


def test_schema_survives_a_file(df: pd.DataFrame, tmp_path: Path) -> None:
    analysis.save(with_own_columns(df), tmp_path / "trials.parquet")
    again = pd.read_parquet(tmp_path / "trials.parquet")
    assert analysis.hyperparameters(again) == analysis.hyperparameters(df)
    assert analysis.metrics(again) == analysis.metrics(df)


RESULTS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "agg": lambda df: analysis.agg(df, "model", "val_acc_max"),
    "anova": lambda df: analysis.anova(df, "val_acc_max"),
    "compare": lambda df: analysis.compare(df, ["model", "on_perc"], "val_acc_max"),
    "correlation": lambda df: analysis.correlation(df, "val_acc_max"),
    "differences": lambda df: analysis.differences(df, by="trial_dir"),
    "failures": analysis.failures,
    "importance": lambda df: analysis.importance(df, "val_acc_max"),
    "pivot": lambda df: analysis.pivot(df, "model", "on_perc", "val_acc_max"),
    "survivorship": lambda df: analysis.survivorship(df, "on_perc", "val_acc_max"),
    "varying": lambda df: pd.DataFrame([analysis.varying(df)]),
}


@pytest.mark.parametrize("name", RESULTS)
def test_own_columns_change_no_result(name: str, df: pd.DataFrame) -> None:
    df = df.assign(status=["error", *df["status"][1:]]) if name in ("failures", "survivorship") else df
    expected = RESULTS[name](df)
    assert len(expected)
    pd.testing.assert_frame_equal(RESULTS[name](with_own_columns(df)), expected)


@pytest.mark.parametrize(
    "draw", [lambda df: plot_axis(df, "on_perc", "val_acc_max"), lambda df: plot_parallel(df, "val_acc_max")]
)
def test_own_columns_change_no_plot(draw: Callable[[pd.DataFrame], object], df: pd.DataFrame) -> None:
    assert draw(with_own_columns(df)) == draw(df)


def test_own_columns_of_a_history_change_no_result(folder: Path) -> None:
    history = analysis.load_history(folder)
    mine = history.assign(label=history["trial_dir"] + "!", percent=100 * history["val_acc"])
    for call in (
        lambda each: analysis.epochs_to(each, "val_acc", 0.85),
        lambda each: analysis.curves(each, "model", "val_acc"),
    ):
        pd.testing.assert_frame_equal(call(mine), call(history))


def test_a_dropped_or_renamed_hyperparameter_is_no_axis_any_more(df: pd.DataFrame) -> None:
    assert analysis.varying(df.drop(columns="on_perc")) == {"model": 2, "seed": 4}
    renamed = df.rename(columns={"on_perc": "density"})
    assert analysis.varying(renamed) == {"model": 2, "seed": 4}
    told = analysis.as_trials(renamed, [*analysis.hyperparameters(renamed), "density"])
    assert analysis.varying(told) == {"model": 2, "density": 3, "seed": 4}
    assert analysis.metrics(told) == analysis.metrics(df)
    pd.testing.assert_frame_equal(
        analysis.anova(told, "val_acc_max").replace({"term": {"density": "on_perc", "model:density": "model:on_perc"}}),
        analysis.anova(df, "val_acc_max"),
    )


def test_without_a_schema_what_load_did_not_compute_is_a_hyperparameter(df: pd.DataFrame) -> None:
    lost = df.assign(mine=range(len(df)))
    lost.attrs = {}
    assert analysis.hyperparameters(lost) == [*analysis.hyperparameters(df), "mine"]
    assert analysis.metrics(lost) == analysis.metrics(df)


def test_trials_of_ones_own() -> None:
    full = grid(noisy(0, width=0.01), width=[1, 2, 3], seed=range(6))
    own = full[["width", "seed", "val_acc_max"]].assign(note="x", when=range(len(full)))
    before = own.copy()
    trials = analysis.as_trials(own, ["width", "seed"], ["val_acc_max"])
    assert (trials["status"] == "complete").all() and trials["trial_id"].is_unique
    assert analysis.hyperparameters(trials) == ["width", "seed"]
    assert analysis.metrics(trials) == ["val_acc_max"]
    pd.testing.assert_frame_equal(
        analysis.compare(trials, "width", "val_acc_max"), analysis.compare(full, "width", "val_acc_max")
    )
    pd.testing.assert_frame_equal(own, before)
    assert not own.attrs


def test_lists_of_ones_own_become_tuples() -> None:
    own = pd.DataFrame({"sizes": [[3, 2], [4]], "accuracy": [0.1, 0.2]})
    assert list(analysis.as_trials(own, ["sizes"], ["accuracy"])["sizes"]) == [(3, 2), (4,)]


def test_errors_of_as_trials() -> None:
    own = pd.DataFrame({"width": [1], "note": ["x"]})
    with pytest.raises(ValueError, match=r"hyperparameters must be a list of columns, got 'width'\. Write \['width'\]"):
        analysis.as_trials(own, "width")
    with pytest.raises(ValueError, match=r"widht.*width"):
        analysis.as_trials(own, ["widht"])
    with pytest.raises(ValueError, match=r"a hyperparameter or a metric, not both; got \['width'\]"):
        analysis.as_trials(own, ["width"], ["width"])
    with pytest.raises(ValueError, match="'note'"):
        analysis.as_trials(own, ["width"], ["note"])


def of_networks(**changed: object) -> pd.DataFrame:
    """Two networks and two data sets, with the facts that a trial notes of them."""
    facts = {"a.py:net": "01", "b.py:net": "02", "x.csv": (3, "0x"), "y.csv": (5, "0y")}
    rows = [
        {
            "network": network, "network_hash": facts[network], "dataset_name": data, "input_size": facts[data][0],
            "num_classes": 2, "data_hash": facts[data][1], "seed": seed,
            "acc": 0.8 + 0.01 * seed + 0.1 * (data == "y.csv"),
        }
        for network in ("a.py:net", "b.py:net")
        for data in ("x.csv", "y.csv")
        for seed in range(3)
    ]  # fmt: skip
    df = pd.DataFrame(rows).assign(**changed)
    return analysis.as_trials(df, [name for name in df if name != "acc"], ["acc"])


def test_facts_that_follow_a_name_do_not_vary_of_themselves() -> None:
    df = of_networks()
    assert analysis.varying(df) == {"network": 2, "dataset_name": 2, "seed": 3}
    assert "network_hash" in analysis.hyperparameters(df)
    by_data = analysis.compare(df, "dataset_name", "acc")
    assert by_data["pairs"].tolist() == [6] and by_data["difference"].tolist() == pytest.approx([0.1])
    assert analysis.compare(df, "network", "acc")["pairs"].tolist() == [6]
    assert analysis.contrasts(df, "network", "acc", within="dataset_name")["difference"].tolist() == pytest.approx(
        [0, 0]
    )
    # Two sources of one name are two networks.
    edited = of_networks(network_hash=[f"{n % 2}" for n in range(12)])
    assert analysis.varying(edited) == {"network": 2, "network_hash": 2, "dataset_name": 2, "seed": 3}
    # Without the name, the hash tells networks apart.
    assert "network_hash" in analysis.varying(df.drop(columns="network"))
    # Numbers of classes follow the label column, too.
    columns = of_networks(dataset_name="x.csv", input_size=3, data_hash="0x", num_classes=[2, 4] * 6)
    assert "num_classes" in analysis.varying(columns)
    labelled = of_networks(
        dataset_name="x.csv", input_size=3, data_hash="0x", num_classes=[2, 4] * 6, target=["kind", "class"] * 6
    )
    assert analysis.varying(labelled) == {"network": 2, "seed": 3, "target": 2}
