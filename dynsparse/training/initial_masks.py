"""Initial masks that depend on the training examples, which are loaded after the engine has started."""

from __future__ import annotations

from collections.abc import Sequence

from dynsparse.config import Config
from dynsparse.planning.plan import Plan
from dynsparse.studies import Parameters
from dynsparse.training.correlated_masks import correlated_parameters
from dynsparse.training.initial_pruning import pruned_parameters
from dynsparse.training.splits import Splits


def masks_need_data(plan: Plan) -> bool:
    """Return True if the initial masks depend on the training examples."""
    return plan.method.initial_pruning is not None or plan.sparse_type == "csti"


def parameters_from_data(configs: Sequence[Config], pack: Plan, splits: Splits) -> Parameters:
    """Return the initial parameters of a pack whose masks depend on the training examples."""
    if pack.method.initial_pruning is not None:
        return pruned_parameters(configs, pack, splits)
    return correlated_parameters(pack, splits)
