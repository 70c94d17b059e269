"""All trials of an experiment, read from their folders; those that have not changed since from a cache."""

import contextlib
import gc
import os
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from analysis.loading import cache
from analysis.loading.columns import History, history_of, joined
from analysis.loading.contents import Contents
from analysis.loading.remote import fetched, is_remote
from analysis.loading.trial_dir import (
    BOOKKEEPING,
    OUR_FILES,
    STATE_FILES,
    TRIAL_FILES,
    Issue,
    read_states,
    read_trial,
    stamp_of_states,
    trial_folders,
)

SKIPPED = {*BOOKKEEPING, "config"} - {"training_iteration", "time_this_iter_s"}
# A file that was changed so shortly before it was read may change again and have the same time.
SETTLED_AFTER_SECONDS = 2.0
# Numbers of an experiment that is read in an instant anyhow.
TOO_SMALL = 100_000
# When less has changed, the cache stays as it is: writing it anew takes longer.
CHANGED = 0.05


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Python would look for cycles among the numbers of all trials again and again; there are none."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@_no_collection()
def read_experiment(path: str | os.PathLike[str]) -> Contents:
    """An experiment's trials, rows and damage. The folder may be a URI (s3://...), which is read anew each time.

    Of a folder on this machine only what has changed is read; the rest comes from a cache in it, `.analysis.arrow`. No
    trial there is believed whose files have other sizes or times now.

    Raises: FileNotFoundError if there is no such folder; ValueError if it holds no trial folder.
    """
    if is_remote(path):
        with fetched(os.fspath(path), [STATE_FILES], [*TRIAL_FILES, *OUR_FILES]) as copy:
            there = trial_folders(copy)
            return _read(copy, there, there)
    folder = Path(path)
    there, of_states = trial_folders(folder), stamp_of_states(folder)
    now = time.time()
    cached = cache.read(folder)
    # What Tune's own record says may have changed for any trial.
    known = cached.stamps if cached and cached.of_states == of_states else {}
    unchanged = {name for name, stamp in there.items() if known.get(name) == stamp}
    if cached and len(unchanged) == len(there) == len(known):
        return cached.contents
    new = _read(folder, [name for name in there if name not in unchanged], there)
    result = _merged(cached.contents, unchanged, new) if cached else new
    if len(new.trials) >= CHANGED * len(there) and _size(result.history) >= TOO_SMALL:
        settled = {name: stamp for name, stamp in there.items() if _changed_at(stamp) < now - SETTLED_AFTER_SECONDS}
        cache.write(folder, cache.Cached(of_states, settled, result))
    return result


def _read(folder: Path, names: Collection[str], there: Collection[str]) -> Contents:
    """The trials in some folders of an experiment, of which more are there."""
    states, issues = read_states(folder)
    issues += [Issue(name, "", "the trial's folder is missing or empty") for name in sorted(states.keys() - there)]
    trials, histories = [], []
    for name in names:
        trial, rows, damage = read_trial(folder / name, states.get(name, {}))
        trials.append(trial)
        # As columns they take a tenth of the memory.
        histories.append(history_of(rows, SKIPPED))
        issues += damage
    return Contents(trials, joined(histories), _in_order(issues))


def _merged(old: Contents, kept: Collection[str], new: Contents) -> Contents:
    """Some trials of one reading of a folder, and those of another."""
    stay = [place for place, trial in enumerate(old.trials) if trial.trial_dir in kept]
    trials = [*(old.trials[place] for place in stay), *new.trials]
    order = sorted(range(len(trials)), key=lambda place: trials[place].trial_dir)
    return Contents(
        [trials[place] for place in order],
        joined([old.history.take(stay), new.history]).take(order),
        _in_order([*(issue for issue in old.issues if issue.trial_dir in kept), *new.issues]),
    )


def _in_order(issues: list[Issue]) -> list[Issue]:
    """Those of the experiment, then those of each trial."""
    return sorted(issues, key=lambda issue: issue.trial_dir or "")


def _size(history: History) -> int:
    return sum(len(column) for column in history.columns.values())


def _changed_at(stamp: Mapping[str, Any]) -> float:
    """When the last of a trial's files was changed, in seconds."""
    return float(max(nanoseconds for _, nanoseconds, _ in stamp.values()) / 1e9)
