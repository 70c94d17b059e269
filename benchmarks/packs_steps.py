"""Time training steps of packs by width, and each phase of a step and of an epoch, in milliseconds."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from packs_grid import BATCH, CHECKPOINT_EPOCHS, SIZES, Results, with_kwinners
from packs_machine import Rates, least_milliseconds, milliseconds, milliseconds_by_the_wall, work_of_step

from dynsparse.data import Images, epoch_order, load_dataset, noise_images
from dynsparse.engines.active_bits import active_bits, zero_inactive
from dynsparse.engines.base import UpdateContext, matmul_precision
from dynsparse.engines.flat_params import FlatParameters
from dynsparse.engines.packed.backprop import backward_, cross_entropy, forward
from dynsparse.engines.packed.engine import VECTOR_FLOATS, PackedEngine
from dynsparse.engines.packed.matmul import add_coactivation_counts_, expand_to_trials, linear
from dynsparse.ops import masks
from dynsparse.planning.packs import to_device
from dynsparse.planning.plan import plan

# The number of metrics in a row of a trial of the grid.
N_COLUMNS = 45


def empty_memory(device: torch.device) -> None:
    """Free the memory of earlier packs: an engine and its step refer to each other until garbage is collected."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def step_milliseconds(engine: PackedEngine, n_steps: int, repeats: int) -> float:
    """Return the milliseconds of one training step of a full batch, timed within an epoch."""
    device = torch.device(engine.plan.device)
    dataset = load_dataset(engine.plan.dataset_name)
    held = engine.prepare([dataset.train], dataset.train_y[None])
    n_there = len(dataset.train_y) // BATCH
    order = epoch_order(len(dataset.train_y), 0, 1)[None, : min(n_steps, n_there) * BATCH].to(device)
    rates = engine.plan.learning_rates(0, min(n_steps, n_there), n_there)
    taken = milliseconds(lambda: engine.train_epoch(held, order, epoch=1, rates=rates), device, repeats)
    return taken / min(n_steps, n_there)


def measure_width(width: int, device: torch.device, rates: Rates, options: Any, **values: Any) -> dict[str, Any]:
    """Time a step of a pack of this width; the keys of the result say what was timed."""
    empty_memory(device)
    engine = PackedEngine(plan(with_kwinners(width, device=str(device), engine="packed", **values)))
    step = step_milliseconds(engine, options.steps, options.repeats)
    least = least_milliseconds(work_of_step(SIZES, width, BATCH), rates, engine.plan.precision)
    return {
        "width": width,
        "milliseconds": step,
        "milliseconds_per_trial": step / width,
        "least_milliseconds": sum(least.values()),
        "fraction_of_limit": sum(least.values()) / step,
        "memory": torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
    }


WIDTH_TITLES = (
    f"{'width':>6} {'ms a step':>10} {'ms a trial':>11} {'times one':>10} {'limit ms':>9} {'share':>6} {'GB':>6}"
)


def width_line(found: dict[str, Any], alone: float | None) -> str:
    """Return a row under WIDTH_TITLES. `alone`: milliseconds of a trial at width 1; a higher "times one" is better."""
    per_trial, memory = found["milliseconds_per_trial"], found["memory"]
    return (
        f"{found['width']:>6} {found['milliseconds']:>10.3f} {per_trial:>11.4f} "
        f"{f'{alone / per_trial:.1f}' if alone else '':>10} {found['least_milliseconds']:>9.3f} "
        f"{found['fraction_of_limit']:>6.0%} {f'{memory / 1e9:.2f}' if memory else '':>6}"
    )


