"""Answers about studies that prune: where accuracy falls, where kinds of pruning differ, which tickets win."""

from collections.abc import Iterable

from analysis.frame.schema import varying
from analysis.frame.words import plural
from analysis.output.html import table
from analysis.output.html_report.figures import capitalized
from analysis.output.html_report.results import Results
from analysis.pruning.dense_comparison import matching_rounds, mean_matching_pruned
from analysis.pruning.lottery import ALGORITHM, rounds
from analysis.pruning.rows import SCORES, score_in_words
from analysis.pruning.sparsity import mean_sparsity_at_fall, sparsity_at_fall
from analysis.pruning.weight_vs_unit import kind_differences, where_kinds_differ
from analysis.statistics.significance import LEVEL

# A fall by one point of accuracy, or by as much of R²; and how close to the dense network a ticket must be.
POINT = 0.01
POINT_IN_WORDS = {"accuracy": "one point"}
METRICS_OF_ROUNDS = [f"val_{score}_{of}" for score in SCORES for of in ("max", "last")]
SHOWN_SENTENCES = 4

# A question, the section with details, and the answer.
Answer = tuple[str, str, str]


def answers_of_sweeps(results: Results) -> list[Answer]:
    """Return questions and answers about a sweep over sparsities."""
    answers = []
    by = varying(results.rows, besides=["seed", "pruning", "sparsity"])
    score = score_in_words(results.metric)
    if score in SCORES.values() and f"{results.metric}_trained" in results.rows:
        falls = sparsity_at_fall(results.rows, POINT, results.metric)
        texts = mean_sparsity_at_fall(falls, list(by), results.metric)["conclusion"]
        answers.append((f"Where has {score} fallen by {POINT_IN_WORDS.get(score, POINT)}?", "plots", _sentences(texts)))
    try:
        differences = kind_differences(results.rows, results.metric, list(by))
    except ValueError:
        return answers
    better = _sentences(where_kinds_differ(differences)["conclusion"])
    answers.append(("Which kind of pruning is better?", "comparisons", better))
    # At sparsity 0, both kinds are the trained network.
    unclear = differences[~(differences["p_holm"] <= LEVEL) & (differences["sparsity"] > 0)]
    if len(unclear):
        values = ", ".join(dict.fromkeys(f"{value:g}" for value in unclear["sparsity"]))
        pairs = int(unclear["pairs"].max())
        where = " in every setting" if by else ""
        told = f"Whether the kinds differ{where} at sparsity {values}, with {plural(pairs, 'pair')} of networks."
        answers.append(("What remains unclear?", "comparisons", told))
    return answers


def kinds_at_each_sparsity(results: Results) -> str:
    """Return the differences between the kinds of pruning as a table; empty if there is only one kind."""
    by = list(varying(results.rows, besides=["seed", "pruning", "sparsity"]))
    try:
        differences = kind_differences(results.rows, results.metric, by)
    except ValueError:
        return ""
    shown = [*by, "sparsity", "a", "b", "mean_a", "mean_b", "difference", "low", "high", "p_holm", "pairs"]
    headers = {name: results.names.header(name) for name in by} | {"p_holm": "p (Holm)", "difference": "b − a"}
    kinds = differences[["a", "b"]].drop_duplicates()
    if len(kinds) == 1:
        a, b = kinds.iloc[0]
        shown = [name for name in shown if name not in ("a", "b")]
        headers |= {"mean_a": a, "mean_b": b, "difference": f"{b} − {a}"}
    return "<h3>Kinds of pruning, in pairs of the same network</h3>" + table(differences[shown], headers)


def answers_of_tickets(results: Results) -> list[Answer]:
    """Return questions and answers about lottery tickets."""
    if results.history is None or results.metric not in METRICS_OF_ROUNDS:
        return []
    every = rounds(results.history)
    # The tickets of most rounds pass through most densities.
    every = every[every["prune_iter"] == every["prune_iter"].max()]
    by = [name for name in ALGORITHM if name in varying(every)] or ["init"]
    ends = mean_matching_pruned(matching_rounds(every, results.metric, POINT), by, results.metric)
    score = score_in_words(results.metric)
    distance = POINT_IN_WORDS.get(score, f"{POINT} {score}")
    return [(f"Which tickets stay within {distance} of the dense network?", "plots", _sentences(ends["conclusion"]))]


def _sentences(texts: Iterable[str]) -> str:
    every = list(map(capitalized, texts))
    more = len(every) - SHOWN_SENTENCES
    return " ".join(every[:SHOWN_SENTENCES]) + (f" And {plural(more, 'more setting')}." if more > 0 else "")
