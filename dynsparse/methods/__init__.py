"""The methods. A row of METHODS is what `model="..."` picks; each method is one small file beside this one."""

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
