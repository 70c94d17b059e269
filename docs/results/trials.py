"""The trials that the pages of results show. They are kept in trials/, and `make docs` makes the tables from them."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from analysis import load, metrics, save, varying

KEPT = Path(__file__).parent / "trials"


def keep(folder: Path) -> None:
    """Save the trials of an experiment's folder: what varies between them, their metrics, and the version."""
    df = load(folder)
    version = {path.parent.name: json.loads(path.read_text())["version"] for path in folder.glob("*/about.json")}
    df["version"] = df["trial_dir"].map(lambda path: version[Path(path).name])
    columns = ["trial_id", "status", "error", "model", "on_perc", *varying(df), *metrics(df)]
    columns += ["epochs", "trial_time", "version"]
    KEPT.mkdir(exist_ok=True)
    save(df[list(dict.fromkeys(columns))].round(6), KEPT / f"{folder.name}.parquet")


def kept(name: str) -> pd.DataFrame:
    """Return the trials of an experiment."""
    return pd.read_parquet(KEPT / f"{name}.parquet")


def took(name: str) -> str:
    """Return what an experiment took, as a sentence."""
    df = kept(name)
    hours, versions = df["trial_time"].sum() / 60, ", ".join(sorted(df["version"].unique()))
    return f"`experiments/{name}.py`: {len(df)} trials, together {hours:.1f} hours of one core; version {versions}."
