"""Fault 13: two drivers, and four readers."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.fault_bed import check_all

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
