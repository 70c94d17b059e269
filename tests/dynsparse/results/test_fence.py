"""Writes of a run that has lost its lock."""

import pytest

from dynsparse.io.storage import open_folder
from dynsparse.results.fence import fenced
from dynsparse.results.lock import FILE, Lock, LockLostError

WRITES = {
    "replace": lambda folder: folder.replace("file", b"new"),
    "append": lambda folder: folder.append("file", b"new"),
    "delete": lambda folder: folder.delete("file"),
    "sub": lambda folder: folder.sub("..").append(f"{folder.path.rpartition('/')[2]}/file", b"new"),
}


@pytest.fixture
def folder(tmp_path):
    folder = open_folder(str(tmp_path))
    folder.append("file", b"old")
    return folder


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_the_owner_writes(write, folder):
    with Lock(folder) as lock:
        write(fenced(folder, lock.token))
        assert folder.read("file") != b"old"


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_run_that_was_replaced_or_has_ended_does_not_write(write, folder):
    with Lock(folder) as lock:
        pass
    stale = fenced(folder, lock.token)
    with pytest.raises(LockLostError):
        write(stale)
    with Lock(folder), pytest.raises(LockLostError, match="was taken over by process"):
        write(stale)
    assert folder.read("file") == b"old"


def test_a_lock_that_was_deleted_or_damaged_stops_nobody(folder):
    with Lock(folder) as lock:
        folder.delete(FILE)
        fenced(folder, lock.token).append("file", b"1")
        folder.replace(FILE, b"{torn")
        fenced(folder, lock.token).append("file", b"2")
    assert folder.read("file") == b"old12"


def test_reading_and_names_are_those_of_the_folder(folder):
    with Lock(folder) as lock:
        pass
    stale = fenced(folder, lock.token)
    assert (stale.read("file"), stale.names()) == (b"old", folder.names())


def test_without_a_token_nothing_is_checked(folder):
    assert fenced(folder, None) is folder
