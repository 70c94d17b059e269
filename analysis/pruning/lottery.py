"""Lottery tickets: the accuracy, or R², and the pruned fraction of each round, and their correlation."""

from typing import Any

import numpy as np
import pandas as pd

from analysis.frame.checks import check_columns
from analysis.frame.schema import varying
from analysis.loading.columns import summarise
from analysis.pruning.rows import SCORES, TRIAL, in_full, is_diverged_row, of_study, settings
from analysis.statistics.aggregate import in_order
from analysis.statistics.correlate import correlation
from analysis.statistics.importances import importance

OWN = ["round", "pruned_wanted"]
AXES = ["prune_ratio", "prune_iter"]
ALGORITHM = ["criterion", "init"]
LAST_ROUND = [f"val_{score}_{of}" for score in SCORES for of in ("max", "max_epoch", "last")]


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
    - of a regression (loss="mse"), `val_r2_max` and so on, and `test_r2`, in place of the accuracies.
    - `status`, "incomplete" where the trial has not got that far; `diverged`, True if a loss is NaN or infinite at the
      end of the round; `trial_id`, `trial_dir`.

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
    first = rows.iloc[starts[:-1]]
    scores = [score for score in SCORES if f"val_{score}" in rows]
    found = first[[*TRIAL, *OWN]].assign(
        pruned=1 - first["density"],
        **{name: values for score in scores for name, values in _summaries_of_rounds(rows, starts, score).items()},
        complete=np.diff(starts) == first["epochs"],
        diverged=is_diverged_row(rows.iloc[starts[1:] - 1]).to_numpy(),
    )
    expected = [
        (trial_id, trial_dir, number)
        for trial_id, trial_dir, n_rounds in rows[[*TRIAL, "prune_iter"]].drop_duplicates(TRIAL).itertuples(index=False)
        for number in range(int(n_rounds) + 1)
    ]
    return in_full(rows, names, ["round"], expected, found)


def _summaries_of_rounds(rows: pd.DataFrame, starts: np.ndarray, score: str) -> dict[str, np.ndarray]:
    """Return the summaries of a score for each round: rows from each start to the next."""
    of_val = summarise(rows[f"val_{score}"].to_numpy(float), starts)
    best = starts[:-1] + np.nan_to_num(of_val.highest_at).astype(int)
    on_test = rows[f"test_{score}"].to_numpy(float)[best] if f"test_{score}" in rows else np.full(len(best), np.nan)
    summaries = {"max": of_val.highest, "max_epoch": of_val.highest_at, "last": of_val.last}
    return {**{f"val_{score}_{name}": values for name, values in summaries.items()}, f"test_{score}": on_test}


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

    The columns `val_acc_max`, `val_acc_max_epoch` (within the round) and `val_acc_last` change; of regressions, those
    of `val_r2`. They become NaN for trials of other studies.

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
    changed = {name: last[name].reindex(places).to_numpy() for name in LAST_ROUND if name in trials and name in last}
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
