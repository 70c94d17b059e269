"""Tables and pictures of tickets.md: lottery tickets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from tabulate import tabulate
from trials import Run, cost_list, load_trials, study_rows, with_interval

from analysis import (
    compare,
    correlation,
    load_history,
    matching_rounds,
    mean_matching_pruned,
    pivot,
    pruned_fractions,
    round_differences,
    rounds,
    ticket_correlations,
)
from analysis.statistics.paired_tests import holm
from analysis.statistics.significance import p_digits

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

UP_TO = 0.85
METRIC = "val_acc_max"


class Algorithm(NamedTuple):
    """An algorithm of the report, its settings here, and the sign of its correlation for fractions up to 85%."""

    name: str
    criterion: str
    init: str
    sign: int
    published: str


ALGORITHMS = [
    Algorithm("random", "random", "original", -1, "negative"),
    Algorithm("new values", "l1", "reinit", 1, "+0.596"),
    Algorithm("winning", "l1", "original", 1, "+0.619"),
]
# The settings that the report does not name.
SETTINGS = ["optim_alg", "learning_rate", "config/epochs", "hidden_sizes", "weight_init"]


def round_rows(folder: Path) -> pd.DataFrame:
    """Return one row for each trial and round, as `study_rows` keeps them."""
    return study_rows(rounds(load_history(folder)), folder)


NAMES = ["lottery_ticket", "lottery_ticket_settings", "lottery_ticket_new_seeds", "winning_tickets"]
RUNS = {name: Run(name, rows=round_rows) for name in NAMES}


def last_rounds(name: str) -> pd.DataFrame:
    """Return the rows of the tickets: the last rounds of the trials of a run."""
    df = load_trials(name)
    return df[df["round"] == df["prune_iter"]].drop(columns=["round", "pruned_wanted"])


def fractions_table() -> str:
    """Return the requested and the actual fraction pruned, for one round and for five."""
    table = pruned_fractions(load_trials("lottery_ticket"))
    wide = table[table["prune_iter"].isin([1, 5])].pivot(index="prune_ratio", columns="prune_iter", values="actual")
    rows = [[f"{ratio:g}", *(f"{actual:.4f}" for actual in wide.loc[ratio])] for ratio in wide.index]
    headers = ["requested", *("1 round" if n == 1 else f"{n} rounds" for n in wide.columns)]
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)


def accuracy_table() -> str:
    """Return the accuracy of the tickets of each algorithm over the fraction pruned, averaged over the rounds."""
    table = pivot(last_rounds("lottery_ticket"), ["criterion", "init"], "prune_ratio", METRIC)
    rows = [[each.name, *table.loc[(each.criterion, each.init)]] for each in ALGORITHMS]
    return tabulate(rows, ["algorithm", *map(str, table.columns)], tablefmt="pipe", disable_numparse=True)


def correlations_table() -> str:
    """Return the correlations of accuracy with the fraction pruned and the number of rounds, and their importance."""
    df = ticket_correlations(last_rounds("lottery_ticket"), up_to=UP_TO)
    rows = []
    for each in ALGORITHMS:
        part = df[(df["criterion"] == each.criterion) & (df["init"] == each.init)]
        for row in part.sort_values(["axis", "up_to"], ascending=[False, True]).to_dict("records"):
            limited = row["up_to"] == UP_TO
            # For all fractions, the report says of each algorithm that the correlation is negative.
            of_fraction = each.published if limited else "negative"
            published = of_fraction if row["axis"] == "prune_ratio" else ""
            numbers = [f"{row['pearson']:+.2f}", f"{row['low']:+.2f} to {row['high']:+.2f}", f"{row['importance']:.2f}"]
            fractions = f"up to {UP_TO}" if limited else "all"
            rows.append([each.name, f"`{row['axis']}`", fractions, *numbers, published])
    headers = ["algorithm", "axis", "fractions", "correlation", "95% interval", "importance", "the report"]
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)


def rounds_table() -> str:
    """Return what five rounds change for each algorithm, over all fractions and seeds; p has Holm's correction."""
    df, pairs = last_rounds("lottery_ticket"), []
    for each in ALGORITHMS:
        part = df[(df["criterion"] == each.criterion) & (df["init"] == each.init) & df["prune_iter"].isin([1, 5])]
        pairs.append(compare(part, "prune_iter", METRIC).iloc[0])
    corrected = holm(np.array([pair["p"] for pair in pairs], dtype=float))
    rows = [
        [each.name, f"{pair['difference']:+.4f}", f"{pair['low']:+.4f} to {pair['high']:+.4f}", p_digits(p)]
        for each, pair, p in zip(ALGORITHMS, pairs, corrected, strict=True)
    ]
    headers = ["algorithm", "five rounds minus one", "95% interval", "p"]
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)


def seeds_table() -> str:
    """Return the correlation with the fraction pruned, up to 85%, for each seed."""
    df = last_rounds("lottery_ticket")
    seeds = sorted(df["seed"].unique())
    rows = [
        [each.name, *(f"{correlation_row(df[df['seed'] == seed], each)['pearson']:+.2f}" for seed in seeds)]
        for each in ALGORITHMS
    ]
    return tabulate(rows, ["algorithm", *(f"seed {seed}" for seed in seeds)], tablefmt="pipe", disable_numparse=True)


def correlation_row(tickets: pd.DataFrame, algorithm: Algorithm) -> pd.Series:
    """Return the correlation of an algorithm's accuracy with the fraction pruned, up to 85%, with its interval."""
    where = f"criterion == {algorithm.criterion} and init == {algorithm.init} and prune_ratio <= {UP_TO}"
    return correlation(tickets, METRIC, ["prune_ratio"], where=where).iloc[0]


