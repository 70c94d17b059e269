"""A Ray cluster on this machine, as `ray start` makes one: a head without CPUs, nodes of one, a dashboard, a token."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import requests

# A node gives up where its own processes take longer than 15 s to start, as they may on a busy machine.
TRIES = 4
PORTS = ("dashboard-agent-listen", "dashboard-agent-grpc", "metrics-export", "runtime-env-agent")
BIN = Path(sys.executable).parent


class RayCluster:
    """Every process of it carries a mark in its environment, and is ended by its id."""

    def __init__(self, n_nodes: int = 2, **environment: str) -> None:
        # A long path breaks Ray's sockets.
        self.folder = Path(tempfile.mkdtemp(prefix="ds", dir="/tmp"))
        self.token = uuid.uuid4().hex + uuid.uuid4().hex
        # The user of a cluster gives these to each command.
        self.environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}
        self._inside = {**self.environment, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **environment}
        self.dashboard_port, self.port, self._client_port = free_ports(3)
        self.address = f"http://127.0.0.1:{self.dashboard_port}"
        self._started: list[tuple[str, subprocess.Popen[bytes]]] = []
        self.nodes: list[str] = []
        try:
            self._start_all(n_nodes)
        except BaseException:
            self.end()
            raise

    def _start_all(self, n_nodes: int) -> None:
        self.head = self._start(
            *("--head", "--port", self.port, "--num-cpus", 0),
            *("--include-dashboard", "true", "--dashboard-host", "127.0.0.1", "--dashboard-port", self.dashboard_port),
            *("--ray-client-server-port", self._client_port),
        )
        process = self._started[-1][1]
        is_up = self._wait_for(lambda: process.poll() is not None or self._ask("/api/v0/nodes").ok)
        if not is_up or process.poll() is not None:
            self._give_up()
        for _ in range(n_nodes):
            self.add()

    def add(self, *before: str) -> None:
        """Another node; `before` are the words of a command that runs `ray start`."""
        there = self.alive()
        for _ in range(TRIES):
            mark = self._start("--address", f"127.0.0.1:{self.port}", "--num-cpus", 1, before=before)
            process = self._started[-1][1]
            self._wait_for(lambda process=process: self.alive() - there or process.poll() is not None)
            if process.poll() is None:
                self.nodes.append(mark)
                return
            self.kill(mark)
        self._give_up()

    def kill(self, mark: str) -> None:
        """All processes of a node at once."""
        for pid in self._processes(mark):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def end(self) -> None:
        for mark, process in self._started:
            # Until none is left: one may have started another meanwhile.
            while self._processes(mark):
                self.kill(mark)
                process.poll()
                time.sleep(0.05)
        shutil.rmtree(self.folder, ignore_errors=True)

    def alive(self) -> set[str]:
        """The ids of the nodes."""
        nodes = self._ask("/api/v0/nodes").json()["data"]["result"]["result"]
        return {node["node_id"] for node in nodes if node["state"] == "ALIVE"}

    def _processes(self, mark: str) -> list[int]:
        """Those of its session, and a job's, which has one of its own. Some of Ray's write their name over the mark."""
        session = dict(self._started)[mark].pid
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                is_there = "\nState:\tZ" not in (path / "status").read_text()
                is_marked = f"BED_MARK={mark}".encode() in (path / "environ").read_bytes()
                if is_there and (is_marked or os.getsid(int(path.name)) == session):
                    found.append(int(path.name))
        return found

    def _start(self, *options: object, before: tuple[str, ...] = ()) -> str:
        # Several nodes on one machine: each port is another, and no node takes a third of the memory.
        ports = [f"--{kind}-port={port}" for kind, port in zip(PORTS, free_ports(len(PORTS)), strict=True)]
        # And each has a folder of its own: one would write over what Ray unpacks for a job under the feet of another.
        ports += ["--temp-dir", str(self.folder / str(len(self._started)))]
        ports += ["--include-log-monitor", "false", "--object-store-memory", str(100 * 2**20)]
        mark = uuid.uuid4().hex
        output = (self.folder / f"output-{len(self._started)}").open("wb")
        process = subprocess.Popen(
            [*before, str(BIN / "ray"), "start", "--block", "--disable-usage-stats", *map(str, options), *ports],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **self._inside, "BED_MARK": mark},
            start_new_session=True,
        )
        self._started.append((mark, process))
        return mark

    def _ask(self, path: str) -> requests.Response:
        return requests.get(self.address + path, headers={"Authorization": f"Bearer {self.token}"}, timeout=10)

    def _wait_for(self, condition: Callable[[], object], seconds: float = 300) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if condition():
                    return True
            except (requests.RequestException, KeyError, ValueError):
                pass
            time.sleep(0.2)
        return False

    def _give_up(self) -> None:
        said = "\n".join(path.read_text() for path in sorted(self.folder.glob("output-*")))
        self.end()
        raise AssertionError(f"the cluster did not start:\n{said}")


def free_port() -> int:
    return free_ports(1)[0]


def free_ports(n: int) -> list[int]:
    """Ports that nobody listens at just now, no two the same."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
