"""Check whether a trial's files belong together: its mark of completion, its rows and the name of its folder."""

import contextlib
import hashlib
import re
from pathlib import Path
from typing import Any

from analysis.loading.parse import MISSING, read_object
from analysis.loading.regular_files import open_regular

PART_BYTES = 2**20


def contradictions(folder: Path, last: dict[str, Any], *, rows_are_whole: bool) -> list[tuple[str, str]]:
    """Return the files of a trial that contradict each other, each with the problem. Such a trial is not complete.

    The mark of completion, complete.json, has the number of rows and checksums of rows and configuration. The name of
    the folder has the id that each row has.

    Args:
        folder: the folder of a trial of dynsparse.
        last: the last row, or an empty dict.
        rows_are_whole: True if result.json could be read as a whole; a mark is not believed otherwise.
    """
    found = []
    named, of = id_in_name(folder.name), last.get("trial_id")
    if named and isinstance(of, str) and of != named:
        found.append(("result.json", f"its rows are those of trial {of[:20]}"))
    mark, problem = read_object(folder / "complete.json")
    if problem == MISSING:
        return found
    if problem is not None:
        return [*found, ("complete.json", problem)]
    checksum, n_rows = _checksum_and_lines(folder / "result.json") if rows_are_whole else ("", 0)
    if mark.get("sha256") != checksum:
        found.append(("complete.json", "its checksum does not match result.json"))
    elif mark.get("rows") != n_rows:
        found.append(("complete.json", f"it vouches for {mark.get('rows')!s:.20} rows, but result.json has {n_rows}"))
    of_params = mark.get("params_sha256")
    if of_params is not None and of_params != _checksum_and_lines(folder / "params.json")[0]:
        found.append(("params.json", "it was changed after the trial was completed"))
    return found


def reason_to_stop(folder: Path) -> str | None:
    """Return why a rule of early stopping ended a trial; None without a mark, or if it does not fit result.json."""
    mark, problem = read_object(folder / "stopped.json")
    if problem is not None or mark.get("sha256") != _checksum_and_lines(folder / "result.json")[0]:
        return None
    return str(mark.get("reason", ""))


def _checksum_and_lines(path: Path) -> tuple[str, int]:
    """Return the checksum of a file and its number of lines; those of an empty file if it cannot be read."""
    checksum, n_lines = hashlib.sha256(), 0
    with contextlib.suppress(OSError), open_regular(path) as file:
        while part := file.read(PART_BYTES):
            checksum.update(part)
            n_lines += part.count(b"\n")
    return checksum.hexdigest(), n_lines


def id_in_name(name: str) -> str | None:
    """Return the id in the name of a folder of dynsparse, which is the trial's id in every run."""
    found = re.fullmatch(r"trial_([0-9a-f]{12})", name)
    return found[1] if found else None
