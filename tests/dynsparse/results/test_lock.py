"""The lock on an experiment folder, with real processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from dynsparse.io.storage import open_folder
from dynsparse.results import lock
from dynsparse.results.lock import Lock, LockedError, LockLostError, OwnerWatch, check_unlocked, read_owner
from dynsparse.results.processes import machine

HOLD = """
import os, sys, time
from dynsparse.results.lock import Lock
from dynsparse.io.storage import open_folder
before, slow = os.fsync, float(sys.argv[2])
os.fsync = lambda handle: (time.sleep(slow), before(handle))
with Lock(open_folder(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
ELSEWHERE = {"token": "of-another", "host": "another-machine", "pid": 1, "machine": "another", "process_started": "1"}


def start_holder(path, fsync_seconds=0.0):
    command = [sys.executable, "-c", HOLD, str(path), str(fsync_seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock."""
    process = start_holder(tmp_path)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def folder(tmp_path):
    return open_folder(str(tmp_path))


@pytest.fixture
def short_watch(monkeypatch):
    monkeypatch.setattr(lock, "STALE_SECONDS", 0.5)


def write(folder, **values):
    folder.replace(lock.FILE, json.dumps({**ELSEWHERE, "heartbeat": time.time(), **values}).encode())


@pytest.fixture
def beating(folder):
    """Return a function that starts an owner on another machine, whose clock differs by some seconds."""
    end, threads = threading.Event(), []

    def start(seconds_ahead):
        def beat():
            while not end.wait(0.05):
                write(folder, heartbeat=time.time() + seconds_ahead)

        write(folder, heartbeat=time.time() + seconds_ahead)
        threads.append(threading.Thread(target=beat))
        threads[0].start()

    yield start
    end.set()
    for thread in threads:
        thread.join()


# Processes of this machine


def test_a_second_process_is_refused_and_the_owner_is_named(holder, folder):
    message = f"is in use by process {holder.pid} on {socket.gethostname()}. Wait until it ends, or stop it."
    with pytest.raises(LockedError, match=message), Lock(folder):
        pass


def test_the_lock_of_a_killed_owner_is_taken_over_at_once(holder, folder):
    holder.kill()
    holder.wait()
    with Lock(folder):
        assert read_owner(folder).values["pid"] == os.getpid()


def test_an_owner_that_was_killed_and_not_yet_reaped_is_dead(holder, folder):
    holder.kill()
    time.sleep(0.5)
    with Lock(folder):
        pass


def test_a_stopped_owner_is_alive_however_old_its_heartbeat_is(holder, folder):
    os.kill(holder.pid, signal.SIGSTOP)
    owner = read_owner(folder)
    write(folder, **{**owner.values, "heartbeat": 0})
    with pytest.raises(LockedError), Lock(folder):
        pass


def test_a_pid_that_another_process_has_got_is_not_the_owner(folder):
    write(folder, host=socket.gethostname(), machine=machine(), pid=os.getpid(), process_started="1")
    with Lock(folder):
        pass


def test_of_many_processes_on_a_slow_disk_exactly_one_gets_the_lock(tmp_path):
    processes = [start_holder(tmp_path, fsync_seconds=0.6) for _ in range(4)]
    ended = []
    try:
        held = []
        for process in processes:
            # The first line of those that are refused is empty, because they end.
            (held if process.stdout.readline() == "held\n" else ended).append(process)
        assert len(held) == 1
        assert all("is in use" in process.stderr.read() for process in ended)
    finally:
        for process in processes:
            process.kill()
            process.wait()


# Owners that cannot be seen from here


@pytest.mark.parametrize("seconds_ahead", [0, -40, 3600, 86_400, -86_400])
def test_an_owner_elsewhere_is_alive_if_its_heartbeat_changes_whatever_its_clock(seconds_ahead, beating, folder):
    beating(seconds_ahead)
    with pytest.raises(LockedError, match="process 1 on another-machine"):
        check_unlocked(folder)


def test_an_owner_in_another_container_with_this_host_name_is_alive(beating, folder, monkeypatch):
    monkeypatch.setitem(ELSEWHERE, "host", socket.gethostname())
    monkeypatch.setitem(ELSEWHERE, "pid", 2**22 + 1)
    beating(0)
    with pytest.raises(LockedError):
        check_unlocked(folder)


@pytest.mark.parametrize("seconds_ahead", [0, -40, 86_400])
def test_an_owner_elsewhere_without_new_heartbeats_is_dead_after_a_while(seconds_ahead, folder, short_watch, capsys):
    write(folder, heartbeat=time.time() + seconds_ahead)
    dead = check_unlocked(folder)
    assert "another-machine; watching for 0.5 s whether it still runs" in capsys.readouterr().err
    lock.STALE_SECONDS = 60
    started = time.monotonic()
    with Lock(folder, dead):
        assert time.monotonic() - started < 20, "it is not watched twice"


def test_a_follower_sees_an_owner_elsewhere_as_alive_until_it_is_silent(folder, short_watch):
    watch = OwnerWatch()
    write(folder)
    assert watch.is_alive(read_owner(folder))
    time.sleep(0.6)
    assert not watch.is_alive(read_owner(folder))
    write(folder, heartbeat=0)
    assert watch.is_alive(read_owner(folder))


# Damaged and deleted files


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{torn",
        b"[]",
        b'{"host": "x"}',
        b'{"host": "x", "pid": "text", "heartbeat": "text", "started": null}',
        b'{"host": 1, "pid": 1e30, "heartbeat": Infinity, "machine": 3, "process_started": {}}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_a_damaged_lock_is_watched_and_then_taken(content, folder, short_watch, tmp_path):
    (tmp_path / lock.FILE).write_bytes(content)
    with Lock(folder) as mine:
        assert read_owner(folder).token == mine.token


def test_a_damaged_pid_of_this_machine_is_no_process(folder, short_watch):
    for pid in ("text", 1e30, float("inf"), None, [1], -1, 10**30, True):
        write(folder, machine=machine(), pid=pid)
        check_unlocked(folder)


@pytest.mark.parametrize("harm", [lambda path: path.unlink(), lambda path: path.write_text("harm")])
def test_a_lock_that_was_deleted_or_damaged_under_its_owner_is_written_again(harm, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "HEARTBEAT_SECONDS", 0.05)
    with Lock(folder) as mine:
        harm(tmp_path / lock.FILE)
        time.sleep(0.5)
        assert read_owner(folder).token == mine.token


# The life of a lock


def test_a_lock_ends_with_its_block(folder):
    with pytest.raises(KeyError), Lock(folder):
        raise KeyError
    assert read_owner(folder) is None
    with Lock(folder):
        pass


def test_the_heartbeat_is_renewed(folder, monkeypatch):
    monkeypatch.setattr(lock, "HEARTBEAT_SECONDS", 0.05)
    with Lock(folder):
        first = read_owner(folder).content
        time.sleep(0.5)
        assert read_owner(folder).content != first


def test_an_owner_that_finds_another_one_ends_and_leaves_its_lock(folder, monkeypatch):
    monkeypatch.setattr(lock, "HEARTBEAT_SECONDS", 0.05)
    lost = threading.Event()
    message = "was taken over by process 1 on another-machine"
    with pytest.raises(LockLostError, match=message), Lock(folder, on_loss=lost.set):
        write(folder)
        assert lost.wait(10)
    assert read_owner(folder).token == "of-another"


def test_a_lock_that_was_lost_after_the_last_heartbeat_is_noticed_at_the_end(folder):
    with pytest.raises(LockLostError), Lock(folder):
        write(folder)
    assert read_owner(folder).token == "of-another"


def test_of_two_that_find_it_free_the_one_that_reads_the_other_refuses(folder, tmp_path):
    def write_after_it():
        while not (tmp_path / lock.FILE).exists():
            time.sleep(0.001)
        write(folder)

    other = threading.Thread(target=write_after_it)
    other.start()
    with pytest.raises(LockedError, match="is in use by process 1 on "), Lock(folder):
        pass
    other.join()
    assert read_owner(folder).token == "of-another", "the lock of the other stays"
