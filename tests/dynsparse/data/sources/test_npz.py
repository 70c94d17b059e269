"""Arrays in .npz files: what is read, and the text of every refusal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.s3 import BUCKET, s3  # noqa: F401  # a fixture

from dynsparse.data import DataError
from dynsparse.data.sources import Request, files
from dynsparse.data.sources.npz import read_npz
from dynsparse.io.storage import open_folder

X, Y = np.arange(12.0).reshape(6, 2), np.array([0, 1, 0, 1, 0, 1])


def read(folder: Path, **arrays: Any) -> Any:
    np.savez(folder / "d.npz", **arrays)
    return read_npz(Request("d.npz", str(folder)))


def refusal(folder: Path, **arrays: Any) -> str:
    with pytest.raises(DataError) as error:
        read(folder, **arrays)
    return str(error.value)


def test_one_part_or_two(tmp_path: Path) -> None:
    [part] = read(tmp_path, x=X, y=Y).parts
    assert np.array_equal(part.x, X) and np.array_equal(part.y, Y)
    train, test = read(tmp_path, train_x=X, train_y=Y, test_x=X[:2], test_y=Y[:2]).parts
    assert (train.x.shape, test.x.shape, test.y.tolist()) == ((6, 2), (2, 2), [0, 1])


def test_the_hash_is_that_of_the_content(tmp_path: Path) -> None:
    first = read(tmp_path, x=X, y=Y).data_hash
    assert len(first) == 16 and int(first, 16) > 0
    os.utime(tmp_path / "d.npz", (1, 1))
    assert read_npz(Request("d.npz", str(tmp_path))).data_hash == first == read(tmp_path, x=X, y=Y).data_hash
    assert read(tmp_path, x=X + 1e-9, y=Y).data_hash != first


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"x_train": X, "y_train": Y},
            "must have the arrays train_x, train_y, test_x, test_y, or x and y, got x_train",
        ),
        ({"x": X}, "or x and y, got x. Rename them: numpy.savez(path, train_x=..., train_y=...)."),
        ({"x": X, "y": Y, "z": Y}, "or x and y, got x, y, z."),
        (
            {"x": X, "y": Y[:5]},
            "The data of 'd.npz' must have as many labels as examples, and at least one, got 6 exam",
        ),
        ({"x": X[:0], "y": Y[:0]}, "and at least one, got 0 examples and 0 labels."),
        (
            {"train_x": X, "train_y": Y, "test_x": X[:0], "test_y": Y[:0]},
            "The test part of 'd.npz' must have as many labels as examples, and at least one, got 0 examples",
        ),
        (
            {"train_x": X, "train_y": Y, "test_x": X[:, :1], "test_y": Y},
            "The training and the test part of 'd.npz' must have examples of one shape, both of type uint8 or neither, "
            "got (2,) of float64 and (1,) of float64.",
        ),
        (
            {"train_x": X.astype(np.uint8), "train_y": Y, "test_x": X, "test_y": Y},
            "got (2,) of uint8 and (2,) of float64.",
        ),
        (
            {"x": X.astype(str), "y": Y},
            "The features of 'd.npz' must be an array of numbers, one row for each example, g",
        ),
        ({"x": X * 1j, "y": Y}, "got the type complex128"),
        (
            {"x": np.array(["a", None]), "y": Y},
            "got an array of Python objects, which is not read because it could run",
        ),
        ({"x": X, "y": np.array(["a", None])}, "Save it with another dtype, such as x.astype('float32')."),
        ({"x": np.where(X > 9, np.inf, X), "y": Y}, "must be finite, got infinite values in columns 0, 1."),
        ({"x": X, "y": np.zeros((6, 2, 2))}, "must be one class for each example, or a row of numbers to predict, got"),
        ({"x": X[:, :0], "y": Y}, "must have at least one feature, got the shape (6, 0)."),
        (
            {"x": np.float64(3), "y": Y},
            "must be an array of numbers, one row for each example, got the type float64 and",
        ),
    ],
)
def test_arrays_that_are_no_data_set(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    assert message in refusal(tmp_path, **arrays)


def test_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    np.savez_compressed(path, x=np.random.default_rng(0).normal(size=(50, 3)), y=np.arange(50) % 2)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    for content in (b"", b"text", whole[:-30], whole[: len(whole) // 2], bytes(flipped)):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"d\.npz cannot be read, it may be damaged \(.*\)\. Write it with numpy"):
            read_npz(Request("d.npz", str(tmp_path)))


def test_another_file_of_numpy_with_this_name(tmp_path: Path) -> None:
    with (tmp_path / "d.npz").open("wb") as file:
        np.save(file, X)
    with pytest.raises(DataError, match="may be damaged"):
        read_npz(Request("d.npz", str(tmp_path)))


def test_no_pickle_is_loaded(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (tmp_path / "exploded").touch, ()

    assert "could run code" in refusal(tmp_path, x=np.array([Bomb()], dtype=object), y=Y)
    assert not (tmp_path / "exploded").exists()


def test_what_does_not_fit_into_memory_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compressed file of zeros is small, but its directory says how large the arrays are."""
    np.savez_compressed(tmp_path / "d.npz", x=np.zeros((1000, 1000)), y=np.zeros(1000))
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}.get)
    with pytest.raises(DataError, match=r"'d\.npz' must fit into memory, got 8\.0 MB on a machine with 4\.1 MB\. Use"):
        read_npz(Request("d.npz", str(tmp_path)))


