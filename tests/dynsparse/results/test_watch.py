"""Following a run from another process: before it starts, while it runs, and after its end."""

import json
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from dynsparse.results.processes import machine, start_time
from dynsparse.results.watch import follow


def write(folder, alive=None, **status):
    """Write the files of a run; `alive` is None for a run without a process."""
    folder.mkdir(exist_ok=True)
    if status:
        (folder / "status.json").write_text(json.dumps(status))
    (folder / "lease.json").unlink(missing_ok=True)
    if alive is not None:
        process = {"machine": machine(), "pid": os.getpid(), "process_started": start_time(os.getpid())}
        if not alive:
            ended = subprocess.Popen([sys.executable, "-c", ""])
            process |= {"pid": ended.pid, "process_started": start_time(ended.pid) or "0"}
            ended.wait()
        owner = {"token": "t", "host": socket.gethostname(), **process, "heartbeat": time.time()}
        (folder / "lease.json").write_text(json.dumps(owner))


@pytest.mark.parametrize(
    ("alive", "running", "done", "failed", "stopped", "said"),
    [
        (True, True, 3, 0, 0, "LINE"),
        (False, True, 3, 0, 0, "LINE: the process has died; rerun the same command to resume"),
        (None, False, 3, 0, 0, "LINE: stopped; rerun the same command to resume"),
        (None, False, 3, 0, 4, "LINE: stopped; rerun the same command to resume"),
        (None, False, 9, 3, 0, "LINE: ended"),
        (None, False, 2, 3, 7, "LINE: ended"),
    ],
)
def test_one_line(tmp_path, alive, running, done, failed, stopped, said):
    write(tmp_path, alive, running=running, line="LINE", trials=12, done=done, failed=failed, stopped=stopped)
    assert list(follow(str(tmp_path), once=True)) == [said]


def test_a_run_that_has_no_status_yet_is_starting(tmp_path):
    write(tmp_path, alive=True)
    assert list(follow(str(tmp_path), once=True)) == ["starting"]


def test_where_there_is_no_run_one_line_is_an_error(tmp_path):
    with pytest.raises(
        ValueError, match=r"nothing has no run: there is no such folder. Check the path. If the run is just starting"
    ):
        list(follow(str(tmp_path / "nothing"), once=True))


def test_a_run_that_begins_later_is_waited_for_and_followed_to_its_end(tmp_path):
    folder, lines = tmp_path / "later", []
    follower = threading.Thread(target=lambda: lines.extend(follow(str(folder), wait=True)))
    follower.start()
    time.sleep(0.5)
    write(folder, alive=True, running=True, line="1 of 2", trials=2, done=1, failed=0)
    time.sleep(3)
    write(folder, running=False, line="2 of 2", trials=2, done=2, failed=0)
    follower.join(10)
    assert lines[1:] == ["1 of 2", "2 of 2: ended"]
    assert lines[0].startswith(f"{folder} has no run yet; waiting for it to start")


def test_a_misspelt_path_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"no_results/first has no run: there is no such folder. Check the path"):
        next(follow(str(tmp_path / "no_results" / "first")))
    write(tmp_path / "first", running=False, line="1 of 1", trials=1, done=1, failed=0)
    with pytest.raises(ValueError, match=r"; runs in the same folder: first\. Check the path"):
        next(follow(str(tmp_path / "first_")))
