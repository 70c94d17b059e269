"""Test the examples in the docstrings of dynsparse.search and dynsparse.sampling."""

import pytest
from support.doctests import run_examples

from dynsparse.sampling import samples
from dynsparse.search import Asha
from dynsparse.search.objectives import value_of


@pytest.mark.parametrize("item", [Asha, samples, value_of], ids=lambda item: item.__name__)
def test_the_example_runs(item):
    run_examples(item)
