"""Tune's own record of an experiment: the state of each trial, in the layout of any Ray version."""

import os
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from analysis.loading.json_text import parse_json
from analysis.loading.parse import read_object
from analysis.loading.trial_dir import STATE_FILES, Issue

# The file has all trials of an experiment: some kilobytes for each.
LARGEST_BYTES = 2**28


def read_states(folder: Path) -> tuple[dict[str, dict[str, Any]], list[Issue]]:
    """Return the state of each trial in Tune's experiment_state files, by the name of its folder, and damaged files.

    After a resume there are several files. Their names end in their time, and the newest file with a trial counts.
    """
    states: dict[str, dict[str, Any]] = {}
    issues = []
    for path in sorted(folder.glob(STATE_FILES)):
        content, problem = read_object(path, LARGEST_BYTES)
        trials = [trial for entry in _state_entries(content) if (trial := _state_of(entry))]
        states |= {_folder_name(trial["logdir"], folder): trial for trial in trials}
        if problem:
            issues.append(Issue(None, path.name, problem))
    return states, issues


def _folder_name(logdir: str, experiment: Path) -> str:
    """Return the last part of a trial's path in Tune's record, which a run on Windows has written with backslashes."""
    name = PurePosixPath(logdir).name
    return PureWindowsPath(logdir).name if "\\" in name and not os.path.exists(experiment / name) else name


def _state_entries(content: dict[str, Any]) -> list[tuple[Any, bool]]:
    """Return the entry of each trial, with True for the layout of an older Ray, a list of "checkpoints"."""
    old, new = content.get("checkpoints"), content.get("trial_data")
    entries = [(entry, True) for entry in old] if isinstance(old, list) else []
    # In Ray 2 an entry is a pair of JSON texts: the trial, and its progress.
    pairs = new if isinstance(new, list) else []
    return entries + [(pair[0], False) for pair in pairs if isinstance(pair, list) and pair]


def _state_of(entry: tuple[Any, bool]) -> dict[str, Any] | None:
    trial, is_old = entry
    if isinstance(trial, str):
        try:
            trial = parse_json(trial.encode())
        except ValueError:
            return None
    if not isinstance(trial, dict):
        return None
    logdir = trial.get("relative_logdir") or trial.get("logdir")
    return {**trial, "logdir": logdir, "is_old": is_old} if isinstance(logdir, str) else None
