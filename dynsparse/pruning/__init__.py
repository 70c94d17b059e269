"""After training: weight and unit pruning, compression, the masks of lottery tickets.

Pure functions on the tensors of a network, one per layer, in the order of the layers. Nothing here draws random numbers
or changes its arguments. The table of a network is `dynsparse.pruning.summary`, which is not imported here: it needs
pandas, and training does not.
"""

from dynsparse.pruning.compress import compress
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
    "next_masks",
    "prune_units",
    "prune_weights",
    "reinitialised",
    "rewound",
    "round_fraction",
]
