"""Lottery tickets: the accuracy and the pruned fraction of each round, and their correlation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.frame.checks import check_columns, check_numbers
from analysis.frame.schema import varying, with_schema
from analysis.loading.columns import summarise
from analysis.pruning.rows import TRIAL, in_full, of_study, of_trial, settings
from analysis.statistics.aggregate import agg, has_value, in_order
from analysis.statistics.correlate import correlation
from analysis.statistics.importances import importance

OWN = ["round", "pruned_wanted"]
AXES = ["prune_ratio", "prune_iter"]
ALGORITHM = ["criterion", "init"]
LAST_ROUND = ["val_acc_max", "val_acc_max_epoch", "val_acc_last"]


def rounds(history: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each trial with `study="ticket"` and round; round 0 is the dense network.

    Rows are in the order of the history, then of the rounds. The result has these columns:
    - the hyperparameters as in `load`.
    - `round`, a hyperparameter in the schema.
    - `pruned_wanted`, the fraction of all weights that the rounds so far should prune; `pruned`, the fraction that they
      did prune.
    - `val_acc_max`; `val_acc_max_epoch`, counted from 0 within the round; `val_acc_last`.
    - `test_acc` at the epoch of `val_acc_max`. It is NaN if no data is held out for val_*, which is then measured on
      the test set.
    - `status`, "incomplete" where the trial has not got that far; `trial_id`, `trial_dir`.

    Args:
        history: one row per trial and epoch, as `load_history` gives it.

    Raises:
        ValueError: if no trial has that study.

    Example:
        >>> from analysis import load_example_history, rounds
        >>> df = rounds(load_example_history("tickets"))
        >>> one = df.query("seed == 0 and init == 'original' and prune_iter == 3 and prune_ratio == 0.8")
        >>> one[["round", "pruned_wanted", "pruned", "val_acc_max", "test_acc", "status"]].round(3)
            round  pruned_wanted  pruned  val_acc_max  test_acc    status
        48      0          0.000   0.000        0.927     0.936  complete
        49      1          0.415   0.403        0.937     0.947  complete
        50      2          0.658   0.641        0.951     0.944  complete
        51      3          0.800   0.782        0.934     0.956  complete
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
    """Return one row for each trial with `study="ticket"`: its last round, which is the ticket.

    The columns are those of `rounds` without `round` and `pruned_wanted`, which equal `prune_iter` and `prune_ratio`
    here. `compare`, `correlation`, `importance`, `anova` and `pivot` take the result.

    Args:
        history: one row per trial and epoch, as `load_history` gives it.

    Raises:
        ValueError: if no trial has that study.

    Example:
        >>> from analysis import load_example_history, pivot, tickets
        >>> pivot(tickets(load_example_history("tickets")), ["init", "prune_iter"], "prune_ratio", "val_acc_max")
        prune_ratio                   0.50           0.80           0.95
        init     prune_iter
        original 1           0.931 ± 0.011  0.915 ± 0.004  0.670 ± 0.056
                 3           0.933 ± 0.015  0.918 ± 0.016  0.602 ± 0.134
        reinit   1           0.894 ± 0.011  0.777 ± 0.021  0.395 ± 0.122
                 3           0.902 ± 0.010  0.780 ± 0.028  0.334 ± 0.030
    """
    every = rounds(history)
    last = every[every["round"] == every["prune_iter"]].reset_index(drop=True)
    return last.drop(columns=OWN)


def with_last_rounds(trials: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
    """Return the trials of `load` with the accuracies of each ticket's last round instead of those of all its rounds.

    The columns `val_acc_max`, `val_acc_max_epoch` (within the round) and `val_acc_last` change. They become NaN for
    trials of other studies.

    Args:
        trials: one row per trial, as `load` gives it.
        history: one row per trial and epoch of the same experiment, as `load_history` gives it.

    Raises:
        ValueError: if no trial has study="ticket".

    Example:
        >>> from analysis import load_example, load_example_history, with_last_rounds
        >>> df = load_example("tickets")
        >>> changed = with_last_rounds(df, load_example_history("tickets"))
        >>> print(df["val_acc_max"].mean().round(3), changed["val_acc_max"].mean().round(3))
        0.928 0.754
    """
    last = tickets(history).set_index(TRIAL)
    places = pd.MultiIndex.from_frame(trials[TRIAL])
    changed = {name: last[name].reindex(places).to_numpy() for name in LAST_ROUND if name in trials}
    return trials.assign(**changed)


def pruned_fractions(rounds: pd.DataFrame) -> pd.DataFrame:
    """Return the wanted and the actual pruned fraction after the last round of each trial.

    The last layer is pruned at `last_layer_rate` times the rate of the others, so the actual fraction is lower. Rows
    are in the order of the values. The result has these columns:
    - `prune_iter`, `prune_ratio`.
    - `wanted`, `actual`: means over the trials; `difference`, actual - wanted.
    - `spread`, the highest actual fraction minus the lowest; 0 if it is the same for all seeds and algorithms.
    - `count`, trials that reached their last round.

    Args:
        rounds: the result of `rounds`.

    Raises:
        ValueError: if a column does not exist.

    Example:
        >>> from analysis import load_example_history, pruned_fractions, rounds
        >>> pruned_fractions(rounds(load_example_history("tickets"))).round(4)
           prune_iter  prune_ratio  wanted  actual  difference  spread  count
        0           1         0.50    0.50  0.4853     -0.0147     0.0      6
        1           1         0.80    0.80  0.7765     -0.0235     0.0      6
        2           1         0.95    0.95  0.9221     -0.0279     0.0      6
        3           3         0.50    0.50  0.4871     -0.0129     0.0      6
        4           3         0.80    0.80  0.7824     -0.0176     0.0      6
        5           3         0.95    0.95  0.9342     -0.0158     0.0      6
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
    """Return the correlation of accuracy with the pruned fraction and the number of rounds, for each algorithm.

    The result has these columns:
    - `criterion`, `init`: the algorithm.
    - `up_to`, the highest `prune_ratio` that is included; 1 for all.
    - `axis`, "prune_ratio" or "prune_iter".
    - `n`, `pearson`, `low`, `high`, `p` and the other columns of `correlation`.
    - `importance` of the axis among all hyperparameters that vary within the algorithm, `seed` included, as in
      `importance`.

    Args:
        tickets: the result of `tickets`.
        up_to: add rows for the ratios up to this one. None gives the rows over all ratios only.
        metric: a column of numbers.

    Raises:
        ValueError: if a column does not exist, neither axis varies within an algorithm, or `up_to` leaves no trial.

    Example:
        >>> from analysis import load_example_history, ticket_correlations, tickets
        >>> table = ticket_correlations(tickets(load_example_history("tickets")))
        >>> table[["criterion", "init", "up_to", "axis", "n", "pearson", "low", "high", "importance"]].round(2)
          criterion      init  up_to         axis   n  pearson   low  high  importance
        0        l1  original    1.0  prune_ratio  18    -0.73 -0.89 -0.40        0.88
        1        l1  original    1.0   prune_iter  18    -0.07 -0.52  0.41        0.05
        2        l1    reinit    1.0  prune_ratio  18    -0.86 -0.95 -0.66        0.96
        3        l1    reinit    1.0   prune_iter  18    -0.03 -0.49  0.44        0.01
    """
    check_columns(tickets, [*ALGORITHM, *AXES])
    parts = []
    for limit in [1.0] if up_to is None else [1.0, up_to]:
        chosen = tickets[tickets["prune_ratio"] <= limit]
        if chosen.empty:
            raise ValueError(
                f"up_to must be at least {tickets['prune_ratio'].min()}, the lowest prune_ratio, got {limit}."
            )
        for (criterion, init), part in chosen.groupby(ALGORITHM):
            axes = [name for name in AXES if name in varying(part)]
            if not axes:
                raise ValueError(f"Neither prune_ratio nor prune_iter varies for {criterion}, {init} up to {limit}.")
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
    """Return the accuracy of each round, and its difference from round 0, the dense network, of the same trial.

    Rows are in the order of the values. The result has these columns:
    - those of `by`, `round`.
    - `pruned`, `mean_metric`: means over the trials.
    - `difference`, its mean over the trials; its `std` and 95% t interval `low`, `high`, NaN for a single trial.
    - `count`, `incomplete`: trials that are included and left out.

    Args:
        rounds: the result of `rounds`.
        metric: a column of numbers.
        by: hyperparameters that are not averaged over; by default all that vary, except `seed`.

    Raises:
        ValueError: if a column does not exist or `metric` holds no numbers.

    Example:
        >>> from analysis import load_example_history, round_differences, rounds
        >>> df = rounds(load_example_history("tickets"))
        >>> table = round_differences(df[(df["prune_iter"] == 3) & (df["prune_ratio"] == 0.95)], by=["init"])
        >>> table[["init", "round", "pruned", "mean_metric", "difference", "low", "high", "count"]].round(3)
               init  round  pruned  mean_metric  difference    low   high  count
        0  original      0   0.000        0.926       0.000  0.000  0.000      3
        1  original      1   0.613        0.927       0.001 -0.004  0.006      3
        2  original      2   0.844        0.901      -0.024 -0.042 -0.007      3
        3  original      3   0.934        0.602      -0.324 -0.646 -0.002      3
        4    reinit      0   0.000        0.926       0.000  0.000  0.000      3
        5    reinit      1   0.613        0.871      -0.055 -0.105 -0.004      3
        6    reinit      2   0.844        0.566      -0.360 -0.560 -0.160      3
        7    reinit      3   0.934        0.334      -0.591 -0.672 -0.511      3
    """
    keys = [*(varying(rounds, besides=["round", "seed"]) if by is None else by), "round"]
    check_columns(rounds, [*keys, "pruned", *TRIAL])
    check_numbers(rounds, metric)
    table = agg(rounds.assign(difference_=rounds[metric] - dense(rounds, metric)), keys, "difference_")
    means, pruned = agg(rounds, keys, metric)["mean"], agg(rounds, keys, "pruned")["mean"]
    table = table.rename(columns={"mean": "difference"}).assign(pruned=pruned, mean_metric=means)
    return table[[*keys, "pruned", "mean_metric", "difference", "std", "low", "high", "count", "incomplete"]]


