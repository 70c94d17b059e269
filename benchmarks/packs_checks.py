"""Check that packs give the results of single trials, on the device that is timed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from unittest.mock import patch

import torch
from packs_grid import BATCH, DATA, with_kwinners
from torch import Tensor

from dynsparse.config import Config
from dynsparse.data import epoch_order, load_dataset
from dynsparse.engines.base import UpdateContext
from dynsparse.engines.packed import cuda_graph as graph
from dynsparse.engines.packed import engine as packed_engine
from dynsparse.engines.packed.engine import PackedEngine
from dynsparse.engines.torch import TorchEngine
from dynsparse.planning.packs import select_trials
from dynsparse.planning.plan import plan

# Six trials that differ in most of the keys that may differ in a pack.
DIFFERING: list[dict[str, Any]] = [
    {"seed": 0, "on_perc": 0.2, "learning_rate": 0.05, "percent_on": 0.3, "weight_prune_perc": 0.3},
    {"seed": 0, "on_perc": 0.5, "learning_rate": 0.02, "percent_on": 0.5, "weight_decay": 0.01, "momentum": 0.5},
    {"seed": 0, "on_perc": 1.0, "learning_rate": 0.01, "percent_on": 0.1, "hebbian_prune_perc": 0.0},
    {"seed": 1, "on_perc": 0.1, "learning_rate": 0.08, "percent_on": 0.2, "boost_strength": 0.0},
    {"seed": 1, "on_perc": 0.3, "learning_rate": 0.04, "percent_on": 0.4, "weight_prune_perc": 0.0},
    {"seed": 1, "on_perc": 0.4, "learning_rate": 0.03, "percent_on": 0.6, "boost_strength_factor": 0.3},
]
# Engines round differently. If the input of a ReLU is zero up to rounding, or two units at the margin of k-winners are
# equal up to rounding, a trial diverges from its twin, and that is no error. An error shows in all trials.
MAY_PART = 1
TOLERANCE = 1e-4
AT_PLACES = "each place of a pack"

Found = dict[str, Any]


def all_checks(device: str) -> dict[str, Found]:
    """Return the result of each check; `is_right` says whether it passed."""
    checks: dict[str, Callable[[], Found]] = {
        "k-winners beside the torch engine": lambda: beside_torch(device, kwinners=True),
        "ReLU beside the torch engine": lambda: beside_torch(device, kwinners=False),
        AT_PLACES: lambda: at_two_places(device, 112 if device.startswith("cuda") else 8),
    }
    if device.startswith("cuda"):
        checks["a recorded step"] = lambda: recorded(device)
    found = {}
    for name, check in checks.items():
        found[name] = check()
        print(f"{name}: {found[name]['said']}{'' if found[name]['is_right'] else ' - NOT RIGHT'}", flush=True)
    return found


def train(engine: PackedEngine | TorchEngine, n_epochs: int, n_steps: int) -> None:
    """Train epochs of `n_steps` full batches and one batch of 40 images, each followed by a mask update."""
    dataset, seeds, device = load_dataset(DATA), engine.plan.seeds, engine.plan.device
    held = engine.prepare([dataset.train], dataset.train_y[None])
    stopped = torch.zeros(len(seeds), dtype=torch.bool, device=device)
    for epoch in range(1, n_epochs + 1):
        orders = [epoch_order(len(dataset.train_y), seed, epoch)[: n_steps * BATCH + 40] for seed in seeds]
        order = torch.stack(orders if len(set(seeds)) > 1 else orders[:1])
        n_batches = -(-order.shape[1] // BATCH)
        engine.train_epoch(held, order, epoch=epoch, rates=engine.plan.learning_rates(0, n_batches, n_batches))
        engine.update_masks(UpdateContext(epoch, epoch / n_epochs, 1.0, stopped))
        engine.end_epoch()


def configs(trials: Sequence[dict[str, Any]], **values: Any) -> list[Config]:
    return [Config.of({"dataset_name": DATA, "batch_size": BATCH, **values, **trial}) for trial in trials]


def beside_torch(device: str, *, kwinners: bool) -> Found:
    """Compare the masks and numbers of different trials with the torch engine, after three short epochs."""
    ours = PackedEngine(plan(configs(DIFFERING, device=device, engine="packed", kwinners=kwinners)))
    theirs = TorchEngine(plan(configs(DIFFERING, device=device, engine="torch", kwinners=kwinners)))
    before = [mask.clone() for mask in ours.masks]
    for engine in (ours, theirs):
        train(engine, n_epochs=3, n_steps=2)
    same_masks = [(a == b).flatten(1).all(1) for a, b in zip(ours.masks, theirs.masks, strict=True)]
    pairs = [*zip(ours.weights, theirs.weights, strict=True), *zip(ours.biases, theirs.biases, strict=True)]
    near = [torch.isclose(a, b, rtol=TOLERANCE, atol=TOLERANCE).flatten(1).all(1) for a, b in pairs]
    is_same = torch.stack([*same_masks, *near]).all(0)
    farthest = torch.stack([(a - b).abs().flatten(1).amax(1) for a, b in pairs]).amax(0)[is_same]
    changed = sum(int((a != b).sum()) for a, b in zip(before, ours.masks, strict=True))
    n_same = int(is_same.sum())
    distance = float(farthest.max()) if n_same else float("nan")
    return {
        "is_right": n_same >= len(DIFFERING) - MAY_PART and changed > 0,
        "trials_alike": n_same,
        "trials": len(DIFFERING),
        "farthest": distance,
        "said": f"{n_same} of {len(DIFFERING)} trials have the same masks after 3 mask updates, and weights and biases "
        f"that differ by {distance:.1e} at most",
    }


def at_two_places(device: str, width: int) -> Found:
    """Compare the bits of trials of one seed in two orders."""
    some = with_kwinners(width, device=device, engine="packed")
    states = []
    for order in (some, some[::-1]):
        engine = PackedEngine(plan(order))
        train(engine, n_epochs=2, n_steps=6)
        states.append(engine.state_dict())
    back = select_trials(states[1], range(width - 1, -1, -1))
    differ = {place for a, b in zip(tensors(states[0]), tensors(back), strict=True) for place in unlike(a, b)}
    return {
        "is_right": not differ,
        "trials": width,
        "trials_that_differ": sorted(differ),
        "said": f"{width - len(differ)} of {width} trials are the same bit for bit where the pack is turned round",
    }


def unlike(a: Tensor, b: Tensor) -> list[int]:
    """Return the trials whose numbers differ in any bit. Shapes: both (trials, ...)."""
    return (a != b).flatten(1).any(1).nonzero()[:, 0].tolist() if a.ndim > 1 else (a != b).nonzero()[:, 0].tolist()


def tensors(state: Any) -> list[Tensor]:
    """Return all tensors of a state, in its order."""
    if isinstance(state, Tensor):
        return [state]
    parts = state.values() if isinstance(state, dict) else state if isinstance(state, list) else []
    return [tensor for part in parts for tensor in tensors(part)]


def recorded(device: str) -> Found:
    """Compare the steps of a recorded graph, and a shorter last batch, with the same steps run directly."""
    states = []
    for make_step_runner in (packed_engine.make_step_runner, lambda device: graph.run_directly):
        engine = PackedEngine(plan(configs(DIFFERING, device=device, engine="packed", kwinners=True)))
        with patch.object(packed_engine, "make_step_runner", make_step_runner):
            train(engine, n_epochs=2, n_steps=8)
        states.append(engine.state_dict())
    pairs = list(zip(tensors(states[0]), tensors(states[1]), strict=True))
    farthest = max(float((a.double() - b.double()).abs().max()) for a, b in pairs)
    n_steps = [state["n_steps"] for state in states]
    return {
        "is_right": farthest < TOLERANCE and n_steps == [18, 18],
        "farthest": farthest,
        "steps": n_steps,
        "said": f"after {n_steps[0]} and {n_steps[1]} steps, of 18, the farthest number is {farthest:.1e} off",
    }
