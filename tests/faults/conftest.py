"""Each test has a bed of its own, with an observer; the reference run is made once."""

import pytest
from support import fault_bed as beds
from tabulate import tabulate


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


def pytest_runtest_logreport(report):
    """Note what a test took."""
    if report.nodeid in beds.SHOWN and report.when == "call":
        beds.SHOWN[report.nodeid].seconds, beds.SHOWN[report.nodeid].outcome = report.duration, report.outcome


def pytest_terminal_summary(terminalreporter):
    """The table of the faults."""
    if not beds.SHOWN:
        return
    terminalreporter.section("faults")
    rows = [
        [
            name.partition("::")[2].removeprefix("test_").replace("_", " "),
            ", ".join(sorted(shown.held)),
            "" if shown.repeated is None else shown.repeated,
            round(shown.seconds, 1),
            shown.outcome,
        ]
        for name, shown in beds.SHOWN.items()
    ]
    headers = ["fault", "invariants held", "epochs repeated", "seconds", ""]
    terminalreporter.write_line(tabulate(rows, headers))
