"""The pages of docs/results: their experiments run, and each page includes all its tables and pictures."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from scipy import stats
from support.doc_pages import ROOT
from support.trained_trials import train

from analysis import compare
from analysis.statistics.paired_tests import holm
from dynsparse.cli import main
from dynsparse.experiment import load_experiment
from dynsparse.io.storage import open_folder
from dynsparse.results.trial_folder import TrialFolder

FOLDER = ROOT / "docs" / "results"
sys.path.insert(0, str(FOLDER))

import baselines  # noqa: E402
import mlp_heb  # noqa: E402
import published  # noqa: E402
import reproduce  # noqa: E402
import tickets  # noqa: E402
import trials  # noqa: E402
import weight_vs_unit  # noqa: E402

# One process trains the small trials.
pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.xdist_group("results")]
# Each method and setting of the experiments, in trials of less than a second.
SMALL = {
    "dataset_name": ["digits"], "hidden_sizes": [[24, 16]], "epochs": [2], "batch_size": [128], "on_perc": [0.2],
    "seed": [0, 1], "pruning_interval_steps": [5],
}  # fmt: skip
# Two values of each axis of the notebook's grid, large enough that some trials survive under the rules of 2019.
OF_THE_NOTEBOOK = {
    "dataset_name": ["digits"], "hidden_sizes": [[40, 30]], "epochs": [2], "batch_size": [128],
    "on_perc": [0.05, 0.2], "hebbian_prune_perc": [0, 0.5], "weight_prune_perc": [0, 0.5], "seed": [0],
}  # fmt: skip
# Fewer values of an experiment's own axes.
FEWER = {
    "lottery_ticket": {"prune_ratio": [0.1, 0.5, 0.85, 0.98], "prune_iter": [1, 5]},
    "lottery_ticket_new_seeds": {"prune_ratio": [0.1, 0.5, 0.85], "epochs": [1, 2]},
    "lottery_ticket_settings": {"prune_ratio": [0.1, 0.5, 0.85], "learning_rate": [0.01]},
    "winning_tickets": {"prune_iter": [3]},
}  # fmt: skip


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train small trials of all experiments, and save them in a temporary folder."""
    root = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trials, "TRIALS", root / "trials")
        for page in reproduce.PAGES.values():
            for name, run in page.RUNS.items():
                experiment = load_experiment(ROOT / "experiments" / f"{run.experiment}.py")
                axes = OF_THE_NOTEBOOK if page is mlp_heb else {**SMALL, **FEWER.get(name, {})}
                configs = experiment.configs({**axes, **{key: [value] for key, value in run.settings.items()}})
                for config in configs:
                    train(root / name, may_fail=run.may_fail, **config.values())
                trials.save_trials(root / name, run, configs)
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
    assert sorted(pictures) == sorted(getattr(page, "PICTURES", {}))
    assert all((ROOT / "docs" / "pictures" / f"{each}.png").is_file() for each in pictures)


PICTURES = {name: draw for page in reproduce.PAGES.values() for name, draw in getattr(page, "PICTURES", {}).items()}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_drawn_from_the_saved_trials_and_from_folders(name: str, saved: Path) -> None:
    assert PICTURES[name](saved.parent).data


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
    assert cells[1] == "0.2" and cells[4] == "0.9861 ± 0.0001" and cells[5].startswith(f"{last - 0.9861:+.4f} (")
    ours = published.load_trials("cannistraci_hebb").query("model == 'RigL'")["val_acc_last"]
    interval = stats.ttest_1samp(ours, 0.9861).confidence_interval()
    shown = re.findall(r"[+-]\d\.\d+", cells[5])[1:]
    assert [float(end) for end in shown] == pytest.approx([end - 0.9861 for end in interval], abs=6e-5)
    assert cells[2].startswith(f"{last:.4f} ± ") and cells[3].startswith(f"{highest:.4f} ± ")
    assert {tuple(others[4:]) for others in table.values()} == {("", "")}


