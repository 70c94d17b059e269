"""A trained network as a torch module for inference: torch's own layers, k-winners and sparse linear layers."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


class KWinners(nn.Module):
    """k-winners in evaluation: for each example, the k units with the largest x * factor keep x, the others become 0.

    `factor`, (units,), is exp(-boost * duty). Shapes: (batch, units) to (batch, units).
    """

    factor: Tensor

    def __init__(self, n_units: int, k: int) -> None:
        super().__init__()
        self.k = k
        self.register_buffer("factor", torch.ones(n_units))

    def forward(self, x: Tensor) -> Tensor:
        """Return x at the winners and 0 elsewhere."""
        index = (x * self.factor).topk(self.k, dim=-1, sorted=False).indices
        return x * torch.zeros_like(x).scatter(-1, index, 1.0)

    def extra_repr(self) -> str:
        """Return the text that `print` shows for this layer."""
        return f"{len(self.factor)}, k={self.k}"


class SparseLinear(nn.Module):
    """A linear layer whose weight is a sparse CSR tensor, for inference. Shapes: (batch, in) to (batch, out)."""

    weight: Tensor
    bias: Tensor

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.empty(n_out, n_in))
        self.register_buffer("bias", torch.empty(n_out))

    def forward(self, x: Tensor) -> Tensor:
        """Return x @ weight^T + bias."""
        # F.linear accepts such a weight too, but is ten times slower for a batch and fails in inference mode.
        return torch.addmm(self.bias[:, None], self.weight, x.mT).mT

    def extra_repr(self) -> str:
        """Return the text that `print` shows for this layer."""
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}, {self.weight.values().numel()} active weights"


def build(found: Mapping[str, Tensor], winners: Sequence[int]) -> nn.Sequential:
    """Return the module of the tensors that `Trained.tensors` names.

    Args:
        found: the tensors. The layer of a weight that is a sparse CSR tensor is a `SparseLinear`.
        winners: k of each hidden layer; empty for ReLU.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    n_layers = sum(name.startswith("linear_") and name.endswith(".weight") for name in found)
    # The meta device allocates no memory and draws no weights: both come from `found`.
    with torch.device("meta"), warnings.catch_warnings():
        # torch warns of a layer without units, which compression may produce.
        warnings.filterwarnings("ignore", "Initializing zero-element")
        for layer in range(n_layers):
            weight = found[f"linear_{layer}.weight"]
            n_out, n_in = weight.shape
            linear = SparseLinear if weight.layout is torch.sparse_csr else nn.Linear
            layers[f"linear_{layer}"] = linear(n_in, n_out)
            if layer == n_layers - 1:
                break
            if f"norm_{layer}.weight" in found:
                layers[f"norm_{layer}"] = nn.BatchNorm1d(n_out)
            if winners:
                layers[f"winners_{layer}"] = KWinners(n_out, winners[layer])
            else:
                layers[f"relu_{layer}"] = nn.ReLU()
        model = nn.Sequential(layers)
    model.load_state_dict(dict(found), assign=True)
    return model.eval()
