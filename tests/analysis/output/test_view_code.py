"""The code of a view, run: it gives the same table, the same means and the same curves."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.trial_folders import write_trial

from analysis import as_trials, hyperparameters, load, load_example, load_history, load_many, pivot, select
from analysis.output.view_code import OWN, code_of, condition_of
from analysis.output.views import View, choices_of, first_view, shown_trials

pytest.importorskip("plotly")

from analysis.output.view_figures import MOST_CURVES, learning_curves

TRICKY = 'it\'s "here" \\ $(x)'


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 trials in a folder whose name has quotes, with values of all types; one trial has failed."""
    experiment = tmp_path_factory.mktemp("runs") / TRICKY
    random = np.random.default_rng(0)
    for n in range(24):
        config = {
            "model": ["SET", "it's", "RigL"][n % 3],
            "hidden_sizes": [[100, 100], [50]][n // 3 % 2],
            "clip norm": [None, 0.5][n // 6 % 2],
            "width": [10, "auto"][n // 12],
            "kwinners": n % 2 == 0,
        }
        metrics = {name: random.uniform(0, 1, 3).tolist() for name in ("val_acc", "val_loss")}
        error = "ValueError: gone" if n == 7 else None
        write_trial(experiment / f"T_{n:02d}", config, metrics, done=n != 7, error=error)
    return experiment


def usual(df: pd.DataFrame, metric: str | None = None) -> View:
    return first_view(df, choices_of(df, metric))


def run(code: str, **names: Any) -> dict[str, Any]:
    exec(code, names)
    return names


def check(df: pd.DataFrame, view: View) -> str:
    """Run the code and compare everything that it makes; return the code."""
    code = code_of(df, view, MOST_CURVES)
    found, shown = run(code, df=df), shown_trials(df, view)
    pd.testing.assert_frame_equal(found["table"].reset_index(drop=True), shown[list(view.columns)])
    if "means" in found:
        pd.testing.assert_frame_equal(found["means"], pivot(shown, view.rows, view.across, view.metric))
    if "figure" in found:
        history = load_history(shown["experiment_file_name"][0])
        assert found["figure"] == learning_curves(history, view, list(shown["trial_dir"]), False)
    return code


CHANGES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "a text": {"filters": {"model": ("it's",)}},
    "tuples": {"filters": {"hidden_sizes": ((50,), (100, 100)), "kwinners": (True,)}},
    "a missing value": {"filters": {"clip norm": (None,)}},
    "a missing value and a number": {"filters": {"clip norm": (0.5, None), "width": (10,)}},
    "a status": {"filters": {"status": ("error",)}},
    "an order": {"sort_by": "hidden_sizes", "descending": True},
    "no order": {"sort_by": "width", "descending": False},
    "missing values": {"sort_by": "clip norm", "descending": True},
    "columns": {"columns": ("status", "clip norm", "val_acc_last", "error")},
    "groups": {"rows": "kwinners", "across": "clip norm", "curves_by": "hidden_sizes"},
    "one group twice": {"rows": "model", "across": "model"},
    "nothing left": {"filters": {"model": ()}},
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_code_gives_the_same_tables_and_curves(experiment: Path, name: str) -> None:
    df = load(experiment)
    code = check(df, replace(usual(df), **CHANGES[name]))
    assert f"df = load({str(experiment)!r})\n" in code
    assert ("pivot(" in code) == (name not in ("one group twice", "nothing left"))
    assert ("plot_curves(" in code) == (name != "nothing left")


def test_the_code_can_be_read(tmp_path: Path) -> None:
    for n in range(4):
        write_trial(tmp_path / f"T_{n}", {"model": "SR"[n // 2], "seed": n % 2}, {"val_acc": [n / 9]})
    df = load(tmp_path)
    view = replace(usual(df), filters={"model": ("S",)}, columns=("val_acc_max", "seed"), across="seed")
    assert code_of(df, view, 12) == (
        "from analysis import load, load_history, pivot, select\n"
        "from analysis.plots import plot_curves\n"
        "\n"
        f'df = load("{tmp_path}")\n'
        """shown = select(df, "model == 'S'").sort_values("val_acc_max", ascending=False, kind="stable")\n"""
        'table = shown[["val_acc_max", "seed"]]\n'
        'means = pivot(shown, "model", "seed", "val_acc_max")\n'
        "\n"
        f'history = load_history("{tmp_path}")\n'
        'history = history[history["trial_dir"].isin(shown["trial_dir"])]\n'
        'figure = plot_curves(history, "val_acc", "model", top=12)\n'
    )


def test_metrics_that_are_not_loaded_by_default_are_named(experiment: Path) -> None:
    df = load(experiment, metrics=["val_loss"])
    code = check(df, usual(df, "val_loss_min"))
    assert ', metrics=["val_loss"])' in code and ", lowest=True)" in code


def test_of_several_experiments_there_are_tables_and_no_curves(experiment: Path, tmp_path: Path) -> None:
    write_trial(tmp_path / "B" / "T_0", {"model": "GMP"}, {"val_acc": [0.5]})
    df = load_many([experiment, tmp_path / "B"])
    code = check(df, usual(df))
    assert "df = load_many([" in code and "load_history" not in code


def test_a_dataframe_that_load_does_not_give_is_taken_as_it_is(experiment: Path) -> None:
    df = load(experiment)
    own = as_trials(df.assign(odd=df["width"] == 10), [*hyperparameters(df), "odd"])
    for changed, view in (
        (df[df["kwinners"]].reset_index(drop=True), usual(df)),
        (df.assign(val_acc_max=0.5), usual(df)),
        (own, replace(usual(own), filters={"odd": (True,)})),
        (df.assign(score=df["val_acc_max"] * 2), replace(usual(df), columns=("score",))),
    ):
        code = check(changed, view)
        assert OWN in code and "load(" not in code
    example = load_example("quickstart")
    assert OWN in check(example, usual(example))


VALUES = st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False) | st.text(max_size=5)
NESTED = VALUES | st.tuples(VALUES) | st.tuples(VALUES, VALUES)
LETTERS = st.characters(categories=["Lu", "Ll"])
# Also words of Python and of conditions, and names that are no words.
NAMES = (
    st.tuples(LETTERS, st.text(max_size=5)).map("".join)
    | st.sampled_from(["lambda", "and", "None", "nan", "in", "a b"])
).filter(lambda name: name.strip() == name)


@given(NAMES, st.lists(NESTED, min_size=1, max_size=6), st.data())
def test_a_condition_holds_for_the_chosen_values(name: str, values: list[Any], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.sampled_from(values), min_size=1))
    df = pd.DataFrame({name: pd.Series(values, dtype=object), "number": range(len(values))})
    view = View("number", {name: tuple(chosen)}, ("number",), "number", False, "number", "number", "number")
    assert list(select(df, condition_of(view.filters))["number"]) == list(shown_trials(df, view)["number"])
