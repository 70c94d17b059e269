"""Tables and pictures of tickets.md: lottery tickets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
from tabulate import tabulate
from trials import Run, cost, load_trials, study_rows

from analysis import (
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
    Algorithm("random pruning, initial values", "random", "original", -1, "negative"),
    Algorithm("smallest weights, new values", "l1", "reinit", 1, "+0.596"),
    Algorithm("smallest weights, initial values", "l1", "original", 1, "+0.619"),
]
# The settings that the report does not name.
SETTINGS = ["optim_alg", "learning_rate", "config/epochs", "hidden_sizes", "weight_init"]


def round_rows(folder: Path) -> pd.DataFrame:
    """Return one row for each trial and round."""
    return study_rows(rounds(load_history(folder)), folder)


RUNS = {
    name: Run(name, rows=round_rows) for name in ("lottery_ticket", "lottery_ticket_settings", "winning_tickets")
}


def last_rounds(name: str) -> pd.DataFrame:
    """Return the rows of the tickets: the last rounds of the trials of a run."""
    df = load_trials(name)
    return df[df["round"] == df["prune_iter"]].drop(columns=["round", "pruned_wanted"])


def fractions_table() -> str:
    """Return the fraction that should be pruned and the one that is, for one round and for five."""
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
            published = each.published if limited and row["axis"] == "prune_ratio" else ""
            numbers = [f"{row['pearson']:+.2f}", f"{row['low']:+.2f} to {row['high']:+.2f}", f"{row['importance']:.2f}"]
            fractions = f"up to {UP_TO}" if limited else "all"
            rows.append([each.name, f"`{row['axis']}`", fractions, *numbers, published])
    headers = ["algorithm", "axis", "fractions", "correlation", "95% interval", "importance", "the report"]
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)


def seeds_table() -> str:
    """Return the correlation with the fraction pruned, up to 85%, for each seed."""
    df = last_rounds("lottery_ticket")
    seeds = sorted(df["seed"].unique())
    rows = [[each.name, *(_pearson(df[df["seed"] == seed], each)["text"] for seed in seeds)] for each in ALGORITHMS]
    return tabulate(rows, ["algorithm", *(f"seed {seed}" for seed in seeds)], tablefmt="pipe", disable_numparse=True)


def _pearson(tickets: pd.DataFrame, algorithm: Algorithm) -> dict[str, Any]:
    """Return the correlation of an algorithm's accuracy with the fraction pruned, up to 85%, its interval and a text."""
    of_algorithm = (tickets["criterion"] == algorithm.criterion) & (tickets["init"] == algorithm.init)
    chosen = tickets[of_algorithm & (tickets["prune_ratio"] <= UP_TO)]
    row = correlation(chosen, METRIC, ["prune_ratio"]).iloc[0]
    return {**row, "text": f"{row['pearson']:+.2f}"}


def settings() -> pd.DataFrame:
    """Return the three correlations for each setting, and whether their signs are those of the report."""
    found = []
    for values, part in last_rounds("lottery_ticket_settings").groupby(SETTINGS, sort=False):
        each = [_pearson(part, algorithm) for algorithm in ALGORITHMS]
        signed = [algorithm.sign * row["pearson"] for algorithm, row in zip(ALGORITHMS, each, strict=True)]
        ends = [row["high" if algorithm.sign < 0 else "low"] for algorithm, row in zip(ALGORITHMS, each, strict=True)]
        clear = all(algorithm.sign * end > 0 for algorithm, end in zip(ALGORITHMS, ends, strict=True))
        texts = {algorithm.name: row["text"] for algorithm, row in zip(ALGORITHMS, each, strict=True)}
        trained = part.loc[part["prune_ratio"] == part["prune_ratio"].min(), METRIC].mean()
        agreed = {"agree": all(value > 0 for value in signed), "clear": clear, "lowest": min(signed)}
        found.append({**dict(zip(SETTINGS, values, strict=True)), **texts, **agreed, "accuracy": trained})
    return pd.DataFrame(found)


def settings_table() -> str:
    """Return the settings for which all three signs are those of the report; those that agree best first."""
    df = settings()
    df = df[df["agree"]].sort_values("lowest", ascending=False)
    rows = []
    for row in df.to_dict("records"):
        texts = [row[each.name] for each in ALGORITHMS]
        rows.append([*(str(row[name]) for name in SETTINGS), f"{row['accuracy']:.3f}", *texts, "yes" if row["clear"] else "no"])
    headers = ["optimizer", "rate", "epochs", "hidden layers", "initial weights", "accuracy at 0.1"]
    headers += [*(each.name for each in ALGORITHMS), "all intervals exclude 0"]
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)


def settings_sentence() -> str:
    """Return for how many settings the signs agree."""
    df = settings()
    return f"All three signs agree for {df['agree'].sum()} of {len(df)} settings, and all intervals exclude 0 for {df['clear'].sum()}."


def winning_table() -> str:
    """Return the difference of each round from the dense network, with initial weights and with new values."""
    df = round_differences(load_trials("winning_tickets"), by=["init"])
    rows = []
    for _, part in df[df["round"] > 0].groupby("round"):
        by_init = part.set_index("init")
        cells = [
            f"{by_init.loc[init, 'difference']:+.4f} ({by_init.loc[init, 'low']:+.4f} to {by_init.loc[init, 'high']:+.4f})"
            for init in ("original", "reinit")
        ]
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
        "tickets_seeds": seeds_table(),
        "tickets_settings_count": settings_sentence(),
        "tickets_settings": settings_table(),
        "tickets_winning": winning_table(),
        "tickets_matching": "\n".join(f"- {sentence}" for sentence in matching["conclusion"]),
        "tickets_cost": cost(RUNS),
    }


def pictures() -> dict[str, Figure]:
    """Return the figures of the page by the name of their file."""
    # plotly is needed for pictures only.
    from analysis.plots import plot_pruned_fractions, plot_rounds, plot_tickets

    each_round = load_trials("lottery_ticket")
    return {
        "tickets": plot_tickets(last_rounds("lottery_ticket")),
        "tickets_fractions": plot_pruned_fractions(each_round[each_round["prune_iter"].isin([1, 5])]),
        "tickets_winning": plot_rounds(load_trials("winning_tickets")),
    }
