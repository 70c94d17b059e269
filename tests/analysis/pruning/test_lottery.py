"""Lottery tickets: worked examples against numbers by hand, pandas and scipy; and real trials."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from support.study_folders import train, write_ticket

from analysis import (
    anova,
    compare,
    correlation,
    first_training,
    importance,
    load,
    load_history,
    matching_rounds,
    mean_matching_pruned,
    pivot,
    pruned_fractions,
    round_differences,
    rounds,
    sparsity_summary,
    ticket_correlations,
    tickets,
    with_last_rounds,
)
from analysis.frame.schema import varying

DENSITIES = [1.0, 0.5, 0.25]
ROUNDS = [[0.9, 0.94], [0.95, 0.92], [0.8, 0.93]]


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The history of real tickets: three algorithms, three ratios, two numbers of rounds, two seeds."""
    experiment = tmp_path_factory.mktemp("runs") / "tickets"
    algorithms = [("l1", "original"), ("random", "original"), ("l1", "reinit")]
    for n, (criterion, init) in enumerate(algorithms):
        axes = {"prune_ratio": [0.5, 0.8, 0.95], "prune_iter": [1, 2], "seed": [0, 1]}
        values = {"study": "ticket", "criterion": criterion, "init": init, "val_fraction": 0.2}
        train(experiment / "of" / str(n), axes, **values)
        for folder in (experiment / "of" / str(n)).iterdir():
            folder.rename(experiment / f"{folder.name}{n}")
    return load_history(experiment)


def test_a_round_that_diverged_is_left_out_and_counted(tmp_path: Path) -> None:
    write_ticket(tmp_path / "T_0", ROUNDS, DENSITIES)
    write_ticket(tmp_path / "T_1", [*ROUNDS[:2], [0.99, math.nan]], DENSITIES, seed=1)
    frame = rounds(load_history(tmp_path))
    assert frame["diverged"].tolist() == [False] * 5 + [True] and set(frame["status"]) == {"complete"}
    table = round_differences(frame)
    assert table[["count", "incomplete", "diverged"]].values.tolist() == [[2, 0, 0], [2, 0, 0], [1, 0, 1]]
    matching = matching_rounds(frame)
    assert matching[["status", "diverged"]].values.tolist() == [["complete", False], ["complete", True]]
    assert mean_matching_pruned(matching)[["count", "incomplete", "diverged"]].values.tolist() == [[1, 0, 1]]
    assert pivot(tickets(load_history(tmp_path)), "init", None, "val_acc_max")["val_acc_max"].tolist() == [
        "0.930 (n=1, 1 diverged)"
    ]


def test_a_row_for_each_round(tmp_path: Path) -> None:
    write_ticket(tmp_path / "T_0", ROUNDS, DENSITIES)
    write_ticket(tmp_path / "T_1", [*ROUNDS[:1], [0.91]], DENSITIES, seed=1)
    frame = rounds(load_history(tmp_path))
    assert frame["round"].tolist() == [0, 1, 2] * 2
    first = frame[frame["seed"] == 0]
    assert first["val_acc_max"].tolist() == [0.94, 0.95, 0.93] and first["val_acc_last"].tolist() == [0.94, 0.92, 0.93]
    assert first["val_acc_max_epoch"].tolist() == [1, 0, 1] and first["test_acc"].isna().all()
    assert first["pruned"].tolist() == [0, 0.5, 0.75] and first["pruned_wanted"].tolist() == [0, 0.5, 0.75]
    assert frame["status"].tolist() == ["complete"] * 4 + ["incomplete"] * 2
    assert frame["val_acc_max"].tolist()[3:5] == [0.94, 0.91] and math.isnan(frame["val_acc_max"][5])
    assert varying(frame) == {"seed": 2, "round": 3} and (frame["config/epochs"] == 2).all()
    last = tickets(load_history(tmp_path))
    assert last["val_acc_max"].tolist()[0] == 0.93 and last["status"].tolist() == ["complete", "incomplete"]
    assert len(last) == 2 and not {"round", "pruned_wanted"} & set(last)


def test_real_rounds_against_pandas(grid: pd.DataFrame) -> None:
    frame = rounds(grid)
    assert len(frame) == 3 * 3 * 2 * (2 + 3) and (frame["status"] == "complete").all()
    by_round = grid.groupby(["trial_dir", "round"])
    expected = by_round["val_acc"].agg(["max", "last"])
    found = frame.set_index(["trial_dir", "round"]).sort_index()
    assert found["val_acc_max"].tolist() == expected["max"].tolist()
    assert found["val_acc_last"].tolist() == expected["last"].tolist()
    best = grid.loc[by_round["val_acc"].idxmax()].set_index(["trial_dir", "round"]).sort_index()
    assert found["test_acc"].tolist() == best["test_acc"].tolist()
    first_epoch = by_round["epoch"].min()
    assert (found["val_acc_max_epoch"] == best["epoch"] - first_epoch).all()
    assert found["pruned"].tolist() == (1 - best["density"]).tolist()
    assert len(first_training(grid)) == 36 * 2


