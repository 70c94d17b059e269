"""Verification of exported files: read a file back and compare its logits with those of the network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from dynsparse.export.evaluate import find_dataset
from dynsparse.export.files import load_exported
from dynsparse.export.network import AnyTrained
from dynsparse.export.onnx_file import INPUT, OUTPUT
from dynsparse.export.optional import optional

EXAMPLES = 256
# Allowed difference of two logits, as a share of the largest logit. Rounding causes about 1e-6.
TOLERANCE = 1e-4
# Allowed share of examples with other logits: if two units are equal to rounding, k-winners may choose either.
OTHER_WINNERS = 0.01
# Standard deviation of what is added to the inputs of k-winners; the pixels of a data set have about 1.
NOISE = 0.01


@dataclass(frozen=True)
class Comparison:
    """Comparison of the logits of a file with those of the network."""

    examples: str  # number and kind of the inputs
    largest: float  # difference of two logits, as a share of the largest logit
    n_far: int  # examples with a difference above TOLERANCE
    n: int  # examples in all
    n_may_be_far: int

    @property
    def fits(self) -> bool:
        """True if the file computes the same as the network."""
        return self.n_far <= self.n_may_be_far


def can_be_read(path: Path) -> bool:
    """Return True if the package that reads such a file is installed."""
    return path.suffix != ".onnx" or find_spec("onnxruntime") is not None


@torch.inference_mode()
def compare(trained: AnyTrained, path: Path) -> Comparison:
    """Compare a file with the network that was exported to it. Raises: as `compute_logits`."""
    dataset, generator = find_dataset(trained.config), torch.Generator().manual_seed(0)
    if dataset is not None:
        x, examples = dataset.test_x[:EXAMPLES], "test images"
    else:
        n_inputs = math.prod(trained.input_shape)
        x = torch.randn(EXAMPLES, n_inputs, generator=generator)
        examples = "random inputs"
    if trained.has_winners:
        # In areas of equal pixels the outputs of a convolution are equal, and each runtime selects other winners.
        x, examples = x + NOISE * torch.randn(x.shape, generator=generator), f"{examples} with noise"
    x = x.view(-1, *trained.input_shape)
    expected, found = trained.as_module()(x), compute_logits(path, x, trained.blank())
    scale = expected.abs().max().clamp_min(torch.finfo(torch.float32).tiny)
    differences = ((found - expected).abs() / scale).amax(1)
    # This comparison counts NaN as far, which `> TOLERANCE` would not.
    n_far = len(x) - int((differences <= TOLERANCE).sum())
    n_may_be_far = int(OTHER_WINNERS * len(x)) if trained.has_winners else 0
    return Comparison(f"{len(x)} {examples}", float(differences.max()), n_far, len(x), n_may_be_far)


def compute_logits(path: Path, x: Tensor, blank: nn.Module | None = None) -> Tensor:
    """Return the logits that a file computes. Shapes: x (batch, *input_shape) to (batch, classes).

    Args:
        path: The file.
        x: The inputs.
        blank: For the .safetensors or .pt file of a torch module, a module into which it is read.

    Raises: ImportError, ValueError, OSError.
    """
    if path.suffix != ".onnx":
        logits: Tensor = load_exported(path, blank)(x)
        return logits
    runtime = optional("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (logits,) = session.run([OUTPUT], {INPUT: x.numpy()})
    return torch.from_numpy(logits)