def settings() -> pd.DataFrame:
    """Return the three correlations for each setting, and how they agree with the report.

    `agree`: all signs are those of the report. `clear`: all intervals exclude 0, too. `lowest`: the smallest
    correlation times its expected sign. `accuracy`: mean at the smallest fraction.
    """
    found = []
    for values, part in last_rounds("lottery_ticket_settings").groupby(SETTINGS, sort=False):
        rows = [(each, correlation_row(part, each)) for each in ALGORITHMS]
        lowest = min(each.sign * row["pearson"] for each, row in rows)
        clear = all(min(each.sign * row["low"], each.sign * row["high"]) > 0 for each, row in rows)
        accuracy = part.loc[part["prune_ratio"] == part["prune_ratio"].min(), METRIC].mean()
        correlations = {each.name: row["pearson"] for each, row in rows}
        verdict = {"agree": lowest > 0, "clear": clear, "lowest": lowest, "accuracy": accuracy}
        found.append({**dict(zip(SETTINGS, values, strict=True)), **correlations, **verdict})
    return pd.DataFrame(found)


def rates_table() -> str:
    """Return the mean of each correlation over the settings with one learning rate, and how many settings agree."""
    rows = []
    for (optimizer, rate), part in settings().groupby(["optim_alg", "learning_rate"]):
        means = [f"{part[each.name].mean():+.2f}" for each in ALGORITHMS]
        agree = f"{part['agree'].sum()} of {len(part)}"
        rows.append([optimizer, f"{rate:g}", f"{part['accuracy'].mean():.3f}", *means, agree])
    headers = ["optimizer", "rate", "accuracy, 0.1 pruned", *(each.name for each in ALGORITHMS), "settings that agree"]
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)


def settings_table() -> str:
    """Return the settings for which all three signs are those of the report; those that agree best first."""
    df = settings()
    df = df[df["agree"]].sort_values("lowest", ascending=False)
    rows = []
    for row in df.to_dict("records"):
        cells = [*(str(row[name]) for name in SETTINGS), f"{row['accuracy']:.3f}"]
        rows.append([*cells, *(f"{row[each.name]:+.2f}" for each in ALGORITHMS), "yes" if row["clear"] else "no"])
    headers = ["optimizer", "rate", "epochs", "hidden layers", "initial weights", "accuracy, 0.1 pruned"]
    headers += [*(each.name for each in ALGORITHMS), "all intervals exclude 0"]
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)


def settings_sentence() -> str:
    """Return for how many settings the signs agree."""
    df = settings()
    agree, clear, n = df["agree"].sum(), df["clear"].sum(), len(df)
    by_chance = f"{n / 8:.0f} would if signs were random"
    return f"All three signs agree for {agree} of {n} settings ({by_chance}), and all intervals exclude 0 for {clear}."


def new_seeds_table() -> str:
    """Return the three correlations, with their intervals, for the two settings that were trained with new seeds."""
    rows = []
    for epochs, part in last_rounds("lottery_ticket_new_seeds").groupby("config/epochs"):
        found = [correlation_row(part, each) for each in ALGORITHMS]
        rows.append([epochs, *(with_interval(row["pearson"], row["low"], row["high"], 2) for row in found)])
    return tabulate(rows, ["epochs", *(each.name for each in ALGORITHMS)], tablefmt="pipe", disable_numparse=True)


def winning_table() -> str:
    """Return the difference of each round from the dense network, with initial weights and with new values."""
    df = round_differences(load_trials("winning_tickets"), by=["init"])
    rows = []
    for _, part in df[df["round"] > 0].groupby("round"):
        by_init = part.set_index("init")
        cells = [with_interval(*by_init.loc[init, ["difference", "low", "high"]]) for init in ("original", "reinit")]
        rows.append([f"{1 - part['pruned'].iloc[0]:.1%}", *cells])
    headers = ["weights left", "initial weights", "new values"]
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)


def tables() -> dict[str, str]:
    """Return the tables of the page in Markdown, by the name under which it includes them."""
    matching = mean_matching_pruned(matching_rounds(load_trials("winning_tickets")), by=["init"])
    return {
        "tickets_fractions": fractions_table(),
        "tickets_accuracy": accuracy_table(),
        "tickets_correlations": correlations_table(),
        "tickets_rounds": rounds_table(),
        "tickets_seeds": seeds_table(),
        "tickets_settings_count": settings_sentence(),
        "tickets_settings": settings_table(),
        "tickets_rates": rates_table(),
        "tickets_new_seeds": new_seeds_table(),
        "tickets_winning": winning_table(),
        "tickets_matching": "\n".join(f"- {sentence}" for sentence in matching["conclusion"]),
        "tickets_cost": cost_list(RUNS),
    }


def tickets_plot(results: Path) -> Figure:
    """Return accuracy over the fraction pruned, for one round and for five."""
    from analysis.plots import plot_tickets

    df = last_rounds("lottery_ticket")
    return plot_tickets(df[df["prune_iter"].isin([1, 5])])


def fractions_plot(results: Path) -> Figure:
    """Return the actual over the requested fraction, for one round and for five."""
    from analysis.plots import plot_pruned_fractions

    df = load_trials("lottery_ticket")
    return plot_pruned_fractions(df[df["prune_iter"].isin([1, 5])])


def rounds_plot(results: Path) -> Figure:
    """Return the accuracy of each round of the tickets of twenty rounds."""
    from analysis.plots import plot_rounds

    return plot_rounds(load_trials("winning_tickets"))


PICTURES: dict[str, Callable[[Path], Figure]] = {
    "tickets": tickets_plot,
    "tickets_fractions": fractions_plot,
    "tickets_winning": rounds_plot,
}
