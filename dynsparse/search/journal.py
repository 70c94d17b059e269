"""Optuna's journal in a folder on a disk or in an object store. Only searches import this file: it needs Optuna."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from dynsparse.io.storage import Folder


class FolderJournal(BaseJournalBackend):
    """A journal in the format of Optuna's own file backend.

    The caller makes sure that one process writes at a time. The file is therefore read only once, at the start: Optuna
    asks for the entries several times for each proposal. A killed process may leave an unfinished last line, which is
    cut off then.

    Args:
        folder: the folder.
        name: name of the file.

    Raises: OSError if the storage fails, also by its methods.
    """

    def __init__(self, folder: Folder, name: str) -> None:
        self._folder, self._name = folder, name
        content = folder.read(name) or b""
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            folder.replace(name, whole)
        self._lines = whole.splitlines()

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """Return the entries from a number on."""
        return [json.loads(line) for line in self._lines[log_number_from:]]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add entries."""
        lines = [json.dumps(each, separators=(",", ":")).encode() for each in logs]
        self._folder.append(self._name, b"".join(line + b"\n" for line in lines))
        self._lines += lines
