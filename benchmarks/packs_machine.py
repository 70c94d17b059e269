"""A machine by which packs are judged: its clock, what it is, what it does at most, and what a step asks of it.

The least time of a step is that of its phases one after the other, each of which reads what it needs from memory once,
writes what it gives once, and computes its products as fast as products of these shapes go by themselves. What lies in
a cache is read faster: narrow packs may take less.
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
    """Of one call: the median over repeats of so many calls in a row, after a repeat that warms up.

    A GPU is asked for its own time; it may still compute when a call returns, and so it gets the calls in a row. On a
    CPU it is the time that this thread got: what else the machine does takes none of it.
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
    """The same of what ends when all is there, whoever did it: the disk, other threads, a GPU that is waited for."""
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
    """What was measured of a machine."""

    bandwidth: float  # bytes read and written a second, in a copy of memory
    first: dict[str, float]  # precision to operations a second, in products of a first layer of all trials as one
    others: dict[str, float]  # the same in products of the next layer, of each trial by itself

    def of(self, precision: str) -> tuple[float, float]:
        """`first` and `others`. A CPU, which has no tf32, computes in float32."""
        known = precision if precision in self.first else "float32"
        return self.first[known], self.others[known]


def about(device: torch.device) -> dict[str, Any]:
    """What a device is; a memory in bytes."""
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
    """What the device does at most. Products are those of a layer forward and of its weights' gradient, the faster."""
    precisions = ("float32", "tf32") if device.type == "cuda" else ("float32",)
    n_in, n_hidden, n_next = sizes[:3]
    # All units of a first layer beside each other, which have their inputs in common; then trial by trial.
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
    """Of a copy far larger than any cache. Bytes read and written, a second."""
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
    """What a phase asks of a machine at least."""

    n_bytes: int  # read and written
    n_first: int = 0  # operations of products of the first layer, a multiplication and an addition being two
    n_others: int = 0  # those of the other layers


def work_of_step(sizes: Sequence[int], n_trials: int, n_batch: int) -> dict[str, Work]:
    """Phases of a training step of trials of one seed, with k-winners, coactivations and SGD with momentum.

    Args:
        sizes: inputs, units of each hidden layer, classes.
    """
    weights = [n_in * n_out for n_in, n_out in pairwise(sizes)]
    units, n_weights = sum(sizes[1:]), sum(weights)
    n_parameters = n_weights + units
    # Of a weight that each trial has, for each example; 2 for the multiplication and the addition.
    first, others = (2 * n_batch * n_trials * each for each in (weights[0], sum(weights[1:])))
    # The images are there once, all else is there for each trial.
    images, hidden = n_batch * sizes[0], n_trials * n_batch * sum(sizes[1:-1])
    outputs, logits = n_trials * n_batch * units, n_trials * n_batch * sizes[-1]
    return {
        "images": Work(FLOAT * 2 * images),
        "products forward": Work(FLOAT * (images + hidden + n_trials * n_parameters + outputs), first, others),
        "k-winners": Work(FLOAT * 2 * hidden),
        "loss": Work(FLOAT * 2 * logits),
        # It reads gradients, inputs and weights behind the first layer, and writes gradients of parameters and units.
        "products backward": Work(
            FLOAT * (outputs + images + hidden + n_trials * (sum(weights[1:]) + n_parameters) + hidden),
            first,
            2 * others,
        ),
        # It reads what units pass on, and reads and writes the counts.
        "coactivation": Work(FLOAT * (images + outputs + 2 * n_trials * n_weights), first, others),
        # It reads and writes values and velocities, and reads gradients, and masks of a byte.
        "update": Work((FLOAT * 5 + 1) * n_trials * n_parameters),
    }


def least_milliseconds(work: dict[str, Work], rates: Rates, precision: str) -> dict[str, float]:
    """Of each phase: the longer of what memory and products take, as both can go on at once."""
    least = {}
    for phase, each in work.items():
        # Coactivations are counted in tf32, which is exact for 0 and 1, whatever the others are computed in.
        first, others = rates.of("tf32" if phase == "coactivation" else precision)
        seconds = max(each.n_bytes / rates.bandwidth, each.n_first / first + each.n_others / others)
        least[phase] = 1000 * seconds
    return least
