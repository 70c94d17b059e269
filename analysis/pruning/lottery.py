"""Lottery tickets: what each round of pruning reached, what it pruned, and what that correlates with."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.frame.checks import check_columns, check_numbers
from analysis.frame.schema import varying, with_schema
from analysis.loading.columns import summarise
from analysis.pruning.rows import TRIAL, in_full, of_study, of_trial, settings
from analysis.stats.aggregate import agg, has_value, in_order
from analysis.stats.correlate import correlation
from analysis.stats.importances import importance

OWN = ["round", "pruned_wanted"]
AXES = ["prune_ratio", "prune_iter"]
ALGORITHM = ["criterion", "init"]
LAST_ROUND = ["val_acc_max", "val_acc_max_epoch", "val_acc_last"]


def rounds(history: pd.DataFrame) -> pd.DataFrame:
    """One row for each trial with `study="ticket"` and round; round 0 is the dense network.

    Columns: the hyperparameters as in `load`; `round`; `pruned_wanted`, what all rounds so far were to prune, and
    `pruned`, what they did, as fractions of all weights; `val_acc_max`, `val_acc_max_epoch` (counted from 0, within the
    round), `val_acc_last`; `test_acc` at the epoch of `val_acc_max` (nan where no data is held out for val_*:
    then that is the test set); `status` ("incomplete" where the trial has not come so far), `trial_id`, `trial_dir`.
    Rows are in the order of the history, then of the rounds. What was measured is no axis, as in `sweeps`.

    Args:
        history: as `load_history` gives it.

    Raises: ValueError if no trial has that study.
    """
    rows = of_study(history, "ticket", OWN)
    names = settings(rows)
    # A trial's rows stand together, in the order of its epochs: so do those of each round.
    number = rows.groupby([*TRIAL, "round"], dropna=False, sort=False).ngroup().to_numpy()
    starts = np.r_[np.flatnonzero(np.r_[True, number[1:] != number[:-1]]), len(rows)]
    of_val = summarise(rows["val_acc"].to_numpy(float), starts)
    first = rows.iloc[starts[:-1]]
    best = starts[:-1] + np.nan_to_num(of_val.highest_at).astype(int)
    test_acc = rows["test_acc"].to_numpy(float)[best] if "test_acc" in rows else np.full(len(best), np.nan)
    found = first[[*TRIAL, *OWN]].assign(
        pruned=1 - first["density"],
        val_acc_max=of_val.highest,
        val_acc_max_epoch=of_val.highest_at,
        val_acc_last=of_val.last,
        test_acc=test_acc,
        complete=np.diff(starts) == first["epochs"],
    )
    expected = [
        (trial_id, trial_dir, number)
        for trial_id, trial_dir, n_rounds in rows[[*TRIAL, "prune_iter"]].drop_duplicates(TRIAL).itertuples(index=False)
        for number in range(int(n_rounds) + 1)
    ]
    return in_full(rows, names, ["round"], expected, found)


def tickets(history: pd.DataFrame) -> pd.DataFrame:
    """One row for each trial with `study="ticket"`: its last round, that is, the ticket.

    The columns of `rounds`, but `round` and `pruned_wanted`, which are `prune_iter` and `prune_ratio` here. `compare`,
    `correlation`, `importance`, `anova` and `pivot` take it.

    Raises: ValueError if no trial has that study.
    """
    every = rounds(history)
    last = every[every["round"] == every["prune_iter"]].reset_index(drop=True)
    return last.drop(columns=OWN)


def with_last_rounds(trials: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
    """What `load` gives, with the accuracies of each ticket's last round in the place of those of all its rounds.

    Columns that change: `val_acc_max`, `val_acc_max_epoch` (within the round), `val_acc_last`. Trials of other studies
    have no value there then.

    Raises: ValueError if no trial has study="ticket".
    """
    last = tickets(history).set_index(TRIAL)
    places = pd.MultiIndex.from_frame(trials[TRIAL])
    changed = {name: last[name].reindex(places).to_numpy() for name in LAST_ROUND if name in trials}
    return trials.assign(**changed)


def pruned_fractions(rounds: pd.DataFrame) -> pd.DataFrame:
    """The fraction that was to be pruned and the one that was, after the last round of each trial.

    Columns: `prune_iter`, `prune_ratio`, `wanted`, `actual` (mean over the trials), `difference` (actual - wanted),
    `spread` (the highest actual one minus the lowest: 0 if it is the same for all seeds and algorithms), `count` of the
    trials that came to their last round. The last layer is pruned at `last_layer_rate` times the rate of
    the others, so that the actual fraction is lower. Rows are in the order of the values.

    Args:
        rounds: as `rounds` gives it.

    Raises: ValueError if a column does not exist.
    """
    check_columns(rounds, ["round", *AXES, "pruned_wanted", "pruned"])
    last = rounds[(rounds["round"] == rounds["prune_iter"]) & rounds["pruned"].notna()]
    keys = ["prune_iter", "prune_ratio"]
    pruned = last.groupby(keys, sort=False)["pruned"]
    table = last.groupby(keys, sort=False).agg(wanted=("pruned_wanted", "mean"), actual=("pruned", "mean"))
    table["difference"] = table["actual"] - table["wanted"]
    table["spread"], table["count"] = pruned.max() - pruned.min(), pruned.count()
    return in_order(table.reset_index(), keys)


def ticket_correlations(tickets: pd.DataFrame, up_to: float | None = None, metric: str = "val_acc_max") -> pd.DataFrame:
    """How accuracy goes along with the fraction pruned and the number of rounds, for each algorithm.

    Columns: `criterion` and `init`, which are the algorithm; `up_to`, the highest `prune_ratio` that takes part, 1 for
    all; `axis`; then those of `correlation`: `n`, `pearson`, `low`, `high`, `p` and so on; and last the `importance` of
    the axis among all hyperparameters that vary within the algorithm, `seed` too, as in `importance`.

    Args:
        tickets: as `tickets` gives it.
        up_to: None: over all ratios only; else rows for ratios up to this one follow those over all.

    Raises: ValueError if a column does not exist, neither axis varies within an algorithm, or `up_to` leaves no
    trial.

    Reference: see `correlation` and `importance`.
    """
    check_columns(tickets, [*ALGORITHM, *AXES])
    parts = []
    for limit in [1.0] if up_to is None else [1.0, up_to]:
        chosen = tickets[tickets["prune_ratio"] <= limit]
        if chosen.empty:
            raise ValueError(f"up_to={limit} leaves no trial; the lowest prune_ratio is {tickets['prune_ratio'].min()}")
        for (criterion, init), part in chosen.groupby(ALGORITHM):
            axes = [name for name in AXES if name in varying(part)]
            if not axes:
                raise ValueError(f"neither prune_ratio nor prune_iter varies for {criterion}, {init} up to {limit}")
            table = correlation(part, metric, axes)
            shares = importance(part, metric).set_index("parameter")["importance"]
            of_part: dict[str, Any] = {"criterion": criterion, "init": init, "up_to": limit}
            parts.append(table.assign(**of_part, importance=table["axis"].map(shares)))
    result = pd.concat(parts, ignore_index=True)
    first = [*ALGORITHM, "up_to"]
    return result[[*first, *(name for name in result if name not in first)]]


def round_differences(
    rounds: pd.DataFrame, metric: str = "val_acc_max", by: Sequence[str] | None = None
) -> pd.DataFrame:
    """Accuracy in each round, and its difference from that of the dense network, round 0, of the same trial.

    Columns: those of `by`, `round`, `pruned` (mean), `mean_metric`; `difference` and its `std`, `low`, `high` (95% t
    interval) over the trials, `count`, `incomplete`. Rows are in the order of the values.

    Args:
        rounds: as `rounds` gives it.
        by: hyperparameters that are not averaged over; by default all that vary, but `seed`.

    Raises: ValueError if a column does not exist or `metric` holds no numbers.
    """
    keys = [*(varying(rounds, besides=["round", "seed"]) if by is None else by), "round"]
    check_columns(rounds, [*keys, "pruned", *TRIAL])
    check_numbers(rounds, metric)
    table = agg(rounds.assign(difference_=rounds[metric] - dense(rounds, metric)), keys, "difference_")
    means, pruned = agg(rounds, keys, metric)["mean"], agg(rounds, keys, "pruned")["mean"]
    table = table.rename(columns={"mean": "difference"}).assign(pruned=pruned, mean_metric=means)
    return table[[*keys, "pruned", "mean_metric", "difference", "std", "low", "high", "count", "incomplete"]]


def dense(rounds: pd.DataFrame, metric: str) -> pd.Series:
    """For each row what the metric was in round 0 of its trial."""
    of_trials = rounds.loc[rounds["round"] == 0].set_index(TRIAL)[metric]
    places = pd.MultiIndex.from_frame(rounds[TRIAL])
    return pd.Series(of_trials.reindex(places).to_numpy(), index=rounds.index)


def matching_rounds(rounds: pd.DataFrame, metric: str = "val_acc_max", margin: float = 0.0) -> pd.DataFrame:
    """The sparsest round of each trial whose accuracy is not below that of its dense network by more than a margin.

    There the winning ticket ends. With a margin of 0 noise decides where the accuracies are level: the sparsest
    of many rounds is partly the luckiest.

    Columns: the hyperparameters; `dense`, the metric in round 0; `matching_round`, 0 if none but the dense network is
    as good; `matching_pruned`, the fraction that is pruned there; `never_ended`: the last round matches, so that the
    end is further on; `status` ("incomplete" if a round is missing), `trial_id`, `trial_dir`. `agg` and `compare` take
    it.

    Args:
        rounds: as `rounds` gives it.
        margin: in the units of the metric, at least 0.

    Raises: ValueError if a column does not exist, `metric` holds no numbers or `margin` is below 0.
    """
    if not margin >= 0:
        raise ValueError(f"margin must be at least 0, got {margin}; it is what a ticket may be worse")
    check_columns(rounds, ["round", "pruned", *TRIAL])
    check_numbers(rounds, metric)
    level = dense(rounds, metric)
    # A tolerance: accuracies are counts over some thousand examples.
    frame = rounds.assign(
        dense=level, matches=rounds[metric] >= level - margin - 1e-9, whole=has_value(rounds, metric)
    ).sort_values("round", kind="stable")
    trials = frame.groupby(TRIAL, sort=False)
    is_whole = trials["whole"].transform("all")
    ends = frame[frame["matches"] & is_whole].drop_duplicates(TRIAL, keep="last")
    ends = ends.assign(never_ended=ends["round"] == ends["prune_iter"])
    names = of_trial(rounds, besides=["round"])
    of_trials = frame.assign(status=is_whole.map({True: "complete", False: "incomplete"})).drop_duplicates(TRIAL)
    of_ends = ends[[*TRIAL, "round", "pruned", "never_ended"]]
    of_ends = of_ends.rename(columns={"round": "matching_round", "pruned": "matching_pruned"})
    table = of_trials[[*names, "dense", "status", *TRIAL]].merge(of_ends, on=TRIAL, how="left")
    measured = ["dense", "matching_round", "matching_pruned", "never_ended"]
    table["never_ended"] = table["never_ended"].eq(True)
    return with_schema(table[[*names, *measured, "status", *TRIAL]], names, measured, rounds)


def mean_matching_pruned(matching: pd.DataFrame, by: Sequence[str] = tuple(ALGORITHM)) -> pd.DataFrame:
    """The sparsity at which tickets end: the mean of `matching_pruned` over the trials, with its 95% t interval.

    Columns: those of `by`, `mean`, `std`, `low`, `high`, `count`, `never_ended`, `incomplete`, and `conclusion`, a
    sentence. Trials that never ended count with their last round, so that the mean is too low; the sentence says so.
    The interval ends at 0 and 1, where fractions do.

    Raises: ValueError if a column does not exist.
    """
    keys = list(by)
    table = agg(matching, keys, "matching_pruned")
    n_open = agg(matching.assign(open_=matching["never_ended"].astype(float)), keys, "open_")
    table["never_ended"] = (n_open["mean"].fillna(0) * n_open["count"]).round().astype(int)
    table = table[[*keys, "mean", "std", "low", "high", "count", "never_ended", "incomplete"]]
    table[["low", "high"]] = table[["low", "high"]].clip(0, 1)
    return table.assign(conclusion=[_end_in_words(row, keys) for row in table.to_dict("records")])


def _end_in_words(row: dict[Any, Any], by: Sequence[str]) -> str:
    where = ", ".join(str(row[name]) for name in by)
    if not row["count"]:
        return f"{where}: no trial is complete."
    interval = "" if pd.isna(row["low"]) else f"95% interval {row['low']:.3g} to {row['high']:.3g}, "
    text = f"{where}: up to {row['mean']:.3g} pruned accuracy is not below the dense ({interval}{row['count']} trials)."
    never = row["never_ended"]
    return f"{text} In {never} of them the last round still is not: the end lies further on." if never else text
