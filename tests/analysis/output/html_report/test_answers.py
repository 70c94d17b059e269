"""The answers on top of the report, and the sentences about comparisons."""

import html
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.grids import fail, grid, noisy

pytest.importorskip("plotly")

from analysis import (
    agg,
    anova,
    as_trials,
    contrasts,
    kind_differences,
    load_example,
    load_example_history,
    matching_rounds,
    mean_matching_pruned,
    mean_sparsity_at_fall,
    power,
    rounds,
    sparsity_at_fall,
    sweeps,
    where_kinds_differ,
)
from analysis.output.html_report.answers import answers
from analysis.output.html_report.comparison import compare_axes
from analysis.output.html_report.comparisons import _matrix
from analysis.output.html_report.figures import _stay_in_range
from analysis.output.html_report.matters import _bars
from analysis.output.html_report.results import collect_results
from analysis.plots import plot_axis


def of(df: pd.DataFrame, metric: str = "val_acc_max", history: pd.DataFrame | None = None) -> dict[str, str]:
    """The answers by question."""
    found = collect_results(df, metric, history, lowest=None, of=None)
    page = answers(found, compare_axes(found) if found.has_values else [])
    return {question: html.unescape(text) for question, text in re.findall(r"<a[^>]*>([^<]+)</a> ([^<]+)</li>", page)}


def of_grid(value: Any, **axes: Any) -> pd.DataFrame:
    return as_trials(grid(value, **axes).assign(epochs=1, error=None), list(axes), ["val_acc_max"])


def test_quickstart() -> None:
    df, metric = load_example("quickstart"), "test_acc_at_best"
    found = of(df, metric)
    shares = anova(df, metric).set_index("term")["share"]
    both = shares["model:on_perc"]
    assert found["What matters most?"] == (
        f"Density (on_perc) explains {shares['on_perc']:.0%} of the variance of test_acc_at_best, method (model) "
        f"{shares['model']:.0%}, their interaction {both:.0%}. The rest, {shares['rest']:.0%}, is noise between seeds."
    )
    # Held-out examples choose the setting, and the test set gives its accuracy.
    settings = ["model", "on_perc"]
    chosen = agg(df, settings, "val_acc_max").sort_values("mean").iloc[-1]
    row = agg(df, settings, metric).set_index(settings).loc[(chosen["model"], chosen["on_perc"])]
    assert found["Which setting is best?"] == (
        f"Density {chosen['on_perc']}, method {chosen['model']}: test_acc_at_best is {row['mean']:.3f} (95% interval "
        f"{row['low']:.3f} to {row['high']:.3f}, mean of 3 trials). It was chosen among 9 settings by val_acc_max, not "
        "by the test set."
    )
    table = contrasts(df, "model", metric, within="on_perc")
    assert (table["p_adjusted"] <= 0.05).sum() == 1
    assert found["Which differences are clear?"] == (
        "1 of 9 comparisons of method within each density: RigL is higher than SparseModel at density 0.05 by 0.098 "
        "(95% interval 0.057 to 0.14)."
    )
    sizes = power(df, "model", metric, within="on_perc")
    smallest, largest = (sizes["smallest_difference"].agg(each) for each in ("min", "max"))
    needed = sizes["seeds_needed"].max()
    assert found["What remains unclear?"] == (
        "8 of 9 comparisons of method within each density: RigL or SET at every density; SET or SparseModel at every "
        "density; RigL or SparseModel at density 0.02 and 0.1. With 3 seeds, a difference of "
        f"{smallest:.2g} between RigL and SET at density 0.1, or {largest:.2g} between RigL and SET at density 0.02, "
        f"is found with a probability of 80%. Half of it needs {needed} seeds, {needed - 3} "
        "more than now."
    )


def test_the_interval_of_an_accuracy_ends_at_1_and_that_of_another_metric_does_not() -> None:
    df = of_grid(lambda seed: [0.9, 0.99, 0.999][seed], seed=[0, 1, 2])
    assert "95% interval 0.83 to 1.00" in of(df)["What is the result?"]
    df = as_trials(df.rename(columns={"val_acc_max": "reward"}), ["seed"], ["reward"])
    assert "The reward is 0.96 (95% interval 0.83 to 1.10," in of(df, "reward")["What is the result?"]


def test_an_accuracy_in_percent_is_not_cut_at_1() -> None:
    found = collect_results(
        of_grid(lambda on, seed: 90 + on + seed, on=[0, 1], seed=range(3)), "val_acc_max", None, None, None
    )
    assert "is 92.0 (95% interval 89.5 to 94.5, mean of 3 trials)" in answers(found, [])
    fig = plot_axis(found.rows, "on", "val_acc_max")
    low, high = fig.layout.yaxis.range
    _stay_in_range(fig, found.names)
    assert tuple(fig.layout.yaxis.range) == (low, high) and low < 90 < 93 < high


def test_a_name_with_a_colon_is_no_interaction() -> None:
    df = of_grid(noisy(1), lr=[0.0, 0.1], wd=[0.0, 0.1], seed=range(3)).rename(columns={"lr": "optim:lr"})
    df = as_trials(df, ["optim:lr", "wd", "seed"], ["val_acc_max"])
    share = anova(df, "val_acc_max").set_index("term")["share"]["optim:lr:wd"]
    assert f"their interaction {share:.0%}." in of(df)["What matters most?"]
    assert "<td>optim:lr × wd</td>" in _bars(collect_results(df, "val_acc_max", None, None, None))


