"""Read the files of runs of Weights & Biases that were made offline."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

BLOCK = 32 * 1024


@dataclass
class OfflineRun:
    """A run as its file holds it."""

    id: str = ""
    name: str = ""
    project: str = ""
    group: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    exit_code: int | None = None
    is_preempting: bool = False

    def metric(self, name: str) -> dict[int, Any]:
        """Return the values of a metric by step."""
        values = [(row["_step"], row[name]) for row in self.rows if name in row]
        assert len(dict(values)) == len(values)
        return dict(values)


def offline_runs(folder: Path, project: str) -> list[OfflineRun]:
    """Return the runs of a project in a folder's wandb/, in the order in which they were made.

    All of them have ended, but W&B's own process may still write their files: wait for it, at most a minute.
    """
    deadline = time.monotonic() + 60
    while True:
        files = sorted(folder.glob("wandb/offline-run-*/*.wandb"), key=lambda path: path.stat().st_mtime)
        runs = [_read(path) for path in files]
        if all(run.exit_code is not None for run in runs) or time.monotonic() > deadline:
            return [run for run in runs if run.project == project]
        time.sleep(0.1)


def _records(content: bytes) -> Iterator[bytes]:
    """Yield the records of a file: a header of 7 bytes, and then LevelDB's log format, in blocks of 32 kB.

    A record has a checksum, a length, and a kind: whole (1), or a first (2), middle (3) or last part (4).
    """
    position, whole = 7, b""
    while position + 7 <= len(content):
        if BLOCK - position % BLOCK < 7:
            position += BLOCK - position % BLOCK
            continue
        length, kind = struct.unpack("<HB", content[position + 4 : position + 7])
        if position + 7 + length > len(content):
            return  # It is still being written.
        whole += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):
            yield whole
            whole = b""


def _read(path: Path) -> OfflineRun:
    run = OfflineRun()
    for data in _records(path.read_bytes()):
        record = Record.FromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            about = record.run
            run.id, run.name, run.project, run.group = about.run_id, about.display_name, about.project, about.run_group
            run.config |= {each.key: json.loads(each.value_json) for each in about.config.update}
        elif kind == "history":
            items = record.history.item
            run.rows.append({each.key or "/".join(each.nested_key): json.loads(each.value_json) for each in items})
        elif kind == "exit":
            run.exit_code = record.exit.exit_code
        elif kind == "preempting":
            run.is_preempting = True
    return run
