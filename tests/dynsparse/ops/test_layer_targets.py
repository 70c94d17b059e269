"""Layers that share a total number of active weights: the examples, which are worked by hand."""

import pytest
from support.doctests import run_examples

from dynsparse.ops.layer_targets import apportion, highest_together
from dynsparse.ops.patterns import pattern_of


@pytest.mark.parametrize("function", [apportion, highest_together, pattern_of])
def test_the_example_runs(function):
    run_examples(function)
