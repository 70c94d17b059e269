"""The error message for an unknown name."""

from support.doctests import run_examples

from dynsparse.config.suggest import LISTED, unknown


def test_the_example_runs():
    run_examples(unknown)


def test_a_long_table_is_listed_only_without_a_near_match():
    table = ["density", *(f"key{i}" for i in range(LISTED))]
    assert unknown("key", "densty", table) == "Unknown key 'densty'. Did you mean 'density'?"
    assert unknown("key", "xyz", table) == f"Unknown key 'xyz'. Available: {', '.join(table)}."
