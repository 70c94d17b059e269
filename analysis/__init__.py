"""Trial folders of Ray Tune as DataFrames, and the tables that are made of them.

`load` returns one row per trial, `load_history` one row per trial and epoch. All other functions take such a DataFrame
and return a new one. Neither torch nor Ray is needed, and no file of a trial is executed.
"""

from analysis.frame.condition import select
from analysis.frame.config_diff import differences, without_constant
from analysis.frame.schema import as_trials, hyperparameters, logged, metrics, varying
from analysis.loading.examples import example_folder, load_example, load_example_history
from analysis.loading.experiment_file import question
from analysis.loading.load import issues, load, load_history, load_many
from analysis.output.latex import latex_table
from analysis.output.save_table import save
from analysis.output.tables import failures, format_table, left_out, pivot
from analysis.pruning.dense_comparison import matching_rounds, mean_matching_pruned, round_differences
from analysis.pruning.lottery import pruned_fractions, rounds, ticket_correlations, tickets, with_last_rounds
from analysis.pruning.rows import first_training
from analysis.pruning.sparsity import mean_sparsity_at_fall, sparsity_at_fall, sparsity_summary, sweeps
from analysis.pruning.weight_vs_unit import kind_differences, where_kinds_differ
from analysis.statistics.aggregate import agg, failure_rates, mean_and_std, round_mean, stats
from analysis.statistics.contrast_sentences import contrast_sentences
from analysis.statistics.contrasts import contrasts
from analysis.statistics.correlate import correlation
from analysis.statistics.fanova import fanova
from analysis.statistics.importances import importance
from analysis.statistics.improvement import probability_of_improvement
from analysis.statistics.interactions import interactions
from analysis.statistics.interquartile import interquartile_mean
from analysis.statistics.learning_curves import curves, epochs_to
from analysis.statistics.pairwise import compare
from analysis.statistics.power import power
from analysis.statistics.profiles import performance_profile
from analysis.statistics.rank_tests import compare_ranks, friedman
from analysis.statistics.ranking import best, pareto
from analysis.statistics.ranks import mean_ranks
from analysis.statistics.selection import at_best
from analysis.statistics.survivors import survivorship
from analysis.statistics.variance import anova

__all__ = [
    "agg",
    "anova",
    "as_trials",
    "at_best",
    "best",
    "compare",
    "compare_ranks",
    "contrast_sentences",
    "contrasts",
    "correlation",
    "curves",
    "differences",
    "epochs_to",
    "example_folder",
    "failure_rates",
    "failures",
    "fanova",
    "first_training",
    "format_table",
    "friedman",
    "hyperparameters",
    "importance",
    "interactions",
    "interquartile_mean",
    "issues",
    "kind_differences",
    "latex_table",
    "left_out",
    "load",
    "load_example",
    "load_example_history",
    "load_history",
    "load_many",
    "logged",
    "matching_rounds",
    "mean_and_std",
    "mean_matching_pruned",
    "mean_ranks",
    "mean_sparsity_at_fall",
    "metrics",
    "pareto",
    "performance_profile",
    "pivot",
    "power",
    "probability_of_improvement",
    "pruned_fractions",
    "question",
    "round_differences",
    "round_mean",
    "rounds",
    "save",
    "select",
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
