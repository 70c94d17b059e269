"""The trials behind the pages of results. They are kept in trials/, and `make docs` makes the tables from them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis import load, metrics, save, varying

TRIALS = Path(__file__).parent / "trials"


def save_trials(folder: Path) -> None:
    """Save the trials of an experiment's folder: what varies between them, their metrics, and the version."""
    df = load(folder)
    version = {path.parent.name: json.loads(path.read_text())["version"] for path in folder.glob("*/about.json")}
    df["version"] = df["trial_dir"].map(lambda path: version[Path(path).name])
    columns = ["trial_id", "status", "error", "diverged", "at_chance", "model", "on_perc", *varying(df), *metrics(df)]
    columns += ["epochs", "trial_time", "version"]
    digits = dict.fromkeys([*metrics(df), "trial_time"], 6)
    TRIALS.mkdir(exist_ok=True)
    save(df[list(dict.fromkeys(columns))].round(digits), TRIALS / f"{folder.name}.parquet")


def load_trials(name: str) -> pd.DataFrame:
    """Return the saved trials of an experiment."""
    return pd.read_parquet(TRIALS / f"{name}.parquet")


def cost_list(names: Sequence[str]) -> str:
    """Return a list in Markdown with the cost of each experiment."""
    return "\n".join(f"- {_cost_sentence(name)}" for name in names)


def _cost_sentence(name: str) -> str:
    """Return a sentence with the trials, hours and versions of an experiment."""
    df = load_trials(name)
    hours, versions = df["trial_time"].sum() / 60, ", ".join(sorted(df["version"].unique()))
    return f"`experiments/{name}.py`: {len(df)} trials, together {hours:.1f} hours of one core; version {versions}."
