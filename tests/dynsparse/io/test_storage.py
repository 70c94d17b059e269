"""Folders on a disk: whole files or none, and nothing lost where the disk is full."""

import os
import subprocess
import threading
from pathlib import Path

import pytest

from dynsparse.io.storage import open_folder


@pytest.fixture
def folder(tmp_path):
    return open_folder(str(tmp_path / "not" / "there" / "yet"))


def test_what_is_written_is_read(folder):
    assert folder.read("a") is None
    assert folder.names() == []
    folder.replace("a", b"one")
    folder.append("a", b" two")
    folder.append("b", b"new")
    assert (folder.read("a"), folder.read("b")) == (b"one two", b"new")
    assert folder.names() == ["a", "b"]
    folder.sub("c").replace("d", b"")
    assert folder.names() == ["a", "b", "c"]
    folder.delete("a")
    folder.delete("a")
    assert folder.read("a") is None


def test_a_reader_sees_the_old_file_or_the_new_one(folder):
    contents = [bytes([i]) * 100_000 for i in range(50)]
    folder.replace("file", contents[0])
    end, seen = threading.Event(), set()

    def read():
        while not end.is_set():
            seen.add(folder.read("file"))

    reader = threading.Thread(target=read)
    reader.start()
    for content in contents:
        folder.replace("file", content)
    end.set()
    reader.join()
    assert seen <= set(contents)
    assert folder.names() == ["file"], "nothing is left beside it"


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 1 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"no small disk can be mounted: {mounted.stderr.decode()}")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_full_disk_is_an_error_and_no_file_gets_shorter_or_torn(small_disk):
    folder = open_folder(str(small_disk))
    folder.append("rows", b"a whole row\n")
    folder.replace("mark", b"old")
    Path(small_disk, "filler").write_bytes(b"x" * 900_000)
    with pytest.raises(OSError, match="space"):
        folder.append("rows", b"y" * 1_000_000)
    with pytest.raises(OSError, match="space"):
        folder.replace("mark", b"z" * 1_000_000)
    assert (folder.read("rows"), folder.read("mark")) == (b"a whole row\n", b"old")
    Path(small_disk, "filler").unlink()
    folder.append("rows", b"another\n")
    assert folder.read("rows") == b"a whole row\nanother\n"
    assert folder.names() == ["mark", "rows"]
