"""Files of data: where they are looked for, and whether they fit into memory."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from dynsparse.config.suggest import near_matches
from dynsparse.data.download import DataError, fetch_newest
from dynsparse.data.sources.content import Request


def find_file(request: Request) -> Path:
    """Return the path of a file of data.

    A relative path is looked up in `data_dir` or, if it is None, in the working directory, and then in
    DYNSPARSE_DATA_DIR. A file in an object store is fetched into the cache once per process: it may have changed there.

    Raises:
        DataError: If the file does not exist, or a store cannot be read.
    """
    path = Path(request.name).expanduser()
    if path.is_absolute():
        places = [str(path)]
    else:
        own_places = [request.folder] if is_store(request.folder) else folders(request.folder)
        shared = os.environ.get("DYNSPARSE_DATA_DIR")
        places = [f"{each}/{path}" for each in (*own_places, *([shared] if is_store(shared) else []))]
    for place in places:
        found = _fetched(place, str(path)) if is_store(place) else Path(place)
        # Unlike Path.is_file, os.path.isfile does not raise if the folder is not readable. A FIFO is no file.
        if found is not None and os.path.isfile(found):
            return found
    hint = _hint([Path(each) for each in places if not is_store(each)])
    raise DataError(f"The data file {request.name!r} does not exist. Looked for: {', '.join(places)}.{hint}")


def is_store(folder: str | None) -> bool:
    """Return True for the URI of an object store."""
    return folder is not None and "://" in folder


@lru_cache(maxsize=100)
def _fetched(uri: str, name: str) -> Path | None:
    """Return the local copy of a file in an object store; None if there is no such file. Raises: DataError."""
    if ".." in Path(name).parts:
        raise DataError(f"A data file in an object store must not have '..' in its name, got {name!r}.")
    return fetch_newest(name, uri.removesuffix(f"/{name}"))


def folders(data_dir: str | None) -> list[Path]:
    """Return the folders in which a relative path is looked up, first one first."""
    shared = os.environ.get("DYNSPARSE_DATA_DIR")
    others = [shared] if shared and not is_store(shared) else []
    return [Path(each).expanduser().absolute() for each in (data_dir or ".", *others)]


def _hint(places: list[Path]) -> str:
    for path in places:
        if path.parent.is_dir():
            near = near_matches(path.name, [each.name for each in path.parent.iterdir()])
            if near:
                return f" Did you mean {' or '.join(map(repr, near))}?"
    return " A relative path starts in the folder of the experiment file, or in data_dir if it is set."


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