def test_the_verbs_take_tickets(grid: pd.DataFrame) -> None:
    df = tickets(grid)
    axes = {"seed": 2, "prune_ratio": 3, "prune_iter": 2, "criterion": 2, "init": 2}
    assert len(df) == 36 and varying(df) == axes
    pairs = compare(df, ["init", "criterion", "prune_iter", "prune_ratio"], "val_acc_max")["pairs"]
    assert pairs.tolist() == [12, 12, 18, 12, 12, 12]
    assert set(importance(df, "val_acc_max")["parameter"]) == set(axes)
    assert correlation(df, "val_acc_max")["axis"].tolist() == ["prune_ratio", "prune_iter"]
    winning = df[(df["criterion"] == "l1") & (df["init"] == "original")]
    assert anova(winning, "val_acc_max")["term"].tolist()[:2] == ["prune_ratio", "prune_iter"]
    assert pivot(df, ["criterion", "init"], "prune_ratio", "val_acc_max").shape == (3, 3)
    # Rounds are an axis of their own.
    assert compare(rounds(grid), "init", "val_acc_max")["pairs"][0] == 3 * 2 * (2 + 3)


def test_pruned_fractions(grid: pd.DataFrame, tmp_path: Path) -> None:
    table = pruned_fractions(rounds(grid))
    assert table[["prune_iter", "prune_ratio"]].values.tolist() == [[n, r] for n in (1, 2) for r in (0.5, 0.8, 0.95)]
    assert table["wanted"].tolist() == pytest.approx(table["prune_ratio"].tolist()) and (table["count"] == 6).all()
    assert (table["spread"] == 0).all(), "how many are pruned does not depend on the seed"
    # The layers are 64-20-10-10: of the last, 100 of 1,580 weights, half the share is pruned.
    expected = {0.5: (640 + 100 + 25) / 1580, 0.8: (round(1480 * 0.8) + 40) / 1580}
    for ratio, actual in expected.items():
        row = table[(table["prune_iter"] == 1) & (table["prune_ratio"] == ratio)].iloc[0]
        # Each layer's number is a whole one.
        assert row["actual"] == pytest.approx(actual, abs=3 / 1580)
        assert row["difference"] == pytest.approx(row["actual"] - ratio)
    for seed, density in enumerate([0.25, 0.27]):
        write_ticket(tmp_path / f"T_{seed}", ROUNDS[:2], [1, density], seed=seed)
    row = pruned_fractions(rounds(load_history(tmp_path))).iloc[0]
    assert [row[name] for name in ("actual", "difference", "spread")] == pytest.approx([0.74, -0.01, 0.02])


def test_correlations_of_each_algorithm(grid: pd.DataFrame) -> None:
    df = tickets(grid)
    table = ticket_correlations(df, up_to=0.8)
    assert list(table.columns)[:5] == ["criterion", "init", "up_to", "axis", "n"] and table.columns[-1] == "importance"
    assert len(table) == 2 * 3 * 2 and table["n"].tolist() == [12] * 6 + [8] * 6
    for row in table.to_dict("records"):
        part = df[(df["criterion"] == row["criterion"]) & (df["init"] == row["init"])]
        part = part[part["prune_ratio"] <= row["up_to"]]
        expected = scipy.stats.pearsonr(part[row["axis"]], part["val_acc_max"])
        assert (row["pearson"], row["p"]) == pytest.approx((expected.statistic, expected.pvalue))
    # Of the last algorithm, up to the ratio; seed has the rest.
    shares = importance(part, "val_acc_max").set_index("parameter")["importance"]
    assert set(shares.index) == {"seed", "prune_ratio", "prune_iter"}
    assert table["importance"].tolist()[-2:] == [shares["prune_ratio"], shares["prune_iter"]]
    one_shot = ticket_correlations(df[(df["prune_iter"] == 1) & (df["criterion"] == "random")])
    assert one_shot[["axis", "up_to"]].values.tolist() == [["prune_ratio", 1.0]]


def winning(path: Path) -> pd.DataFrame:
    """Three rounds, three seeds: with their own weights tickets match up to round 2, 2, 3, with new ones to 1, 0, 0."""
    accuracies = {
        "original": [[0.90, 0.91, 0.92, 0.89], [0.91, 0.90, 0.92, 0.90], [0.92, 0.93, 0.91, 0.92]],
        "reinit": [[0.90, 0.90, 0.88, 0.80], [0.91, 0.90, 0.88, 0.80], [0.92, 0.91, 0.89, 0.80]],
    }
    for init, of_seeds in accuracies.items():
        for seed, values in enumerate(of_seeds):
            each = [[value - 0.1, value] for value in values]
            write_ticket(path / f"T_{init}{seed}", each, [1, 0.5, 0.25, 0.125], init=init, seed=seed, prune_ratio=0.875)
    return rounds(load_history(path))


