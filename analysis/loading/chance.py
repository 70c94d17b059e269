"""Trials that never left chance level: no accuracy, or R², that they logged is clearly better than that of a guess."""

import re
from collections.abc import Sequence

import numpy as np

from analysis.frame.values import as_number
from analysis.loading.columns import Array, History, is_numeric, numbers
from analysis.loading.trial_dir import Trial

# A network has learned if the odds of a right answer are more than this many times those of a guess. Always naming the
# commonest class of MNIST gives 1.15, and small validation sets vary by a little more.
ODDS = 1.25
# Always naming the mean of the labels gives an R², the coefficient of determination, of 0; on other examples, less.
R2_OF_CHANCE = 0.01
# Words in the names of the metrics that `load` summarises.
ACCURACY, R2, RMSE = "acc", r"(^|_)r2(_|@|$)", "rmse"


def chance_level(n_classes: float) -> float:
    """Return the highest accuracy that counts as chance: 0.122 for 10 classes, 0.556 for 2, 0.0125 for 100."""
    return ODDS / (ODDS + n_classes - 1)


def never_left_chance(trials: Sequence[Trial], history: History) -> Array:
    """Mark the trials of which no accuracy and no R² in any row is above chance level. Shapes: (trials,).

    These are the logged numbers with "acc" or "r2" in their names, of the training set as well: a network that fits its
    training set has learned. A trial without any, or with accuracies but without its number of classes (`num_classes`,
    which trials of other programs may lack), is not marked.
    """
    highest = {ACCURACY: np.full(len(trials), np.nan), R2: np.full(len(trials), np.nan)}
    trial = np.repeat(np.arange(len(trials)), np.diff(history.starts))
    for name, values in history.columns.items():
        for word in highest:
            if re.search(word, name) and is_numeric(values):
                np.fmax.at(highest[word], trial, numbers(values).astype(float))
    return (highest[ACCURACY] <= np.array([_level(each) for each in trials])) | (highest[R2] <= R2_OF_CHANCE)


def is_score(name: str, values: Array) -> bool:
    """Return True if the logged values are numbers with "acc", "r2" or "rmse" in their name."""
    return any(re.search(word, name) for word in (ACCURACY, R2, RMSE)) and is_numeric(values)


def _level(trial: Trial) -> float:
    n_classes = as_number(trial.config.get("num_classes"))
    return np.nan if n_classes is None or not n_classes >= 2 else chance_level(n_classes)
