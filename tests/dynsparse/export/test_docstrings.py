"""Test the examples in the docstrings of dynsparse.export."""

from __future__ import annotations

import pytest
from support.doctests import run_examples

from dynsparse import export

PUBLIC = [getattr(export, name) for name in export.__all__]


@pytest.mark.parametrize("item", [each for each in PUBLIC if callable(each)], ids=lambda item: item.__name__)
def test_each_public_name_has_an_example_that_runs(item: object) -> None:
    run_examples(item)
