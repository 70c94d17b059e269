"""A training step recorded as a CUDA graph: a small network's hundred kernels are started by one call."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# Steps before the recording: libraries make what they need at their first call, which cannot be recorded.
WARM_UP = 3

# Takes the examples of a batch; all else it reads and changes is where it was at every call.
Step = Callable[[Tensor], None]


def recorder(device: torch.device) -> Callable[[Step, Tensor], None]:
    """What takes a step of one engine, each time the same, and does it: recorded and replayed on a CUDA device.

    It does not keep the step, which has the engine: the two would hold each other, and keep the memory of a GPU.
    """
    return _Recorder(device) if device.type == "cuda" else run_as_it_is


def run_as_it_is(step: Step, index: Tensor) -> None:
    """A step, unrecorded."""
    step(index)


class _Recorder:
    """Records a step for batches of the first length that it is called with; others are run as they are.

    The first calls are run as they are too, beside the usual stream as the recording asks for: they are steps like all
    others, so that nothing is to be put back. The stream is the recorder's own, for what libraries keep for a stream
    goes with it.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._n_calls = 0
        self._index: Tensor | None = None
        self._graph = torch.cuda.CUDAGraph()
        self._beside = torch.cuda.Stream(device)

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
                usual = torch.cuda.current_stream()
                self._beside.wait_stream(usual)
                with torch.cuda.stream(self._beside):
                    step(self._index)
                usual.wait_stream(self._beside)
                return
            if self._n_calls == WARM_UP + 1:
                # Recording runs nothing.
                with torch.cuda.graph(self._graph, stream=self._beside):
                    step(self._index)
            self._graph.replay()
