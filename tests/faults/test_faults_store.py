"""Fault 15: the storage is an object store, and it is away for 20 s; the driver is killed there too."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.fault_bed import N_EPOCHS, N_TRIALS, NOT_NUMBERS, Bed, check_no_survivors, held
from support.s3 import BUCKET, s3  # noqa: F401  # a fixture

import analysis
from dynsparse.io.storage import open_folder
from dynsparse.results.trial_folder import folder_name

pytestmark = pytest.mark.ray


@pytest.fixture
def remote(s3, tmp_path):  # noqa: F811
    bed = Bed(tmp_path, f"s3://{BUCKET}/{tmp_path.name}")
    yield bed
    bed.end()


def check_store(bed, reference):
    """I1, I2, I3, read from the store."""
    df = analysis.load(f"{bed.uri}/bed")
    assert len(df) == N_TRIALS and set(df["status"]) == {"complete"} and analysis.issues(df).empty
    assert len(analysis.load_history(f"{bed.uri}/bed")) == N_TRIALS * N_EPOCHS
    for config in bed.configs():
        content = open_folder(f"{bed.uri}/bed/{folder_name(config)}").read("result.json")
        rows = [json.loads(line) for line in content.splitlines()]
        found = [{name: value for name, value in row.items() if name not in NOT_NUMBERS} for row in rows]
        assert json.dumps(found) == json.dumps(reference[folder_name(config)])
    held("I1", "I2", "I3", "I4")


@pytest.mark.faults
def test_the_store_is_away_for_20_seconds(remote, reference, s3):  # noqa: F811
    run = remote.start()
    remote.wait_for(lambda events: len(events) >= 20)
    s3.stop()
    time.sleep(20)
    s3.start()
    assert run.wait(240) == 0, run.text
    assert "Traceback" not in run.text
    check_store(remote, reference)
    check_no_survivors(remote)
    assert len(remote.events()) == N_TRIALS * N_EPOCHS, "nothing is repeated"
    held("I5", repeated=0)


@pytest.mark.faults
def test_the_driver_is_killed_and_goes_on(remote, reference):
    run = remote.start()
    remote.wait_for(lambda events: len(events) >= 30)
    command = [sys.executable, "-m", "dynsparse.cli", "watch", f"{remote.uri}/bed", "--once"]
    watched = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert watched.returncode == 0 and "of 12 trials done" in watched.stdout, watched
    run.kill()
    run.wait()
    assert len(analysis.load(f"{remote.uri}/bed")) == N_TRIALS
    run = remote.start()
    assert run.wait(240) == 0, run.text
    check_store(remote, reference)
    check_no_survivors(remote)
    table = [sys.executable, "-m", "dynsparse.cli", "table", f"{remote.uri}/bed", "--rows", "model", "--metric"]
    printed = subprocess.run([*table, "val_acc_max"], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert printed.returncode == 0 and "all 12 trials are complete" in printed.stdout, printed
