"""Properties of everything that reads files or words of anybody.

They are tried on inputs that are known to be hostile, and on some that Hypothesis makes up.
"""

import pytest
from hypothesis import HealthCheck, settings
from support.fuzz_targets import TARGETS

# As many as take about a second. `python tests/fuzz.py` tries others, for as long as you like.
EXAMPLES = {
    "load_returns_a_table_and_issues": 25,
    "a_signed_cache_of_any_content_is_read_or_ignored": 20,
    "a_run_reads_any_folder": 40,
    "a_checkpoint_of_any_content_is_read_or_named": 60,
    "an_exported_file_of_any_content_is_read_or_named": 100,
    "set_reads_any_words_or_refuses_them": 200,
    "where_selects_or_refuses": 200,
}


@pytest.mark.parametrize("name", TARGETS)
def test_any_input_is_read_or_refused(name: str) -> None:
    # A machine that is busy is slow, which is no failure.
    slow = list(HealthCheck)
    TARGETS[name].run(
        settings(max_examples=EXAMPLES[name], deadline=None, database=None, suppress_health_check=slow), 0
    )
