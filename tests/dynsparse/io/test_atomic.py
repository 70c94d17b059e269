"""Atomic writes: the whole new content or the old one, and no temporary file left."""

import os
import stat
import threading

import pytest

from dynsparse.io import atomic
from dynsparse.io.atomic import move_file, write_file, write_folder


def test_a_write_replaces_a_file_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "file"
    for content in (b"one", b"", b"three"):
        write_file(path, content)
        assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["file"]


def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_file(tmp_path / "file", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_the_content_is_on_the_disk_before_the_file_has_its_name(tmp_path, monkeypatch):
    path, synced = tmp_path / "file", []
    fsync = os.fsync

    def record(handle):
        synced.append((stat.S_ISDIR(os.fstat(handle).st_mode), path.exists(), os.fstat(handle).st_size))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", record)
    write_file(path, b"content")
    [of_file, of_folder] = synced
    assert of_file == (False, False, 7)
    assert of_folder[:2] == (True, True)


def test_a_failed_write_keeps_the_old_file_and_names_it(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_file(path, b"old")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_file(path, b"new")
    assert (caught.value.errno, caught.value.filename) == (28, str(path))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_link_under_the_temporary_name_is_not_followed(tmp_path, monkeypatch):
    victim, path = tmp_path / "victim", tmp_path / "file"
    victim.write_bytes(b"precious")
    monkeypatch.setattr(atomic.secrets, "token_hex", lambda n: "known")
    (tmp_path / f".file.{os.getpid()}-known").symlink_to(victim)
    with pytest.raises(FileExistsError):
        write_file(path, b"new")
    assert victim.read_bytes() == b"precious"


def test_threads_that_write_one_file_do_not_mix(tmp_path):
    path, contents = tmp_path / "file", [bytes([i]) * 50_000 for i in range(8)]
    errors = []

    def write(content):
        try:
            for _ in range(20):
                write_file(path, content)
                assert path.read_bytes() in contents
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert os.listdir(tmp_path) == ["file"]


def test_a_moved_file_replaces_the_one_in_its_place(tmp_path):
    source, target = tmp_path / "source", tmp_path / "new" / "target"
    for content in (b"one", b"two"):
        source.write_bytes(content)
        move_file(source, target)
        assert target.read_bytes() == content
    assert not source.exists()


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "parent" / "folder"
    with write_folder(path) as temporary:
        (temporary / "a").write_text("1")
        assert not path.exists()
    with pytest.raises(KeyError), write_folder(path) as temporary:
        (temporary / "b").write_text("2")
        raise KeyError
    assert os.listdir(path) == ["a"]
    with write_folder(path) as temporary:
        (temporary / "c").write_text("3")
    assert os.listdir(path) == ["c"]
    assert os.listdir(path.parent) == ["folder"]
