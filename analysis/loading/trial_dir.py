"""Trial folders: finding those of a Tune experiment, and reading each as a `Trial`, damaged or not."""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

from analysis.frame.values import flatten, is_true
from analysis.frame.words import printable
from analysis.loading.columns import History, history_of
from analysis.loading.json_text import without_surrogates
from analysis.loading.parse import EMPTY, MISSING, read_csv_rows, read_json_rows, read_last_line, read_object
from analysis.loading.proof import contradictions, id_in_name, reason_to_stop
from analysis.loading.rows import config_by_row, divergence, straight_run

STATE_FILES = "experiment_state*.json"
TRIAL_FILES = ("params.json", "result.json", "progress.csv", "error.txt")
# Files that only dynsparse writes.
OUR_FILES = ("about.json", "complete.json", "failed.json", "stopped.json")
# The names that Tune adds to every row; all others are metrics.
BOOKKEEPING = {
    "date",
    "done",
    "checkpoint_dir_name",
    "episodes_this_iter",
    "episodes_total",
    "experiment_id",
    "experiment_tag",
    "hostname",
    "iterations_since_restore",
    "node_ip",
    "pid",
    "should_checkpoint",
    "time_since_restore",
    "time_this_iter_s",
    "time_total_s",
    "timestamp",
    "timesteps_since_restore",
    "timesteps_this_iter",
    "timesteps_total",
    "trainable_name",
    "training_iteration",
    "trial_id",
    "trial_log_path",
    "warmup_time",
}
# Of these, a history has two, and it has the config of each row as that of its trial.
SKIPPED = {*BOOKKEEPING, "config"} - {"training_iteration", "time_this_iter_s"}

FILES = {*TRIAL_FILES, *OUR_FILES}

# For each file of a folder: size, time of the last change of its content, and of any change, in nanoseconds.
Stamp = dict[str, list[int]]


class Issue(NamedTuple):
    """A damaged or missing file. `trial_dir` is None for a file of the experiment."""

    trial_dir: str | None
    file: str
    problem: str


@dataclass(frozen=True)
class Trial:
    """The contents of one trial folder, without its rows.

    `config` is flat. `config_by_row` has the keys whose value changed within the trial, with the value of each row.
    `status` is "complete", "error", "stopped" (early) or "incomplete". `error` is the last line of the last error, even
    if the trial has recovered from it; of a stopped trial, why it was stopped.
    """

    trial_dir: str
    trial_id: str
    name: str
    config: dict[str, Any]
    config_by_row: dict[str, list[Any]]
    status: str
    error: str | None
    divergence: list[int]  # the rows, from 1, at which it becomes diverged, or is not any more: see `divergence`

    @property
    def diverged(self) -> bool:
        """True if a logged value with "loss" in its name is NaN or infinite where it was last logged."""
        return len(self.divergence) % 2 == 1

    def until(self, row: int) -> Self:
        """Return the trial as it was after a row, from 1. Its status and error are not changed."""
        changed = {key: values[:row] for key, values in self.config_by_row.items()}
        return replace(
            self,
            config=self.config | {key: values[-1] for key, values in changed.items()},
            config_by_row=changed,
            divergence=[each for each in self.divergence if each <= row],
        )


def trial_folders(folder: Path) -> dict[str, Stamp]:
    """Return the trial folders in a folder, by name, with the stamps of their files.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if it holds no trial folder.
    """
    if not folder.is_dir():
        raise _no_folder(folder)
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if _is_folder(entry))
    stamps = {name: stamp(f"{folder}/{name}") for name in names}
    found = {name: files for name, files in stamps.items() if files.keys() & set(TRIAL_FILES)}
    if not found:
        raise _no_experiment(folder)
    return found


def lost_folders(folder: Path, found: Collection[str]) -> list[Issue]:
    """Return an issue for each folder that is empty or cannot be read, and so is not among the folders `found`."""
    issues = []
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if not entry.name.startswith(".") and _is_folder(entry))
    for name in names:
        if name in found:
            continue
        try:
            is_lost = not os.listdir(folder / name) or id_in_name(name) is not None
            problem = "the folder has none of the files of a trial"
        except OSError as error:
            is_lost, problem = True, f"the folder cannot be read: {error.strerror}"
        if is_lost:
            issues.append(Issue(without_surrogates(name), "", problem))
    return issues


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return True for a folder, or a link to one. A link to itself is nothing."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def stamp(folder: str | os.PathLike[str]) -> Stamp:
    """Return the stamp of a trial folder: for each file that is read, its size and its times of change."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name: _size_and_time(entry) for entry in entries if entry.name in FILES}
    except OSError:
        return {}


def stamp_of_states(folder: Path) -> Stamp:
    """Return the stamp of Tune's own record of the experiment."""
    return {path.name: _size_and_time(path) for path in sorted(folder.glob(STATE_FILES))}


def _size_and_time(entry: os.DirEntry[str] | Path) -> list[int]:
    try:
        found = entry.stat()
    except OSError:
        # A broken link: it is listed, and reading it reports the problem.
        return [-1, -1, -1]
    # A copy may keep the first time, but not the second, which the system sets.
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _no_folder(path: Path) -> Exception:
    if path.suffix == ".parquet" and path.exists():
        return ValueError(
            f"{path} is a Parquet file, not the folder of an experiment. Read it with pandas.read_parquet"
        )
    if path.exists():
        return ValueError(f"{path} is a file. Load the folder of the experiment, such as {path.parent}")
    inside = sorted(entry.name for entry in path.parent.iterdir() if entry.is_dir()) if path.parent.is_dir() else []
    found = _first(inside) if inside else "no folder either."
    return FileNotFoundError(f"The folder {path} does not exist. {path.parent} has {found}")


