"""Files of named tensors, as bytes and back: .safetensors and .pt.

Both hold the tensors of `export.network.tensors` by name, and a description: sizes, k of each hidden layer, form.
In the form "dense" a weight is a tensor with zeros. In the form "sparse" it is CSR: the active weights row by row, the
column of each, and where each row starts, with one more at the end. A .safetensors file has these as three tensors,
weight.values (float32), weight.columns and weight.row_starts (int32); a .pt file as one tensor of torch's.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dynsparse.export.network import Trained, tensors
from dynsparse.export.optional import optional

# The name of the description in a file.
ABOUT = "dynsparse"

# What a file holds: its tensors, weights of the form "sparse" as CSR, and the description.
Content = tuple[dict[str, Tensor], dict[str, Any]]


def content_of(trained: Trained, form: str) -> Content:
    """What a file of the network holds."""
    about = {"sizes": trained.sizes, "winners": trained.winners, "form": form}
    # Each in memory of its own, and of no more than it shows: a file keeps what lies behind a tensor.
    found = {name: each.clone(memory_format=torch.contiguous_format) for name, each in tensors(trained).items()}
    if form == "sparse":
        for layer, mask in enumerate(trained.masks):
            name = f"linear_{layer}.weight"
            found[name] = csr(*parts_of(found[name], mask), mask.shape)
    return found, about


def parts_of(weight: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Row starts, columns and values of the active weights, row by row.

    Shapes: weight, mask (out, in) to (out + 1,) and (active,), int32, and (active,), float32.
    """
    row_starts = torch.cat([torch.zeros(1, dtype=torch.int64), mask.sum(1).cumsum(0)])
    return row_starts.int(), mask.nonzero()[:, 1].int(), weight[mask]


def csr(row_starts: Tensor, columns: Tensor, values: Tensor, shape: torch.Size | tuple[int, int]) -> Tensor:
    """A sparse tensor of torch's. Raises: RuntimeError if the parts do not fit each other."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(row_starts, columns, values, tuple(shape), check_invariants=True)


def to_pt(trained: Trained, form: str) -> bytes:
    """The .pt file of a network: a dict of the tensors and the description."""
    found, about = content_of(trained, form)
    buffer = io.BytesIO()
    torch.save({ABOUT: about, "tensors": found}, buffer)
    return buffer.getvalue()


def from_pt(path: Path) -> Content:
    """What `to_pt` wrote. Nothing in the file is run. Raises: ValueError, OSError."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
            warnings.filterwarnings("ignore", "Validating sparse tensor invariants")
            content = torch.load(path, map_location="cpu", weights_only=True)
        return content["tensors"], content[ABOUT]
    except OSError:
        raise
    except Exception as error:  # whatever another file's bytes lead torch to
        raise ValueError(f"{path} is no .pt file that dynsparse export has written") from error


def to_safetensors(trained: Trained, form: str) -> bytes:
    """The .safetensors file of a network, with the description in its metadata."""
    safetensors = optional("safetensors.torch")
    found, about = content_of(trained, form)
    flat: dict[str, Tensor] = {}
    for name, each in found.items():
        if each.layout is torch.sparse_csr:
            parts = {"row_starts": each.crow_indices(), "columns": each.col_indices(), "values": each.values()}
            flat |= {f"{name}.{part}": tensor for part, tensor in parts.items()}
        else:
            flat[name] = each
    return bytes(safetensors.save(flat, metadata={"format": "pt", ABOUT: json.dumps(about)}))


def from_safetensors(path: Path) -> Content:
    """What `to_safetensors` wrote. Raises: ValueError, OSError; ImportError without the package."""
    safetensors = optional("safetensors")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()[ABOUT])
            flat = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no dict
        return _joined(flat, about), about
    except OSError:
        raise
    except Exception as error:  # as above
        raise ValueError(f"{path} is no .safetensors file that dynsparse export has written") from error


def _joined(flat: Mapping[str, Tensor], about: Mapping[str, Any]) -> dict[str, Tensor]:
    if about["form"] != "sparse":
        return dict(flat)
    found = {name: each for name, each in flat.items() if ".weight." not in name}
    for layer, (n_in, n_out) in enumerate(zip(about["sizes"], about["sizes"][1:], strict=False)):
        name = f"linear_{layer}.weight"
        row_starts, columns, values = (flat[f"{name}.{part}"] for part in ("row_starts", "columns", "values"))
        found[name] = csr(row_starts, columns, values, (n_out, n_in))
    return found