def test_a_file_that_does_not_exist_and_where_it_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data.npz").touch()
    shared = tmp_path / "shared"
    monkeypatch.setenv("DYNSPARSE_DATA_DIR", str(shared))
    with pytest.raises(DataError) as error:
        read_npz(Request("dta.npz", str(tmp_path)))
    assert str(error.value) == (
        f"The data file 'dta.npz' does not exist. Looked for: {tmp_path / 'dta.npz'}, {shared / 'dta.npz'}. Did you "
        "mean 'data.npz'?"
    )
    with pytest.raises(DataError, match=r"A relative path starts in the folder of the experiment file, or in data_dir"):
        read_npz(Request("zzz/q.npz", str(tmp_path)))


def test_the_folder_comes_before_the_shared_one_and_an_absolute_path_needs_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    monkeypatch.setenv("DYNSPARSE_DATA_DIR", str(shared))
    monkeypatch.chdir("/")
    np.savez(shared / "d.npz", x=X, y=Y)
    assert len(read_npz(Request("d.npz", str(tmp_path))).parts[0].y) == 6
    np.savez(tmp_path / "d.npz", x=X[:4], y=Y[:4])
    for name, folder in (
        ("d.npz", str(tmp_path)),
        (str(tmp_path / "d.npz"), None),
        (str(tmp_path / "d.npz"), "s3://x"),
    ):
        assert len(read_npz(Request(name, folder)).parts[0].y) == 4


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "d.npz")
    with pytest.raises(DataError, match="does not exist"):
        read_npz(Request("d.npz", str(tmp_path)))


def test_a_file_of_a_store_is_fetched_by_each_process_because_it_may_have_changed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    s3: Any,  # noqa: F811
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    where, store = f"s3://{BUCKET}/{tmp_path.name}", open_folder(f"s3://{BUCKET}/{tmp_path.name}")
    hashes = []
    for x in (X, X + 1):
        np.savez(tmp_path / "d.npz", x=x, y=Y)
        store.sub("sets").replace("d.npz", (tmp_path / "d.npz").read_bytes())
        files._fetched.cache_clear()
        content = read_npz(Request("sets/d.npz", where))
        assert np.array_equal(content.parts[0].x, x)
        hashes.append(content.data_hash)
    assert hashes[0] != hashes[1]
    [copy] = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    time = copy.stat().st_mtime_ns
    files._fetched.cache_clear()
    # The store may also be that of DYNSPARSE_DATA_DIR.
    monkeypatch.setenv("DYNSPARSE_DATA_DIR", where)
    assert read_npz(Request("sets/d.npz", str(tmp_path))).data_hash == hashes[1]
    assert copy.stat().st_mtime_ns == time
    with pytest.raises(
        DataError, match=rf"'no\.npz' does not exist\. Looked for: {tmp_path}/no\.npz, {where}/no\.npz\."
    ):
        read_npz(Request("no.npz", str(tmp_path)))
    with pytest.raises(DataError, match=r"must not have '\.\.' in its name, got '\.\./d\.npz'"):
        read_npz(Request("../d.npz", where))
    with pytest.raises(DataError, match="cannot be fetched from nothing://x"):
        read_npz(Request("d.npz", "nothing://x"))
