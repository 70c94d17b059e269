"""Faults 9, 10 and 20: the disk of the storage, or Ray's temporary disk, is full or read-only for a while."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from support.fault_bed import N_EPOCHS, check_all, check_no_survivors, check_observer

import analysis

pytestmark = [pytest.mark.ray, pytest.mark.faults]


@pytest.fixture
def tmpfs(bed):
    """A function that mounts a small file system on a folder of the bed."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root")
    mounted = []

    def mount(path, megabytes):
        path.mkdir(exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)], check=False)
        if done.returncode:
            pytest.skip("a small file system cannot be mounted here")
        mounted.append(path)
        return path

    yield mount
    bed.end()
    for path in mounted:
        subprocess.run(["umount", "-l", str(path)], check=True)
        path.rmdir()


def fill(path):
    """Take all that is left, to the last byte."""
    with (path / "ballast").open("wb", buffering=0) as file:
        size = 1 << 20
        while size:
            try:
                if file.write(b"\0" * size) < size:
                    size //= 2
            except OSError:
                size //= 2


def test_the_storage_is_full(bed, reference, tmpfs):
    tmpfs(bed.storage, 60)
    run = bed.start()
    bed.wait_for(lambda events: sum(event["epoch"] == 4 for event in events) >= 3)
    sizes = {path: path.stat().st_size for path in bed.folder.glob("trial_*/*") if path.name != "status.json"}
    finished = {path.parent for path in bed.folder.glob("trial_*/complete.json")}
    fill(bed.storage)
    assert run.wait() == 1, run.text
    assert "Traceback" not in run.text
    assert "No space left on device" in run.text and str(bed.folder) in run.text
    for path, size in sizes.items():
        if path.parent in finished or path.name in ("result.json", "params.json"):
            assert path.stat().st_size >= size, path
    check_observer(bed)
    check_no_survivors(bed)
    # Nothing of a file that could not be written is left behind.
    assert not list(bed.folder.glob("trial_*/.*"))
    (bed.storage / "ballast").unlink()
    run = bed.start("--retry-failed") if "failed" in run.text else bed.start()
    assert run.wait() == 0, run.text
    check_all(bed, reference, interruptions=N_EPOCHS)


def test_the_storage_turns_read_only(bed, reference, tmpfs):
    tmpfs(bed.storage, 60)
    run = bed.start()
    bed.wait_for(lambda events: sum(event["epoch"] == 4 for event in events) >= 3)
    subprocess.run(["mount", "-o", "remount,ro", str(bed.storage)], check=True)
    assert run.wait() == 1, run.text
    assert "Traceback" not in run.text
    assert "Read-only file system" in run.text and str(bed.folder) in run.text
    assert "not finished" in run.text and "failed" not in run.text
    check_no_survivors(bed)
    subprocess.run(["mount", "-o", "remount,rw", str(bed.storage)], check=True)
    assert bed.start().wait() == 0, bed.runs[-1].text
    check_all(bed, reference, interruptions=N_EPOCHS)


def test_the_temporary_disk_is_full(bed, reference, tmpfs):
    # Sockets in it may have no long names.
    path = tmpfs(Path(tempfile.mkdtemp(prefix="bed", dir="/tmp")), 200)
    run = bed.start(RAY_TMPDIR=str(path), TMPDIR=str(path))
    bed.wait_for(lambda events: sum(event["epoch"] == 4 for event in events) >= 3)
    fill(path)
    code = run.wait()
    assert code in (0, 1), run.text
    assert "Traceback" not in run.text
    assert code == 0 or ("No space left on device" in run.text and str(path) in run.text)
    check_observer(bed)
    check_no_survivors(bed)
    assert (code == 0) == (set(analysis.load(bed.folder)["status"]) == {"complete"} and len(bed.complete()) == 12)
    for each in path.iterdir():
        shutil.rmtree(each) if each.is_dir() else each.unlink()
    run = bed.start("--retry-failed", RAY_TMPDIR=str(path), TMPDIR=str(path))
    assert run.wait() == 0, run.text
    check_all(bed, reference, interruptions=N_EPOCHS)
