"""Compute training epochs, evaluations and mask updates for a plan. All engines give the same masks.

`sparse` (CPU) computes only the active weights. `torch` computes dense tensors on any device and supports every option.
`packed` trains hundreds of trials together on one GPU. `module` trains networks that are torch modules, on any device.
`choose` selects an engine and `start` builds it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import NamedTuple

from dynsparse.config import Config
from dynsparse.engines.base import Engine
from dynsparse.engines.fastest import is_mostly_dense
from dynsparse.engines.module import ModuleEngine
from dynsparse.engines.packed import engine as packed
from dynsparse.engines.sparse.support import unsupported
from dynsparse.engines.stacked_modules import one_by_one_reason
from dynsparse.engines.torch import TorchEngine
from dynsparse.nn.module_network import ModuleNetwork, is_module
from dynsparse.planning.packs import pack_kind
from dynsparse.planning.plan import Plan, plan
from dynsparse.studies import Parameters

# The time of an epoch in the torch engine, in those of the sparse engine: benchmarks/engines.py measures it.
TORCH_SLOWDOWN = "7 to 14 times"
# Trials of a pack that are compared before a run. When a pack is trained, it compares all of its trials.
MOST_COMPARED = 8


class EngineChoice(NamedTuple):
    """The name of an engine, and the reason when a faster engine cannot run the plan."""

    name: str
    reason: str | None = None


def choose(plan: Plan) -> EngineChoice:
    """Return the engine for a plan.

    With engine="auto" it is the fastest engine that supports the plan. On a CPU that is `sparse`, or `packed` if most
    weights are active: see fastest.py. On a GPU it is `packed`. A plan that `sparse` does not support gets
    `packed`, or else `torch`. For torch modules it is `module`.

    Raises:
        ValueError: If the plan names an engine that does not support it.
    """
    is_module = isinstance(plan.network, ModuleNetwork)
    if is_module and plan.engine in ("auto", "module"):
        return EngineChoice("module")
    if is_module or plan.engine == "module":
        kind, fix = ("a torch module", "module") if is_module else ("a multilayer perceptron", "torch")
        raise ValueError(
            f"engine={plan.engine!r} does not support a network that is {kind}. Use engine='auto' or engine={fix!r}."
        )
    if plan.engine == "torch":
        return EngineChoice("torch")
    # "wide" is the older spelling of "packed".
    fast = {"auto": "sparse" if plan.device == "cpu" else "packed", "wide": "packed"}.get(plan.engine, plan.engine)
    reason = packed.unsupported(plan) if fast == "packed" else _unsupported_by_sparse(plan)
    if plan.engine != "auto":
        if reason is not None:
            raise ValueError(f"engine={fast!r} does not support {reason}. Use engine='auto' or engine='torch'.")
        return EngineChoice(fast)
    if reason is None and (plan.device != "cpu" or not is_mostly_dense(plan)):
        return EngineChoice(fast)
    return EngineChoice("torch" if packed.unsupported(plan) else "packed", reason)


def choose_for_config(config: Config) -> EngineChoice:
    """Return the engine of a trial. The machine need not have the trial's device.

    Raises:
        ValueError: As `choose`.
    """
    return choose(replace(plan([replace(config, device="cpu")]), device=config.device))


def choose_for_configs(configs: Sequence[Config]) -> list[EngineChoice]:
    """Return the engine of each trial of a grid, with one plan for all trials of a kind.

    Raises:
        ValueError: As `choose`.
    """
    # On a CPU the density matters, too.
    kinds = [(pack_kind(config), config.on_perc if config.device == "cpu" else None) for config in configs]
    choices = {kind: choose_for_config(config) for kind, config in dict(zip(kinds, configs, strict=True)).items()}
    return [choices[kind] for kind in kinds]


def one_by_one_reasons(configs: Sequence[Config], pack_size: int) -> dict[str, str]:
    """Return, for each network that is a torch module, why the trials of a pack are computed one after another.

    Networks are left out whose packs are computed in one call, or that have no two trials for one pack.
    """
    kinds: dict[Hashable, list[Config]] = {}
    for config in configs:
        if is_module(config.network):
            kinds.setdefault(pack_kind(config), []).append(config)
    reasons = {}
    for trials in kinds.values():
        pack = trials[: min(pack_size, MOST_COMPARED)]
        if len(pack) > 1:
            # The machine need not have the trials' device.
            of_pack = replace(plan([replace(config, device="cpu") for config in pack]), device=pack[0].device)
            reason = one_by_one_reason(of_pack)
            if reason is not None:
                reasons[str(pack[0].network)] = reason
    return reasons


def _unsupported_by_sparse(plan: Plan) -> str | None:
    if find_spec("numba") is None:
        return "this Python environment: the package numba is not installed"
    return unsupported(plan)


def start(plan: Plan, parameters: Parameters | None = None) -> Engine:
    """Build the engine for a plan.

    Args:
        plan: The trials to train together.
        parameters: Weights, biases and masks to start from. None: the plan's initial ones.

    Raises:
        ValueError: As `choose`.
    """
    name = choose(plan).name
    if name == "torch":
        return TorchEngine(plan, parameters)
    if name == "module":
        return ModuleEngine(plan, parameters)
    if name == "packed":
        return packed.PackedEngine(plan, parameters)
    # Importing it loads Numba, which takes a second: only those who use the engine should wait.
    from dynsparse.engines.sparse.engine import SparseEngine

    return SparseEngine(plan, parameters)
