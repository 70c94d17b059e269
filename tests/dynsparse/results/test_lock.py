"""The lock on an experiment folder, with real processes."""

import json
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from dynsparse.io.storage import open_folder
from dynsparse.results import lock
from dynsparse.results.lock import Lock, LockedError, is_alive, read_owner

HOLD = """
import sys, time
from dynsparse.results.lock import Lock
from dynsparse.io.storage import open_folder
with Lock(open_folder(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_one_refuses_and_names_the_owner(holder, tmp_path):
    message = f"is in use by process {holder.pid} on {socket.gethostname()}. Wait until it ends, or stop it."
    with pytest.raises(LockedError, match=message), Lock(open_folder(str(tmp_path))):
        pass


def test_the_lock_of_a_killed_owner_is_taken_over_at_once(holder, tmp_path):
    holder.kill()
    holder.wait()
    with Lock(open_folder(str(tmp_path))):
        assert read_owner(open_folder(str(tmp_path)))["pid"] == os.getpid()


def test_a_lock_ends_with_its_block(tmp_path):
    folder = open_folder(str(tmp_path))
    with pytest.raises(KeyError), Lock(folder):
        raise KeyError
    assert read_owner(folder) is None
    with Lock(folder):
        pass


def test_the_heartbeat_is_renewed(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "HEARTBEAT_SECONDS", 0.05)
    folder = open_folder(str(tmp_path))
    with Lock(folder):
        first = read_owner(folder)["heartbeat"]
        time.sleep(0.5)
        assert read_owner(folder)["heartbeat"] > first


def test_an_owner_on_another_machine_is_alive_if_its_heartbeat_is_recent():
    owner = {"host": "another-machine", "pid": 1, "started": 0, "heartbeat": time.time() - 5}
    assert is_alive(owner)
    assert not is_alive({**owner, "heartbeat": time.time() - lock.STALE_SECONDS - 1})


def test_a_pid_that_another_process_has_got_is_no_owner():
    me = {"host": socket.gethostname(), "pid": os.getpid(), "started": 0, "heartbeat": 0}
    assert not is_alive(me)


@pytest.mark.parametrize("content", [b"", b"{torn", b"[]", json.dumps({"host": "x"}).encode()])
def test_a_damaged_lock_file_is_ignored(content, tmp_path):
    (tmp_path / lock.FILE).write_bytes(content)
    with Lock(open_folder(str(tmp_path))):
        pass


def test_of_two_that_find_it_free_the_one_that_reads_the_other_refuses(tmp_path):
    def write_after_it():
        while not (tmp_path / lock.FILE).exists():
            time.sleep(0.001)
        mine = json.loads((tmp_path / lock.FILE).read_text())
        open_folder(str(tmp_path)).replace(lock.FILE, json.dumps({**mine, "pid": 1}).encode())

    other = threading.Thread(target=write_after_it)
    other.start()
    with pytest.raises(LockedError, match="is in use by process 1 on "), Lock(open_folder(str(tmp_path))):
        pass
    other.join()
    assert read_owner(open_folder(str(tmp_path)))["pid"] == 1, "the lock of the other stays"
