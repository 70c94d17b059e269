"""One owner at a time: seen by real processes."""

import json
import os
import socket
import subprocess
import sys
import time

import pytest

from dynsparse.io.storage import open_folder
from dynsparse.results import lock as lease
from dynsparse.results.lock import Lease, OwnedError, is_alive, owner_of

HOLD = """
import sys, time
from dynsparse.results.lock import Lease
from dynsparse.io.storage import open_folder
with Lease(open_folder(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lease."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_one_refuses_and_names_the_owner(holder, tmp_path):
    message = f"is run by process {holder.pid} on {socket.gethostname()}; wait for it, or stop it"
    with pytest.raises(OwnedError, match=message), Lease(open_folder(str(tmp_path))):
        pass


def test_the_lease_of_a_killed_owner_is_taken_over_at_once(holder, tmp_path):
    holder.kill()
    holder.wait()
    with Lease(open_folder(str(tmp_path))):
        assert owner_of(open_folder(str(tmp_path)))["pid"] == os.getpid()


def test_a_lease_ends_with_its_block(tmp_path):
    folder = open_folder(str(tmp_path))
    with pytest.raises(KeyError), Lease(folder):
        raise KeyError
    assert owner_of(folder) is None
    with Lease(folder):
        pass


def test_the_heart_beats(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.05)
    folder = open_folder(str(tmp_path))
    with Lease(folder):
        first = owner_of(folder)["heartbeat"]
        time.sleep(0.5)
        assert owner_of(folder)["heartbeat"] > first


def test_an_owner_elsewhere_is_judged_by_its_heart():
    owner = {"host": "another-machine", "pid": 1, "started": 0, "heartbeat": time.time() - 5}
    assert is_alive(owner)
    assert not is_alive({**owner, "heartbeat": time.time() - lease.SILENCE_SECONDS - 1})


def test_a_number_that_went_to_another_process_is_no_owner():
    me = {"host": socket.gethostname(), "pid": os.getpid(), "started": 0, "heartbeat": 0}
    assert not is_alive(me)


@pytest.mark.parametrize("content", [b"", b"{torn", b"[]", json.dumps({"host": "x"}).encode()])
def test_a_damaged_lease_is_nobodys(content, tmp_path):
    (tmp_path / lease.FILE).write_bytes(content)
    with Lease(open_folder(str(tmp_path))):
        pass