def phases_of_step(width: int, device: torch.device, precision: str) -> dict[str, Callable[[], object]]:
    """Return the phases of `work_of_step` as the packed engine runs them, on numbers as in training."""
    want = plan(with_kwinners(width, device=str(device), engine="packed", precision=precision))
    shapes, kwinners = want.network.shapes, want.network.kwinners
    assert kwinners is not None
    rest = [*shapes[1:], *((n_out,) for n_out, _ in shapes)]
    rows = [
        FlatParameters(width, shapes[:1], want.optimizer, device),
        FlatParameters(width, rest, want.optimizer, device, pad_to=VECTOR_FLOATS),
    ]
    views = [[view for each in rows for view in each.views(getattr(each, name))] for name in ("values", "gradient")]
    (weights, biases), (gradients, bias_gradients) = ((each[: len(shapes)], each[len(shapes) :]) for each in views)
    for weight in weights:
        weight.uniform_(-1, 1).mul_(weight.shape[-1] ** -0.5)
    counts = [torch.zeros_like(weight) for weight in weights]
    duty = [torch.full((width, n_out), 0.3, device=device) for n_out, _ in shapes[:-1]]
    boost = torch.ones(width, device=device)
    winners = [torch.tensor(kwinners.winners(n, training=True), device=device)[:, None] for n, _ in shapes[:-1]]

    dataset = load_dataset(want.dataset_name)
    images, index = dataset.train_x.to(device), epoch_order(len(dataset.train_y), 0, 1)[None, :BATCH].to(device)
    labels = expand_to_trials(dataset.train_y.to(device)[index], width)
    steps = torch.ones((), dtype=torch.float64, device=device)
    rate = want.learning_rates(0, 1, 1)[0].float().to(device)

    def winning_units(layer: int, sums: torch.Tensor) -> torch.Tensor:
        boosted = sums * torch.exp(-boost[:, None] * duty[layer])[:, None]
        return active_bits(masks.select_highest(boosted, winners[layer]))

    forward_pass = forward(images[index], weights, biases, winning_units)
    all_sums = [linear(x, w, b) for x, w, b in zip(forward_pass.inputs, weights[:-1], biases[:-1], strict=False)]
    gradient = cross_entropy(forward_pass.logits, labels).gradient

    def products_forward() -> None:
        with matmul_precision(precision):
            for x, weight, bias in zip(forward_pass.inputs, weights, biases, strict=True):
                linear(x, weight, bias)

    def choose_winners() -> None:
        for layer, sums in enumerate(all_sums):
            hidden = zero_inactive(sums, winning_units(layer, sums))
            duty[layer].mul_(872).add_((hidden > 0).sum(1)).div_(1000)

    def products_backward() -> None:
        with matmul_precision(precision):
            backward_(gradient, forward_pass, weights, gradients, bias_gradients)

    def count_coactivations() -> None:
        active = [(each > 0).float() for each in (*forward_pass.inputs, forward_pass.logits)]
        with matmul_precision("tf32"):
            for total, of_inputs, of_units in zip(counts, active, active[1:], strict=False):
                add_coactivation_counts_(total, of_units, of_inputs)

    def update() -> None:
        for each in rows:
            each.step_(each.masked_gradient(), steps, rate)

    return {
        "images": lambda: images[index],
        "products forward": products_forward,
        "k-winners": choose_winners,
        "loss": lambda: cross_entropy(forward_pass.logits, labels),
        "products backward": products_backward,
        "coactivation": count_coactivations,
        "update": update,
    }


def measure_step(width: int, device: torch.device, rates: Rates, options: Any) -> dict[str, dict[str, float]]:
    """Return the milliseconds of each phase, and their lower bound."""
    empty_memory(device)
    least = least_milliseconds(work_of_step(SIZES, width, BATCH), rates, "float32")
    return {
        phase: {"milliseconds": milliseconds(action, device, options.repeats, options.calls), "least": least[phase]}
        for phase, action in phases_of_step(width, device, "float32").items()
    }


def measure_epoch(width: int, device: torch.device, options: Any) -> dict[str, float]:
    """Return the milliseconds of the parts of an epoch other than its steps; each fifth epoch has a checkpoint."""
    empty_memory(device)
    configs = with_kwinners(width, device=str(device), engine="packed")
    engine = PackedEngine(plan(configs))
    # Otherwise there would be nothing to prune and to grow.
    step_milliseconds(engine, options.steps, repeats=1)
    dataset = load_dataset(configs[0].dataset_name)
    test = engine.prepare([dataset.test], dataset.test_y[None])
    noisy = Images(noise_images(dataset.test.normalise(), 0.15, 0).numpy())
    noise = engine.prepare([noisy], dataset.test_y[None])
    when = UpdateContext(
        epoch=1, share_done=0.5, drop_scale=1.0, stopped=torch.zeros(width, dtype=torch.bool, device=device)
    )
    by_the_wall = partial(milliseconds_by_the_wall, repeats=options.repeats)
    columns = [torch.rand(width, dtype=torch.float64, device=device) for _ in range(N_COLUMNS)]
    # Names as long as the names of trials.
    row = {f"surviving_synapses_{i}": value for i, value in enumerate(torch.rand(N_COLUMNS).tolist())}

    found = {
        "order of the examples": by_the_wall(lambda: epoch_order(len(dataset.train_y), 0, 2)),
        "test": milliseconds(lambda: engine.evaluate(*test), device, options.repeats),
        "noise test": milliseconds(lambda: engine.evaluate(*noise), device, options.repeats),
        "mask update": milliseconds(lambda: engine.update_masks(when), device, options.repeats),
        "reading the table": by_the_wall(lambda: torch.stack(columns, dim=1).tolist()),
    }
    with tempfile.TemporaryDirectory(dir=options.storage) as folder:
        results = Results(configs, folder, names=[f"trial_{i}" for i in range(width)])
        found["rows to disk"] = by_the_wall(lambda: results.append([row] * width))
        found["state to the CPU"] = by_the_wall(lambda: to_device(engine.state_dict(), "cpu"))
        state = {"epoch": 1, "engine": to_device(engine.state_dict(), "cpu")}
        found[f"checkpoints to disk, each {CHECKPOINT_EPOCHS} epochs"] = by_the_wall(
            lambda: results.save_checkpoints(1, state, range(width))
        )
    return found


def is_no_slower(widths: Sequence[dict[str, Any]]) -> str:
    """Return a sentence on each width: whether a trial in a pack on a CPU takes longer than alone."""
    alone = widths[0]["milliseconds_per_trial"]
    said = [
        f"at width {each['width']} a trial takes {each['milliseconds_per_trial'] / alone:.2f} of its time alone"
        for each in widths[1:]
    ]
    slower = [each["width"] for each in widths[1:] if each["milliseconds_per_trial"] > alone]
    return f"{'; '.join(said)}: {f'slower at {slower}' if slower else 'no slower in a pack'}"