def test_the_interval_for_one_more_run_is_that_of_the_t_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    # Five runs of mean 0.9 and standard deviation 0.01: the published 0.93 is 0.0004 inside, 0.931 outside.
    reach = stats.t(4).ppf(0.975) * 0.01 * np.sqrt(1.2)
    assert 0.0304 < reach < 0.031
    ours = pd.DataFrame({
        "dataset": ["MNIST"] * 2, "pruning": ["weight"] * 2, "sparsity": [0.5, 0.6], "test_loss": 0.3,
        "test_accuracy": 0.9, "test_loss_std": 0.1, "test_accuracy_std": 0.01, "count": 5,
    })  # fmt: skip
    blog = ours[weight_vs_unit.KEYS].assign(test_loss=[0.3, 1.3], test_accuracy=[0.93, 0.931])
    monkeypatch.setattr(weight_vs_unit, "load_trials", lambda name: None)
    monkeypatch.setattr(weight_vs_unit, "sparsity_summary", lambda df: ours)
    monkeypatch.setattr(pd, "read_csv", lambda path: blog)
    df = weight_vs_unit.blog_comparison()
    assert df["test_accuracy_within"].tolist() == df["test_loss_within"].tolist() == [True, False]


def test_differences_of_networks_are_those_of_plain_pandas() -> None:
    df = weight_vs_unit.falls()
    chosen = df[df["dataset_name"] == "MNIST"]
    wide = chosen.pivot_table(index=["hidden_sizes", "seed"], columns="pruning", values="sparsity_at_fall")
    differences = (wide["weight"] - wide["unit"]).groupby("hidden_sizes").mean()
    table = weight_vs_unit.kinds_table("MNIST").splitlines()[2:]
    shown = {cells[1].strip(): cells[4].strip() for cells in (line.split("|") for line in table)}
    assert shown == {weight_vs_unit.network_name(sizes): f"{value:+.3f}" for sizes, value in differences.items()}


def test_parameters_are_those_of_a_network_in_torch() -> None:
    layers = [torch.nn.Linear(n_in, n_out) for n_in, n_out in pairwise([784, 50, 50, 25, 10, 10])]
    counted = sum(parameter.numel() for layer in layers for parameter in layer.parameters())
    assert weight_vs_unit.n_parameters([50, 50, 25, 10]) == counted == 43_445


@pytest.mark.usefixtures("small_trials")
def test_settings_agree_if_all_signs_are_those_of_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    df = tickets.last_rounds("lottery_ticket_settings")
    found = tickets.settings()
    assert len(found) == 2 * 2
    # All trials of one setting, as numpy correlates them.
    setting = found.iloc[1]
    of_setting = df[(df[tickets.SETTINGS] == setting[tickets.SETTINGS]).all(axis=1) & (df["prune_ratio"] <= 0.85)]
    for each in tickets.ALGORITHMS:
        part = of_setting[(of_setting["criterion"] == each.criterion) & (of_setting["init"] == each.init)]
        expected = np.corrcoef(part["prune_ratio"], part["val_acc_max"])[0, 1]
        assert setting[each.name] == pytest.approx(expected)
    # Accuracies that rise or fall with the fraction, by the algorithm.
    signs = {(each.criterion, each.init): each.sign for each in tickets.ALGORITHMS}
    slopes = np.array([signs[key] for key in zip(df["criterion"], df["init"], strict=True)])
    wanted = df.assign(val_acc_max=0.5 + 0.1 * slopes * df["prune_ratio"] + 0.001 * df["seed"])
    monkeypatch.setattr(tickets, "last_rounds", lambda name: wanted)
    assert tickets.settings()[["agree", "clear"]].all(axis=None)
    # The seeds differ by much more than the fractions: the signs stay, but no interval excludes 0.
    noise = 2.0 * np.where(wanted["seed"] == wanted["seed"].min(), 1, -1)
    noisy = wanted.assign(val_acc_max=wanted["val_acc_max"] + noise)
    monkeypatch.setattr(tickets, "last_rounds", lambda name: noisy)
    found = tickets.settings()
    assert found["agree"].all() and not found["clear"].any()
    monkeypatch.setattr(tickets, "last_rounds", lambda name: wanted.assign(val_acc_max=1 - wanted["val_acc_max"]))
    assert not tickets.settings()[["agree", "clear"]].any(axis=None)


