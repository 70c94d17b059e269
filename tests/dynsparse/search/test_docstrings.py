"""Test the examples in the docstrings of dynsparse.search and dynsparse.sampling."""

import pytest
from support.doctests import run_examples

from dynsparse.sampling import drawn_keys, samples
from dynsparse.search import Asha, Pbt
from dynsparse.search.objectives import value_of


@pytest.mark.parametrize("item", [Asha, Pbt.parents, drawn_keys, samples, value_of], ids=lambda item: item.__name__)
def test_the_example_runs(item):
    run_examples(item)
