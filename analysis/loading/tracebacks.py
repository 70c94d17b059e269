"""Tracebacks of failed trials: the last lines of their error.txt."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from analysis.loading.parse import read_end
from analysis.loading.remote import fetched, is_remote

FILE = "error.txt"


def tracebacks(path: str | os.PathLike[str], trial_dirs: Iterable[str], n_lines: int = 8) -> dict[str, list[str]]:
    """Return the last lines of the error.txt of some trials.

    Args:
        path: the folder of the experiment, or its URI (s3://...).
        trial_dirs: the names of the trials' folders.
        n_lines: how many lines, blank ones not counted.

    Returns:
        The lines of each trial that has an error.txt with text.
    """
    if is_remote(path):
        # An error without a message is an answer, too.
        with contextlib.suppress(OSError, ValueError), fetched(os.fspath(path), [], [FILE]) as copy:
            return tracebacks(copy, trial_dirs, n_lines)
        return {}
    texts = {name: read_end(Path(path, name, FILE))[0] for name in trial_dirs}
    lines = {name: [line for line in text.splitlines() if line.strip()][-n_lines:] for name, text in texts.items()}
    return {name: several for name, several in lines.items() if several}