def test_two_standard_errors_are_those_of_welch() -> None:
    here, there = [0.90, 0.92, 0.97, 0.93], [0.80, 0.88, 0.85]
    width = (np.mean(here) - np.mean(there)) / stats.ttest_ind(here, there, equal_var=False).statistic
    # The notebook prints three decimals, so half of the last one is allowed.
    reach = 2 * width + 0.0005
    row = {"here_mean": np.mean(here), "here_std": np.std(here, ddof=1), "here_count": 4, "table": 1}
    row |= {"std": np.std(there, ddof=1), "count": 3}
    means = [row["here_mean"] + reach - 0.0001, row["here_mean"] + reach + 0.0001, np.nan]
    df = mlp_heb.with_agreement(pd.DataFrame([{**row, "mean": mean} for mean in means]), ["table"])
    assert df["agrees"].tolist() == [True, False, pd.NA]
    cells = [mlp_heb.cell_text(cell) for _, cell in df.iterrows()]
    assert [cell.split(" / ")[1] for cell in cells] == ["0.930", "**0.930**", "0.930"]


def test_a_single_trial_has_the_deviation_of_its_table() -> None:
    rows = [
        {"table": 1, "here_mean": 0.9, "here_std": 0.03, "here_count": 4, "mean": 0.9, "std": 0.03, "count": 4},
        {"table": 1, "here_mean": 0.9, "here_std": np.nan, "here_count": 1, "mean": 0.97, "std": 0.01, "count": 4},
        {"table": 2, "here_mean": 0.9, "here_std": 0.01, "here_count": 4, "mean": 0.9, "std": 0.03, "count": 4},
        {"table": 2, "here_mean": 0.9, "here_std": np.nan, "here_count": 1, "mean": 0.97, "std": 0.01, "count": 4},
    ]
    # 0.07 is above 2 sqrt(0.01^2 + 0.01^2 / 4) and 2 sqrt(0.03^2 + 0.01^2 / 4) = 0.061, but not with 0.04.
    found = mlp_heb.with_agreement(pd.DataFrame(rows), ["table"])
    assert found["agrees"].tolist() == [True, False, True, False]
    rows[0]["here_std"] = 0.04
    assert mlp_heb.with_agreement(pd.DataFrame(rows), ["table"])["agrees"].tolist() == [True, True, True, False]


@pytest.mark.usefixtures("small_trials")
def test_each_mean_of_the_notebook_is_compared_with_our_trials_of_the_same_setting() -> None:
    df = mlp_heb.survivors()
    rows, cells = mlp_heb.grouped(), mlp_heb.pivot_cells()
    assert len(rows) == 2 * 74 and len(cells) == 246
    assert 0 < len(df) < len(mlp_heb.load_trials("mlp_heb_legacy"))
    [row] = rows.query(
        "filter == 'low_sparsity' and group_by == 'hebbian_prune_perc' and value == 0.5 and metric == 'noise_acc_max'"
    ).to_dict("records")
    part = df.query("on_perc == 0.2 and hebbian_prune_perc == 0.5")
    assert row["here_count"] == len(part) > 1
    assert row["here_mean"] == pytest.approx(part["noise_acc_max"].mean())
    names = ["kwinners", "hebbian_prune_perc", "weight_prune_perc"]
    cells = cells[cells["filter"] == "low_sparsity"]
    for keys, found in df[df["on_perc"] == 0.2].groupby(names):
        cell = cells[(cells[names].astype(str) == [str(key) for key in keys]).all(axis=1)]
        assert cell["here_mean"].item() == pytest.approx(found["val_acc_max"].mean())


@pytest.mark.usefixtures("small_trials")
def test_differences_for_each_mistake_are_those_of_plain_pandas() -> None:
    df = mlp_heb.load_trials("mlp_heb_mistakes")
    for line in mlp_heb.mistakes_table().splitlines()[2:]:
        cells = [cell.strip(" `") for cell in line.split("|")[1:-1]]
        part = df[df["model"].str.endswith(cells[0])]
        means = part.groupby("hebbian_prune_perc")["val_acc_max"].mean()
        assert float(cells[4].split(" (")[0]) == pytest.approx(means[0.5] - means[0], abs=6e-5)
        means = part[part["on_perc"] == 0.2].groupby("hebbian_grow")["val_acc_max"].mean()
        assert float(cells[3].split(" (")[0]) == pytest.approx(means[True] - means[False], abs=6e-5)


@pytest.mark.usefixtures("small_trials")
def test_failures_are_counted_by_cell() -> None:
    df = mlp_heb.load_trials("mlp_heb_legacy")
    failed = (df["status"] == "error").groupby([df["on_perc"], df["hebbian_grow"]]).sum()
    lines = [line.split("|")[1:-1] for line in mlp_heb.failures_table().splitlines()[2:-2]]
    shown = {
        (float(cells[0]), cells[1].strip() == "True"): sum(int(cell.split("/")[1]) for cell in cells[2:])
        for cells in lines
    }
    assert shown == failed.to_dict() and failed.sum() > 0


