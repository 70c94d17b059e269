"""Prune trained networks: weights, units, compression, and masks of lottery tickets.

All are pure functions on lists of tensors, one tensor per layer. They draw no random numbers and do not change their
arguments. `dynsparse.pruning.summary` is not imported here, because it needs pandas.
"""

from dynsparse.pruning.compress import compress
from dynsparse.pruning.compress_module import compress_module
from dynsparse.pruning.lottery import (
    PrunedFractions,
    actual_fraction,
    next_masks,
    reinitialised,
    rewound,
    round_fraction,
)
from dynsparse.pruning.unit import PrunedUnits, prune_units
from dynsparse.pruning.weight import PrunedWeights, prune_weights

__all__ = [
    "PrunedFractions",
    "PrunedUnits",
    "PrunedWeights",
    "actual_fraction",
    "compress",
    "compress_module",
    "next_masks",
    "prune_units",
    "prune_weights",
    "reinitialised",
    "rewound",
    "round_fraction",
]
