"""The cache of an experiment: the contents of its trial folders in one Arrow file.

The file holds the columns of all rows, as numbers, or as JSON if they hold anything else. Its metadata holds the trials
as JSON. A checksum follows at the end. Nothing in the file is executed, and a damaged or foreign file is ignored.
"""

from __future__ import annotations

import contextlib
import json
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from analysis.frame.values import hashable
from analysis.loading.atomic import write_file
from analysis.loading.columns import History, objects
from analysis.loading.contents import Contents
from analysis.loading.parse import parsed
from analysis.loading.trial_dir import Issue, Stamp, Trial

NAME = ".analysis.arrow"
# Increase it whenever the same files are read differently.
VERSION = 6


class Cached(NamedTuple):
    """The contents of an experiment folder, and the sizes and times of the files from which they were read."""

    of_states: Stamp
    stamps: dict[str, Stamp]  # of the trials that can be believed
    contents: Contents


def read(folder: Path) -> Cached | None:
    """Return the cache of a folder; None if there is no undamaged cache of this version."""
    try:
        with pa.memory_map(str(folder / NAME)) as file:
            content = file.read_buffer()
        whole, checksum = content[:-4], bytes(content[-4:])
        if zlib.crc32(whole).to_bytes(4, "big") != checksum:
            return None
        table = pa.ipc.open_file(whole).read_all()
        about = parsed(table.schema.metadata[b"about"])
        return _cached(about, table) if about["version"] == VERSION else None
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        # The last three: a foreign file with a correct checksum.
        return None


def _cached(about: dict[str, Any], table: pa.Table) -> Cached:
    return Cached(
        about["of_states"],
        about["stamps"],
        Contents(
            [_trial(about["keys"], *trial) for trial in about["trials"]],
            History(np.array(about["starts"]), {name: _array(table.column(name)) for name in table.column_names}),
            [Issue(*issue) for issue in about["issues"]],
        ),
    )


def write(folder: Path, cached: Cached) -> None:
    """Write the cache of a folder; do nothing if the folder cannot be written to."""
    trials, history, issues = cached.contents
    # Most trials have the same keys, which are written once.
    keys = {names: place for place, names in enumerate(dict.fromkeys(tuple(trial.config) for trial in trials))}
    about = {
        "version": VERSION,
        "of_states": cached.of_states,
        "stamps": cached.stamps,
        "keys": list(keys),
        "trials": [(keys[tuple(each.config)], {**vars(each), "config": list(each.config.values())}) for each in trials],
        "starts": history.starts.tolist(),
        "issues": issues,
    }
    columns = {name: _arrow(column) for name, column in history.columns.items()}
    table = pa.table(columns).replace_schema_metadata({"about": json.dumps(about)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    content = sink.getvalue().to_pybytes()
    # A folder that is read only, a full disk: it is read again next time.
    with contextlib.suppress(OSError):
        write_file(folder / NAME, content + zlib.crc32(content).to_bytes(4, "big"))


def _trial(keys: list[list[str]], place: int, saved: dict[str, Any]) -> Trial:
    values = [hashable(value) if type(value) is list else value for value in saved["config"]]
    changed = {key: [hashable(value) for value in values] for key, values in saved["config_by_row"].items()}
    return Trial(**{**saved, "config": dict(zip(keys[place], values, strict=True)), "config_by_row": changed})


def _arrow(column: np.ndarray[Any, Any]) -> pa.Array:
    if column.dtype != object:
        return pa.array(column)
    return pa.array([json.dumps(value) for value in column.tolist()], pa.string())


def _array(column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    if pa.types.is_string(column.type):
        return objects([hashable(json.loads(text)) for text in column.to_pylist()])
    return np.asarray(column.to_numpy())
