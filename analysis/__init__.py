"""Trial folders of Ray Tune as DataFrames, and the tables that are made of them."""

from analysis.aggregates import agg, failure_rates, mean_and_std, round_mean, stats
from analysis.tables import failures, format_table, left_out, pivot, varying
from analysis.trials import issues, load, load_history, load_many

__all__ = [
    "agg",
    "failure_rates",
    "failures",
    "format_table",
    "issues",
    "left_out",
    "load",
    "load_history",
    "load_many",
    "mean_and_std",
    "pivot",
    "round_mean",
    "stats",
    "varying",
]