def dense(rounds: pd.DataFrame, metric: str) -> pd.Series:
    """Return for each row the metric in round 0 of its trial."""
    of_trials = rounds.loc[rounds["round"] == 0].set_index(TRIAL)[metric]
    places = pd.MultiIndex.from_frame(rounds[TRIAL])
    return pd.Series(of_trials.reindex(places).to_numpy(), index=rounds.index)


def matching_rounds(rounds: pd.DataFrame, metric: str = "val_acc_max", margin: float = 0.0) -> pd.DataFrame:
    """Return the sparsest round of each trial that matches its dense network: its accuracy is not below by a margin.

    The winning ticket ends at this round. With a margin of 0, noise decides among rounds of equal accuracy: the
    sparsest of many rounds is partly the luckiest. `agg` and `compare` take the result. It has these columns:
    - the hyperparameters.
    - `dense`, the metric in round 0.
    - `matching_round`; 0 if no pruned round matches. `matching_pruned`, the fraction pruned there. Both are NaN for
      an incomplete trial.
    - `never_ended`, True if the last round matches, so that the ticket ends beyond it.
    - `status`, "incomplete" if a round is missing; `trial_id`, `trial_dir`.

    Args:
        rounds: the result of `rounds`.
        metric: the accuracy; higher is better.
        margin: the allowed loss, in the units of the metric, at least 0.

    Raises:
        ValueError: if a column does not exist, `metric` holds no numbers or `margin` is below 0.

    Example:
        >>> from analysis import load_example_history, matching_rounds, rounds
        >>> df = rounds(load_example_history("tickets"))
        >>> table = matching_rounds(df[(df["prune_iter"] == 3) & (df["prune_ratio"] == 0.95)], margin=0.01)
        >>> table[["seed", "init", "dense", "matching_round", "matching_pruned", "never_ended"]].round(3)
           seed      init  dense  matching_round  matching_pruned  never_ended
        0     0  original  0.927               1            0.613        False
        1     1  original  0.930               1            0.613        False
        2     2  original  0.920               1            0.613        False
        3     0    reinit  0.927               0            0.000        False
        4     1    reinit  0.930               0            0.000        False
        5     2    reinit  0.920               0            0.000        False
    """
    if not margin >= 0:
        raise ValueError(f"margin must be at least 0, got {margin}.")
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
    """Return the sparsity at which tickets end: the mean of `matching_pruned`, with its 95% t interval.

    The result has these columns:
    - those of `by`.
    - `mean`, `std`, `low`, `high`, `count` as in `agg`. The interval is cut off at 0 and 1.
    - `never_ended`, trials whose last round matches; `incomplete`, trials that are left out.
    - `conclusion`, a sentence.

    Trials that never ended count with their last round, so the mean is too low if there are any; the sentence says so.

    Args:
        matching: the result of `matching_rounds`.
        by: hyperparameters that are not averaged over; by default the algorithm, `criterion` and `init`.

    Raises:
        ValueError: if a column does not exist.

    Example:
        >>> from analysis import load_example_history, matching_rounds, mean_matching_pruned, rounds
        >>> df = rounds(load_example_history("tickets"))
        >>> table = mean_matching_pruned(matching_rounds(df[df["prune_iter"] == 3], margin=0.01))
        >>> table[["criterion", "init", "mean", "low", "high", "count", "never_ended"]].round(3)
          criterion      init   mean    low   high  count  never_ended
        0        l1  original  0.596  0.522  0.671      9            4
        1        l1    reinit  0.022  0.000  0.074      9            0
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
