"""The folder of a trial: its configuration, rows, checkpoints and completion mark.

The layout is that of Ray Tune (params.json, result.json with one row per step, progress.csv, error.txt), with
complete.json and other files added. The process that trains the trial writes it, so it depends on no other process.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from dynsparse.config import FUNCTIONS, Config, identity_values, in_current_terms, keys
from dynsparse.config.functions import without_folder
from dynsparse.io.json_object import parse_object
from dynsparse.io.storage import ASIDE_FOLDER, Folder
from dynsparse.results import checkpoints
from dynsparse.training.saved_states import checked_state

CHECKPOINTS_KEPT = 2
# Keys for where a trial runs and what it logs, which do not change what it computes.
NOT_IN_IDENTITY = ("data_dir", "device", "engine", "debug_weights", "debug_sparse")
# What is said of a complete trial to whose params.json a run adds keys.
OLDER = "written by an older version; the keys that are new since then are added to params.json"


class State(Enum):
    """State of a trial."""

    NEW = "new"
    STARTED = "started"
    FAILED = "failed"
    STOPPED = "stopped"  # by a rule of early stopping; its rows are proven, and it can be resumed
    COMPLETE = "complete"


def identity(config: Config) -> str:
    """Return a hash of what a trial computes, 12 hexadecimal digits. It is the same in every run on every machine."""
    values = {name: value for name, value in identity_values(config).items() if name not in NOT_IN_IDENTITY}
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def folder_name(config: Config) -> str:
    """Return the name of a trial's folder, which is the same in every run."""
    return f"trial_{identity(config)}"


def state_check(config: Config) -> Callable[[Any], dict[str, Any]]:
    """Return a function that returns the state in a checkpoint, or raises a ValueError if it is not that of the trial.

    Checkpoints of version 0.1 do not name their trial.
    """

    def check(state: Any) -> dict[str, Any]:
        named = state.get("trial_id") if isinstance(state, dict) else None
        if named not in (None, identity(config)):
            raise ValueError(f"it is that of trial {named!s:.20}")
        return checked_state(state, config)

    return check


