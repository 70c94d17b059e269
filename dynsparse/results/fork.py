"""Forks: folders of trials that begin as copies of other trials."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from dynsparse.config import Config, n_rows_copied
from dynsparse.io.storage import ASIDE_FOLDER, Folder
from dynsparse.results.grid_status import facts_about
from dynsparse.results.trial_folder import TrialFolder, checkpoint_name, folder_name, identity, state_check

# The column with the folder of the trial that trained a row, only in rows that are copied from another trial. The
# identity alone may be all digits, and a reader would take it for a number.
COPIED_FROM = "copied_from"
# The entry of about.json with what led to a copy.
ORIGIN = "origin"


def is_forked(folder: Folder, child: Config) -> bool:
    """Return True if the folder of a copy holds the rows of the other trial. Raises: OSError."""
    n_rows = n_rows_copied(child.starts_from)
    rows = TrialFolder(folder.sub(folder_name(child))).rows_to_continue(child)[:n_rows]
    return len(rows) == n_rows and all(row.get(COPIED_FROM) for row in rows)


def origin_of(folder: Folder, name: str) -> dict[str, Any]:
    """Return what led to a copy; {} if the folder is not that of a copy, or does not say. Raises: OSError."""
    found = TrialFolder(folder.sub(name)).about().get(ORIGIN)
    return found if isinstance(found, dict) else {}


def can_be_forked(folder: Folder, parent: Config, n_rows: int) -> bool:
    """Return True if a trial has at least `n_rows` rows and an intact checkpoint after them. Raises: OSError."""
    trial = TrialFolder(folder.sub(folder_name(parent)))
    if len(trial.rows_to_continue(parent)) < n_rows:
        return False
    state = trial.load_checkpoint(n_rows, state_check(parent))
    return state is not None and state["n_rows"] == n_rows


def fork(folder: Folder, parent: Config, child: Config, tag: str, origin: Mapping[str, Any]) -> None:
    """Write the folder of a trial that begins as a copy: the rows of its parent, and the checkpoint after them.

    The rows are written last, so that an interrupted fork has none and is made again. The times in copied rows are 0,
    so that the sum of the times of all trials is that of the workers.

    Args:
        folder: the experiment's folder.
        parent: a trial that `can_be_forked`.
        child: the copy. Its `starts_from` names the parent and the number of rows.
        tag: the `experiment_tag` of the copy.
        origin: what led to this copy; about.json notes it, and `origin_of` reads it.

    Raises: OSError, LockLostError.
    """
    source, n_rows = TrialFolder(folder.sub(folder_name(parent))), n_rows_copied(child.starts_from)
    rows = source.rows_to_continue(parent)[:n_rows]
    state = source.load_checkpoint(n_rows, state_check(parent))
    assert state is not None and state["n_rows"] == n_rows == len(rows)
    own = folder.sub(folder_name(child))
    # A trial keeps only its newest checkpoints: newer ones of an earlier run would displace the one written here.
    if set(own.names()) - {"params.json", "about.json", "progress.csv", checkpoint_name(n_rows)}:
        TrialFolder(own).set_aside(folder.sub(ASIDE_FOLDER).sub(f"{folder_name(child)}-{time.time_ns()}"))
    trial = TrialFolder(own)
    trial.create(child, {**facts_about(child), ORIGIN: origin})
    trial.save_checkpoint(n_rows, {**state, "trial_id": identity(child)})
    about = {"trial_id": identity(child), "experiment_tag": tag, "time_this_iter_s": 0.0, "time_total_s": 0.0}
    trial.write_rows([{**row, **about, COPIED_FROM: row.get(COPIED_FROM) or folder_name(parent)} for row in rows])
