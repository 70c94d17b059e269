"""Models, networks, studies, optimizers and schedules that read a key, found by planning trials of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from dynsparse.config import Config
from dynsparse.methods import METHODS
from dynsparse.nn.lr_schedules import LR_SCHEDULES
from dynsparse.nn.mlp import NETWORKS
from dynsparse.nn.modules import MODULES
from dynsparse.nn.optimizers import OPTIMIZERS
from dynsparse.planning.plan import keys_read
from dynsparse.studies import STUDIES

# For each choice, the tables of its values, and the other keys of the trial that is planned; a later table counts where
# two have a value. Studies that prune need a model that does not, and most torch modules refuse k-winners.
CHOICES: dict[str, list[tuple[Iterable[str], Mapping[str, Any]]]] = {
    "model": [(METHODS, {})],
    "network": [(NETWORKS, {"kwinners": True}), (MODULES, {}), (("SpeechCNN",), {"kwinners": True})],
    "study": [(STUDIES, {"model": "SparseModel", "kwinners": False})],
    "optim_alg": [(OPTIMIZERS, {})],
    "lr_schedule": [(LR_SCHEDULES, {"lr_milestones": (1,)})],
}


@cache
def keys_by_value(choice: str) -> dict[str, frozenset[str]]:
    """Return the keys that a trial reads, for each value of a choice in CHOICES."""
    return {
        value: keys_read(Config(**{**others, choice: value, "pruning_es": True}))
        for table, others in CHOICES[choice]
        for value in table
    }


def readers(key: str) -> dict[str, list[str]]:
    """Return the values of each choice in CHOICES that read a key. A choice is left out if all or none read it.

    Example:
        >>> from dynsparse.planning.readers import readers
        >>> readers("hebbian_prune_perc")
        {'model': ['DSNNMixedHeb']}
        >>> readers("percent_on")
        {'network': ['MLPHeb', 'SpeechCNN']}
        >>> readers("lr_final")
        {'lr_schedule': ['cosine', 'linear']}
        >>> readers("learning_rate")
        {}
    """
    found = {}
    for choice in CHOICES:
        by_value = keys_by_value(choice)
        reading = [value for value, names in by_value.items() if key in names]
        if 0 < len(reading) < len(by_value):
            found[choice] = reading
    return found
