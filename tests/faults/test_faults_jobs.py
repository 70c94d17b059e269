"""A job on a cluster: a node, the connection to it, or its head is lost; a storage that is not shared."""

import contextlib
import os
import re
import socket
import sys
import threading
import time

import pytest
from support.fault_bed import CHECKPOINT_EPOCHS, SITE, Run, check_all, check_complete, check_numbers
from support.ray_cluster import RayCluster

import analysis

pytestmark = [pytest.mark.ray, pytest.mark.faults]


@pytest.fixture
def cluster(bed):
    """A function that starts a cluster whose processes note what they do on the bed."""
    started = []

    def start():
        python_path = f"{SITE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}".rstrip(os.pathsep)
        notes = {"BED_EVENTS": str(bed.events_file), "BED_FAULT": str(bed.fault_file)}
        started.append(RayCluster(n_nodes=2, PYTHONPATH=python_path, **notes))
        return started[-1]

    yield start
    for each in started:
        each.end()


def submit(bed, cluster, *more, address=None):
    """`dynsparse submit` of the bed's experiment."""
    command = [sys.executable, "-m", "dynsparse.cli", "submit", str(bed.file), "--storage", str(bed.storage)]
    command += ["--checkpoint-epochs", str(CHECKPOINT_EPOCHS), "--address", address or cluster.address, *more]
    bed.runs.append(Run(command, bed.path / f"output-{len(bed.runs)}", cluster.environment))
    return bed.runs[-1]


def test_a_job_loses_a_node_and_gets_another(bed, reference, cluster):
    there = cluster()
    run = submit(bed, there)
    bed.wait_for(lambda events: len(events) >= 20, 240)
    there.kill(there.nodes[0])
    n = len(bed.events())
    bed.wait_for(lambda events: len(events) >= n + 10, 240)
    there.add()
    assert run.wait(600) == 0, run.text
    check_all(bed, reference, interruptions=1)


def test_the_connection_to_a_job_is_lost(bed, reference, cluster):
    """What it prints is shown once, and all of it."""
    there = cluster()
    with Tunnel(there.dashboard_port) as tunnel:
        run = submit(bed, there, address=tunnel.address)
        bed.wait_for(lambda events: len(events) >= 20, 240)
        tunnel.close()
        wait_for(lambda: "The job continues if its head node does" in run.text)
        n = len(bed.events())
        bed.wait_for(lambda events: len(events) >= n + 10, 240)
        tunnel.open()
        assert run.wait(600) == 0, run.text
    assert run.text.count("The job continues if its head node does") == run.text.count("reconnected") == 1
    [job] = re.findall("as the job (raysubmit_[A-Za-z0-9]+)", run.text)
    logs = [sys.executable, "-m", "dynsparse.cli", "logs", job, "--address", there.address]
    bed.runs.append(Run(logs, bed.path / "logs", there.environment))
    assert bed.runs[-1].wait() == 0
    told = re.sub(r"sent to .*\n|\nLost the connection to .*\n|\nreconnected\n", "", run.text)
    assert told == "bed: Does a run survive?\n" + bed.runs[-1].text
    check_complete(bed)
    check_numbers(bed, reference)


def test_the_head_of_a_job_is_lost(bed, reference, cluster):
    first = cluster()
    run = submit(bed, first)
    bed.wait_for(lambda events: len(events) >= 30, 240)
    first.kill(first.head)
    assert run.wait(300) == 1, run.text
    assert f"The cluster at {first.address} has not answered" in run.text
    assert "Submit the job again to resume, on this cluster or another" in run.text
    first.end()
    run = submit(bed, cluster())
    assert run.wait(600) == 0, run.text
    assert "to resume" in run.text
    check_all(bed, reference, interruptions=1)


def test_a_job_whose_storage_is_not_shared(bed, cluster):
    if os.geteuid() != 0:
        pytest.skip("a node with a file system of its own takes root")
    there = cluster()
    bed.storage.mkdir()
    there.add("unshare", "--mount", "sh", "-c", f'mount -t tmpfs tmpfs \'{bed.storage}\' && exec "$0" "$@"')
    run = submit(bed, there)
    assert run.wait(300) == 2, run.text
    assert f"does not see the storage {bed.folder}. Pass a --storage that all nodes share" in run.text
    assert "Traceback" not in run.text and not bed.events()
    assert not list(bed.storage.rglob("trial_*"))


def test_a_node_that_joins_a_job_and_does_not_see_the_storage(bed, cluster):
    """It is given trials, for who joins is not looked at, and gives them back: they have not failed."""
    if os.geteuid() != 0:
        pytest.skip("a node with a file system of its own takes root")
    there, longer = cluster(), ["--set", "epochs=80"]
    run = submit(bed, there, *longer)
    bed.wait_for(lambda events: len(events) >= 20, 240)
    there.add("unshare", "--mount", "sh", "-c", f'mount -t tmpfs tmpfs \'{bed.storage}\' && exec "$0" "$@"')
    assert run.wait(300) == 1, run.text
    assert run.text.count(f"does not see the storage {bed.folder}. Remove the node") == 1, run.text
    assert "not finished" in run.text and "failed:" not in run.text
    before = analysis.load(bed.folder)
    assert set(before["status"]) == {"complete", "incomplete"}
    there.kill(there.nodes[-1])
    run = submit(bed, there, *longer)
    assert run.wait(600) == 0, run.text
    after = analysis.load(bed.folder)
    assert list(after["status"]) == ["complete"] * 12 and list(after["epochs"]) == [80] * 12


class Tunnel:
    """Passes bytes from a port to another, until it is closed; it opens again on the same port."""

    def __init__(self, to):
        self._to, self._port, self._sockets = to, 0, []

    def __enter__(self):
        self.open()
        self.address = f"http://127.0.0.1:{self._port}"
        return self

    def __exit__(self, *_):
        self.close()

    def open(self):
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def close(self):
        for each in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._sockets = []

    def _accept(self, listener):
        while True:
            try:
                here, _ = listener.accept()
            except OSError:
                return
            there = socket.create_connection(("127.0.0.1", self._to))
            self._sockets += [here, there]
            for pair in [(here, there), (there, here)]:
                threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
