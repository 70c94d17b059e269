"""Trials that never left chance level: no accuracy that they logged is clearly better than that of a guess."""

from collections.abc import Sequence

import numpy as np

from analysis.frame.values import as_number
from analysis.loading.columns import Array, History, is_numeric, numbers
from analysis.loading.trial_dir import Trial

# A network has learned if the odds of a right answer are more than this many times those of a guess. Always naming the
# commonest class of MNIST gives 1.15, and small validation sets vary by a little more.
ODDS = 1.25


def chance_level(n_classes: float) -> float:
    """Return the highest accuracy that counts as chance: 0.122 for 10 classes, 0.556 for 2, 0.0125 for 100."""
    return ODDS / (ODDS + n_classes - 1)


def never_left_chance(trials: Sequence[Trial], history: History) -> Array:
    """Mark the trials of which no accuracy in any row is above chance level. Shapes: (trials,).

    Accuracies are the logged numbers with "acc" in their names, of the training set as well: a network that fits its
    training set has learned. A trial without an accuracy, or without its number of classes (`num_classes`, which
    trials of other programs may lack), is not marked.
    """
    highest = np.full(len(trials), np.nan)
    trial = np.repeat(np.arange(len(trials)), np.diff(history.starts))
    for name, values in history.columns.items():
        if is_accuracy(name, values):
            np.fmax.at(highest, trial, numbers(values).astype(float))
    return highest <= np.array([_level(each) for each in trials])


def is_accuracy(name: str, values: Array) -> bool:
    """Return True if the logged values are numbers with "acc" in their name."""
    return "acc" in name and is_numeric(values)


def _level(trial: Trial) -> float:
    n_classes = as_number(trial.config.get("num_classes"))
    return np.nan if n_classes is None or not n_classes >= 2 else chance_level(n_classes)
