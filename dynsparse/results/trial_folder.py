"""The folder of one trial, which is the truth about it: its configuration, its rows, its checkpoints, its end.

The layout is Ray Tune's (params.json, result.json with one row per epoch or other step, progress.csv, error.txt), and
complete.json beside it. It is written where the trial is trained, so that nothing depends on another process.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping
from enum import Enum
from typing import Any

import torch

from dynsparse.config import Config, is_later_default, keys
from dynsparse.io.storage import Folder

CHECKPOINTS_KEPT = 2
# Keys that say where a trial runs and what it logs, not what it computes.
NOT_IN_IDENTITY = ("data_dir", "device", "engine", "debug_weights", "debug_sparse")


class State(Enum):
    """How far a trial has come."""

    NEW = "new"
    STARTED = "started"
    FAILED = "failed"
    COMPLETE = "complete"


def identity(config: Config) -> str:
    """A hash of what a trial computes, 12 hexadecimal digits: equal trials have the same in any run, on any machine."""
    values = {
        name: value
        for name, value in config.values().items()
        if name not in NOT_IN_IDENTITY and not is_later_default(name, value)
    }
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def folder_name(config: Config) -> str:
    """The name of a trial's folder: the same in any run."""
    return f"trial_{identity(config)}"


class TrialFolder:
    """Reads and writes the folder of one trial. `damage` lists what was found damaged while reading.

    Raises: OSError where the storage fails.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self.damage: list[str] = []

    def begin(self, config: Config, about: Mapping[str, Any]) -> None:
        """Write the configuration, and what else is to be known of the trial, where it is not there, or not in full."""
        there = self._json("params.json")
        if there is None or keys().keys() - there.keys():
            # A key that came after the trial has its default in it, or the trial would be another.
            self._folder.replace("params.json", _encode({**config.values(), **(there or {})}, indent=2))
        if self._json("about.json") is None:
            self._folder.replace("about.json", _encode(about, indent=2))

    def has_begun(self) -> bool:
        """Whether `begin` has been here. A machine that does not see the storage sees that nobody has."""
        return self._folder.read("params.json") is not None

    def check_other_files(self) -> None:
        """Name in `damage` what a complete trial lacks beside its rows."""
        later = keys().keys() - (self._json("params.json") or keys()).keys()
        if later:
            self.damage.append(f"params.json: it lacks {', '.join(sorted(later))}, which came later")
        for name in ("params.json", "about.json"):
            if self._json(name) is None and not any(each.startswith(name) for each in self.damage):
                self.damage.append(f"{name}: missing")
        if self._folder.read("progress.csv") != _csv(self.rows()):
            self.damage.append("progress.csv: it does not hold the rows")

    def repair(self, config: Config) -> None:
        """Write again what a complete trial lacks beside its rows. Which code began it is then not known."""
        self.begin(config, {"version": "unknown"})
        self.write_csv(self.rows())

    def config(self) -> Config | None:
        """The trial's configuration; None if it cannot be read or is none of this version's."""
        values = self._json("params.json")
        try:
            return None if values is None else Config.of(values)
        except ValueError as error:
            self.damage.append(f"params.json: {error}")
            return None

    def about(self) -> dict[str, Any]:
        """What `begin` was told."""
        return self._json("about.json") or {}

    # Rows

    def rows(self) -> list[dict[str, Any]]:
        """All whole rows, one for each step from 1 on; a torn one is left out and named in `damage`."""
        rows: list[dict[str, Any]] = []
        for number, line in enumerate((self._folder.read("result.json") or b"").splitlines(), start=1):
            row = _decode(line)
            if row is None or row.get("training_iteration") != len(rows) + 1:
                self.damage.append(f"result.json: line {number} is damaged; rows are taken up to there")
                break
            rows.append(row)
        return rows

    def append(self, row: Mapping[str, Any], rows_before: int) -> None:
        """Add the row of a step, at most once: one that a reader may have seen is never written again.

        Args:
            rows_before: the number of whole rows that are there.
        """
        content = self._folder.read("result.json") or b""
        whole = b"".join(content.splitlines(keepends=True)[:rows_before])
        if len(whole) < len(content):
            # What stands after the last whole row was torn by a crash.
            self._folder.replace("result.json", whole)
        self._folder.append("result.json", _encode(row) + b"\n")

    def write_csv(self, rows: list[dict[str, Any]]) -> None:
        """progress.csv anew: a metric that first appears late has its column from the first row on."""
        self._folder.replace("progress.csv", _csv(rows))

    # Checkpoints

    def save_checkpoint(self, n_rows: int, state: Mapping[str, Any]) -> None:
        """Write all that is needed to continue after so many rows; the oldest of more than two are deleted."""
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        content = buffer.getvalue()
        checksum = hashlib.sha256(content).hexdigest().encode()
        self._folder.replace(_checkpoint_name(n_rows), checksum + b"\n" + content)
        for name in self._checkpoint_names()[CHECKPOINTS_KEPT:]:
            self._folder.delete(name)

    def load_checkpoint(self, n_rows: int) -> dict[str, Any] | None:
        """The newest whole checkpoint of at most so many rows; None if there is none. Damaged ones are named."""
        for name in self._checkpoint_names():
            checksum, _, content = (self._folder.read(name) or b"").partition(b"\n")
            if hashlib.sha256(content).hexdigest().encode() != checksum:
                self.damage.append(f"{name}: its checksum does not fit; an older one is taken")
                continue
            # The next machine may have no GPU.
            state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            if "n_rows" not in state:
                # Written before there were studies, when each row was an epoch.
                state |= {"n_rows": state["epoch"], "kept": {}}
            if state["n_rows"] <= n_rows:
                return state
        return None

    def has_checkpoint(self) -> bool:
        """Whether there is a checkpoint, whole or not."""
        return bool(self._checkpoint_names())

    def _checkpoint_names(self) -> list[str]:
        """The newest first."""
        try:
            names = self._folder.names()
        except NotADirectoryError:
            # Whoever writes the first file of the trial says so.
            return []
        return sorted((name for name in names if name.startswith("checkpoint_") and name.endswith(".pt")), reverse=True)

    # The end

    def complete(self, n_rows: int) -> None:
        """Mark the trial as complete: the last thing that is written. Of its checkpoints the last is kept."""
        checksum = hashlib.sha256(self._folder.read("result.json") or b"").hexdigest()
        self.clear_failure()
        self._folder.replace("complete.json", _encode({"rows": n_rows, "sha256": checksum}))
        for name in self._checkpoint_names()[1:]:
            self._folder.delete(name)

    def fail(self, text: str) -> None:
        """Say why the trial ended for good. error.txt is Tune's name for it; Tune writes one at each failure."""
        self._folder.replace("error.txt", text.rstrip().encode() + b"\n")
        self._folder.replace("failed.json", _encode({"error": (text.strip().splitlines() or ["unknown"])[-1]}))

    def clear_failure(self) -> None:
        """The trial is to run again."""
        self._folder.delete("failed.json")
        self._folder.delete("error.txt")

    def error(self) -> str | None:
        """The last line of why the trial ended for good; None if it has not."""
        return str((self._json("failed.json") or {}).get("error", "")) or None

    def state(self) -> State:
        """How far the trial has come. A completion mark that does not fit the rows is not believed."""
        mark = self._json("complete.json")
        if mark is not None:
            content = self._folder.read("result.json") or b""
            if mark.get("sha256") == hashlib.sha256(content).hexdigest():
                return State.COMPLETE
            self.damage.append("result.json: it is not what complete.json says; the trial runs again from its rows")
        if self.error() is not None:
            return State.FAILED
        return State.STARTED if self._folder.read("result.json") or self.has_checkpoint() else State.NEW

    def _json(self, name: str) -> dict[str, Any] | None:
        content = self._folder.read(name)
        if content is None:
            return None
        value = _decode(content)
        if value is None:
            self.damage.append(f"{name}: no JSON object")
        return value


def _csv(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows([_plain(row) for row in rows])
    return text.getvalue().encode()


def _checkpoint_name(n_rows: int) -> str:
    return f"checkpoint_{n_rows:06}.pt"


def _encode(value: Mapping[str, Any], indent: int | None = None) -> bytes:
    # A NaN is written as NaN, as Tune writes it.
    return json.dumps(_plain(value), indent=indent).encode()


def _plain(value: Any) -> Any:
    """Numbers of numpy and torch as Python's, so that none is written as text."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if hasattr(value, "tolist"):
        return value.tolist()
    return value


def _decode(content: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
