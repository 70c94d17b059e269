"""The text of every error."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from support.trial_folders import write_trial

import analysis
from analysis.output import report


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for n in range(7):
        write_trial(tmp_path / f"run{n}" / "T_0", {"on_perc": 0.1}, {"val_acc": [0.5]})
    return tmp_path


@pytest.fixture
def df(runs: Path) -> pd.DataFrame:
    return analysis.load(runs / "run0")


@pytest.mark.parametrize("read", [analysis.load, analysis.load_history])
def test_a_path_that_does_not_exist(read: Callable[[Path], pd.DataFrame], runs: Path) -> None:
    names = ", ".join(f"run{n}" for n in range(5))
    with pytest.raises(FileNotFoundError) as caught:
        read(runs / "rum0")
    assert str(caught.value) == f"The folder {runs / 'rum0'} does not exist. {runs} has {names}, ..."


def test_a_path_far_from_anything(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        analysis.load(tmp_path / "a" / "b")
    assert (
        str(caught.value) == f"The folder {tmp_path / 'a' / 'b'} does not exist. {tmp_path / 'a'} has no folder either."
    )


def test_a_single_trial(runs: Path) -> None:
    path = runs / "run0" / "T_0"
    with pytest.raises(ValueError) as caught:
        analysis.load(path)
    assert str(caught.value) == f"{path} is the folder of a single trial. Load its experiment: {runs / 'run0'}"


def test_the_parent_of_experiments(runs: Path) -> None:
    with pytest.raises(ValueError) as caught:
        analysis.load(runs)
    some = ", ".join(str(runs / f"run{n}") for n in range(5))
    assert str(caught.value) == f"{runs} is not an experiment, but has some in it. Load one of them: {some}, ..."


def test_a_folder_without_trials(tmp_path: Path) -> None:
    (tmp_path / "empty" / "checkpoint_000000").mkdir(parents=True)
    with pytest.raises(ValueError) as caught:
        analysis.load(tmp_path / "empty")
    files = "params.json, result.json, progress.csv, error.txt"
    assert str(caught.value) == f"{tmp_path / 'empty'} has no trial: no folder in it has any of {files}."


def test_a_file(runs: Path) -> None:
    path = runs / "run0" / "experiment_state-1.json"
    path.write_text("{}")
    with pytest.raises(ValueError) as caught:
        analysis.load(path)
    assert str(caught.value) == f"{path} is a file. Load the folder of the experiment, such as {runs / 'run0'}"


def test_a_table_of_saved_trials(tmp_path: Path) -> None:
    path = tmp_path / "trials.parquet"
    path.write_bytes(b"")
    with pytest.raises(ValueError) as caught:
        analysis.load(path)
    text = "is a Parquet file, not the folder of an experiment. Read it with pandas.read_parquet"
    assert str(caught.value) == f"{path} {text}"


def test_load_many_of_nothing_or_of_one_text(runs: Path) -> None:
    with pytest.raises(ValueError, match="paths must hold at least one experiment folder, got none"):
        analysis.load_many([])
    with pytest.raises(ValueError, match=r"paths must be a list of folders, got 'runs'\. Use load for a single folder"):
        analysis.load_many("runs")


def test_a_metric_that_nobody_logged(runs: Path) -> None:
    with pytest.raises(ValueError) as caught:
        analysis.load(runs / "run0", metrics=["vall_acc"])
    assert str(caught.value) == "Unknown metric 'vall_acc'. Did you mean 'val_acc'? Available: val_acc."
    with pytest.raises(ValueError, match=r"metrics must be a list of names, got 'val_acc'\. Write \['val_acc'\]\."):
        analysis.load(runs / "run0", metrics="val_acc")


def test_a_column_that_does_not_exist(df: pd.DataFrame) -> None:
    calls = [
        lambda: analysis.agg(df, "on_prec", "val_acc_max"),
        lambda: analysis.pivot(df, "on_prec", None, "val_acc_max"),
        lambda: analysis.pivot(df, "status", "on_prec", "val_acc_max"),
        lambda: analysis.failure_rates(df, ["on_prec"]),
    ]
    for call in calls:
        with pytest.raises(ValueError) as caught:
            call()
        assert str(caught.value) == (
            f"Unknown column 'on_prec'. Did you mean 'on_perc'? Available: {', '.join(df.columns)}."
        )
    with pytest.raises(ValueError, match=r"Unknown column 'val_acc'\. Did you mean 'val_acc_m"):
        analysis.agg(df, "on_perc", "val_acc")


def test_a_frame_that_was_not_loaded() -> None:
    other = pd.DataFrame({"a": [1], "b": [2.0]})
    for call in (lambda: analysis.agg(other, "a", "b"), lambda: analysis.left_out(other)):
        with pytest.raises(ValueError, match=r"Unknown column 'status'\. Available: a, b\."):
            call()
    with pytest.raises(ValueError, match=r"Unknown column 'epochs'\. Available: a, b\. Unknown column 'status'"):
        analysis.failures(other)


def test_a_metric_of_text(df: pd.DataFrame) -> None:
    text = df["trial_dir"].dtype
    with pytest.raises(ValueError, match=f"metric must be a column of numbers, got 'trial_dir' of type {text}"):
        analysis.agg(df, "on_perc", "trial_dir")


def test_group_keys(df: pd.DataFrame) -> None:
    message = r"Group keys must be at least one column, each named once, got \['on_perc', 'on_perc'\]"
    with pytest.raises(ValueError, match=message):
        analysis.pivot(df, "on_perc", "on_perc", "val_acc_max")
    with pytest.raises(ValueError, match=r"Group keys must be at least one column, each named once, got \[\]"):
        analysis.agg(df, [], "val_acc_max")
    with pytest.raises(ValueError, match=r"Group keys \['std'\] have the names of columns of the result\. Rename"):
        analysis.agg(df.assign(std=1), "std", "val_acc_max")


def test_columns_of_one_name(df: pd.DataFrame) -> None:
    message = r"Columns must have different names, got \['status'\] more than once\. Rename or drop some\."
    for twice in (pd.concat([df, df["status"]], axis=1), pd.concat([df, df[["status", "status"]]], axis=1)):
        for call in (analysis.contrasts, analysis.compare, analysis.agg, analysis.friedman):
            with pytest.raises(ValueError, match=message):
                call(twice, "on_perc", "val_acc_max")
        with pytest.raises(ValueError, match=message):
            report(twice, "val_acc_max")


def test_an_unknown_format(df: pd.DataFrame) -> None:
    with pytest.raises(ValueError) as caught:
        analysis.format_table(df, "markdwon")
    assert (
        str(caught.value)
        == "Unknown format 'markdwon'. Did you mean 'markdown'? Available: text, markdown, latex, csv."
    )


def test_a_table_of_the_other_kind():
    trials, history = analysis.load_example("quickstart"), analysis.load_example_history("quickstart")
    with pytest.raises(ValueError, match="This table has one row per epoch"):
        analysis.compare(history, "on_perc", "val_acc")
    with pytest.raises(ValueError, match="This table has one row per trial"):
        analysis.curves(trials, ["on_perc"], "val_acc")


def test_a_summary_that_is_loaded_on_request():
    with pytest.raises(ValueError, match=r"load\(path, metrics=\['dead_units_l1'\]\)"):
        analysis.compare(analysis.load_example("quickstart"), "on_perc", "dead_units_l1_last")
