"""A training step recorded as a CUDA graph: a small network's hundred kernels are started by one call."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# Steps before the recording: libraries make what they need at their first call, which cannot be recorded.
WARM_UP = 3

# Takes the examples of a batch; all else it reads and changes is where it was at every call.
Step = Callable[[Tensor], None]


def captured(step: Step, device: torch.device) -> Step:
    """The step in a form that costs little to call: on a CUDA device recorded and replayed, else as it is."""
    return _Recorded(step, device) if device.type == "cuda" else step


class _Recorded:
    """A step that is recorded for batches of the first length that it is called with; others are run as they are.

    Its first calls are run as they are too, beside the usual stream as the recording asks for: they are steps like all
    others, so that nothing is to be put back.
    """

    def __init__(self, step: Step, device: torch.device) -> None:
        self._step, self._device = step, device
        self._n_calls = 0
        self._index: Tensor | None = None
        self._graph = torch.cuda.CUDAGraph()

    def __call__(self, index: Tensor) -> None:
        if self._index is None:
            self._index = index.clone()
        if index.shape != self._index.shape:
            self._step(index)
            return
        self._n_calls += 1
        self._index.copy_(index)
        with torch.cuda.device(self._device):
            if self._n_calls <= WARM_UP:
                self._run_beside(self._index)
                return
            if self._n_calls == WARM_UP + 1:
                # Recording runs nothing.
                with torch.cuda.graph(self._graph):
                    self._step(self._index)
            self._graph.replay()

    def _run_beside(self, index: Tensor) -> None:
        usual, beside = torch.cuda.current_stream(), torch.cuda.Stream()
        beside.wait_stream(usual)
        with torch.cuda.stream(beside):
            self._step(index)
        usual.wait_stream(beside)
