"""The temporary folder of a local Ray: one for each run, deleted at its end or by a later run."""

import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dynsparse.tune.ray_folder import LONGEST_BASE, OWNER_FILE, ray_folder


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    # Not tmp_path: the path of a socket has 107 characters at most.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)
        yield Path(folder)


def test_a_folder_is_private_and_deleted_with_all_that_is_in_it(base: Path) -> None:
    with ray_folder() as folder:
        assert folder is not None and folder.parent == base
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "session" / "logs").mkdir(parents=True)
        (folder / "session_latest").symlink_to(folder / "session")
    assert not list(base.iterdir())
    with pytest.raises(KeyError), ray_folder() as folder:
        raise KeyError
    assert not list(base.iterdir())


KILLED = """
import os
from dynsparse.tune.ray_folder import ray_folder
with ray_folder() as folder:
    print(folder, flush=True)
    os.kill(os.getpid(), 9)
"""


def test_the_folder_of_a_killed_run_is_deleted_by_the_next_and_no_other(base: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True).stdout.strip()
    assert Path(killed, OWNER_FILE).exists()
    others = [base / name for name in ("ray", "ray-somebodys", "ray-elsewhere", "ray-damaged", "ray-pipe", "ray-link")]
    for path in others[:-1]:
        path.mkdir()
    owner = json.loads(Path(killed, OWNER_FILE).read_text())
    (others[2] / OWNER_FILE).write_text(json.dumps({**owner, "machine": "another"}))
    (others[3] / OWNER_FILE).write_text("{")
    os.mkfifo(others[4] / OWNER_FILE)
    others[5].symlink_to(killed)
    with ray_folder() as running, ray_folder() as second:
        assert sorted(base.iterdir()) == sorted([*others, *filter(None, (running, second))])
        assert not others[5].exists() and others[5].is_symlink()


@pytest.mark.parametrize("name", ["x" * LONGEST_BASE, "é"])
def test_a_path_that_ray_cannot_use_is_left_alone(name: str, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", f"{base}/{name}")
    monkeypatch.delenv("TMPDIR", raising=False)
    with ray_folder() as folder:
        assert folder is not None and folder.parent == Path("/tmp")
    assert not folder.exists() and not list(base.iterdir())
