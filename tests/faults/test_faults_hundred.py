"""A hundred trials, stopped five times at random, end with the table of a run that nobody stopped."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.fault_bed import Bed, check_no_survivors, held

pytestmark = [pytest.mark.ray, pytest.mark.faults]
HUNDRED = ["--set", f"seed={','.join(map(str, range(25)))}", "--set", "epochs=4", "--set", "hidden_sizes=(50,50)"]


def table(bed):
    command = [sys.executable, "-m", "dynsparse.cli", "table", str(bed.folder), "--rows", "model,seed"]
    command += ["--columns", "on_perc", "--metric", "val_acc_max"]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]).stdout


def test_a_hundred_trials_stopped_five_times(tmp_path):
    chance = random.Random(2026)
    whole, stopped = Bed(tmp_path / "whole"), Bed(tmp_path / "stopped")
    try:
        run = whole.start(*HUNDRED)
        assert run.wait(400) == 0, run.text
        for how in ("driver", "worker", "TERM", "driver", "worker"):
            run = stopped.start(*HUNDRED)
            n = len(stopped.events()) + chance.randrange(30, 70)
            stopped.wait_for(lambda events, n=n: len(events) >= n)
            time.sleep(chance.random())
            if how == "worker":
                os.kill(stopped.events()[-1]["pid"], signal.SIGKILL)
                time.sleep(1)
            run.kill(signal.SIGTERM if how == "TERM" else signal.SIGKILL)
            run.wait()
        run = stopped.start(*HUNDRED)
        assert run.wait(400) == 0, run.text
        assert "100 trials complete" in run.text
        check_no_survivors(stopped)
        assert table(stopped) == table(whole)
        assert "all 100 trials are complete" in table(whole)
        held("I1", "I3", "I4", repeated=len(stopped.events()) - 100 * 4)
        print(table(whole))
    finally:
        whole.end()
        stopped.end()
