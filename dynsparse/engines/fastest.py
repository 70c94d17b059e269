"""The fastest engine of a plan on a CPU: a rule that depends on the configuration alone, so that a resume keeps to it.

An active weight takes longer in the sparse engine than a weight of a dense matrix, so dense matrices are faster where
most weights are active. The numbers are those of `benchmarks/dense.py`.
"""

from __future__ import annotations

from dynsparse.planning.plan import Plan

# A step takes as long in a dense engine as in the sparse one if this share of all weights is active, and EXTRA_WEIGHTS
# more. These stand for the calls of torch, whose time does not depend on the size of the network.
LIMIT = 0.6
EXTRA_WEIGHTS = 40_000
# The share with options for which the dense engines need much more time than the sparse one.
LIMIT_WITH_SLOW_OPTIONS = 0.85


def is_mostly_dense(plan: Plan) -> bool:
    """Return True if dense matrices are faster: if more than `LIMIT` of all weights and `EXTRA_WEIGHTS` are active.

    It is False for studies that prune and train again, whose networks become sparse, and for packs, whose trials may
    have different densities.
    """
    if len(plan.seeds) > 1 or any(step.begin is not None for step in plan.study.steps):
        return False
    sizes = [n_out * n_in for n_out, n_in in plan.network.shapes]
    (densities,) = plan.densities
    n_active = sum(density * size for density, size in zip(densities, sizes, strict=True))
    limit = LIMIT_WITH_SLOW_OPTIONS if _has_slow_options(plan) else LIMIT
    return n_active > limit * sum(sizes) + EXTRA_WEIGHTS


def _has_slow_options(plan: Plan) -> bool:
    network, needs = plan.network, plan.method.needs if plan.updates else frozenset()
    return (
        network.kwinners is not None
        or network.batch_norm
        or network.has_dropout
        or plan.clip_norm is not None
        or plan.optimizer.name in ("Adam", "AdamW")
        or "coactivation" in needs
    )
