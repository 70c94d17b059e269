"""Fault 17: a process of Ray itself is killed; the run says so, no trial has failed, and the same command resumes."""

import os
import signal
import time

import pytest
from support.fault_bed import check_all

pytestmark = [pytest.mark.ray, pytest.mark.faults]

PROCESSES = {"raylet": "raylet/raylet", "gcs": "gcs_server", "agent": "ray::DashboardAgent"}


@pytest.mark.parametrize("n_begun", [0, 1, 14, 50])
@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_of_ray_is_killed(bed, reference, process, n_begun):
    run = bed.start()
    bed.wait_for(lambda events: len(events) >= n_begun)
    while not (found := [pid for pid, command in run.survivors().items() if PROCESSES[process] in command]):
        assert run.process.poll() is None, run.text
        time.sleep(0.01)
    [pid] = found
    os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    code = run.wait()
    # Ray's own reason for another try of its start may say that a process of its own failed.
    ours = [line for line in run.text.splitlines() if "; retrying" not in line]
    assert not any("failed" in line or "Traceback" in line for line in ours), run.text
    assert not list(bed.folder.glob("trial_*/failed.json"))
    if code != 0:
        # A Ray that is starting tries for a minute to reach a process that is gone.
        assert code == 1 and time.monotonic() - killed < (60 if n_begun else 200)
        [line] = [line for line in run.text.splitlines() if line.startswith("Error: ")]
        assert "Written results are kept. Rerun the same command" in line
    run = bed.start()
    assert run.wait() == 0, run.text
    check_all(bed, reference, interruptions=1)