def _no_experiment(path: Path) -> ValueError:
    if stamp(path).keys() & set(TRIAL_FILES):
        return ValueError(f"{path} is the folder of a single trial. Load its experiment: {path.parent}")
    experiments = [str(entry) for entry in sorted(path.iterdir()) if entry.is_dir() and _holds_trials(entry)]
    if experiments:
        return ValueError(f"{path} is not an experiment, but has some in it. Load one of them: {_first(experiments)}")
    return ValueError(f"{path} has no trial: no folder in it has any of {', '.join(TRIAL_FILES)}.")


def _holds_trials(folder: Path) -> bool:
    return any(stamp(entry).keys() & set(TRIAL_FILES) for entry in folder.iterdir() if entry.is_dir())


def _first(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def read_trial(folder: Path, state: Mapping[str, Any]) -> tuple[Trial, History, list[Issue]]:
    """Return a trial, its rows, and its damaged files."""
    rows, problems = _read_rows(folder, state)
    config, config_problems = _read_config(folder, rows, state)
    error, error_problem = read_last_line(folder / "error.txt")
    if error_problem not in (None, MISSING):
        problems.append(("error.txt", str(error_problem)))
    # Tune writes an error.txt at each failure and overwrites an earlier one. A trial of dynsparse may have been retried
    # after it; only failed.json means that the trial has failed.
    ended, ended_problem = read_object(folder / "failed.json")
    has_failed = error_problem != MISSING
    is_ours = os.path.exists(folder / "about.json")
    if has_failed and ended_problem == MISSING and is_ours:
        has_failed, error = False, None
    error = printable(_first_text(ended.get("error"), error or "")) or None
    last = rows[-1] if rows else {}
    rows_are_whole = all(file != "result.json" for file, _ in problems)
    doubts = contradictions(folder, last, rows_are_whole=rows_are_whole) if is_ours else []
    status = _status(last, has_failed, state)
    # The mark is the last file that dynsparse writes.
    if status == "complete" and is_ours and (doubts or not os.path.exists(folder / "complete.json")):
        status = "incomplete"
    if status == "incomplete" and is_ours and rows_are_whole and (reason := reason_to_stop(folder)) is not None:
        status, error = "stopped", printable(reason)
    problems += [(file, f"{problem}; the trial counts as incomplete") for file, problem in doubts]
    rows = straight_run(rows)
    # Columns take a tenth of the memory of rows.
    history, changed = history_of(rows, SKIPPED), config_by_row(rows)
    if history.n_left_out:
        problems.append(("result.json", f"{history.n_left_out} names are in few rows and are left out"))
    name = without_surrogates(folder.name)
    trial = Trial(
        trial_dir=name,
        trial_id=_first_text(last.get("trial_id"), id_in_name(name), state.get("trial_id"), name),
        name=_first_text(last.get("experiment_tag"), state.get("experiment_tag"), name),
        config={key: values[-1] for key, values in changed.items()} | flatten(config),
        config_by_row=changed,
        status=status,
        error=error,
        divergence=divergence(history),
    )
    return trial, history, [Issue(name, *problem) for problem in problems + config_problems]


def _read_rows(folder: Path, state: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    rows, problem = read_json_rows(folder / "result.json")
    if rows:
        return rows, [("result.json", problem)] if problem else []
    rows, csv_problem = read_csv_rows(folder / "progress.csv")
    if rows:
        problem = f"{problem}; the rows are read from progress.csv"
    # A trial that waits for its first row, or failed before it, has empty files: nothing is damaged.
    is_usual = problem == EMPTY and state.get("status") != "TERMINATED"
    # A trial of dynsparse has no file of rows before its first row.
    is_ours, has_mark = (os.path.exists(folder / name) for name in ("about.json", "complete.json"))
    waits = problem == MISSING and is_ours and not has_mark
    is_usual = is_usual or waits
    problems = [] if is_usual or problem is None else [("result.json", problem)]
    if csv_problem not in (None, EMPTY, MISSING):
        problems.append(("progress.csv", str(csv_problem)))
    return rows, problems


def _read_config(
    folder: Path, rows: list[dict[str, Any]], state: Mapping[str, Any]
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    config, problem = read_object(folder / "params.json")
    if problem is None:
        return config, []
    sources = [("its rows", row.get("config")) for row in reversed(rows)]
    sources.append(("experiment_state", state.get("config")))
    for source, found in sources:
        if isinstance(found, dict):
            return found, [("params.json", f"{problem}; the config is taken from {source}")]
    return {}, [("params.json", f"{problem}; the trial's hyperparameters are lost")]


def _status(last: dict[str, Any], has_error: bool, state: Mapping[str, Any]) -> str:
    """Return the status of a trial, from its folder alone if possible.

    The exception is a function trainable, whose last row never has done=true: Tune's own record is used. Such a trial
    is recognised by a key that Ray 2 writes for functions only, or by the layout of an older Ray. For other trials the
    record is not used, because Tune also calls trials terminated that it stopped early.
    """
    if is_true(last.get("done")):
        return "complete"
    may_lack_done = "checkpoint_dir_name" in last or bool(last and state.get("is_old"))
    if may_lack_done and state.get("status") == "TERMINATED":
        return "complete"
    return "error" if has_error else "incomplete"


def _first_text(*candidates: Any) -> str:
    return next((text for text in candidates if isinstance(text, str) and text), "")
