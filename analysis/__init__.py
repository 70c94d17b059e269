"""Trial folders of Ray Tune as DataFrames, and the tables that are made of them."""

from analysis.aggregates import agg, failure_rates, mean_and_std, round_mean, stats
from analysis.compare import compare
from analysis.correlation import correlation
from analysis.curves import curves, epochs_to
from analysis.differences import differences, without_constant
from analysis.export import save
from analysis.failing import survivorship
from analysis.importance import importance
from analysis.kinds import kind_differences, where_kinds_differ
from analysis.ranking import best, pareto
from analysis.studies import first_training
from analysis.sweeps import mean_sparsity_at_fall, sparsity_at_fall, sparsity_summary, sweeps
from analysis.tables import failures, format_table, left_out, pivot, varying
from analysis.tickets import (
    matching_rounds,
    mean_matching_pruned,
    pruned_fractions,
    round_differences,
    rounds,
    ticket_correlations,
    tickets,
    with_last_rounds,
)
from analysis.trials import issues, load, load_history, load_many, logged
from analysis.variance import anova

__all__ = [
    "agg",
    "anova",
    "best",
    "compare",
    "correlation",
    "curves",
    "differences",
    "epochs_to",
    "failure_rates",
    "failures",
    "first_training",
    "format_table",
    "importance",
    "issues",
    "kind_differences",
    "left_out",
    "load",
    "load_history",
    "load_many",
    "logged",
    "matching_rounds",
    "mean_and_std",
    "mean_matching_pruned",
    "mean_sparsity_at_fall",
    "pareto",
    "pivot",
    "pruned_fractions",
    "round_differences",
    "round_mean",
    "rounds",
    "save",
    "sparsity_at_fall",
    "sparsity_summary",
    "stats",
    "survivorship",
    "sweeps",
    "ticket_correlations",
    "tickets",
    "varying",
    "where_kinds_differ",
    "with_last_rounds",
    "without_constant",
]
