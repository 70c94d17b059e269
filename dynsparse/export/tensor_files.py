"""Files of named tensors: .safetensors and .pt.

Both contain the tensors of a trained network by name, and a description: of a multilayer perceptron its sizes and the k
of each hidden layer; of a torch module its name, the shape of an example, and the shapes of its tensors. In the form
"dense", a weight is a tensor with zeros. In the form "sparse", it is in CSR format: the active weights row by row,
their columns, and the start of each row, with the total at the end. A filter is a row, for all inputs and positions of
its kernel. A .safetensors file stores these as three tensors: weight.values (float32), weight.columns and
weight.row_starts (int32). A .pt file stores a sparse tensor.
"""

from __future__ import annotations

import io
import json
import math
import warnings
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dynsparse.export.network import AnyTrained
from dynsparse.export.optional import optional
from dynsparse.io.regular_files import read_file
from dynsparse.results.checkpoints import load_saved

# The name of the description in a file.
ABOUT = "dynsparse"

# The tensors of a file, with CSR weights in the form "sparse", and its description.
Content = tuple[dict[str, Tensor], dict[str, Any]]


def file_content(trained: AnyTrained, form: str) -> Content:
    """Return the content of a file of the network."""
    about = {**trained.description, "form": form}
    # Each tensor is copied, because a file stores the whole memory behind a tensor.
    found = {name: each.clone(memory_format=torch.contiguous_format) for name, each in trained.tensors().items()}
    if form == "sparse":
        for layer in trained.layers():
            found[f"{layer.name}.weight"] = csr(*csr_parts(layer.weight, layer.mask), layer.mask.shape)
    return found, about


