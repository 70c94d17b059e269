"""Arrays that the processes of a machine share."""

import shutil
from pathlib import Path

import numpy as np
import pytest

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