class TrialFolder:
    """Reader and writer of the folder of one trial.

    `damage` lists the damage found while reading. `mistrust` says why the rows cannot be believed, if they cannot: the
    mark of completion does not fit them, or the folder is that of another trial.

    The object remembers the rows that it has read or written. If somebody deletes or changes them meanwhile, the next
    write restores them.

    All methods raise OSError if the storage fails.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._lines: list[bytes] = []  # of result.json, as far as it is intact
        self.damage: list[str] = []
        self.mistrust: str | None = None

    def create(self, config: Config, about: Mapping[str, Any]) -> None:
        """Write the configuration and other facts about the trial, if they are missing or incomplete."""
        written = self._json("params.json")
        if written is None or keys().keys() - written.keys():
            # With the values that describe what an older version did, the identity stays the same.
            values = {**config.values(), **(in_current_terms(written) if written else {})}
            self._folder.replace("params.json", _encode(values, indent=2))
            self._sign_params()
        if self._json("about.json") is None:
            self._folder.replace("about.json", _encode(about, indent=2))

    def exists(self) -> bool:
        """Return True if `create` has been called. It is False on a machine that does not mount the storage."""
        return self._folder.read("params.json") is not None

    def check_other_files(self) -> None:
        """Check the files of a complete trial other than its rows, and add problems to `damage`."""
        if keys().keys() - (self._json("params.json") or keys()).keys():
            self.damage.append(OLDER)
        for name in ("params.json", "about.json"):
            if self._json(name) is None and not any(each.startswith(name) for each in self.damage):
                self.damage.append(f"{name}: missing")
        mark = self._json("complete.json") or {}
        if mark.get("params_sha256") not in (None, self._params_checksum()):
            self.damage.append("params.json: it was changed after the trial was completed, but not in what it computes")
        if self._folder.read("progress.csv") != _csv(self.rows()):
            self.damage.append("progress.csv: the rows do not match result.json")

    def repair(self, config: Config) -> None:
        """Write the files of a complete trial other than its rows again. The version that started it may be lost."""
        self.create(config, {"version": "unknown"})
        self._sign_params()
        self.write_csv(self.rows())

    def config(self) -> Config | None:
        """Return the trial's configuration; None if it cannot be read or this version does not accept it."""
        values = self._json("params.json")
        try:
            return None if values is None else Config.saved(values)
        except ValueError as error:
            self.damage.append(f"params.json: {error}")
            return None

    def about(self) -> dict[str, Any]:
        """Return the facts about the trial that `create` has written."""
        return self._json("about.json") or {}

    # Rows

    def rows(self) -> list[dict[str, Any]]:
        """Return the complete rows, one for each step from 1. A damaged row ends them and is added to `damage`."""
        rows: list[dict[str, Any]] = []
        self._lines = []
        for number, line in enumerate((self._folder.read("result.json") or b"").splitlines(), start=1):
            row = parse_object(line)
            if row is None or row.get("training_iteration") != len(rows) + 1:
                self.damage.append(f"result.json: line {number} is damaged; only the rows before it are used")
                break
            rows.append(row)
            self._lines.append(line + b"\n")
        return rows

    def rows_to_continue(self, config: Config) -> list[dict[str, Any]]:
        """Return the rows of a trial that goes on. Those that result.json has lost are taken from progress.csv.

        The next write, or `restore_rows`, writes them to result.json again.

        Args:
            config: the trial that the folder should have.
        """
        rows = self.rows()
        copies = _read_csv(self._folder.read("progress.csv") or b"")
        lines = [_encode(row) + b"\n" for row in copies]
        is_whole = [row.get("training_iteration") for row in copies] == list(range(1, len(copies) + 1))
        is_same = is_whole and list(map(_sorted, copies[: len(rows)])) == list(map(_sorted, rows))
        if len(copies) <= len(rows) or not is_same or self._problem_of_identity(b"".join(lines), config):
            return rows
        self.damage.append("result.json: rows are missing; they are written again from progress.csv")
        self._lines = lines
        return copies

    def append(self, row: Mapping[str, Any]) -> None:
        """Append the row of a step to those that `rows` has read and this object has written."""
        line = _encode(row) + b"\n"
        self.restore_rows()
        self._folder.append("result.json", line)
        self._lines.append(line)

    def restore_rows(self) -> None:
        """Write the rows again if the file has others: after a crash, or because somebody deleted or changed it."""
        before, content = b"".join(self._lines), self._folder.read("result.json") or b""
        if content == before:
            return
        # A crash leaves a part of a row at the end.
        if not content.startswith(before):
            self.damage.append("result.json: it was deleted or changed while the trial ran; its rows are written again")
        self._folder.replace("result.json", before)

    def write_csv(self, rows: list[dict[str, Any]]) -> None:
        """Write progress.csv as a whole, so that a metric that first appears later gets a column in every row."""
        self._folder.replace("progress.csv", _csv(rows))

    def write_rows(self, rows: list[dict[str, Any]]) -> None:
        """Write all rows at once, in place of the existing ones."""
        self.write_csv(rows)
        self._lines = [_encode(row) + b"\n" for row in rows]
        self._folder.replace("result.json", b"".join(self._lines))

    # Checkpoints

    def save_checkpoint(self, n_rows: int, state: Mapping[str, Any]) -> None:
        """Write the state from which to continue after `n_rows` rows, and delete all but the two newest checkpoints."""
        self._folder.replace(checkpoint_name(n_rows), checkpoints.encode(state))
        for name in self._checkpoint_names()[CHECKPOINTS_KEPT:]:
            self._folder.delete(name)

    def load_checkpoint(self, n_rows: int, check: Callable[[Any], dict[str, Any]]) -> dict[str, Any] | None:
        """Return the newest intact checkpoint of at most `n_rows` rows, or None. Damaged ones are added to `damage`.

        Args:
            n_rows: the number of rows.
            check: returns the state in a checkpoint, or raises a ValueError if it is not that of the trial;
                from `state_check`.
        """
        for name in self._checkpoint_names():
            try:
                state = check(checkpoints.decode(self._folder.read(name) or b""))
            except ValueError as error:
                self.damage.append(f"{name}: {error}; an older checkpoint is used")
                continue
            if state["n_rows"] <= n_rows:
                return state
        return None

    def has_checkpoint(self) -> bool:
        """Return True if there is a checkpoint, intact or damaged."""
        return bool(self._checkpoint_names())

    def _checkpoint_names(self) -> list[str]:
        """Return the names of the checkpoints, newest first."""
        try:
            names = self._folder.names()
        except NotADirectoryError:
            # The first write to the folder reports this error.
            return []
        return sorted((name for name in names if name.startswith("checkpoint_") and name.endswith(".pt")), reverse=True)

    # The end

    def complete(self) -> None:
        """Mark the trial as complete, in its last write, and delete all but the newest checkpoint.

        The mark vouches for the rows that `rows` has read and this object has written.
        """
        self.restore_rows()
        self.clear_end()
        self._folder.replace("complete.json", _encode(self._mark()))
        for name in self._checkpoint_names()[1:]:
            self._folder.delete(name)

    def stop(self, reason: str) -> None:
        """Mark the trial as stopped early. The mark vouches for its rows, as that of a complete trial does."""
        self.restore_rows()
        self._folder.replace("stopped.json", _encode({**self._mark(), "reason": reason}))

    def stop_reason(self) -> str:
        """Return why the trial was stopped early; "" if it was not."""
        return str((self._json("stopped.json") or {}).get("reason", ""))

    def _mark(self) -> dict[str, Any]:
        return {
            "rows": len(self._lines),
            "sha256": _checksum(b"".join(self._lines)),
            "params_sha256": self._params_checksum(),
        }

    def _params_checksum(self) -> str:
        return _checksum(self._folder.read("params.json") or b"")

    def _sign_params(self) -> None:
        """Let the mark of completion vouch for params.json as it is now. Marks of version 0.1 do not vouch for it."""
        mark = self._json("complete.json") or {}
        if mark.get("params_sha256") not in (None, self._params_checksum()):
            self._folder.replace("complete.json", _encode({**mark, "params_sha256": self._params_checksum()}))

    def fail(self, text: str) -> None:
        """Mark the trial as failed. Tune also writes error.txt, at every failure, so failed.json is the mark."""
        self._folder.replace("error.txt", text.rstrip().encode() + b"\n")
        self._folder.replace("failed.json", _encode({"error": (text.strip().splitlines() or ["unknown"])[-1]}))

    def clear_end(self) -> None:
        """Remove the marks of a failure and of early stopping, and what Tune has written, so that the trial goes on."""
        for name in ("failed.json", "error.txt", "error.pkl", "stopped.json"):
            self._folder.delete(name)

    def error(self) -> str | None:
        """Return the last line of the error with which the trial failed; None if it has not failed."""
        return str((self._json("failed.json") or {}).get("error", "")) or None

    def state(self, config: Config | None = None) -> State:
        """Return the state of the trial, and set `mistrust`.

        Args:
            config: the trial that the folder should have; None: this is not checked.
        """
        mark, rows = self._folder.read("complete.json"), self._folder.read("result.json") or b""
        problem = None if mark is None else self._problem_of_mark(mark, rows)
        if problem is None and config is not None:
            problem = self._problem_of_identity(rows, config)
        self.mistrust = problem
        if problem is not None:
            self.damage.append(f"{problem}; the trial is set aside and computed again")
            return State.STARTED
        if mark is not None and parse_object(mark) is not None:
            return State.COMPLETE
        if self.error() is not None:
            return State.FAILED
        stopped = parse_object(self._folder.read("stopped.json") or b"") or {}
        if stopped.get("sha256") == _checksum(rows) and stopped.get("rows") == rows.count(b"\n"):
            return State.STOPPED
        return State.STARTED if rows or self.has_checkpoint() else State.NEW

    def _problem_of_mark(self, content: bytes, rows: bytes) -> str | None:
        """Return why the mark of completion does not fit the rows; None if it does."""
        mark = parse_object(content)
        if mark is None:
            # The rows have a second copy. If both agree, the trial only needs a new mark.
            is_copied = self._folder.read("progress.csv") == _csv(self.rows())
            return None if is_copied else "complete.json: it is damaged, and progress.csv does not match result.json"
        if mark.get("sha256") != _checksum(rows):
            return "result.json: the checksum in complete.json does not match"
        n_rows = rows.count(b"\n")
        if mark.get("rows") != n_rows:
            return f"result.json: complete.json vouches for {mark.get('rows')!s:.20} rows, but there are {n_rows}"
        return None

    def _problem_of_identity(self, rows: bytes, config: Config) -> str | None:
        """Return why the folder is that of another trial; None if it is not."""
        written = self._json("params.json")
        if written is not None and not _is_same_trial(written, config):
            return "params.json: it is that of another trial"
        lines = rows.splitlines()
        for line in {*lines[:1], *lines[-1:]}:
            trial = (parse_object(line) or {}).get("trial_id", identity(config))
            if trial != identity(config):
                return f"result.json: its rows are those of trial {trial!s:.20}"
        return None

    # Folders that cannot be trusted

    def recover_rows(self, config: Config) -> bool:
        """Write result.json again from progress.csv if the mark of completion vouches for its rows.

        Args:
            config: the trial that the folder should have.

        Returns: True if the trial is complete again.
        """
        rows = _read_csv(self._folder.read("progress.csv") or b"")
        content = b"".join(_encode(row) + b"\n" for row in rows)
        mark = self._folder.read("complete.json") or b""
        if parse_object(mark) is None:
            return False
        if self._problem_of_mark(mark, content) or self._problem_of_identity(content, config):
            return False
        self._folder.replace("result.json", content)
        return True

    def set_aside(self, place: Folder) -> None:
        """Move all files to another folder, so that the trial begins again and nothing is lost."""
        for name in self._folder.names():
            content = None if name == ASIDE_FOLDER else self._folder.read(name)
            if content is not None:
                place.replace(name, content)
                self._folder.delete(name)
        self._lines = []

    def _json(self, name: str) -> dict[str, Any] | None:
        content = self._folder.read(name)
        if content is None:
            return None
        value = parse_object(content)
        if value is None:
            self.damage.append(f"{name}: not a JSON object")
        return value


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _csv(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows([_plain(row) for row in rows])
    # JSON can hold halves of surrogate pairs, and UTF-8 cannot.
    return text.getvalue().encode(errors="backslashreplace")


def _read_csv(content: bytes) -> list[dict[str, Any]]:
    """Return the rows of a text that `_csv` has written; a cell is empty where a row lacks the metric."""
    try:
        rows = list(csv.DictReader(io.StringIO(content.decode())))
    except (UnicodeDecodeError, csv.Error):
        return []
    return [{name: _value(text) for name, text in row.items() if name and text} for row in rows]


def _value(text: Any) -> Any:
    """Return the value that Python writes as this text."""
    if text in ("True", "False"):
        return text == "True"
    for kind in (int, float):
        try:
            value = kind(text)
        except (ValueError, TypeError):
            continue
        # "007" and "1_000" are texts.
        if str(value) == text:
            return value
    return text


def _is_same_trial(written: Mapping[str, Any], config: Config) -> bool:
    """Return True if these values of a params.json describe the trial with this config."""
    # Nearly always they are equal, and comparing them is much faster than checking them.
    if written == json.loads(_encode(config.values())):
        return True
    for name in FUNCTIONS:
        of_config, of_folder = getattr(config, name), str(written.get(name))
        if without_folder(of_folder) == without_folder(of_config):
            # The file of the function may have moved since then.
            written = {**written, name: of_config}
        elif ":" in of_folder:
            # It is another function, and importing it could run code that somebody else has named in the file.
            return False
    try:
        return identity(Config.saved(written)) == identity(config)
    except ValueError:
        return False


def checkpoint_name(n_rows: int) -> str:
    """Return the name of the checkpoint after `n_rows` rows."""
    return f"checkpoint_{n_rows:06}.pt"


def _encode(value: Mapping[str, Any], indent: int | None = None) -> bytes:
    # Like Tune, this writes NaN as NaN, which is not standard JSON.
    return json.dumps(_plain(value), indent=indent).encode()


def _sorted(row: Mapping[str, Any]) -> bytes:
    """Return a text that is equal for rows with equal values: NaN is not equal to itself."""
    return _encode(dict(sorted(row.items())))


def _plain(value: Any) -> Any:
    """Convert numbers of numpy and torch to Python numbers, which JSON can represent."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if hasattr(value, "tolist"):
        return value.tolist()
    return value
