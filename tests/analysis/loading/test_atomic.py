"""Atomic writes: the old file or the new one, whatever happens."""

import os
from pathlib import Path

import pytest

from analysis.loading.atomic import write_file


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    for content in (b"first", b"second"):
        write_file(path, content)
        assert path.read_bytes() == content and os.listdir(tmp_path) == ["table.csv"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"old")
    with pytest.raises(TypeError):
        write_file(path, "text, not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["table.csv"]
    with pytest.raises(FileNotFoundError):
        write_file(tmp_path / "nowhere" / "table.csv", b"new")
