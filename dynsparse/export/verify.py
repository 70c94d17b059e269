"""Is a file the network? It is read again, and what it computes is compared."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from dynsparse.export import load_exported
from dynsparse.export.evaluate import dataset_at_hand
from dynsparse.export.network import Trained, module
from dynsparse.export.onnx_file import INPUT, OUTPUT
from dynsparse.export.optional import optional

EXAMPLES = 256
# A difference of two logits as a share of the largest logit. Rounding makes some 1e-6.
TOLERANCE = 1e-4
# Where two units are equal to rounding, k-winners may choose the other one, and the logits of that example differ.
OTHER_WINNERS = 0.01


@dataclass(frozen=True)
class Comparison:
    """The logits of a file beside the network's own."""

    examples: str  # what both were given
    largest: float  # difference of two logits, as a share of the largest logit
    n_far: int  # examples in which one is above TOLERANCE
    n: int  # examples in all
    n_may_be_far: int

    @property
    def fits(self) -> bool:
        """Whether it is the same network."""
        return self.n_far <= self.n_may_be_far


def can_be_read(path: Path) -> bool:
    """Whether what reads such a file is installed."""
    return path.suffix != ".onnx" or find_spec("onnxruntime") is not None


@torch.inference_mode()
def compare(trained: Trained, path: Path) -> Comparison:
    """A file beside the network that was exported to it. Raises: what reading the file raises."""
    dataset = dataset_at_hand(trained.config)
    if dataset is not None:
        x, examples = dataset.test_x[:EXAMPLES], "test images"
    else:
        x = torch.randn(EXAMPLES, trained.sizes[0], generator=torch.Generator().manual_seed(0))
        examples = "random inputs"
    expected, found = module(trained)(x), logits_of(path, x)
    scale = expected.abs().max().clamp_min(torch.finfo(torch.float32).tiny)
    differences = ((found - expected).abs() / scale).amax(1)
    # Not `> TOLERANCE`: NaN is far, too.
    n_far = len(x) - int((differences <= TOLERANCE).sum())
    n_may_be_far = int(OTHER_WINNERS * len(x)) if trained.winners else 0
    return Comparison(f"{len(x)} {examples}", float(differences.max()), n_far, len(x), n_may_be_far)


def logits_of(path: Path, x: Tensor) -> Tensor:
    """What a file computes. Shapes: x (batch, inputs) to (batch, classes). Raises: ImportError, ValueError, OSError."""
    if path.suffix != ".onnx":
        logits: Tensor = load_exported(path)(x)
        return logits
    runtime = optional("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (logits,) = session.run([OUTPUT], {INPUT: x.numpy()})
    return torch.from_numpy(logits)
