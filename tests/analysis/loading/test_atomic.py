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


def test_no_link_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim, path = tmp_path / "victim", tmp_path / "table.csv"
    victim.write_bytes(b"precious")
    path.symlink_to(victim)
    write_file(path, b"new")
    assert path.read_bytes() == b"new" and not path.is_symlink()
    # A temporary name cannot be guessed. Even if it could be, its link would not be followed.
    monkeypatch.setattr("analysis.loading.atomic.secrets.token_hex", lambda n: "known")
    (tmp_path / ".table.csv.known.part").symlink_to(victim)
    with pytest.raises(FileExistsError):
        write_file(path, b"newer")
    assert victim.read_bytes() == b"precious" and path.read_bytes() == b"new"
