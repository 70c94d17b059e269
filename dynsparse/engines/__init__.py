"""How an epoch is computed: `ENGINES` has the ways, `choose` takes one for a plan."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import NamedTuple

from dynsparse.config import Config
from dynsparse.engines.base import Engine
from dynsparse.engines.packed import engine as wide
from dynsparse.engines.torch import TorchEngine
from dynsparse.planning.plan import Plan, plan
from dynsparse.studies import Parameters


class Choice(NamedTuple):
    """An engine, and why it is not the faster one."""

    name: str
    because: str | None = None


def choose(plan: Plan) -> Choice:
    """The engine for a plan. Raises: ValueError if it asks for one that cannot do it."""
    if plan.engine == "torch":
        return Choice("torch")
    fast = {"auto": "sparse" if plan.device == "cpu" else "packed"}.get(plan.engine, plan.engine)
    reason = wide.why_not(plan) if fast == "packed" else _why_not_sparse(plan)
    if reason is None:
        return Choice(fast)
    if plan.engine == fast:
        raise ValueError(f"engine={fast!r} cannot do this: {reason}; use engine='auto' or 'torch'")
    return Choice("torch", reason)


def engine_of(config: Config) -> Choice:
    """The engine of a trial, told on a machine that may not have its device. Raises: ValueError, as `choose`."""
    return choose(replace(plan([replace(config, device="cpu")]), device=config.device))


def _why_not_sparse(plan: Plan) -> str | None:
    if find_spec("numba") is None:
        return "the package numba is not installed"
    from dynsparse.engines.sparse.engine import why_not

    return why_not(plan)


def start(plan: Plan, parameters: Parameters | None = None) -> Engine:
    """The networks of a pack as they begin, or as they are given, in the engine that is chosen.

    Raises: ValueError, as `choose`.
    """
    name = choose(plan).name
    if name == "torch":
        return TorchEngine(plan, parameters)
    if name == "packed":
        return wide.WideEngine(plan, parameters)
    # Compiled when it is first used, or read from a cache: only who uses it should wait.
    from dynsparse.engines.sparse.engine import SparseEngine

    return SparseEngine(plan, parameters)
