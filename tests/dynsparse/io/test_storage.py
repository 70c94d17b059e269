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


WRITES = {
    "replace": lambda folder: folder.replace("file", b"new"),
    "append": lambda folder: folder.append("file", b"new"),
    "delete": lambda folder: folder.delete("file"),
}


@pytest.fixture
def victim(tmp_path):
    """A folder with a file in it, to which links lead that somebody has put among the results."""
    path = tmp_path / "victim"
    path.mkdir()
    (path / "file").write_bytes(b"precious")
    yield path
    assert (path / "file").read_bytes() == b"precious" and os.listdir(path) == ["file"]


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_no_write_goes_through_a_link(write, link, victim, tmp_path):
    folder = open_folder(str(tmp_path))
    link(victim / "file", tmp_path / "file")
    assert folder.read("file") == b"precious", "results may be linked to where they are kept"
    WRITES[write](folder)
    assert folder.read("file") == {"replace": b"new", "append": b"preciousnew", "delete": None}[write]


@pytest.mark.parametrize("write", WRITES)
def test_nothing_is_written_through_a_linked_folder_among_results(write, victim, tmp_path):
    folder = open_folder(str(tmp_path)).sub("trial").sub("inner")
    (tmp_path / "trial").mkdir()
    (tmp_path / "trial" / "inner").symlink_to(victim)
    with pytest.raises(OSError, match=r"a link, and nothing is written through a link among results.*inner"):
        WRITES[write](folder)
    assert folder.read("file") == b"precious"


def test_a_folder_is_not_moved_aside_through_a_link(victim, tmp_path):
    folder = open_folder(str(tmp_path))
    (tmp_path / "file").mkdir()
    (tmp_path / ".aside").symlink_to(victim)
    with pytest.raises(OSError, match="a link"):
        folder.replace("file", b"new")


def test_the_folder_that_the_user_names_may_be_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "results").symlink_to(tmp_path / "elsewhere")
    open_folder(str(tmp_path / "results")).sub("trial").append("file", b"new")
    assert (tmp_path / "elsewhere" / "trial" / "file").read_bytes() == b"new"


def test_what_is_no_file_is_neither_waited_for_nor_read_for_ever(tmp_path):
    folder = open_folder(str(tmp_path))
    for name, make in {
        "pipe": os.mkfifo,
        "zero": lambda path: os.symlink("/dev/zero", path),
        "folder": os.mkdir,
    }.items():
        make(tmp_path / name)
        assert folder.read(name) == b""
        folder.append(name, b"new")
        assert folder.read(name) == b"new"
    with open(tmp_path / "holes", "wb") as file:
        file.truncate(40 * 2**30)
    with pytest.raises(OSError, match=r"larger than 8 GiB, so it is not read; delete the file if .* '.*/holes'"):
        folder.read("holes")


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
