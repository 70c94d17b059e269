"""Folders in an object store: the files of an experiment are downloaded in parallel before they are read."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path

AT_ONCE = 32


def is_remote(path: str | os.PathLike[str]) -> bool:
    """Return True if a path is a URI, such as s3://bucket/folder."""
    return "://" in os.fspath(path)


def is_inside(name: str) -> bool:
    """Return True if the name of an object leads to a path inside a folder, unlike "../params.json"."""
    return not {"", ".", ".."} & set(name.split("/"))


@contextlib.contextmanager
def fetched(uri: str, of_experiment: Sequence[str], of_trial: Sequence[str]) -> Iterator[Path]:
    """Download the files of an experiment into a temporary folder, which is deleted at the end of the context.

    Args:
        uri: the folder of the experiment.
        of_experiment: patterns for the names of files in the folder itself.
        of_trial: patterns for the names of files in the trial folders.

    Yields:
        The path of the temporary folder.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if it holds no trial.
        OSError: if the store fails.
    """
    # The import takes as long as a load of a small experiment.
    from pyarrow import fs

    filesystem, inside = fs.FileSystem.from_uri(uri)
    found = filesystem.get_file_info(fs.FileSelector(inside, recursive=True, allow_not_found=True))
    paths = [info.path.removeprefix(inside).lstrip("/") for info in found if info.type == fs.FileType.File]
    names = [path for path in paths if is_inside(path)]
    if not names:
        raise FileNotFoundError(f"The folder {uri} does not exist or is empty.")
    patterns = [*of_experiment, *(f"*/{pattern}" for pattern in of_trial)]
    # Not deeper than a trial's own folder: a star also matches "/".
    wanted = [name for name in names if any(fnmatch(name, p) and name.count("/") == p.count("/") for p in patterns)]
    if not any("/" in name for name in wanted):
        raise ValueError(f"{uri} has no trial. Load the folder of an experiment, in which each trial has a folder.")

    with tempfile.TemporaryDirectory() as folder:

        def fetch(name: str) -> None:
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            with (
                # A file may have been deleted after it was listed.
                contextlib.suppress(FileNotFoundError),
                filesystem.open_input_stream(f"{inside}/{name}") as file,
                path.open("xb") as copy,
            ):
                # In parts, because the files may be larger than the memory.
                shutil.copyfileobj(file, copy)

        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(fetch, wanted))
        yield Path(folder)