def test_a_missing_value_is_a_place() -> None:
    df = of_grid(noisy(1, 0.01), model=["a", "b"], lr=[0.1, 0.2, 0.3], seed=range(5))
    df.loc[(df["model"] == "b") & (df["lr"] == 0.1), "val_acc_max"] += 0.5
    df["lr"] = df["lr"].replace(0.3, np.nan)
    # Two of three places, of which one is missing: not "at every lr".
    assert "a or b at lr 0.2 and None." in of(df)["What remains unclear?"]


def test_survivors_are_named_beside_clear_differences() -> None:
    df = of_grid(noisy(1, width=0.5), width=[0, 1], seed=range(6))
    assert "survivors" not in of(df)["Which differences are clear?"]
    found = of(fail(df, (df["width"] == 1) & (df["seed"] < 3)))
    assert found["Which differences are clear?"].endswith("so these are comparisons of survivors.")


def test_values_that_read_alike_have_cells_of_their_own() -> None:
    long = [f"conv{'3' * 20}-{kind}-{'7' * 20}" for kind in "abc"]
    for values in (long, [1, "1", "x"]):
        df = of_grid(noisy(1), model=[0, 1, 2], on=[0, 1], seed=range(3))
        df["model"] = df["model"].map(dict(enumerate(values))).astype(object)
        found = collect_results(df, "val_acc_max", None, None, None)
        [compared] = [each for each in compare_axes(found) if each.axis == "model"]
        cells = re.findall(r"<td[^>]*>([^<]*) <small>", _matrix(compared.table, compared, found.names))
        assert len(cells) == len(compared.table) == 6


def test_without_a_clear_difference_the_answer_is_none() -> None:
    found = of(of_grid(noisy(1), model=["a", "b"], seed=range(5)))
    assert found["Which differences are clear?"] == "None of 1 comparison of method."
    assert found["What remains unclear?"].startswith("1 of 1 comparison of method: a or b. With 5 seeds, a difference")


def test_when_all_is_clear_nothing_is_open() -> None:
    found = of(of_grid(noisy(1, width=0.5), width=[0, 1], seed=range(5)))
    assert found["What remains unclear?"] == "Nothing among 1 comparison of width."


def test_truth_values_are_named_with_their_key() -> None:
    found = of(of_grid(noisy(1, kwinners=0.5), kwinners=[False, True], seed=range(5)))
    assert "k-winners True is higher than k-winners False by 0.5" in found["Which differences are clear?"]


def test_comparisons_without_trials_are_counted() -> None:
    df = of_grid(noisy(2), model=["a", "b", "c"], on_perc=[0.1, 0.5], seed=range(3))
    found = of(fail(df, (df["model"] == "c") & (df["on_perc"] == 0.1)))
    assert "2 cannot be made, because complete trials are missing." in found["What remains unclear?"]


@pytest.mark.parametrize("copy", [0, 1])
def test_a_best_setting_of_a_copy_held_only_later(copy: int) -> None:
    trials = grid(lambda lr, seed: lr, lr=[0.1, 0.2], seed=[0]).assign(epochs=4, error=None)
    trials["starts_from"] = [f"a@{place}" if place == copy else np.nan for place in range(2)]
    answer = of(as_trials(trials, ["lr"], ["val_acc_max"]))["Which setting is best?"]
    # The best is the second.
    assert answer.startswith("Lr 0.2: ") and ("began as a copy" in answer) is (copy == 1)


def test_one_seed_shows_no_noise() -> None:
    found = of(of_grid(lambda width, lr, seed: width + lr / 10, width=[0, 1], lr=[0, 1], seed=[0]))
    assert found["What matters most?"].endswith("One trial of each setting shows no noise.")
    assert "in a single trial, which says nothing about its noise" in found["Which setting is best?"]
    assert found["What remains unclear?"].startswith("Lr could not be compared. The noise needs repeated settings")


def test_a_sweep() -> None:
    history = load_example_history("sweep")
    found, rows = of(load_example("sweep"), "val_acc", history), sweeps(history)
    falls = mean_sparsity_at_fall(sparsity_at_fall(rows, 0.01, "val_acc"), [])["conclusion"]
    differ = where_kinds_differ(kind_differences(rows, "val_acc", []))["conclusion"]
    assert list(found) == ["Where has accuracy fallen by one point?", "Which kind of pruning is better?"]
    for answer, conclusions in zip(found.values(), (falls, differ), strict=True):
        assert answer == " ".join(text[0].upper() + text[1:] for text in conclusions)


def test_tickets() -> None:
    history = load_example_history("tickets")
    found, every = of(load_example("tickets"), "val_acc_max", history), rounds(history)
    ends = mean_matching_pruned(matching_rounds(every[every["prune_iter"] == 3], "val_acc_max", 0.01), ["init"])
    first = found["Which tickets stay within one point of the dense network?"]
    assert first == " ".join(text[0].upper() + text[1:] for text in ends["conclusion"])
    # The metric is that of the last round of each ticket, not the best of all rounds.
    last = history[history["round"] == history["prune_iter"]].groupby("trial_dir")["val_acc"].max()
    df = load_example("tickets").set_index("trial_dir").assign(last=last)
    best = df.groupby(["prune_ratio", "init", "prune_iter"])["last"].mean().max()
    assert np.isfinite(best) and f"val_acc_max is {best:.3f}" in found["Which setting is best?"]
