"""Methods: what a mask update prunes and what it grows. `model="..."` selects a row of METHODS.

Each method is a function in its own file, from a configuration to a `Method`. Its docstring gives the rules. In them, n
is the number of active weights of a layer, and s, in [0, 1], is the factor from `prune_decay`. Ties are broken at
random. All methods with mask updates also read `pruning_active`, the interval between updates (`pruning_interval`, in
epochs, or `pruning_interval_steps`) and their end (`pruning_end`, a share of the training, or `pruning_end_step`).
Those that grow weights at a constant density also read `pruning_es` and its keys and, except `SRigL` and `TopKAST`,
`redistribution`.
"""

from __future__ import annotations

from collections.abc import Callable

from dynsparse.config.functions import load_function
from dynsparse.methods.base import MaskUpdate, Method, update_mask
from dynsparse.methods.checks import MethodError, with_checks
from dynsparse.methods.cht import cht
from dynsparse.methods.chts import chts, chtss
from dynsparse.methods.deepr import deepr
from dynsparse.methods.dense import dense
from dynsparse.methods.gmp import gmp
from dynsparse.methods.granet import granet
from dynsparse.methods.grasp import grasp
from dynsparse.methods.heb import heb
from dynsparse.methods.mest import mest
from dynsparse.methods.mixed_heb import mixed_heb
from dynsparse.methods.random_prune import random_prune
from dynsparse.methods.redistribution import with_redistribution
from dynsparse.methods.rigl import rigl
from dynsparse.methods.set_ import set_
from dynsparse.methods.settings import MethodSettings
from dynsparse.methods.snfs import snfs
from dynsparse.methods.snip import snip
from dynsparse.methods.sparse_model import sparse_model
from dynsparse.methods.srigl import srigl
from dynsparse.methods.synflow import synflow
from dynsparse.methods.top_kast import top_kast
from dynsparse.methods.weighted_mag import weighted_mag

METHODS: dict[str, Callable[[MethodSettings], Method]] = {
    "Dense": dense,
    "SparseModel": sparse_model,
    "SET": set_,
    "DSNNHeb": heb,
    "DSNNWeightedMag": weighted_mag,
    "DSNNMixedHeb": mixed_heb,
    "RigL": rigl,
    "SRigL": srigl,
    "SNFS": snfs,
    "MEST": mest,
    "DeepR": deepr,
    "TopKAST": top_kast,
    "CHT": cht,
    "CHTs": chts,
    "CHTss": chtss,
    "GMP": gmp,
    "GraNet": granet,
    "RandomPrune": random_prune,
    "SNIP": snip,
    "GraSP": grasp,
    "SynFlow": synflow,
}


def method_of(config: MethodSettings) -> Method:
    """Return the method of a configuration: that of a row of METHODS, or of a function of the user's own.

    Args:
        config: a Config, or the combined configuration of a pack.

    Raises:
        ValueError: if a function of the user's own fails, or returns something else or a method with a wrong field.

    Example:
        >>> from dynsparse import Config
        >>> from dynsparse.methods import method_of
        >>> sorted(method_of(Config(model="RigL", dataset_name="digits")).needs)
        ['gradient']
    """
    # Read so that it counts among the keys on which a trial depends.
    _ = config.model_hash
    if config.model in METHODS:
        return with_redistribution(METHODS[config.model](config), config)
    takes = "It must take the settings of a trial and return a dynsparse.methods.Method."
    try:
        method = load_function(config.model)(config)
    except Exception as error:
        # The function is the user's own: it may raise anything.
        raise ValueError(f"model={config.model!r} fails: {type(error).__name__}: {error}. {takes}") from error
    if not isinstance(method, Method):
        raise ValueError(f"model={config.model!r} returns {type(method).__name__}. {takes}")
    return with_redistribution(with_checks(method, config.model.rpartition(":")[2]), config)


__all__ = ["METHODS", "MaskUpdate", "Method", "MethodError", "method_of", "update_mask"]
