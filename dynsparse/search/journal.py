"""Optuna's journal in a folder on a disk or in an object store. Imported only for searches: it needs Optuna."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from dynsparse.io.storage import Folder


class FolderJournal(BaseJournalBackend):
    """A journal that Optuna's own file backend reads, too. The caller sees to it that one process writes at a time.

    An unfinished last line, as a process leaves that is killed while it writes, is cut off at the start.

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

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """Return the entries from a number on."""
        lines = (self._folder.read(self._name) or b"").splitlines()
        return [json.loads(line) for line in lines[log_number_from:]]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add entries."""
        text = "".join(f"{json.dumps(each, separators=(',', ':'))}\n" for each in logs)
        self._folder.append(self._name, text.encode())
