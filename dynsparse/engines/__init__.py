"""How an epoch is computed: `ENGINES` has the ways, `choose` takes one for a plan."""

from __future__ import annotations

from importlib.util import find_spec
from typing import NamedTuple

from dynsparse.engines.pack import Engine
from dynsparse.engines.torch import TorchEngine
from dynsparse.plan import Plan
from dynsparse.studies import Parameters


class Choice(NamedTuple):
    """An engine, and why it is not the faster one."""

    name: str
    because: str | None = None


def choose(plan: Plan) -> Choice:
    """The engine for a plan. Raises: ValueError if it asks for one that cannot do it."""
    if plan.engine == "torch":
        return Choice("torch")
    if find_spec("numba") is None:
        reason: str | None = "the package numba is not installed"
    else:
        from dynsparse.engines.sparse.engine import why_not

        reason = why_not(plan)
    if reason is None:
        return Choice("sparse")
    if plan.engine == "sparse":
        raise ValueError(f"engine='sparse' cannot do this: {reason}; use engine='auto' or 'torch'")
    return Choice("torch", reason)


def start(plan: Plan, parameters: Parameters | None = None) -> Engine:
    """The networks of a pack as they begin, or as they are given, in the engine that is chosen.

    Raises: ValueError, as `choose`.
    """
    if choose(plan).name == "torch":
        return TorchEngine(plan, parameters)
    # Compiled when it is first used, or read from a cache: only who uses it should wait.
    from dynsparse.engines.sparse.engine import SparseEngine

    return SparseEngine(plan, parameters)
