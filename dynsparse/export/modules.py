"""A trained network as a module of torch: its own layers, and the two that it has not. For inference."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


class KWinners(nn.Module):
    """k-winners in evaluation: of each example the k units with the largest x * factor keep x; the others give 0.

    `factor`, (units,), is exp(-boost * duty). Shapes: (batch, units), and so is the result.
    """

    factor: Tensor

    def __init__(self, n_units: int, k: int) -> None:
        super().__init__()
        self.k = k
        self.register_buffer("factor", torch.ones(n_units))

    def forward(self, x: Tensor) -> Tensor:
        """The winners, zeros between."""
        index = (x * self.factor).topk(self.k, dim=-1, sorted=False).indices
        return x * torch.zeros_like(x).scatter(-1, index, 1.0)

    def extra_repr(self) -> str:
        """What `print` shows."""
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
        """x @ weight^T + bias."""
        # F.linear takes such a weight too, but for a batch it is ten times slower, and it fails in inference_mode.
        return torch.addmm(self.bias[:, None], self.weight, x.mT).mT

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}, {self.weight.values().numel()} active weights"


def build(found: Mapping[str, Tensor], winners: Sequence[int]) -> nn.Sequential:
    """A module of the tensors that `dynsparse.export.network.tensors` names: linear, batch norm, activation.

    Args:
        found: a weight may be a sparse CSR tensor; its layer is a `SparseLinear` then.
        winners: k of each hidden layer; none: ReLU.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    n_layers = sum(name.startswith("linear_") and name.endswith(".weight") for name in found)
    # Without memory, and without drawing weights: both come from `found`.
    with torch.device("meta"), warnings.catch_warnings():
        # A layer may have lost all of its units, which torch finds worth a warning.
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
