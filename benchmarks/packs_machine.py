"""The limits of a machine for packs: timers, its properties, its highest rates, and the work of a step.

The lower bound for the time of a step is the sum over its phases. Each phase reads its inputs from memory once, writes
its outputs once, and computes its products at the rate of products of the same shapes alone. Caches are faster than
memory, so narrow packs may take less.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch

from dynsparse.engines.base import matmul_precision

FLOAT = 4  # bytes


def milliseconds(action: Callable[[], object], device: torch.device, repeats: int, calls: int = 1) -> float:
    """Return the milliseconds of one call: the median over repeats of several calls, after a warm-up repeat.

    On a GPU its own events measure the time: it may still compute when a call returns, so the calls follow each other
    without waiting. On a CPU it is the time of this thread, which excludes other processes.
    """
    if device.type == "cpu":
        return _median(action, time.thread_time, repeats, calls)
    found = []
    for _ in range(repeats + 1):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize(device)
        start.record()
        for _ in range(calls):
            action()
        end.record()
        end.synchronize()
        found.append(start.elapsed_time(end) / calls)
    return statistics.median(found[1:])


def milliseconds_by_the_wall(action: Callable[[], object], repeats: int) -> float:
    """Return the milliseconds of one call by the wall clock: with the disk, other threads, and waiting for a GPU."""
    return _median(action, time.perf_counter, repeats, calls=1)


def _median(action: Callable[[], object], clock: Callable[[], float], repeats: int, calls: int) -> float:
    found = []
    for _ in range(repeats + 1):
        started = clock()
        for _ in range(calls):
            action()
        found.append((clock() - started) / calls * 1000)
    return statistics.median(found[1:])


class Rates(NamedTuple):
    """The measured rates of a machine."""

    bandwidth: float  # bytes read and written per second, in a copy of memory
    first: dict[str, float]  # operations per second by precision, in the product of the first layers of all trials
    others: dict[str, float]  # the same for the next layer, with one product for each trial

    def of(self, precision: str) -> tuple[float, float]:
        """Return `first` and `others`. A CPU has no tf32 and computes in float32."""
        known = precision if precision in self.first else "float32"
        return self.first[known], self.others[known]


def about(device: torch.device) -> dict[str, Any]:
    """Return the properties of a device; memory is in bytes."""
    found: dict[str, Any] = {"device": str(device), "torch": torch.__version__, "threads": torch.get_num_threads()}
    if device.type == "cuda":
        it = torch.cuda.get_device_properties(device)
        found |= {
            "name": it.name,
            "memory": it.total_memory,
            "multiprocessors": it.multi_processor_count,
            "capability": f"{it.major}.{it.minor}",
            "cuda": torch.version.cuda,
        }
    return found


def measured(sizes: Sequence[int], n_trials: int, n_batch: int, device: torch.device, repeats: int) -> Rates:
    """Measure the highest rates of a device; for products, the faster of forward pass and weight gradient counts."""
    precisions = ("float32", "tf32") if device.type == "cuda" else ("float32",)
    n_in, n_hidden, n_next = sizes[:3]
    # The first layers of all trials share their inputs and are one product; the next layers are one for each trial.
    first = _products(1, n_batch, n_in, n_trials * n_hidden, device)
    others = _products(n_trials, n_batch, n_hidden, n_next, device)
    rates = []
    for actions, n_operations in (
        (first, 2 * n_batch * n_in * n_hidden * n_trials),
        (others, 2 * n_batch * n_hidden * n_next * n_trials),
    ):
        found = {}
        for precision in precisions:
            with matmul_precision(precision):
                least = min(milliseconds(action, device, repeats, calls=10) for action in actions)
            found[precision] = n_operations / least * 1000
        rates.append(found)
    return Rates(_bandwidth(device, repeats), *rates)


def _bandwidth(device: torch.device, repeats: int) -> float:
    """Return the bytes read and written per second in a copy that is far larger than any cache."""
    source = torch.ones(2**28 if device.type == "cuda" else 2**25, device=device)
    target = torch.zeros_like(source)
    taken = milliseconds(lambda: target.copy_(source), device, repeats, calls=3)
    return 2 * FLOAT * source.numel() / taken * 1000


def _products(n: int, n_batch: int, n_in: int, n_out: int, device: torch.device) -> list[Callable[[], object]]:
    x, gradient = torch.randn(n, n_batch, n_in, device=device), torch.randn(n, n_batch, n_out, device=device)
    weight = torch.randn(n, n_out, n_in, device=device)
    result, of_weight = torch.empty_like(gradient), torch.empty_like(weight)
    return [lambda: torch.bmm(x, weight.mT, out=result), lambda: torch.bmm(gradient.mT, x, out=of_weight)]


class Work(NamedTuple):
    """The least work of a phase."""

    n_bytes: int  # read and written
    n_first: int = 0  # operations in products of the first layer; a multiplication and an addition are two
    n_others: int = 0  # the same for the other layers


def work_of_step(sizes: Sequence[int], n_trials: int, n_batch: int) -> dict[str, Work]:
    """Return the work of each phase of a training step, with k-winners, coactivations and SGD with momentum.

    Args:
        sizes: the numbers of inputs, of units in each hidden layer, and of classes.
        n_trials: the number of trials, which have the same seed.
        n_batch: the number of examples.
    """
    weights = [n_in * n_out for n_in, n_out in pairwise(sizes)]
    units, n_weights = sum(sizes[1:]), sum(weights)
    n_parameters = n_weights + units
    # Each weight of each trial needs a multiplication and an addition for each example.
    first, others = (2 * n_batch * n_trials * each for each in (weights[0], sum(weights[1:])))
    # The trials share the images; everything else exists for each trial.
    images, hidden = n_batch * sizes[0], n_trials * n_batch * sum(sizes[1:-1])
    outputs, logits = n_trials * n_batch * units, n_trials * n_batch * sizes[-1]
    return {
        "images": Work(FLOAT * 2 * images),
        "products forward": Work(FLOAT * (images + hidden + n_trials * n_parameters + outputs), first, others),
        "k-winners": Work(FLOAT * 2 * hidden),
        "loss": Work(FLOAT * 2 * logits),
        # It reads gradients, inputs, and weights after the first layer; it writes gradients of parameters and units.
        "products backward": Work(
            FLOAT * (outputs + images + hidden + n_trials * (sum(weights[1:]) + n_parameters) + hidden),
            first,
            2 * others,
        ),
        # It reads activations, and reads and writes counts.
        "coactivation": Work(FLOAT * (images + outputs + 2 * n_trials * n_weights), first, others),
        # It reads and writes values and velocities, and reads gradients and masks of one byte.
        "update": Work((FLOAT * 5 + 1) * n_trials * n_parameters),
    }


def least_milliseconds(work: dict[str, Work], rates: Rates, precision: str) -> dict[str, float]:
    """Return the lower bound of each phase: the longer of memory and products, because both can run at once."""
    least = {}
    for phase, each in work.items():
        # Coactivations are always counted in tf32, which is exact for 0 and 1.
        first, others = rates.of("tf32" if phase == "coactivation" else precision)
        seconds = max(each.n_bytes / rates.bandwidth, each.n_first / first + each.n_others / others)
        least[phase] = 1000 * seconds
    return least