def test_rounds_against_the_dense_network(tmp_path: Path) -> None:
    table = round_differences(winning(tmp_path))
    assert table[["init", "round"]].values.tolist() == [[i, n] for i in ("original", "reinit") for n in range(4)]
    row = table.iloc[1]
    differences = [0.01, -0.01, 0.01]
    assert (row["pruned"], row["mean_metric"], row["count"]) == pytest.approx((0.5, np.mean([0.91, 0.90, 0.93]), 3))
    interval = scipy.stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert row[["difference", "low", "high"]].tolist() == pytest.approx([np.mean(differences), *interval])
    assert (table.loc[table["round"] == 0, ["difference", "std"]] == 0).all(axis=None)
    assert round_differences(winning(tmp_path / "again"), by=[])["count"].tolist() == [6] * 4


def test_where_winning_tickets_end(tmp_path: Path) -> None:
    frame = winning(tmp_path)
    table = matching_rounds(frame)
    assert table["matching_round"].tolist() == [2, 2, 3, 1, 0, 0]
    assert table["matching_pruned"].tolist() == [0.75, 0.75, 0.875, 0.5, 0, 0]
    assert table["never_ended"].tolist() == [False, False, True, False, False, False]
    assert table["dense"].tolist() == [0.90, 0.91, 0.92] * 2 and varying(table) == {"seed": 3, "init": 2}
    assert matching_rounds(frame, margin=0.02)["matching_round"].tolist() == [3, 3, 3, 2, 1, 1]
    means = mean_matching_pruned(table).set_index("init")
    interval = scipy.stats.ttest_1samp([0.75, 0.75, 0.875], 0).confidence_interval(0.95)
    assert means.loc["original", ["mean", "low", "high"]].tolist() == pytest.approx([2.375 / 3, *interval])
    assert means["never_ended"].tolist() == [1, 0] and means["count"].tolist() == [3, 3]
    text = means.loc["original", "conclusion"]
    assert text.startswith("l1, original: up to 0.792 pruned accuracy is not below the dense (95% interval 0.6")
    assert text.endswith("3 trials). In 1 of them the last round still matches, so the ticket ends beyond it.")
    row = compare(table, "init", "matching_pruned").iloc[0]
    assert (row["pairs"], row["difference"]) == (3, pytest.approx(0.5 / 3 - 2.375 / 3))


def test_trials_that_are_not_complete_have_no_end(tmp_path: Path) -> None:
    write_ticket(tmp_path / "T_0", ROUNDS[:2], DENSITIES)
    write_ticket(tmp_path / "T_1", ROUNDS, DENSITIES, seed=1)
    table = matching_rounds(rounds(load_history(tmp_path)))
    assert table["status"].tolist() == ["incomplete", "complete"] and math.isnan(table["matching_round"][0])
    row = mean_matching_pruned(table).iloc[0]
    assert (row["count"], row["incomplete"], row["mean"], row["never_ended"]) == (1, 1, 0.5, 0)


def test_errors(grid: pd.DataFrame) -> None:
    df, frame = tickets(grid), rounds(grid)
    for call, message in [
        (lambda: ticket_correlations(df, up_to=0.4), r"up_to must be at least 0\.5, the lowest prune_ratio, got 0.4"),
        (
            lambda: ticket_correlations(df[(df["prune_ratio"] == 0.5) & (df["prune_iter"] == 1)]),
            r"Neither prune_ratio nor prune_iter varies for l1, original up to 1.0",
        ),
        (lambda: matching_rounds(frame, margin=-0.1), r"margin must be at least 0, got -0.1"),
        (lambda: matching_rounds(frame, "val_acc"), r"Unknown column 'val_acc'\. Did you mean 'val_acc_max'"),
        (lambda: pruned_fractions(df), r"Unknown column 'round'"),
        (lambda: sparsity_summary(df), r"Unknown column 'pruning'"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


def test_the_last_rounds_in_the_place_of_all_rounds(tmp_path: Path) -> None:
    # The dense network is the best of all rounds; the last round is what is asked for.
    write_ticket(tmp_path / "T_0", [[0.97, 0.98], [0.96, 0.95], [0.91, 0.92]], [1.0, 0.5, 0.25], seed=0)
    write_ticket(tmp_path / "T_1", [[0.97, 0.99], [0.96, 0.95], [0.90, 0.89]], [1.0, 0.5, 0.25], seed=1)
    trials = load(tmp_path).sort_values("seed")
    assert trials["val_acc_max"].tolist() == [0.98, 0.99]
    changed = with_last_rounds(trials, load_history(tmp_path))
    assert changed["val_acc_max"].tolist() == [0.92, 0.90]
    assert changed["val_acc_last"].tolist() == [0.92, 0.89]
    assert changed["val_acc_max_epoch"].tolist() == [1, 0]
    assert list(changed.columns) == list(trials.columns)
    assert changed.attrs == trials.attrs
