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


@pytest.fixture(autouse=True)
def _wide_tables() -> Any:
    """Show all columns, as a wide terminal does."""
    with pd.option_context("display.width", 200, "display.max_columns", 30, "display.max_colwidth", 150):
        yield


@pytest.mark.parametrize("name", EXPORTED)
def test_each_exported_name_has_an_example_that_runs(name: str) -> None:
    examples = doctest.DocTestFinder(recurse=False).find(EXPORTED[name], name, globs={})
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    for example in examples:
        runner.run(example)
    assert runner.failures == 0
    assert runner.tries > 1, "write an example"
