"""The packaged examples: what `load` gives for their folders, and nothing of the machine that made them."""

import json
import re
import zipfile
from pathlib import Path

import pandas as pd
import pytest

import analysis
from analysis.loading.examples import FOLDER

ARCHIVES = sorted(FOLDER.glob("*.zip"))
NAMES = [path.stem for path in ARCHIVES]
KILOBYTES = 300


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_what_load_gives_for_its_folder(name: str) -> None:
    with analysis.example_folder(name) as folder:
        loaded, history = analysis.load(folder), analysis.load_history(folder)
        assert set(loaded.pop("experiment_file_name")) == {str(folder)} and folder.name == name
    assert not folder.exists()
    df = analysis.load_example(name)
    assert df.attrs == loaded.attrs
    assert set(df.pop("experiment_file_name")) == {name}
    pd.testing.assert_frame_equal(df, loaded)
    pd.testing.assert_frame_equal(analysis.load_example_history(name), history)
    assert analysis.load_example_history(name).attrs == history.attrs


def test_the_quickstart_is_a_full_grid_of_complete_trials() -> None:
    df = analysis.load_example("quickstart")
    assert analysis.varying(df) == {"seed": 3, "model": 3, "on_perc": 3}
    assert df.value_counts(["model", "on_perc", "seed"]).tolist() == [1] * 27
    assert set(df["status"]) == {"complete"} and set(df["epochs"]) == {8} and not df["diverged"].any()
    assert set(df["hidden_sizes"]) == {(100, 100)}
    assert analysis.issues(df).empty
    # The metric can be computed again from the rows.
    history = analysis.load_example_history("quickstart")
    highest = history.groupby("trial_id")["val_acc"].max()
    assert df["val_acc_max"].tolist() == highest.loc[df["trial_id"]].tolist()


def test_metrics_are_passed_on() -> None:
    assert analysis.logged(analysis.load_example("sweep", ["train_loss"])) == ["train_loss"]
    assert analysis.metrics(analysis.load_example_history("sweep", ["train_loss"])) == ["train_loss"]


@pytest.mark.parametrize("read", [analysis.load_example, analysis.load_example_history])
def test_an_unknown_name(read) -> None:
    with pytest.raises(ValueError) as caught:
        read("quikstart")
    assert str(caught.value) == (
        f"Unknown example 'quikstart'. Did you mean 'quickstart'? Available: {', '.join(NAMES)}."
    )


def test_the_docstring_lists_the_examples() -> None:
    assert sorted(re.findall(r"^ *- `(\w+)`:", analysis.load_example.__doc__ or "", flags=re.M)) == NAMES


def test_examples_are_small() -> None:
    assert sum(path.stat().st_size for path in ARCHIVES) < KILOBYTES * 1000


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.stem)
def test_nothing_of_the_machine_is_inside(archive: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        texts = {name: opened.read(name).decode() for name in opened.namelist()}
    assert {Path(name).name for name in texts} <= {"experiment.json", "params.json", "result.json", "error.txt"}
    for name, text in texts.items():
        # A path, an IP address, a time of day.
        assert not re.search(r"(?<!\w)/\w|\d+\.\d+\.\d+\.\d+|\d\d:\d\d|\d{4}-\d\d-\d\d", text), name
        if name.endswith(("params.json", "result.json")):
            for line in text.splitlines():
                assert not {"data_dir", "hostname", "node_ip", "pid", "date", "timestamp"} & json.loads(line).keys()
