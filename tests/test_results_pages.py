"""The pages of docs/results: their experiments run, and each page includes all its tables and pictures."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from support.doc_pages import ROOT
from support.trained_trials import train

from analysis import compare
from analysis.statistics.paired_tests import holm
from dynsparse.experiment import load_experiment

FOLDER = ROOT / "docs" / "results"
sys.path.insert(0, str(FOLDER))

import baselines  # noqa: E402
import published  # noqa: E402
import reproduce  # noqa: E402
import trials  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
# Each method and setting of the experiments, in trials of less than a second.
SMALL = {
    "dataset_name": ["digits"], "hidden_sizes": [[24, 16]], "epochs": [2], "batch_size": [128], "on_perc": [0.2],
    "seed": [0, 1], "pruning_interval_steps": [5],
}  # fmt: skip


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train small trials of all experiments, and save them in a temporary folder."""
    root = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trials, "TRIALS", root / "trials")
        for page in reproduce.PAGES.values():
            for name in page.EXPERIMENTS:
                for config in load_experiment(ROOT / "experiments" / f"{name}.py").configs(SMALL):
                    train(root / name, **config.values())
                trials.save_trials(root / name)
    return root / "trials"


@pytest.fixture
def small_trials(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the pages from the small trials."""
    monkeypatch.setattr(trials, "TRIALS", saved)


@pytest.mark.parametrize("name", reproduce.PAGES)
def test_a_page_includes_each_of_its_tables_and_pictures(name: str) -> None:
    text, page = (FOLDER / f"{name}.md").read_text(), reproduce.PAGES[name]
    assert sorted(re.findall(r"\{include\} \.\./_build/(\w+)\.md", text)) == sorted(page.tables())
    pictures = re.findall(r"\.\./pictures/(\w+)\.png", text)
    assert sorted(pictures) == sorted(page.pictures() if hasattr(page, "pictures") else {})
    assert all((ROOT / "docs" / "pictures" / f"{each}.png").is_file() for each in pictures)


@pytest.mark.usefixtures("small_trials")
def test_the_table_of_methods_has_each_method_once() -> None:
    df = baselines.trials()
    table = baselines.accuracy_table(df).splitlines()
    models = [re.findall(r"`(\w+)`", line)[0] for line in table[2:]]
    assert sorted(models) == sorted(set(df["model"]) - {"Dense"})
    means = df.groupby("model")["test_acc_last"].mean()
    assert means[models].is_monotonic_decreasing
    # One density, so that the mean is that of the cell.
    assert [line.split("|")[3].split("±")[0].strip() for line in table[2:]] == [f"{means[each]:.3f}" for each in models]


@pytest.mark.usefixtures("small_trials")
def test_differences_are_those_from_the_control() -> None:
    df = baselines.trials()
    means = df.groupby("model")["test_acc_last"].mean()
    pairs = compare(baselines.without_dense(df), "model", "test_acc_last").query("a == 'SET' or b == 'SET'")
    corrected = holm(pairs["p"].to_numpy(dtype=float))
    p_values = dict(zip(np.where(pairs["a"] == "SET", pairs["b"], pairs["a"]), corrected, strict=True))
    for line in baselines.differences_table(df).splitlines()[2:]:
        model, difference, interval, p = (cell.strip(" `") for cell in line.strip("|").split("|"))
        assert float(difference) == pytest.approx(means[model] - means["SET"], abs=6e-5)
        low, high = map(float, interval.split(" to "))
        assert low <= float(difference) <= high
        assert float(p) == pytest.approx(p_values[model], rel=0.06)


@pytest.mark.usefixtures("small_trials")
def test_published_accuracies_stand_beside_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(published.ACCURACIES, "cannistraci_hebb", {("RigL", 0.2): published.Published(0.9861, 0.0001)})
    df = published.load_trials("cannistraci_hebb").groupby("model")[["val_acc_last", "val_acc_max"]].mean()
    last, highest = df.loc["RigL"]
    lines = published.accuracy_table("cannistraci_hebb").splitlines()[2:]
    table = {cells[0]: cells for cells in ([cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines)}
    cells = table.pop("RigL")
    cells = [cell.replace("\N{NO-BREAK SPACE}", " ") for cell in cells]
    assert cells[1] == "0.2" and cells[4:] == ["0.9861 ± 0.0001", f"{last - 0.9861:+.4f}"]
    assert cells[2].startswith(f"{last:.4f} ± ") and cells[3].startswith(f"{highest:.4f} ± ")
    assert {tuple(others[4:]) for others in table.values()} == {("", "")}


@pytest.mark.parametrize("name", ["dst_baselines", "dst_baselines_wide", "cannistraci_hebb", "lenet_300_100"])
def test_the_docstring_of_an_experiment_has_the_means_of_its_trials(name: str) -> None:
    experiment = load_experiment(ROOT / "experiments" / f"{name}.py")
    table = re.findall(r"^\| (\w+)[^|]*\| (.*) \|$", (ROOT / "experiments" / f"{name}.py").read_text(), flags=re.M)
    df = trials.load_trials(name)
    df = df[df["dataset_name"] == "MNIST"] if "dataset_name" in df else df
    if "layer_densities" in df:
        # The table has those of Erdős-Rényi where a method has both.
        df = df[df["layer_densities"] == df.groupby("model")["layer_densities"].transform("min")]
    means = df.pivot_table(index="model", columns="on_perc", values=str(experiment.metric))
    shown = {model: cells for model, cells in table if model in means.index}
    assert len(shown) >= 4
    for model, cells in shown.items():
        of_densities = means.loc[model].dropna()
        texts = re.findall(r"0\.\d+", cells)[: len(of_densities)]
        assert texts == [f"{mean:.{len(texts[0]) - 2}f}" for mean in of_densities]


def test_an_unknown_page_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["reproduce.py", "baseline"])
    with pytest.raises(SystemExit, match=r"Unknown page 'baseline'\. Available: baselines, published\."):
        reproduce.main()
