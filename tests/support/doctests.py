"""Run the examples in a docstring."""

from __future__ import annotations

import doctest


def run_examples(item: object) -> None:
    """Run the examples of a function or class. Fail if there are none, or if one prints something else."""
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for examples in doctest.DocTestFinder(recurse=False).find(item, name=getattr(item, "__name__", ""), globs={}):
        runner.run(examples)
    assert runner.tries > 1
    assert runner.failures == 0
