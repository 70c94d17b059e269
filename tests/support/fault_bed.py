"""The bed of the fault tests: a run of 12 trials as a process of its own, an observer, and the invariants I1 to I7."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import analysis
from dynsparse.config import Config
from dynsparse.experiment import load_experiment
from dynsparse.results.trial_folder import identity

N_TRIALS, N_EPOCHS, CHECKPOINT_EPOCHS = 12, 8, 2
SITE = Path(__file__).parent / "site"
# What may differ between two runs of one trial: when, where, how fast.
NOT_NUMBERS = {"date", "timestamp", "time_this_iter_s", "time_total_s", "pid", "hostname", "node_ip", "experiment_tag"}

FILE = """
from ray import tune
from dynsparse.experiment import Experiment

experiment = Experiment(
    name="bed",
    question="Does a run survive?",
    space=dict(
        dataset_name="digits",
        engine="torch",  # the slower one: an epoch of 0.3 s can be hit
        hidden_sizes=[250, 250],
        batch_size=16,
        weight_prune_perc=0.3,
        model=tune.grid_search(["SET", "RigL"]),
        on_perc=tune.grid_search([0.1, 0.3]),
        seed=tune.grid_search([0, 1, 2]),
    ),
    epochs=8,
)
"""


# What each test of a fault has shown: its place in the table, the invariants that held, the epochs run twice.
SHOWN: dict[str, Shown] = {}


@dataclass
class Shown:
    """A line of the table that `make faults` prints."""

    held: set[str] = field(default_factory=set)
    repeated: int | None = None  # epochs that were run more than once
    seconds: float = 0.0
    outcome: str = ""


def held(*invariants: str, repeated: int | None = None) -> None:
    """The test that runs has shown these."""
    name = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]
    shown = SHOWN.setdefault(name, Shown())
    shown.held.update(invariants)
    shown.repeated = repeated if repeated is not None else shown.repeated


class Run:
    """A command as a process of its own. Whatever it starts carries `mark` in its environment."""

    def __init__(self, command: list[str], output: Path, environment: dict[str, str | None]) -> None:
        self.mark = uuid.uuid4().hex
        self._seen: dict[int, str] = {}  # when each process that was found had started
        self._output = output
        self.started = time.time()
        everything = {**os.environ, **environment, "BED_MARK": self.mark}
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={name: value for name, value in everything.items() if value is not None},
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        return self._output.read_text(errors="replace")

    def wait(self, seconds: float = 120) -> int:
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.end()
            raise AssertionError(f"the run did not end within {seconds} s:\n{self.text}") from None

    def kill(self, number: int = signal.SIGKILL) -> None:
        self.process.send_signal(number)

    def survivors(self) -> dict[int, str]:
        """The processes that the run started and that are there: pid to command line."""
        found = marked(self.mark, self._seen)
        self._seen |= {pid: process.started for pid, process in found.items()}
        return {pid: process.command for pid, process in found.items()}

    def end(self) -> None:
        for pid in self.survivors():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if self.process.poll() is None:
            self.process.wait(30)


class Process(NamedTuple):
    """A process of this machine."""

    parent: int
    started: str
    command: str
    environment: bytes


def processes() -> dict[int, Process]:
    """Every process that can be read, by its id. Those that have ended and wait for their parent are left out."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            # The name in parentheses may have spaces.
            state, parent, *more = (path / "stat").read_text().rpartition(")")[2].split()
            command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if state != "Z":
                found[int(path.name)] = Process(int(parent), more[17], command, (path / "environ").read_bytes())
        except OSError:
            continue
    return found


def marked(mark: str, seen: Mapping[int, str] = MappingProxyType({})) -> dict[int, Process]:
    """The processes that carry a mark in their environment, and those that descend from them.

    Some processes of Ray overwrite their environment when they set their title, and may outlive their parent. So those
    that were `seen` before are found too: process id to time of start.
    """
    there = processes()
    found = {pid for pid, each in there.items() if seen.get(pid) == each.started}
    found |= {pid for pid, each in there.items() if f"BED_MARK={mark}".encode() in each.environment}
    while more := {pid for pid, each in there.items() if each.parent in found} - found:
        found |= more
    return {pid: there[pid] for pid in found}


