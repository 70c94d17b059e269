"""The plans that the sparse engine supports. This is not in engine.py, so that the question does not load Numba."""

from __future__ import annotations

from dynsparse.planning.plan import Plan


def unsupported(plan: Plan) -> str | None:
    """Return the options of a plan that this engine does not support, or None if it supports them all."""
    method, needs = plan.method, plan.method.needs if plan.updates else frozenset()
    options = {
        "augment": plan.augment is not None,
        f"device={plan.device!r}": plan.device != "cpu",
        "trained weights that are not active": method.backward_density is not None,
        "a gradient of all weights at every step": "gradient_momentum" in needs,
        "rules='legacy_2019'": bool(method.fails or method.counts_evaluation or method.moves_inactive),
    }
    return ", ".join(name for name, is_used in options.items() if is_used) or None
