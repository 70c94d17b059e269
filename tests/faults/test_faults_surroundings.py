"""Odd surroundings: the clock jumps, few files may be open, a folder has two names, there is no home or host name."""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest
from support.fault_bed import Bed, check_all, check_no_survivors, held

pytestmark = [pytest.mark.ray, pytest.mark.faults]


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_the_clock_jumps_and_a_second_driver_comes(bed, reference, seconds):
    clock = bed.path / "clock"
    clock.write_text("0")
    run = bed.start(BED_CLOCK=str(clock))
    # Early, because the second driver takes a while to look at the lock, and the first must still run then.
    bed.wait_for(lambda events: len(events) >= 2)
    clock.write_text(str(seconds))
    second = bed.start()
    assert second.wait() == 2, second.text
    assert f"process {run.process.pid} on {socket.gethostname()}" in second.text
    assert run.wait() == 0, run.text
    check_all(bed, reference)


def test_the_clock_jumps_to_and_fro(bed, reference):
    clock = bed.path / "clock"
    clock.write_text("0")
    run = bed.start(BED_CLOCK=str(clock))
    for place, seconds in enumerate([3600, -7200, 86_400, -86_400, 0]):
        bed.wait_for(lambda events, n=15 * (place + 1): len(events) >= n)
        clock.write_text(str(seconds))
    assert run.wait() == 0, run.text
    check_all(bed, reference)


@pytest.mark.parametrize("seconds", [86_400, -86_400])
def test_the_clock_has_jumped_between_two_runs(bed, reference, seconds):
    clock = bed.path / "clock"
    clock.write_text(str(seconds))
    run = bed.start(BED_CLOCK=str(clock))
    bed.wait_for(lambda events: len(events) >= 30)
    run.kill()
    run.wait()
    run = bed.start()
    assert run.wait() == 0, run.text
    check_all(bed, reference, interruptions=1)


@pytest.mark.parametrize("name", ["a é 数 '", "a long path with spaces, é, 数据 and 'quotes'"], ids=["short", "long"])
def test_a_folder_for_temporary_files_with_spaces_and_letters_of_all_kinds(name, bed, reference):
    with tempfile.TemporaryDirectory(dir="/tmp") as base:
        folder = Path(base, name)
        folder.mkdir()
        run = bed.start(TMPDIR=str(folder))
        assert run.wait() == 0, run.text
        check_all(bed, reference)
        assert not list(folder.glob("ray*"))


def test_no_home(bed, reference):
    run = bed.start(HOME=None)
    assert run.wait() == 0, run.text
    check_all(bed, reference)


def test_a_host_whose_name_nobody_knows(bed, reference):
    if os.geteuid() or not shutil.which("unshare"):
        pytest.skip("another host name takes root and unshare")
    run = bed.start(before=["unshare", "--uts", "sh", "-c", 'hostname no-such-host.invalid && exec "$0" "$@"'])
    assert run.wait() == 0, run.text
    check_all(bed, reference)


def test_few_open_files(bed, reference):
    run = bed.start(before=["sh", "-c", 'ulimit -n 256 && exec "$0" "$@"'])
    code = run.wait()
    if code != 0:
        assert code == 1 and "Traceback" not in run.text, run.text
        assert not list(bed.folder.glob("trial_*/failed.json"))
        [line] = [line for line in run.text.splitlines() if line.startswith("Error: ")]
        assert "256" in line and "ulimit -n" in line, line
        run = bed.start()
        assert run.wait() == 0, run.text
    check_all(bed, reference, interruptions=1)


@pytest.mark.parametrize("how", ["link", "mount"])
def test_a_folder_with_two_names(how, bed, reference):
    other = Bed(bed.path / "other")
    if how == "link":
        other.storage.symlink_to(bed.storage)
    elif os.geteuid():
        pytest.skip("mounting takes root")
    try:
        run = bed.start()
        bed.wait_for(lambda events: len(events) > 20)
        if how == "mount":
            other.storage.mkdir()
            subprocess.run(["mount", "--bind", bed.storage, other.storage], check=True)
        second = other.start()
        assert second.wait() == 2, second.text
        assert f"process {run.process.pid} on {socket.gethostname()}" in second.text
        run.kill()
        run.wait()
        # Under its other name the run goes on where it was.
        second = other.start()
        assert second.wait() == 0, second.text
        check_all(bed, reference, interruptions=1)
        check_no_survivors(other)
    finally:
        other.end()
        if how == "mount":
            subprocess.run(["umount", other.storage], check=False)
    held("I8")
