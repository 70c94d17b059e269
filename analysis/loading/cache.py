"""The cache of an experiment: the contents of its trial folders in one Arrow file.

The file holds the columns of all rows, as numbers, or as JSON if they hold anything else. Its metadata holds the trials
as JSON. A checksum follows at the end. Nothing in the file is executed, and a damaged or foreign file is ignored.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from analysis.frame.values import hashable
from analysis.loading.atomic import write_file
from analysis.loading.columns import History, objects
from analysis.loading.contents import Contents
from analysis.loading.json_text import parse_json
from analysis.loading.regular_files import open_regular
from analysis.loading.trial_dir import Issue, Stamp, Trial

NAME = ".analysis.arrow"
# Increase it whenever the same files are read differently.
VERSION = 10
# An Arrow file begins and ends with it.
MAGIC = b"ARROW1"


class Cached(NamedTuple):
    """The contents of an experiment folder, and the sizes and times of the files from which they were read."""

    of_states: Stamp
    stamps: dict[str, Stamp]  # of the trials that can be believed
    contents: Contents


def read(folder: Path, of_states: Stamp, there: Mapping[str, Stamp]) -> Cached | None:
    """Return the cache of a folder; None if there is no undamaged cache of this version, or if none of it is valid.

    A cache that came with a downloaded folder is not read beyond the stamps, because times of files cannot be copied.

    Args:
        folder: the experiment.
        of_states: the present stamp of Tune's record. If that has changed, it may have changed for any trial.
        there: the present stamp of each trial folder.
    """
    try:
        content = _read_bytes(folder / NAME)
        if zlib.crc32(content[:-4]).to_bytes(4, "big") != content[-4:].tobytes():
            return None
        file = pa.ipc.open_file(pa.py_buffer(content[:-4]))
        about = parse_json(file.schema.metadata[b"about"])
        stamps = about["stamps"]
        if about["version"] != VERSION or about["of_states"] != of_states:
            return None
        if not any(stamps.get(name) == stamp for name, stamp in there.items()):
            return None
        contents = _contents(about, file.read_all())
        is_complete = stamps.keys() <= {trial.trial_dir for trial in contents.trials}
        return Cached(of_states, stamps, contents) if is_complete else None
    except Exception:  # A file with a correct checksum may have any content, and pyarrow raises errors of many types.
        return None


def _read_bytes(path: Path) -> memoryview:
    """Return the content of the file, read and not mapped: a process ends if its mapped file is cut.

    Raises: OSError; ValueError if it cannot be a cache.
    """
    with open_regular(path) as file:
        begin = file.read(len(MAGIC))
        file.seek(-len(MAGIC) - 4, os.SEEK_END)
        # So that a file of holes, which may be larger than the memory, is not read.
        if begin != MAGIC or file.read(len(MAGIC)) != MAGIC:
            raise ValueError("not an Arrow file")
        file.seek(0)
        return memoryview(file.read())


def _contents(about: dict[str, Any], table: pa.Table) -> Contents:
    """Return the contents in a cache. Raises: many types of errors if it is not one that `write` has written."""
    # Otherwise a text outside the file may be read.
    table.validate(full=True)
    history = History(
        np.array(about["starts"], np.int64), {name: _array(table.column(name)) for name in table.column_names}
    )
    configs = [_as_hashable(config) for config in about["configs"]]
    trials = [_trial(configs, *trial) for trial in about["trials"]]
    issues = [Issue(*issue) for issue in about["issues"]]
    has_places = (
        history.starts[0] == 0 and history.starts[-1] == table.num_rows and (np.diff(history.starts) >= 0).all()
    )
    if not (has_places and len({trial.trial_dir for trial in trials}) == len(trials) == len(history.starts) - 1):
        raise ValueError("the trials must be distinct and have all rows between them")
    _check_texts(text for each in trials for text in (each.trial_dir, each.trial_id, each.name, each.status))
    _check_texts(each.error for each in trials if each.error is not None)
    _check_texts(text for folder, *texts in issues for text in texts)
    _check_texts(issue.trial_dir for issue in issues if issue.trial_dir is not None)
    if any(type(row) is not int for trial in trials for row in trial.divergence):
        raise ValueError("rows at which a trial diverges must be whole numbers")
    return Contents(trials, history, issues)


def write(folder: Path, cached: Cached) -> None:
    """Write the cache of a folder; do nothing if the folder cannot be written to."""
    trials, history, issues, _ = cached.contents
    # Most trials differ in few values from the first trial with the same keys. Only these values are written.
    configs = {tuple(trial.config): trial.config for trial in reversed(trials)}
    places = {keys: place for place, keys in enumerate(configs)}
    about = {
        "version": VERSION,
        "of_states": cached.of_states,
        "stamps": cached.stamps,
        "configs": list(configs.values()),
        "trials": [
            (places[key], {**vars(trial), "config": _changed_items(trial.config, configs[key])})
            for trial, key in zip(trials, map(tuple, (each.config for each in trials)), strict=True)
        ],
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


def _changed_items(config: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """Return the items whose values differ from those of a config with the same keys. 1, 1.0 and True differ."""
    return {key: value for key, value in config.items() if repr(value) != repr(base[key])}


def _trial(configs: list[dict[str, Any]], place: int, saved: dict[str, Any]) -> Trial:
    changed = {key: [hashable(value) for value in values] for key, values in saved["config_by_row"].items()}
    return Trial(**{**saved, "config": configs[place] | _as_hashable(saved["config"]), "config_by_row": changed})


def _as_hashable(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config with its lists as tuples. Raises: TypeError if a value is a dict."""
    values = {key: hashable(value) if type(value) is list else value for key, value in config.items()}
    hash(tuple(values.values()))
    return values


def _check_texts(values: Iterable[object]) -> None:
    if any(type(value) is not str for value in values):
        raise ValueError("names and messages must be texts")


def _arrow(column: np.ndarray[Any, Any]) -> pa.Array:
    if column.dtype != object:
        return pa.array(column)
    return pa.array([json.dumps(value) for value in column.tolist()], pa.string())


def _array(column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    if pa.types.is_string(column.type):
        return objects([hashable(parse_json(text.encode())) for text in column.to_pylist()])
    if column.type not in (pa.float64(), pa.int64()) or column.null_count:
        raise ValueError("not what a column holds")
    return np.asarray(column.to_numpy())
