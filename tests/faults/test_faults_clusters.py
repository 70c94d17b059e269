"""Faults 7 and 8: a cluster loses a node, or all of it is lost."""

import os
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from support.fault_bed import SITE, check_all, check_no_survivors, marked

pytestmark = [pytest.mark.ray, pytest.mark.faults]


class AsProcess:
    """The cluster of cluster.py."""

    def __init__(self, bed):
        self.mark = uuid.uuid4().hex
        environment = {"PYTHONPATH": str(SITE), "BED_EVENTS": str(bed.events_file), "BED_FAULT": str(bed.fault_file)}
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parents[1] / "support" / "fault_cluster.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(bed.path / f"cluster-{self.mark}").open("wb"),
            text=True,
            env={**os.environ, **environment, "BED_MARK": self.mark},
        )
        self.address = self.process.stdout.readline().strip()
        assert self.address, (bed.path / f"cluster-{self.mark}").read_text()

    def tell(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def kill(self):
        """All its processes at once."""
        for pid in marked(self.mark):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()


@pytest.fixture
def cluster(bed):
    """A function that starts a cluster."""
    started = []

    def start():
        started.append(AsProcess(bed))
        return started[-1]

    yield start
    for each in started:
        each.kill()


def test_a_node_is_lost_and_another_comes(bed, reference, cluster):
    there = cluster()
    run = bed.start("--address", there.address)
    bed.wait_for(lambda events: len(events) >= 20)
    there.tell("remove")
    n = len(bed.events())
    bed.wait_for(lambda events: len(events) >= n + 10)
    there.tell("add")
    assert run.wait(240) == 0, run.text
    check_all(bed, reference, interruptions=1)


def test_a_cluster_is_lost(bed, reference, cluster):
    first = cluster()
    run = bed.start("--address", first.address)
    bed.wait_for(lambda events: len(events) >= 30)
    first.kill()
    assert run.wait(120) == 1, run.text
    assert f"The Ray cluster at {first.address} no longer answers" in run.text
    assert "Rerun the same command" in run.text
    check_no_survivors(bed)
    run = bed.start("--address", cluster().address)
    assert run.wait(240) == 0, run.text
    check_all(bed, reference, interruptions=1)


def test_a_storage_that_another_node_does_not_see(bed, cluster):
    if os.geteuid() != 0:
        pytest.skip("a node with a file system of its own takes root")
    there = cluster()
    bed.storage.mkdir()
    there.tell(f"add blind {bed.storage}")
    run = bed.start("--address", there.address)
    assert run.wait() == 2, run.text
    assert f"does not see the storage {bed.folder}. Pass a --storage that all nodes share" in run.text
    assert "Traceback" not in run.text and not bed.events()
    assert not list(bed.storage.rglob("trial_*"))


def test_data_that_another_node_lacks(bed, cluster, tmp_path):
    """The same node, which sees the storage but not the folder of the data."""
    if os.geteuid() != 0:
        pytest.skip("a node with a file system of its own takes root")
    if "DYNSPARSE_DATA_DIR" not in os.environ:
        pytest.skip("takes MNIST in DYNSPARSE_DATA_DIR")
    there, data = cluster(), tmp_path / "data"
    shutil.copytree(Path(os.environ["DYNSPARSE_DATA_DIR"]) / "MNIST", data / "MNIST")
    there.tell(f"add blind {data}")
    run = bed.start("--address", there.address, "--set", "dataset_name=MNIST", "--set", f"data_dir={data}")
    assert run.wait() == 2, run.text
    assert "lacks data: MNIST" in run.text and str(data) in run.text
    assert "Traceback" not in run.text and not bed.events()
