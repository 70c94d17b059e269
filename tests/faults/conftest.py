"""Each test has a bed of its own, with an observer; the reference run is made once."""

from pathlib import Path

import bed as beds
import pytest


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """The bed of the reference run; do not write into it."""
    bed = beds.Bed(tmp_path_factory.mktemp("reference"))
    try:
        run = bed.start()
        assert run.wait() == 0, run.text
    finally:
        bed.end()
    return bed


@pytest.fixture(scope="session")
def reference(undisturbed):
    """The rows of each trial of a run that nobody disturbed."""
    return beds.numbers(undisturbed)


@pytest.fixture
def bed(tmp_path, reference):
    bed = beds.Bed(tmp_path)
    try:
        with bed.observer:
            yield bed
    finally:
        bed.end()


def pytest_collection_modifyitems(items):
    """Real runs that are killed and go on take minutes: `make faults` runs them, `make test` does not."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.faults)
