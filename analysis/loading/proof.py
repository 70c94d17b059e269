"""Whether the files of a trial of dynsparse belong together: its mark of completion, its rows and its folder's name."""

import hashlib
import re
from pathlib import Path
from typing import Any

from analysis.loading.parse import MISSING, read_object


def contradictions(folder: Path, last: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the files of a trial that contradict each other, each with the problem. Such a trial is not complete.

    The mark of completion, complete.json, has the number of rows and checksums of rows and configuration. The name of
    the folder has the id that each row has.

    Args:
        folder: the folder of a trial of dynsparse.
        last: the last row, or an empty dict.
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
    rows = _content(folder / "result.json")
    if mark.get("sha256") != hashlib.sha256(rows).hexdigest():
        found.append(("complete.json", "its checksum does not match result.json"))
    elif mark.get("rows") != (n_rows := rows.count(b"\n")):
        found.append(("complete.json", f"it vouches for {mark.get('rows')!s:.20} rows, but result.json has {n_rows}"))
    checksum = mark.get("params_sha256")
    if checksum is not None and checksum != hashlib.sha256(_content(folder / "params.json")).hexdigest():
        found.append(("params.json", "it was changed after the trial was completed"))
    return found


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def id_in_name(name: str) -> str | None:
    """Return the id in the name of a folder of dynsparse, which is the trial's id in every run."""
    found = re.fullmatch(r"trial_([0-9a-f]{12})", name)
    return found[1] if found else None
