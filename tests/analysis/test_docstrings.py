"""Run the examples in the docstrings of everything that `analysis`, `analysis.output` and `analysis.plots` export."""

import doctest
from typing import Any

import pandas as pd
import pytest

import analysis
import analysis.output
import analysis.plots

EXPORTED = {
    f"{package.__name__}.{name}": getattr(package, name)
    for package in (analysis, analysis.output, analysis.plots)
    for name in package.__all__
}
# They have no example yet.
WITHOUT_EXAMPLE = {
    "analysis.agg",
    "analysis.anova",
    "analysis.best",
    "analysis.compare",
    "analysis.correlation",
    "analysis.curves",
    "analysis.differences",
    "analysis.epochs_to",
    "analysis.failure_rates",
    "analysis.first_training",
    "analysis.importance",
    "analysis.issues",
    "analysis.kind_differences",
    "analysis.load",
    "analysis.load_history",
    "analysis.load_many",
    "analysis.matching_rounds",
    "analysis.mean_and_std",
    "analysis.mean_matching_pruned",
    "analysis.mean_sparsity_at_fall",
    "analysis.pareto",
    "analysis.pruned_fractions",
    "analysis.round_differences",
    "analysis.round_mean",
    "analysis.rounds",
    "analysis.sparsity_at_fall",
    "analysis.sparsity_summary",
    "analysis.stats",
    "analysis.survivorship",
    "analysis.sweeps",
    "analysis.ticket_correlations",
    "analysis.tickets",
    "analysis.where_kinds_differ",
    "analysis.with_last_rounds",
    "analysis.without_constant",
}


@pytest.fixture(autouse=True)
def _wide_tables() -> Any:
    """Show all columns, as a wide terminal does."""
    with pd.option_context("display.width", 200, "display.max_columns", 30, "display.max_colwidth", 150):
        yield


@pytest.mark.parametrize("name", EXPORTED)
def test_each_exported_name_has_an_example_that_runs(name: str) -> None:
    examples = doctest.DocTestFinder(recurse=False).find(EXPORTED[name], name, globs={})
    runner = doctest.DocTestRunner(verbose=False)
    for example in examples:
        runner.run(example)
    assert runner.failures == 0
    assert runner.tries > 1 or name in WITHOUT_EXAMPLE, "write an example"
