"""A made-up grid and history for plots, and what the tests read from a figure."""

import itertools

import numpy as np
import pandas as pd
import plotly.graph_objects as go

MODELS = ["RigL", "SET", "<b>&"]
DENSITIES = [0.01, 0.05, 0.2]


def grid() -> pd.DataFrame:
    """3 models, 3 densities, 3 seeds. SET at 0.01: 2 failed, 1 incomplete; RigL at 0.05: 1 failed, 1 infinite."""
    rng = np.random.default_rng(0)
    rows = []
    for i, (model, on_perc, seed) in enumerate(itertools.product(MODELS, DENSITIES, range(3))):
        status, value = "complete", float(rng.uniform(0.8, 0.9) + 0.05 * np.log10(on_perc))
        if model == "SET" and on_perc == 0.01:
            status = "error" if seed else "incomplete"
        if model == "RigL" and on_perc == 0.05 and seed < 2:
            status, value = ("error", value) if seed else ("complete", float("inf"))
        row = {"model": model, "on_perc": on_perc, "kwinners": i % 2 == 0, "sizes": [(3, 1), (5,)][i % 2], "seed": seed}
        rows.append(
            {"val_acc_max": value, "val_acc_max_epoch": 1, "epochs": 3, **row, "status": status, "trial_id": f"t{i}"}
        )
    df = pd.DataFrame(rows).assign(diverged=False, error=None, trial_dir="", experiment_file_name="x")
    # Neither the order of the rows nor the index has a meaning.
    return df.sample(frac=1, random_state=0).set_axis([7] * len(df))


def history() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    trials = itertools.product(["b", "a"], [0.1, 0.2], range(3))
    rows = [
        {
            "trial_id": f"{model}{on}{seed}",
            "epoch": epoch,
            "val_acc": rng.uniform(),
            "model": model,
            "on": on,
            "seed": seed,
        }
        for model, on, seed in trials
        for epoch in range(1, 3 if (model, on, seed) == ("b", 0.1, 0) else 5)
    ]
    return pd.DataFrame(rows)


def complete(df: pd.DataFrame) -> pd.DataFrame:
    return df[(df["status"] == "complete") & np.isfinite(df["val_acc_max"])]


def traces(fig: go.Figure, meta: str, name: str | None = None) -> list[go.Scatter]:
    return [trace for trace in fig.data if trace.meta == meta and name in (None, trace.legendgroup)]


def numbers(values: object) -> list[float]:
    return np.asarray(values, dtype=float).tolist()  # type: ignore[arg-type]


def cells(fig: go.Figure) -> tuple[list[list[float | None]], dict[tuple[str, str], str]]:
    heat, written = fig.data
    return [list(row) for row in heat.z], dict(zip(zip(written.y, written.x, strict=True), written.text, strict=True))
