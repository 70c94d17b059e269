"""Comparison of the rounds of lottery tickets with the dense network of the same trial."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis.frame.checks import check_columns, check_numbers
from analysis.frame.schema import varying, with_schema
from analysis.frame.words import setting_text
from analysis.pruning.lottery import ALGORITHM
from analysis.pruning.rows import TRIAL, of_trial, score_in_words
from analysis.statistics.aggregate import agg, has_value
from analysis.statistics.divergence import is_diverged


def round_differences(
    rounds: pd.DataFrame, metric: str = "val_acc_max", by: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return the accuracy of each round, and its difference from round 0, the dense network, of the same trial.

    Rows are in the order of the values. The result has these columns:
    - those of `by`, `round`.
    - `pruned`, `mean_metric`: means over the trials.
    - `difference`, its mean over the trials; its `std` and 95% t interval `low`, `high`, NaN for a single trial.
    - `count`, trials that are included; `incomplete`, `diverged`, trials that are left out.

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
    table = agg(rounds.assign(difference_=rounds[metric] - dense_values(rounds, metric)), keys, "difference_")
    means, pruned = agg(rounds, keys, metric)["mean"], agg(rounds, keys, "pruned")["mean"]
    table = table.rename(columns={"mean": "difference"}).assign(pruned=pruned, mean_metric=means)
    return table[
        [*keys, "pruned", "mean_metric", "difference", "std", "low", "high", "count", "incomplete", "diverged"]
    ]


def dense_values(rounds: pd.DataFrame, metric: str) -> pd.Series:
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
    - `status`, "incomplete" if a round is missing; `diverged`, True if a loss is NaN or infinite at the end of any
      round; `trial_id`, `trial_dir`.

    Args:
        rounds: the result of `rounds`.
        metric: the accuracy, or R²; higher is better.
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
    level = dense_values(rounds, metric)
    # A tolerance: accuracies are counts over some thousand examples.
    frame = rounds.assign(
        dense=level,
        matches=rounds[metric] >= level - margin - 1e-9,
        whole=has_value(rounds, metric),
        diverged=is_diverged(rounds),
    ).sort_values("round", kind="stable")
    trials = frame.groupby(TRIAL, sort=False)
    is_whole, diverged = trials["whole"].transform("all"), trials["diverged"].transform("any")
    ends = frame[frame["matches"] & is_whole].drop_duplicates(TRIAL, keep="last")
    ends = ends.assign(never_ended=ends["round"] == ends["prune_iter"])
    names = of_trial(rounds, besides=["round"])
    status = (is_whole | diverged).map({True: "complete", False: "incomplete"})
    of_trials = frame.assign(status=status, diverged=diverged).drop_duplicates(TRIAL)
    of_ends = ends[[*TRIAL, "round", "pruned", "never_ended"]]
    of_ends = of_ends.rename(columns={"round": "matching_round", "pruned": "matching_pruned"})
    table = of_trials[[*names, "dense", "status", "diverged", *TRIAL]].merge(of_ends, on=TRIAL, how="left")
    measured = ["dense", "matching_round", "matching_pruned", "never_ended"]
    table["never_ended"] = table["never_ended"].eq(True)
    return with_schema(table[[*names, *measured, "status", "diverged", *TRIAL]], names, measured, rounds)


def mean_matching_pruned(
    matching: pd.DataFrame, by: Sequence[str] = tuple(ALGORITHM), metric: str = "val_acc_max"
) -> pd.DataFrame:
    """Return the sparsity at which tickets end: the mean of `matching_pruned`, with its 95% t interval.

    The result has these columns:
    - those of `by`.
    - `mean`, `std`, `low`, `high`, `count` as in `agg`. The interval is cut off at 0 and 1.
    - `never_ended`, trials whose last round matches; `incomplete`, `diverged`, trials that are left out.
    - `conclusion`, a sentence.

    Trials that never ended count with their last round, so the mean is too low if there are any; the sentence says so.

    Args:
        matching: the result of `matching_rounds`.
        by: hyperparameters that are not averaged over; by default the algorithm, `criterion` and `init`.
        metric: the metric that was compared, for the sentence.

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
    table = table[[*keys, "mean", "std", "low", "high", "count", "never_ended", "incomplete", "diverged"]]
    table[["low", "high"]] = table[["low", "high"]].clip(0, 1)
    return table.assign(
        conclusion=[_end_in_words(row, keys, score_in_words(metric)) for row in table.to_dict("records")]
    )


def _end_in_words(row: dict[Any, Any], by: Sequence[str], score: str) -> str:
    where = setting_text(by, row)
    if not row["count"]:
        return f"{where}: no trial is complete."
    interval = "" if pd.isna(row["low"]) else f"95% interval {row['low']:.3g} to {row['high']:.3g}, "
    text = f"{where}: up to {row['mean']:.3g} pruned {score} is not below the dense ({interval}{row['count']} trials)."
    never = row["never_ended"]
    return f"{text} In {never} of them the last round still matches, so the ticket ends beyond it." if never else text
