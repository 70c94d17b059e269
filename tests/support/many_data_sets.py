"""Published and made-up results of several methods on several data sets."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from support.grids import grid

import analysis

CLASSIFIERS = ["C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf"]
# Demšar, "Statistical comparisons of classifiers over multiple data sets", 2006, table 6: AUC. The paper ranks by
# unrounded values: on the data set "wine", which is the last but one here, C4.5+cf is second with 0.975.
AUC = [
    [0.763, 0.768, 0.771, 0.798],
    [0.599, 0.591, 0.590, 0.569],
    [0.954, 0.971, 0.968, 0.967],
    [0.628, 0.661, 0.654, 0.657],
    [0.882, 0.888, 0.886, 0.898],
    [0.936, 0.931, 0.916, 0.931],
    [0.661, 0.668, 0.609, 0.685],
    [0.583, 0.583, 0.563, 0.625],
    [0.775, 0.838, 0.866, 0.875],
    [1.000, 1.000, 1.000, 1.000],
    [0.940, 0.962, 0.965, 0.962],
    [0.619, 0.666, 0.614, 0.669],
    [0.972, 0.981, 0.97501, 0.975],
    [0.957, 0.978, 0.946, 0.970],
]


def results(values: Sequence[Sequence[float]], models: Sequence[str], seeds: int = 1) -> pd.DataFrame:
    """One trial for each data set (row), method (column) and seed; with seeds, the values are the means over them."""
    rows = [
        {"dataset_name": f"data{i:02}", "model": model, "seed": seed, "acc": number + 0.01 * (seed - (seeds - 1) / 2)}
        for i, row in enumerate(values)
        for model, number in zip(models, row, strict=True)
        for seed in range(seeds)
    ]
    return analysis.as_trials(pd.DataFrame(rows), ["dataset_name", "model", "seed"], ["acc"])


def published() -> pd.DataFrame:
    return results(AUC, CLASSIFIERS)


def noise(n_blocks: int, models: Sequence[str], seed: int = 0, gap: float = 0.0) -> pd.DataFrame:
    """Normal noise, to which each method adds `gap` more than the one before it."""
    values = np.random.default_rng(seed).normal(0, 1, (n_blocks, len(models))) + gap * np.arange(len(models))
    return results(values.tolist(), models)


def two_methods() -> pd.DataFrame:
    """Two methods, 6 tasks and 8 seeds without a pattern. The results of rliable in the tests are of these numbers."""

    def score(model: str, task: int, seed: int) -> float:
        number = (17 * seed * seed + 5 * task + 3 * seed * task + (7 if model == "b" else 0)) % 23
        return round(number / 23 + 0.1 * task + (0.05 if model == "b" else 0), 4)

    return grid(score, model=["a", "b"], task=range(6), seed=range(8))
