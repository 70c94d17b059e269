"""The trials behind the pages of results. They are kept in trials/, and `make docs` makes the tables from them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from analysis import hyperparameters, load, metrics, save, varying
from dynsparse import Config
from dynsparse.experiment import load_experiment
from dynsparse.results.trial_folder import folder_name

TRIALS = Path(__file__).parent / "trials"
EXPERIMENTS = Path(__file__).parents[2] / "experiments"
# Hyperparameters that pages need even where all trials have the same value.
ALWAYS_KEPT = [
    "dataset_name", "val_fraction", "pixels", "hidden_sizes", "prune_ratio", "prune_iter", "weight_init", "optim_alg",
    "learning_rate", "config/epochs",
]  # fmt: skip


def trial_rows(folder: Path) -> pd.DataFrame:
    """Return one row per trial: its status, what varies between the trials, and their metrics."""
    df = with_version(load(folder), folder)
    columns = ["trial_id", "status", "error", "diverged", "at_chance", "model", "on_perc", *varying(df), *metrics(df)]
    columns += ["epochs", "trial_time", "version"]
    digits = dict.fromkeys([*metrics(df), "trial_time"], 6)
    return df[list(dict.fromkeys(columns))].round(digits)


def study_rows(rows: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Return the rows of `sweeps` or `rounds` without unused columns, with the minutes and version of each trial."""
    minutes = load(folder).set_index("trial_dir")["trial_time"]
    df = with_version(rows.assign(trial_time=rows["trial_dir"].map(minutes)), folder)
    measured = [name for name in metrics(df) if "_acc" in name or "_loss" in name or name.startswith("pruned")]
    kept = {*ALWAYS_KEPT, *varying(df), *measured}
    dropped = [name for name in [*hyperparameters(df), *metrics(df)] if name not in kept]
    return df.drop(columns=dropped).round(dict.fromkeys([*measured, "trial_time"], 6))


def with_version(df: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Return the rows with the package version that trained each trial."""
    found = {path.parent.name: json.loads(path.read_text())["version"] for path in folder.glob("*/about.json")}
    return df.assign(version=df["trial_dir"].map(lambda path: found[Path(path).name]))


class Run(NamedTuple):
    """A run of an experiment behind a page: its file, settings of the command, and the rows that are kept.

    With `may_fail`, failed trials are part of the result.

    A page also has `tables()`, and may have `PICTURES`: functions that return a figure, given the folder of results.
    They import plotly and torch themselves, because tables need neither.
    """

    experiment: str
    settings: Mapping[str, Any] = {}
    rows: Callable[[Path], pd.DataFrame] = trial_rows
    may_fail: bool = False

    def command(self) -> list[str]:
        """Return the file and the options for `dynsparse run`."""
        options = (("--set", f"{key}={value}") for key, value in self.settings.items())
        return [f"experiments/{self.experiment}.py", *(word for option in options for word in option)]

    def configs(self) -> list[Config]:
        """Return the configurations of the run's trials."""
        return load_experiment(EXPERIMENTS / f"{self.experiment}.py").configs(
            {key: [value] for key, value in self.settings.items()}
        )


class TrialsError(ValueError):
    """A folder does not hold exactly the completed trials of a run."""


def save_trials(folder: Path, run: Run, configs: Collection[Config]) -> None:
    """Save the rows of the trials in a folder under its name.

    Raises:
        TrialsError: If the folder holds other trials than `configs`, or some are not complete.
    """
    found = load(folder).assign(folder=lambda df: df["trial_dir"].map(lambda path: Path(path).name))
    wanted = {folder_name(config) for config in configs}
    others = sorted(set(found["folder"]) - wanted)
    if others:
        raise TrialsError(
            f"{folder} must hold only trials of {run.experiment}.py, got {len(others)} of other settings, such as "
            f"{others[0]}. Move them to another folder."
        )
    finished = found["status"].isin(["complete", "error"] if run.may_fail else ["complete"])
    missing = sorted(wanted - set(found.loc[finished, "folder"]))
    if missing:
        raise TrialsError(
            f"All {len(wanted)} trials in {folder} must be completed{' or failed' if run.may_fail else ''}, got "
            f"{len(missing)} that are not, such as {missing[0]}. Rerun `dynsparse run {' '.join(run.command())} --name "
            f"{folder.name}`, with --retry-failed for trials that failed; `dynsparse failures {folder}` lists them."
        )
    TRIALS.mkdir(exist_ok=True)
    save(run.rows(folder), TRIALS / f"{folder.name}.parquet")


def load_trials(name: str) -> pd.DataFrame:
    """Return the saved rows of a run."""
    return pd.read_parquet(TRIALS / f"{name}.parquet")


def cost_list(runs: dict[str, Run]) -> str:
    """Return a list in Markdown with the cost of each run."""
    return "\n".join(f"- {_cost_sentence(name, run)}" for name, run in runs.items())


def _cost_sentence(name: str, run: Run) -> str:
    """Return a sentence with the command, trials, hours and versions of a run.

    The hours are those that the trials took, one after another; of the time of a pack, each trial has its share.
    """
    df = load_trials(name).drop_duplicates("trial_id")
    hours, found = df["trial_time"].sum() / 60, ", ".join(sorted(df["version"].unique()))
    return f"`{' '.join(run.command())}`: {len(df)} trials, {hours:.1f} hours of training in total; version {found}."


def with_interval(value: float, low: float, high: float, digits: int = 4) -> str:
    """Return a signed number with its interval."""
    return f"{value:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"


def with_error(mean: float, error: float | None, digits: int = 4) -> str:
    """Return a mean with its error, if it has one, which does not break into two lines; "–" for NaN."""
    if math.isnan(mean):
        return "–"
    if error is None or math.isnan(error):
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{error:.{digits}f}"
