"""Files of data: where they are looked for, and whether they fit into memory."""

from __future__ import annotations

import os
from pathlib import Path

from dynsparse.config.suggest import near_matches
from dynsparse.data.download import DataError, fetch_files
from dynsparse.data.sources.content import Request


def find_file(request: Request) -> Path:
    """Return the path of a file of data.

    A relative path is looked up in `data_dir` or, if it is None, in the working directory, and then in the folder
    DYNSPARSE_DATA_DIR. From an object store, a file is fetched into the cache, once per machine.

    Raises:
        DataError: If the file does not exist.
    """
    path = Path(request.name).expanduser()
    if request.folder is not None and "://" in request.folder and not path.is_absolute():
        if ".." in path.parts:
            raise DataError(f"A data file in an object store must not have '..' in its name, got {request.name!r}.")
        return fetch_files(path.name, (request.name,), request.folder, _no_download) / path
    places = [path] if path.is_absolute() else [folder / path for folder in folders(request.folder)]
    # Unlike Path.is_file, os.path.isfile does not raise if the folder is not readable. A FIFO is no file.
    found = next((each for each in places if os.path.isfile(each)), None)
    if found is None:
        raise DataError(
            f"The data file {request.name!r} does not exist. Looked for: {', '.join(map(str, places))}.{_hint(places)}"
        )
    return found


def folders(data_dir: str | None) -> list[Path]:
    """Return the folders in which a relative path is looked up, first one first."""
    shared = os.environ.get("DYNSPARSE_DATA_DIR")
    others = [shared] if shared and "://" not in shared else []
    return [Path(each).expanduser().absolute() for each in (data_dir or ".", *others)]


def _hint(places: list[Path]) -> str:
    for path in places:
        if path.parent.is_dir():
            near = near_matches(path.name, [each.name for each in path.parent.iterdir()])
            if near:
                return f" Did you mean {' or '.join(map(repr, near))}?"
    return " A relative path starts in the folder of the experiment file, or in data_dir if it is set."


def _no_download(folder: Path) -> None:
    raise FileNotFoundError("it is no data set that dynsparse can download")


def check_memory(name: str, n_bytes: int) -> None:
    """Check that data fit into the memory of this machine. Raises: DataError."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if n_bytes > memory:
        raise DataError(
            f"The data of {name!r} must fit into memory, got {_amount(n_bytes)} on a machine with "
            f"{_amount(memory)}. Use a part of the examples or features, or smaller numbers (float32, uint8)."
        )


def _amount(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"