def csr_parts(weight: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return row starts, columns and values of the active weights, row by row.

    Shapes: weight, mask (out, in) to (out + 1,) and (active,), int32, and (active,), float32.
    """
    row_starts = torch.cat([torch.zeros(1, dtype=torch.int64), mask.sum(1).cumsum(0)])
    return row_starts.int(), mask.nonzero()[:, 1].int(), weight[mask]


def csr(row_starts: Tensor, columns: Tensor, values: Tensor, shape: torch.Size | tuple[int, int]) -> Tensor:
    """Return a sparse CSR tensor. Raises: RuntimeError if the parts do not match."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(row_starts, columns, values, tuple(shape), check_invariants=True)


def to_pt(trained: AnyTrained, form: str) -> bytes:
    """Return the .pt file of a network: a dict of the tensors and the description."""
    found, about = file_content(trained, form)
    buffer = io.BytesIO()
    torch.save({ABOUT: about, "tensors": found}, buffer)
    return buffer.getvalue()


def from_pt(path: Path) -> Content:
    """Read a file of `to_pt`, without running code in it. Raises: ValueError, OSError."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
            warnings.filterwarnings("ignore", "Validating sparse tensor invariants")
            content = load_saved(read_file(path))
        return _checked(content["tensors"], content[ABOUT])
    except OSError:
        raise
    except Exception as error:  # For other files, torch raises many types of errors.
        raise ValueError(f"{path} is not a .pt file from dynsparse export. Export the network again.") from error


def to_safetensors(trained: AnyTrained, form: str) -> bytes:
    """Return the .safetensors file of a network, with the description in its metadata."""
    safetensors = optional("safetensors.torch")
    found, about = file_content(trained, form)
    flat: dict[str, Tensor] = {}
    for name, each in found.items():
        if each.layout is torch.sparse_csr:
            parts = {"row_starts": each.crow_indices(), "columns": each.col_indices(), "values": each.values()}
            flat |= {f"{name}.{part}": tensor for part, tensor in parts.items()}
        else:
            flat[name] = each
    return bytes(safetensors.save(flat, metadata={"format": "pt", ABOUT: json.dumps(about)}))


def from_safetensors(path: Path) -> Content:
    """Read a file of `to_safetensors`. Raises: ValueError, OSError; ImportError without the package."""
    safetensors = optional("safetensors.torch")
    try:
        # Read as a whole: a file that somebody shortens while it is mapped into memory ends the process.
        content = read_file(path)
        flat = safetensors.load(content)
        # The header is JSON; its length stands before it.
        header = content[8 : 8 + int.from_bytes(content[:8], "little")]
        about = json.loads(json.loads(header)["__metadata__"][ABOUT])
        return _checked(_join_parts(flat, about), about)
    except OSError:
        raise
    except Exception as error:  # For other files, safetensors and json raise many types of errors.
        raise ValueError(
            f"{path} is not a .safetensors file from dynsparse export. Export the network again."
        ) from error


def _join_parts(flat: Mapping[str, Tensor], about: Mapping[str, Any]) -> dict[str, Tensor]:
    if about["form"] != "sparse":
        return dict(flat)
    shapes, end = _shapes(about), ".row_starts"
    sparse = [name.removesuffix(end) for name in flat if name.endswith(end)]
    found = {name: each for name, each in flat.items() if name.rpartition(".")[0] not in sparse}
    for name in sparse:
        n_out, *others = shapes[name]
        row_starts, columns, values = (flat[f"{name}.{part}"] for part in ("row_starts", "columns", "values"))
        found[name] = csr(row_starts, columns, values, (n_out, math.prod(others)))
    return found


def _shapes(about: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the shapes that a description gives: of a multilayer perceptron those of its weights, else all."""
    if "sizes" in about:
        pairs = zip(about["sizes"], about["sizes"][1:], strict=False)
        return {f"linear_{layer}.weight": (n_out, n_in) for layer, (n_in, n_out) in enumerate(pairs)}
    return {name: tuple(shape) for name, shape in about["shapes"].items()}


def _checked(found: Mapping[str, Tensor], about: Mapping[str, Any]) -> Content:
    """Return the content of a file with only the tensors of its layers.

    Raises: ValueError if a tensor has another shape or type than the description says, AttributeError and others if the
        content has another form.
    """
    if "sizes" not in about:
        return _checked_module(found, about)
    sizes, winners = about["sizes"], about["winners"]
    hidden = sizes[1:-1]
    if not all(type(n) is int and n >= 0 for n in sizes) or len(sizes) < 2:
        raise ValueError(f"sizes must be two or more numbers of units, got {sizes}")
    if winners and [type(k) is int and 0 < k <= n for k, n in zip(winners, hidden, strict=True)] != [True] * len(
        hidden
    ):
        raise ValueError(f"winners must be a number of units for each hidden layer, got {winners}")
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, (n_in, n_out) in enumerate(pairwise(sizes)):
        shapes |= {f"linear_{layer}.weight": (n_out, n_in), f"linear_{layer}.bias": (n_out,)}
    for layer, n in enumerate(hidden):
        if "norm_0.weight" in found:
            shapes |= {f"norm_{layer}.{name}": (n,) for name in ("weight", "bias", "running_mean", "running_var")}
        if winners:
            shapes[f"winners_{layer}.factor"] = (n,)
    tensors = {name: _intact(found[name]) for name in shapes}
    if any(each.shape != shapes[name] or each.dtype != torch.float32 for name, each in tensors.items()):
        raise ValueError("a tensor has another shape or type than the description says")
    return tensors, {"sizes": sizes, "winners": winners}


def _checked_module(found: Mapping[str, Tensor], about: Mapping[str, Any]) -> Content:
    shapes = _shapes(about)
    tensors = {name: _intact(found[name]) for name in shapes}
    for name, shape in shapes.items():
        if not all(type(n) is int for n in shape):
            raise ValueError(f"the shape of {name} must be whole numbers, got {shape}")
        matrix = (shape[0], math.prod(shape[1:])) if shape else ()
        if tensors[name].shape != (shape if tensors[name].layout is torch.strided else matrix):
            raise ValueError("a tensor has another shape than the description says")
    return tensors, {"network": str(about["network"]), "shapes": shapes}


def _intact(tensor: Tensor) -> Tensor:
    """Return a tensor. Raises: RuntimeError if it is sparse and its parts do not match."""
    if tensor.layout is torch.strided:
        return tensor
    return csr(tensor.crow_indices(), tensor.col_indices(), tensor.values(), tensor.shape)
