"""All trials of an experiment, read from their folders, or from a cache if they have not changed."""

import contextlib
import gc
import os
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from analysis.frame.values import sort_key
from analysis.loading import cache
from analysis.loading.columns import History, joined, without_rare
from analysis.loading.contents import Contents
from analysis.loading.experiment_file import EXPERIMENT_FILE, read_facts
from analysis.loading.json_text import without_surrogates
from analysis.loading.proof import id_in_name
from analysis.loading.remote import fetched, is_remote
from analysis.loading.states import read_states
from analysis.loading.trial_dir import (
    OUR_FILES,
    STATE_FILES,
    TRIAL_FILES,
    Issue,
    Trial,
    lost_folders,
    read_trial,
    stamp_of_states,
    trial_folders,
)

# A file that was changed less than this before it was read may change again and keep the same time.
SETTLED_AFTER_SECONDS = 2.0
# With fewer numbers, an experiment is read quickly without a cache.
TOO_SMALL = 100_000
# If less than this share of the trials has changed, the cache is not rewritten: that would take longer.
CHANGED = 0.05


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Pause garbage collection, which would search the numbers of all trials for cycles again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def read_experiment(path: str | os.PathLike[str]) -> Contents:
    """Return the trials, rows and damage of an experiment. The folder may be a URI (s3://...), which has no cache.

    A copy of a trial in the same experiment is left out and named as an issue, and so is a folder without a trial.

    In a local folder only changed trials are read; the rest comes from its cache, `.analysis.arrow`. A trial is taken
    from the cache only if the sizes and times of its files are unchanged.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if it holds no trial folder.
    """
    contents, lost = _read_folders(path)
    contents = without_copies(contents)
    # Tune's own record may have named the folder already.
    named = {issue.trial_dir for issue in contents.issues}
    return contents._replace(issues=_in_order(contents.issues + [each for each in lost if each.trial_dir not in named]))


@_no_collection()
def _read_folders(path: str | os.PathLike[str]) -> tuple[Contents, list[Issue]]:
    """Return the contents of an experiment, copies included, and an issue for each folder without a trial."""
    if is_remote(path):
        with fetched(os.fspath(path), [STATE_FILES, EXPERIMENT_FILE], [*TRIAL_FILES, *OUR_FILES]) as copy:
            there = trial_folders(copy)
            return _read(copy, there, there)._replace(facts=read_facts(copy)), []
    folder = Path(path)
    there, of_states, facts = trial_folders(folder), stamp_of_states(folder), read_facts(folder)
    lost = lost_folders(folder, there)
    now = time.time()
    cached = cache.read(folder, of_states, there)
    known = cached.stamps if cached else {}
    unchanged = {name for name, stamp in there.items() if known.get(name) == stamp}
    if cached and {trial.trial_dir for trial in cached.contents.trials} == unchanged == there.keys():
        return cached.contents._replace(facts=facts), lost
    new = _read(folder, [name for name in there if name not in unchanged], there)
    result = _merged(cached.contents, unchanged, new) if cached else new
    if len(new.trials) >= CHANGED * len(there) and _size(result.history) >= TOO_SMALL:
        settled = {name: stamp for name, stamp in there.items() if _changed_at(stamp) < now - SETTLED_AFTER_SECONDS}
        cache.write(folder, cache.Cached(of_states, settled, result))
    return result._replace(facts=facts), lost


def _read(folder: Path, names: Collection[str], there: Collection[str]) -> Contents:
    """Read the trials in some of the trial folders of an experiment."""
    states, issues = read_states(folder)
    lost = states.keys() - set(map(without_surrogates, there))
    issues += [Issue(name, "", "the trial's folder is missing or empty") for name in sorted(lost)]
    trials, histories = [], []
    for name in names:
        trial, history, damage = read_trial(folder / name, states.get(without_surrogates(name), {}))
        trials.append(trial)
        histories.append(history)
        issues += damage
    histories, n_left_out = without_rare(histories)
    if n_left_out:
        issues.append(Issue(None, "", f"{n_left_out} logged names are in few trials and are left out"))
    return Contents(trials, joined(histories), _in_order(issues))


def _merged(old: Contents, kept: Collection[str], new: Contents) -> Contents:
    """Join the kept trials of an older reading of a folder with those of a new one."""
    stay = [place for place, trial in enumerate(old.trials) if trial.trial_dir in kept]
    trials = [*(old.trials[place] for place in stay), *new.trials]
    order = sorted(range(len(trials)), key=lambda place: trials[place].trial_dir)
    return Contents(
        [trials[place] for place in order],
        joined([old.history.take(stay), new.history]).take(order),
        _in_order([*(issue for issue in old.issues if issue.trial_dir in kept), *new.issues]),
    )


def without_copies(contents: Contents) -> Contents:
    """Leave out each copy of another trial; the issues name it.

    A copy has the id, the number of rows, the last row and the hyperparameters of the other trial. Where an id follows
    from the hyperparameters, as in dynsparse, or where they are lost, they are not compared.
    """
    trials, kept, issues = contents.trials, list[int](), list[Issue]()
    by_id: dict[str, list[int]] = {}
    for place, trial in enumerate(trials):
        by_id.setdefault(trial.trial_id, []).append(place)
    for places in by_id.values():
        if len(places) == 1:
            kept += places
            continue
        originals: dict[object, int] = {}
        # A folder whose hyperparameters are known, and of these the one that is named after the id, is the original.
        for place in sorted(places, key=lambda place: _copy_rank(trials[place])):
            end, settings = _end(contents.history, place), _settings(trials[place])
            original = originals.setdefault((end, settings) if settings else end, place)
            originals.setdefault(end, original)
            if original != place:
                of = trials[original].trial_dir
                issues.append(Issue(trials[place].trial_dir, "", f"a copy of {of}; it is left out"))
        kept += set(originals.values())
    if not issues:
        return contents
    kept.sort()
    return contents._replace(
        trials=[trials[place] for place in kept], history=contents.history.take(kept), issues=contents.issues + issues
    )


def _end(history: History, place: int) -> tuple[Any, ...]:
    """Return the number of rows of a trial and its last row. NaN equals itself here."""
    first, end = history.starts[place : place + 2]
    last = (sort_key(column[end - 1]) for column in history.columns.values()) if end > first else ()
    return (end - first, *last)


def _copy_rank(trial: Trial) -> tuple[bool, bool]:
    """Return a key that sorts an original before its copies."""
    return not trial.config, trial.trial_id not in trial.trial_dir


def _settings(trial: Trial) -> frozenset[tuple[str, Any]]:
    """Return the hyperparameters in which a trial may differ from others with its id. NaN equals itself here."""
    if id_in_name(f"trial_{trial.trial_id}") is not None:
        return frozenset()
    return frozenset((name, sort_key(value)) for name, value in trial.config.items())


def _in_order(issues: list[Issue]) -> list[Issue]:
    """Sort issues: those of the experiment first, then those of each trial."""
    return sorted(issues, key=lambda issue: issue.trial_dir or "")


def _size(history: History) -> int:
    return sum(len(column) for column in history.columns.values())


def _changed_at(stamp: Mapping[str, Any]) -> float:
    """Return the time of the latest change to a trial's files, in seconds."""
    return float(max(nanoseconds for _, nanoseconds, _ in stamp.values()) / 1e9)
