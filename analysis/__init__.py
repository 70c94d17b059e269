"""Trial folders of Ray Tune as DataFrames, and the tables that are made of them."""

from analysis.aggregates import agg, failure_rates, mean_and_std, round_mean, stats
from analysis.compare import compare
from analysis.correlation import correlation
from analysis.curves import curves, epochs_to
from analysis.differences import differences, without_constant
from analysis.export import save
from analysis.failing import survivorship
from analysis.importance import importance
from analysis.ranking import best, pareto
from analysis.tables import failures, format_table, left_out, pivot, varying
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
    "format_table",
    "importance",
    "issues",
    "left_out",
    "load",
    "load_history",
    "load_many",
    "logged",
    "mean_and_std",
    "pareto",
    "pivot",
    "round_mean",
    "save",
    "stats",
    "survivorship",
    "varying",
    "without_constant",
]
