"""Arrays that the processes of a machine share."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from dynsparse.cli import main
from dynsparse.io import shared_arrays
from dynsparse.io.shared_arrays import cache_dir, load_or_make


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A file of numbers, and a function that reads it through the cache and notes how often it was read."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file, reads = tmp_path / "numbers", []
    np.arange(1000, dtype=np.uint8).tofile(file)

    def make():
        reads.append(file)
        numbers = np.fromfile(file, np.uint8)
        return (numbers.reshape(10, -1), numbers[:3].astype(np.int64)), {"mean": float(numbers.mean())}

    def read():
        return load_or_make("numbers", [file], make)

    read.file, read.reads = file, reads
    return read


def kept():
    [folder] = (cache_dir() / "arrays").iterdir()
    return folder


def test_what_is_shared_is_read_once_and_mapped_read_only(source):
    for _ in range(3):
        (pixels, labels), numbers = source()
        assert isinstance(pixels, np.memmap) and not pixels.flags.writeable
        assert pixels.tolist() == np.fromfile(source.file, np.uint8).reshape(10, -1).tolist()
        assert labels.tolist() == [0, 1, 2] and numbers == {"mean": pixels.mean()}
    assert len(source.reads) == 1


def test_a_file_that_has_changed_is_read_again(source):
    source()
    np.full(1000, 7, np.uint8).tofile(source.file)
    (pixels, _), _ = source()
    assert pixels.max() == 7 and len(source.reads) == 2
    assert kept(), "the old one is gone"


@pytest.mark.parametrize("how", ["flip", "cut", "empty", "missing", "no about", "folder"])
def test_what_is_damaged_is_made_anew(source, how):
    (before, _), _ = source()
    expected = before.tolist()
    del before
    path = kept() / ("about.json" if how == "no about" else "0.npy")
    content = path.read_bytes()
    path.unlink()
    if how == "flip":
        path.write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])
    elif how == "cut":
        path.write_bytes(content[:-5])
    elif how == "empty":
        path.touch()
    elif how == "folder":
        path.mkdir()
    for _ in range(2):
        (pixels, _), _ = source()
        assert pixels.tolist() == expected
    assert len(source.reads) == 2


def test_where_nothing_can_be_kept_the_arrays_are_the_processs_own(source):
    shutil.rmtree(cache_dir(), ignore_errors=True)
    cache_dir().parent.mkdir(exist_ok=True)
    cache_dir().write_text("a file in the place of the folder")
    for n_reads in (1, 2):
        (pixels, _), _ = source()
        assert pixels.shape == (10, 100) and len(source.reads) == n_reads
    assert Path(cache_dir()).is_file()


@pytest.fixture
def many(tmp_path, monkeypatch):
    """A function that reads a file of its own for each number, through a cache that has room for three."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(shared_arrays, "LIMIT_BYTES", 3 * 12_000)

    def read(n):
        file = tmp_path / f"numbers{n}"
        if not file.exists():
            np.full(10_000, n, np.uint8).tofile(file)
        (pixels,), _ = load_or_make(f"data{n}", [file], lambda: ((np.fromfile(file, np.uint8),), {}))
        for about in (cache_dir() / "arrays").glob("*/about.json"):
            # Times of files differ by milliseconds at least.
            used = about.stat().st_mtime - 10
            os.utime(about, (used, used))
        return pixels

    return read


def names():
    return sorted(path.name.partition("-")[0] for path in (cache_dir() / "arrays").iterdir())


def test_what_was_not_used_for_the_longest_time_makes_room(many):
    first = many(0)
    many(1), many(2), many(0)
    assert names() == ["data0", "data1", "data2"]
    many(3)
    assert names() == ["data0", "data2", "data3"]
    # What a killed process has left, and damage, count as well.
    (cache_dir() / "arrays" / ".data9-x.1-2").mkdir()
    (cache_dir() / "arrays" / ".data9-x.1-2" / "0.npy").write_bytes(bytes(10_000))
    os.utime(cache_dir() / "arrays" / ".data9-x.1-2", (0, 0))
    many(3), many(4)
    assert names() == ["data0", "data3", "data4"]
    many(5), many(6), many(7)
    assert names() == ["data5", "data6", "data7"]
    assert first.tolist() == [0] * 10_000, "deleted, but mapped"


def test_a_data_set_larger_than_the_limit_is_kept_alone(many, monkeypatch):
    many(0), many(1)
    monkeypatch.setattr(shared_arrays, "LIMIT_BYTES", 1)
    many(2)
    assert names() == ["data2"]


def test_the_command_shows_the_cache_and_empties_it(many):
    many(0), many(1)
    for folder in ("fetched/abc", "MNIST/raw"):
        (cache_dir() / folder).mkdir(parents=True)
        (cache_dir() / folder / "images").write_bytes(bytes(1_000_000))
    outside = cache_dir().parent / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(bytes(1_000_000))
    (cache_dir() / "arrays" / "link").symlink_to(outside)
    shown = CliRunner().invoke(main, ["cache"])
    assert (shown.exit_code, shown.output.splitlines()) == (
        0,
        [str(cache_dir()), "  copies           0.0 MB", "  fetched          1.0 MB", "  downloaded       1.0 MB"],
    )
    emptied = CliRunner().invoke(main, ["cache", "--empty"])
    assert emptied.output.splitlines()[2:] == [
        "  fetched          0.0 MB",
        "  downloaded       1.0 MB",
        "deleted: 1.0 MB",
    ]
    assert sorted(path.name for path in cache_dir().iterdir()) == ["MNIST"] and (outside / "file").exists()
    assert CliRunner().invoke(main, ["cache", "--empty"]).exit_code == 0
    assert many(0)[0] == 0