class Observer:
    """Reads the storage all the time. `rows` has every whole row that it ever saw; `problems` what must not be."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.rows: dict[str, list[bytes]] = {}
        self.problems: list[str] = []
        self.n_loads = 0
        # A test that damages or empties files itself has no use for this.
        self.may_shrink = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Observer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        n_looks = 0
        while not self._end.wait(0.1):
            self.look()
            n_looks += 1
            # Loading takes a share of the two cores that the run has.
            if n_looks % 5 == 0 and any(self._folder.glob("trial_*/params.json")):
                try:
                    analysis.load(self._folder)
                    analysis.load_history(self._folder)
                    self.n_loads += 1
                except Exception as error:  # whatever it is: load never raises
                    self.problems.append(f"load raised {type(error).__name__}: {error}")

    def look(self) -> None:
        for path in self._folder.glob("trial_*/result.json"):
            try:
                content = path.read_bytes()
            except OSError:
                continue
            rows = [line for line in content.split(b"\n")[:-1] if is_whole(line)]
            seen = self.rows.setdefault(path.parent.name, [])
            if rows[: len(seen)] != seen and not self.may_shrink:
                self.problems.append(f"{path.parent.name}: had {len(seen)} rows, now {len(rows)} or others")
            seen += rows[len(seen) :]


def is_whole(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


class Bed:
    """A fresh folder, the experiment file in it, and the runs on it."""

    def __init__(self, path: Path, uri: str | None = None) -> None:
        """The storage is a folder in `path`, or what the URI says; the observer and the invariants read a folder."""
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.file = path / "bed.py"
        self.file.write_text(FILE)
        self.uri = uri
        self.storage = path / "storage"
        self.folder = self.storage / "bed"
        self.events_file, self.fault_file = path / "events", path / "fault.json"
        self.runs: list[Run] = []
        self.observer = Observer(self.folder)

    def start(self, *more: str, before: Sequence[str] = (), **environment: str | None) -> Run:
        """`dynsparse run` of the experiment. `more` are further options; `before` is a command that starts this one.

        A variable of the environment is removed by None.
        """
        command = [*before, sys.executable, "-m", "dynsparse.cli", "run", str(self.file)]
        command += ["--storage", self.uri or str(self.storage)]
        command += ["--checkpoint-epochs", str(CHECKPOINT_EPOCHS), *more]
        environment = {
            "PYTHONPATH": f"{SITE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}".rstrip(os.pathsep),
            "BED_EVENTS": str(self.events_file),
            "BED_FAULT": str(self.fault_file),
            **environment,
        }
        self.runs.append(Run(command, self.path / f"output-{len(self.runs)}", environment))
        return self.runs[-1]

    def configs(self) -> list[Config]:
        return load_experiment(self.file).configs()

    def fault(self, config: Config, kind: str, epoch: int = 3, **more: object) -> None:
        """From now on one trial goes wrong in an epoch; `fault_file.unlink()` is the fix."""
        fault = {"trial": identity(config), "epoch": epoch, "kind": kind, **more}
        beside = self.fault_file.with_suffix(".new")
        beside.write_text(json.dumps(fault))
        beside.replace(self.fault_file)

    def events(self) -> list[dict]:
        """Every epoch that has begun: trial, epoch, pid, time."""
        lines = self.events_file.read_bytes().split(b"\n")[:-1] if self.events_file.exists() else []
        return [json.loads(line) for line in lines]

    def wait_for(self, condition, seconds: float = 60) -> None:
        """Until a condition on the events holds."""
        end = time.monotonic() + seconds
        while not condition(self.events()):
            assert time.monotonic() < end, f"waited {seconds} s:\n{self.runs[-1].text}"
            assert self.runs[-1].process.poll() is None, f"the run has ended:\n{self.runs[-1].text}"
            time.sleep(0.02)

    def complete(self) -> set[str]:
        """The identities of the trials that are marked complete."""
        return {path.parent.name.removeprefix("trial_") for path in self.folder.glob("trial_*/complete.json")}

    def end(self) -> None:
        for run in self.runs:
            run.end()


def copy_of(bed: Bed, path: Path) -> Bed:
    """Another bed with the same results."""
    copy = Bed(path)
    shutil.copytree(bed.storage, copy.storage)
    return copy


# The invariants


def numbers(bed: Bed) -> dict[str, list[dict]]:
    """Of each trial folder the rows, without what may differ between runs."""
    return {
        path.parent.name: [
            {name: value for name, value in json.loads(line).items() if name not in NOT_NUMBERS}
            for line in path.read_bytes().splitlines()
        ]
        for path in sorted(bed.folder.glob("trial_*/result.json"))
    }


def check_all(bed: Bed, reference: dict[str, list[dict]], *, interruptions: int = 0) -> None:
    """I1, I2, I3, I5, I6, I7 after a run that has recovered."""
    check_complete(bed)
    check_numbers(bed, reference)
    check_repeats(bed, interruptions)
    check_observer(bed)
    check_no_survivors(bed)


def check_complete(bed: Bed, expected: set[str] | None = None) -> None:
    """I1: each config has exactly one complete trial; none lost, none extra. I2: each has each epoch once."""
    expected = {identity(config) for config in bed.configs()} if expected is None else expected
    assert bed.complete() == expected
    df = analysis.load(bed.folder)
    complete = df[df["status"] == "complete"]
    assert sorted(complete["trial_id"]) == sorted(expected)
    history = analysis.load_history(bed.folder)
    for trial in expected:
        assert list(history.loc[history["trial_id"] == trial, "epoch"]) == list(range(1, N_EPOCHS + 1)), trial
        raw = (bed.folder / f"trial_{trial}" / "result.json").read_bytes().splitlines()
        assert [json.loads(line)["training_iteration"] for line in raw] == list(range(1, N_EPOCHS + 1)), trial
    held("I1", "I2", "I4")


def check_numbers(bed: Bed, reference: dict[str, list[dict]]) -> None:
    """I3: all rows of the complete trials equal the reference bit for bit (as text, so that NaN equals NaN)."""
    found = numbers(bed)
    for trial in bed.complete():
        name = f"trial_{trial}"
        assert json.dumps(found[name]) == json.dumps(reference[name]), name
    held("I3")


def check_repeats(bed: Bed, interruptions: int) -> None:
    """I5: each interruption of a trial repeats at most what came after its last checkpoint."""
    begun = Counter(event["trial"] for event in bed.events())
    most = N_EPOCHS + interruptions * CHECKPOINT_EPOCHS
    assert all(n <= most for n in begun.values()), begun
    held("I5", repeated=sum(max(0, n - N_EPOCHS) for n in begun.values()))


def check_observer(bed: Bed) -> None:
    """I6, and the second half of I2: each row that was ever seen is still there."""
    bed.observer.look()
    assert bed.observer.n_loads > 0
    assert not bed.observer.problems, bed.observer.problems[:5]
    held("I6")


def check_no_survivors(bed: Bed) -> None:
    """I7. Ray's processes take a moment to notice that their driver has gone.

    Two of them take a minute: when their raylet was killed they try for 60 s to tell a head that is gone, too.
    """
    started = time.monotonic()
    while survivors := {pid: line.strip()[:150] for run in bed.runs for pid, line in run.survivors().items()}:
        agents = all(line in ("ray::DashboardAgent", "ray::RuntimeEnvAgent") for line in survivors.values())
        assert time.monotonic() - started < (90 if agents else 30), survivors
        time.sleep(0.2)
    held("I7")
