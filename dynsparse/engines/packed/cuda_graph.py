"""Record a training step as a CUDA graph: one call then launches the hundred kernels of a small network's step."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# Steps before the recording: libraries allocate at their first calls, which cannot be recorded.
WARM_UP = 3

# A training step. Its argument selects the examples of the batch, (groups, batch); every other tensor that it reads or
# changes must stay at the same address.
Step = Callable[[Tensor], None]


def make_step_runner(device: torch.device) -> Callable[[Step, Tensor], None]:
    """Return a function that runs a step on a batch. On a CUDA device it records the step and replays it.

    The function must always be called with the same step. It keeps no reference to the step, which refers to its
    engine: a reference cycle would keep the memory of the GPU.
    """
    return _GraphRunner(device) if device.type == "cuda" else run_directly


def run_directly(step: Step, index: Tensor) -> None:
    """Run a step without recording it."""
    step(index)


class _GraphRunner:
    """Records a step for batches of the length of the first one. Batches of other lengths run directly.

    The first WARM_UP calls run directly on a side stream, as recording requires. They are ordinary training steps, so
    nothing has to be undone. The runner owns its stream, so that what libraries keep for a stream is freed with it.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._n_calls = 0
        self._index: Tensor | None = None
        self._graph = torch.cuda.CUDAGraph()
        self._side_stream = torch.cuda.Stream(device)

    def __call__(self, step: Step, index: Tensor) -> None:
        if self._index is None:
            self._index = index.clone()
        if index.shape != self._index.shape:
            step(index)
            return
        self._n_calls += 1
        self._index.copy_(index)
        with torch.cuda.device(self._device):
            if self._n_calls <= WARM_UP:
                current = torch.cuda.current_stream()
                self._side_stream.wait_stream(current)
                with torch.cuda.stream(self._side_stream):
                    step(self._index)
                current.wait_stream(self._side_stream)
                return
            if self._n_calls == WARM_UP + 1:
                # Recording computes nothing.
                with torch.cuda.graph(self._graph, stream=self._side_stream):
                    step(self._index)
            self._graph.replay()