@pytest.mark.usefixtures("small_trials")
def test_questions_are_answered_by_the_mean_over_pairs() -> None:
    df = mlp_heb.load_trials("mlp_heb")
    table = mlp_heb.questions_table(mlp_heb.grouped()).splitlines()[2:]
    assert len(table) == 5
    for question, line in zip(mlp_heb.QUESTIONS, table, strict=True):
        # The grid is complete, so the mean over pairs is the difference of the means.
        means = df.groupby(question.axis)["val_acc_max"].mean()
        shown = line.split("|")[-3].split("(")[0]
        assert float(shown) == pytest.approx(means[question.value] - means[question.against], abs=6e-5)


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


@pytest.mark.parametrize(
    ("experiment", "table"),
    [
        ("lottery_ticket_new_seeds", tickets.new_seeds_table),
        ("lottery_ticket_settings", tickets.rates_table),
        ("winning_tickets", tickets.winning_table),
        ("batch_norm_mlp", published.batch_norm_table),
        ("mlp_heb_mistakes", mlp_heb.mistakes_table),
        ("mlp_heb", lambda: mlp_heb.questions_table(mlp_heb.grouped())),
        ("sparsity_sweep_networks", lambda: weight_vs_unit.kinds_table("MNIST")),
    ],
)
def test_each_row_of_a_docstring_is_in_the_table_of_the_page(experiment: str, table: Callable[[], str]) -> None:
    def decimals(line: str) -> list[float]:
        return [float(each) for each in re.findall(r"[+-]?\d+\.\d{2,}", line)]

    def has(row: str, line: str) -> bool:
        """Return True if a row of the page names what the line names, and has its numbers in their order."""
        words = [set(re.findall(r"\w+", each.split("|")[1])) for each in (row, line)]
        numbers = iter(decimals(row))
        return bool(words[0] & words[1]) and all(number in numbers for number in decimals(line))

    rows = table().splitlines()[2:]
    text = (ROOT / "experiments" / f"{experiment}.py").read_text()
    lines = [line for line in re.findall(r"^\|.*\|$", text, flags=re.M)[2:] if "the report" not in line]
    assert len(lines) >= 2
    for line in lines:
        assert decimals(line) and any(has(row, line) for row in rows), line


def test_trials_are_saved_only_if_the_folder_holds_exactly_those_of_the_grid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "TRIALS", tmp_path / "trials")
    run, folder = trials.Run("quickstart"), tmp_path / "quickstart"
    configs = load_experiment(ROOT / "experiments" / "quickstart.py").configs({**SMALL, "model": ["SET"]})
    train(folder, **configs[0].values())
    text = r"All 2 trials in .* must be completed, got 1 that are not, .* Rerun `dynsparse run experiments/quick"
    with pytest.raises(trials.TrialsError, match=text):
        trials.save_trials(folder, run, configs)
    train(folder, **configs[1].values())
    with pytest.raises(trials.TrialsError, match=r"must hold only trials of quickstart\.py, got 1 of other settings"):
        trials.save_trials(folder, run, configs[1:])
    trials.save_trials(folder, run, configs)
    assert len(trials.load_trials("quickstart")) == 2
    *_, other = load_experiment(ROOT / "experiments" / "quickstart.py").configs({**SMALL, "seed": [2]})
    TrialFolder(open_folder(str(train(folder, n_rows=1, **other.values())))).fail("no memory")
    with pytest.raises(trials.TrialsError, match="1 that are not"):
        trials.save_trials(folder, run, [*configs, other])
    trials.save_trials(folder, run._replace(may_fail=True), [*configs, other])


def test_the_trials_of_a_run_are_those_of_its_command() -> None:
    run = trials.Run("quickstart", {"on_perc": 0.1, "weight_init": "dense_uniform"})
    result = CliRunner().invoke(main, ["show", *run.command()])
    assert f"{len(run.configs())} trials" in result.output and "dense_uniform" in result.output
    assert {(config.on_perc, config.weight_init) for config in run.configs()} == {(0.1, "dense_uniform")}


def test_an_unknown_page_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["reproduce.py", "baseline"])
    with pytest.raises(SystemExit, match=r"Unknown page 'baseline'\. Available: baselines, published, weight"):
        reproduce.main()
