"""Methods: what a mask update prunes and what it grows. `model="..."` selects a row of METHODS.

Each method is a function in its own file, from a configuration to a `Method`. Its docstring gives the rules. In them, n
is the number of active weights of a layer, and s, in [0, 1], is the factor from `prune_decay`. Ties are broken at
random. All methods with mask updates also read `pruning_active`, the interval between updates (`pruning_interval`, in
epochs, or `pruning_interval_steps`) and their end (`pruning_end`, a share of the training, or `pruning_end_step`).
Those that grow weights also read `pruning_es` and its keys.
"""

from __future__ import annotations

from collections.abc import Callable

from dynsparse.methods.base import MaskUpdate, Method, update_mask
from dynsparse.methods.dense import dense
from dynsparse.methods.gmp import gmp
from dynsparse.methods.heb import heb
from dynsparse.methods.mixed_heb import mixed_heb
from dynsparse.methods.random_prune import random_prune
from dynsparse.methods.rigl import rigl
from dynsparse.methods.set_ import set_
from dynsparse.methods.settings import MethodSettings
from dynsparse.methods.snfs import snfs
from dynsparse.methods.sparse_model import sparse_model
from dynsparse.methods.weighted_mag import weighted_mag

METHODS: dict[str, Callable[[MethodSettings], Method]] = {
    "Dense": dense,
    "SparseModel": sparse_model,
    "SET": set_,
    "DSNNHeb": heb,
    "DSNNWeightedMag": weighted_mag,
    "DSNNMixedHeb": mixed_heb,
    "RigL": rigl,
    "SNFS": snfs,
    "GMP": gmp,
    "RandomPrune": random_prune,
}

__all__ = ["METHODS", "MaskUpdate", "Method", "update_mask"]
