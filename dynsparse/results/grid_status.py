"""Status of a grid: the trials that are complete, interrupted, failed or not started."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Any

from dynsparse.config import Config
from dynsparse.config.functions import without_folder
from dynsparse.data import own
from dynsparse.engines import choose_for_config
from dynsparse.experiment import axes
from dynsparse.io.json_object import parse_object
from dynsparse.io.storage import ASIDE_FOLDER, Folder
from dynsparse.results.progress import plural
from dynsparse.results.trial_folder import OLDER, State, TrialFolder, folder_name

SCAN_THREADS = 32
# How many trials that are not in the grid are looked at for data that have changed.
COMPARED_TRIALS = 20


@dataclass(frozen=True)
class Failure:
    """A trial that ended in an error."""

    trial: str  # the name of its folder
    values: dict[str, Any]  # of the axes of the grid
    error: str  # the last line of the traceback


@dataclass(frozen=True)
class TrialStatus:
    """A trial of the grid, with the status in its folder."""

    config: Config
    state: State
    error: str | None
    version: str | None  # of the code that started it
    damage: list[str]
    mistrust: str | None = None  # why the rows in the folder cannot be believed


@dataclass(frozen=True)
class GridStatus:
    """All trials of a grid, and the trial folders that are not in the grid."""

    trials: list[TrialStatus]
    others: list[str]
    changed_data: tuple[str, ...] = ()  # own data of the grid that had another content when other trials were trained

    def in_state(self, state: State) -> list[Config]:
        """Return the trials in a state, in the order of the grid."""
        return [each.config for each in self.trials if each.state is state]

    def todo(self, *, retry_failed: bool, resume_stopped: bool = False) -> list[Config]:
        """Return the trials to run. Interrupted trials come first, so that they are soon complete."""
        return [
            *self.in_state(State.STARTED),
            *(self.in_state(State.STOPPED) if resume_stopped else []),
            *(self.in_state(State.FAILED) if retry_failed else []),
            *self.in_state(State.NEW),
        ]

    def has_damage(self) -> bool:
        """Return True if a complete trial has damage outside its rows, which `repair` mends."""
        return any(each.damage for each in self.trials if each.state is State.COMPLETE)

    def repair(self, folder: Folder) -> None:
        """Write the damaged files of complete trials again. Raises: OSError if the storage fails."""
        for each in self.trials:
            if each.state is State.COMPLETE and each.damage:
                TrialFolder(folder.sub(folder_name(each.config))).repair(each.config)

    def set_aside(self, folder: Folder) -> bool:
        """Recover the trials whose rows cannot be believed, or move their files to a folder of their own.

        Returns: True if there was such a trial, so that the folder must be scanned again.

        Raises: OSError if the storage fails.
        """
        mistrusted = [each.config for each in self.trials if each.mistrust is not None]
        for config in mistrusted:
            name = folder_name(config)
            trial = TrialFolder(folder.sub(name))
            if not trial.recover_rows(config):
                trial.set_aside(folder.sub(ASIDE_FOLDER).sub(f"{name}-{time.time_ns()}"))
        return bool(mistrusted)

    def failures(self) -> list[Failure]:
        """Return the trials that failed."""
        varying = axes([each.config for each in self.trials])
        return [
            Failure(folder_name(each.config), {key: getattr(each.config, key) for key in varying}, each.error or "")
            for each in self.trials
            if each.state is State.FAILED
        ]

    def summary(self, *, retry_failed: bool, resume_stopped: bool = False) -> str:
        """Return a text like "12 trials: 5 complete, 2 to resume, 5 to run", and warnings on further lines."""
        counts = {
            "complete": len(self.in_state(State.COMPLETE)),
            "to resume": len(self.in_state(State.STARTED)),
            "stopped early, to resume" if resume_stopped else "stopped early": len(self.in_state(State.STOPPED)),
            "failed, to run again" if retry_failed else "failed (--retry-failed runs them again)": len(
                self.in_state(State.FAILED)
            ),
            "to run": len(self.in_state(State.NEW)),
        }
        parts = [f"{count} {status}" for status, count in counts.items() if count]
        lines = [f"{plural(len(self.trials), 'trial')}: {', '.join(parts)}"]
        if self.others:
            lines.append(f"{len(self.others)} more trials in the folder are not in the grid; they are left unchanged")
            n_before = self._n_trained_by_0_1()
            if n_before:
                lines.append(
                    f"{plural(n_before, 'trial')} of the grid are in the folder as version 0.1 trained them. To "
                    "continue with them, add weight_init='dense_uniform' to the space and, if it has "
                    "prune_decay='cosine', write 'cosine_0.1' there."
                )
        if self.changed_data:
            lines.append(
                f"trials in the folder were trained on other data: the content of {', '.join(self.changed_data)} has "
                "changed since, and with it the key data_hash. The trials of the grid are new ones"
            )
        versions = {each.version for each in self.trials if each.version is not None}
        if versions - {version()}:
            others = ", ".join(sorted(versions - {version()}))
            lines.append(f"some trials were started by other versions of the code ({others}); this is {version()}")
        n_older = sum(OLDER in each.damage for each in self.trials)
        if n_older:
            lines.append(f"{plural(n_older, 'complete trial')}: {OLDER}")
        lines += [
            f"damaged: {folder_name(each.config)}/{damage}"
            for each in self.trials
            for damage in each.damage
            if damage != OLDER
        ]
        return "\n".join(lines)

    def _n_trained_by_0_1(self) -> int:
        """Return the number of trials to run that are in the folder with the rules of version 0.1."""
        others = set(self.others)
        decays = {"cosine": "cosine_0.1"}
        before = [
            replace(each, weight_init="dense_uniform", prune_decay=decays.get(each.prune_decay, each.prune_decay))
            for each in self.in_state(State.NEW)
        ]
        return sum(folder_name(config) in others for config in before)


def scan(folder: Folder, configs: Sequence[Config], previous: GridStatus | None = None) -> GridStatus:
    """Return the status of a grid in a folder. Raises: OSError if the storage fails.

    Args:
        folder: the experiment's folder.
        configs: the trials of the grid.
        previous: an earlier scan of this folder. Of its complete trials only the rows and the mark are read again.
    """
    complete = {each.config: each for each in previous.trials if each.state is State.COMPLETE} if previous else {}
    present = {name for name in folder.names() if name.startswith("trial_")}

    def look(config: Config) -> TrialStatus:
        name = folder_name(config)
        if name not in present:
            return TrialStatus(config, State.NEW, None, None, [])
        trial = TrialFolder(folder.sub(name))
        state = trial.state(config)
        if config in complete and state is State.COMPLETE:
            return complete[config]
        error, about = trial.error(), trial.about()
        if state is State.COMPLETE:
            trial.check_other_files()
        damage = list(dict.fromkeys(trial.damage))
        version = about.get("version")
        version = version if isinstance(version, str) else None
        return TrialStatus(config, state, error, version, damage, trial.mistrust)

    # An object store is slow per request, but serves many requests at once.
    with ThreadPoolExecutor(SCAN_THREADS) as threads:
        found = list(threads.map(look, configs))
    others = sorted(present - {folder_name(config) for config in configs})
    return GridStatus(found, others, _changed_data(folder, configs, others))


def _changed_data(folder: Folder, configs: Sequence[Config], others: Sequence[str]) -> tuple[str, ...]:
    """Return the names of own data of which a trial that is not in the grid has another hash."""
    hashes = {
        without_folder(config.dataset_name): config.data_hash for config in configs if config.data_hash is not None
    }
    changed: dict[str, None] = {}
    # All of them would take long in an object store; trials of one run mostly have the same data.
    for name in others[:COMPARED_TRIALS] if hashes else ():
        values = parse_object(folder.sub(name).read("params.json") or b"") or {}
        data = without_folder(str(values.get("dataset_name")))
        if data in hashes and values.get("data_hash") not in (None, hashes[data]):
            changed[data] = None
    return tuple(changed)


def facts_about(config: Config) -> dict[str, Any]:
    """Return what a trial's about.json says: the version that starts it, its engine, and facts about own data."""
    return {"version": version(), "engine": choose_for_config(config).name, **own.about(config)}


@cache
def version() -> str:
    """Return the version of dynsparse with a hash of its source, which distinguishes edited copies."""
    source = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        source.update(path.read_bytes())
    return f"{distribution_version('dynsparse')}+{source.hexdigest()[:8]}"
