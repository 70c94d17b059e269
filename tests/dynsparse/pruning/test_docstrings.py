"""Test the examples in the docstrings of dynsparse.pruning."""

from __future__ import annotations

import inspect

import pytest
from support.doctests import run_examples

import dynsparse.pruning
from dynsparse.pruning import summary

FUNCTIONS = [getattr(dynsparse.pruning, name) for name in dynsparse.pruning.__all__]
FUNCTIONS = [each for each in FUNCTIONS if inspect.isfunction(each)] + [summary.summary, summary.format_summary]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_each_function_has_an_example_that_runs(function: object) -> None:
    run_examples(function)
