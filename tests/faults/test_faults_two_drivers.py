"""Faults 13 and 16: two drivers and four readers; a driver that is stopped and continues."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.fault_bed import check_all, check_complete, check_no_survivors, check_numbers, held, numbers

pytestmark = pytest.mark.ray

READ = """
import sys, time
from pathlib import Path
import analysis
folder, end, rows, n = Path(sys.argv[1]), Path(sys.argv[2]), 0, 0
while not end.exists():
    if any(folder.glob("trial_*/params.json")):
        analysis.load(folder)
        now = len(analysis.load_history(folder))
        assert now >= rows, (rows, now)
        rows, n = now, n + 1
    time.sleep(0.3)
print(n)
"""


@pytest.mark.faults
def test_two_drivers_and_four_readers(bed, reference, tmp_path):
    end = tmp_path / "end"
    repository = Path(__file__).parents[2]
    command = [sys.executable, "-c", READ, str(bed.folder), str(end)]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=repository)
    readers = [subprocess.Popen(command, **pipes) for _ in range(4)]
    try:
        runs = [bed.start(), bed.start()]
        codes = [run.wait() for run in runs]
        assert sorted(codes) == [0, 2], [run.text for run in runs]
        winner, loser = sorted(runs, key=lambda run: run.process.returncode)
        assert f"process {winner.process.pid} on {socket.gethostname()}" in loser.text
        assert "Traceback" not in loser.text
    finally:
        end.touch()
        outputs = [reader.communicate(timeout=30)[0] for reader in readers]
    for reader, output in zip(readers, outputs, strict=True):
        assert reader.returncode == 0 and int(output) > 3, output
    check_all(bed, reference)


@pytest.mark.faults
def test_a_second_driver_that_comes_later_is_refused(bed, reference):
    run = bed.start()
    bed.wait_for(lambda events: len(events) > 20)
    second = bed.start()
    assert second.wait() == 2, second.text
    assert f"process {run.process.pid} on {socket.gethostname()}" in second.text
    assert run.wait() == 0, run.text
    check_all(bed, reference)


@pytest.mark.faults
def test_a_stopped_driver_keeps_its_experiment(bed, reference):
    run = bed.start()
    bed.wait_for(lambda events: len(events) > 20)
    run.kill(signal.SIGSTOP)
    # Longer than an owner elsewhere may be silent.
    time.sleep(40)
    second = bed.start()
    assert second.wait() == 2, second.text
    assert f"process {run.process.pid} on {socket.gethostname()}" in second.text
    run.kill(signal.SIGCONT)
    assert run.wait() == 0, run.text
    check_all(bed, reference)


@pytest.mark.faults
def test_a_stopped_run_that_was_replaced_writes_nothing_when_it_continues(bed, reference):
    run = bed.start()
    bed.wait_for(lambda events: len(events) > 20)
    stopped = list(run.survivors())
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    # To the second run, the first one is on another machine, where it seems to have died.
    lease = bed.folder / "lease.json"
    lease.write_text(json.dumps({**json.loads(lease.read_text()), "machine": "another"}))
    second = bed.start()
    assert second.wait(240) == 0, second.text
    assert f"was in use by process {run.process.pid}" in second.text
    rows = {path: path.read_bytes() for path in bed.folder.glob("trial_*/*")}
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    assert run.wait() == 1, run.text
    assert "was taken over by process" in run.text and "Traceback" not in run.text
    assert {path: path.read_bytes() for path in bed.folder.glob("trial_*/*")} == rows
    # The worker that continued has computed an epoch that it could not write.
    check_all(bed, reference, interruptions=2)
    held("I8")


@pytest.mark.faults
def test_two_grids_share_a_storage(bed, reference):
    """Two names beside each other: neither run waits for the other, and each has its own trials."""
    first = bed.start()
    bed.wait_for(lambda events: len(events) > 0)
    second = bed.start("--name", "second")
    assert [run.wait(300) for run in (first, second)] == [0, 0], [run.text for run in (first, second)]
    check_complete(bed)
    check_numbers(bed, reference)
    rows = json.dumps(numbers(bed))
    bed.folder = bed.storage / "second"
    check_complete(bed)
    assert json.dumps(numbers(bed)) == rows


@pytest.mark.faults
@pytest.mark.parametrize("what", ["a trial", "the experiment"])
def test_a_folder_is_deleted_while_its_trials_train(bed, reference, what):
    bed.observer.may_shrink = True
    run = bed.start()
    bed.wait_for(lambda events: any(event["epoch"] >= 3 for event in bed.events()))
    [trial, *_] = [event["trial"] for event in bed.events() if event["epoch"] >= 3]
    # A file of a run that goes on may be renamed meanwhile.
    shutil.rmtree(bed.folder / f"trial_{trial}" if what == "a trial" else bed.folder, ignore_errors=True)
    code = run.wait(300)
    assert code in (0, 1) and "Traceback" not in run.text, run.text
    if code:
        run = bed.start()
        assert run.wait() == 0, run.text
    check_complete(bed)
    check_numbers(bed, reference)
    check_no_survivors(bed)
