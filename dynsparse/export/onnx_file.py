"""A network as an ONNX graph.

The graph is written node by node, because it has only four kinds of layers. torch's exporter would also need
onnxscript, and its graph changes with the version of torch.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from dynsparse.export.network import Trained, tensors
from dynsparse.export.optional import optional

# The oldest versions of the operators and of the file format that support all nodes, for the sake of old runtimes.
OPERATORS, FILE_VERSION = 17, 8

INPUT, OUTPUT = "normalised_pixels", "logits"


def to_onnx(trained: Trained, form: str) -> bytes:
    """Return the .onnx file of a network: float32 `normalised_pixels` (batch, inputs) to `logits` (batch, classes).

    Its tensors have the names of `export.network.tensors`. In the form "sparse" the weights are sparse initializers: a
    value and an int64 position for each active weight. onnxruntime converts them to dense tensors when it loads them.

    Raises: ImportError without the package onnx.
    """
    onnx = optional("onnx")
    helper = onnx.helper
    numbers = {name: each.contiguous().numpy() for name, each in tensors(trained).items()}
    numbers |= {f"winners_{layer}.k": np.array([k], np.int64) for layer, k in enumerate(trained.winners)}
    sparse_ones = []
    if form == "sparse":
        for layer, mask in enumerate(trained.masks):
            name = f"linear_{layer}.weight"
            # A sparse tensor must not have a dimension of 0, which a compressed network may have.
            if mask.numel() > 0:
                sparse_ones.append(_sparse(onnx, name, numbers.pop(name), mask.numpy()))
    graph = helper.make_graph(
        _nodes(onnx, trained),
        "network",
        [helper.make_tensor_value_info(INPUT, onnx.TensorProto.FLOAT, ["batch", trained.sizes[0]])],
        [helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, ["batch", trained.sizes[-1]])],
        initializer=[onnx.numpy_helper.from_array(each, name) for name, each in numbers.items()],
        sparse_initializer=sparse_ones,
    )
    versions = {"opset_imports": [helper.make_opsetid("", OPERATORS)], "ir_version": FILE_VERSION}
    model = helper.make_model(graph, producer_name="dynsparse", **versions)
    helper.set_model_props(model, {"dynsparse": json.dumps({"sizes": trained.sizes, "form": form})})
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _nodes(onnx: Any, trained: Trained) -> list[Any]:
    """Return the nodes of all layers. `x` is the name of the tensor that the next node reads."""
    node = onnx.helper.make_node
    nodes, x, last = [], INPUT, len(trained.weights) - 1
    for layer in range(last):
        parameters = [f"linear_{layer}.weight", f"linear_{layer}.bias"]
        nodes.append(node("Gemm", [x, *parameters], [f"linear_{layer}"], transB=1))
        x = f"linear_{layer}"
        if trained.gains:
            parts = [f"norm_{layer}.{part}" for part in ("weight", "bias", "running_mean", "running_var")]
            nodes.append(node("BatchNormalization", [x, *parts], [f"norm_{layer}"], epsilon=1e-5))
            x = f"norm_{layer}"
        active = f"active_{layer}"
        nodes += _winners(onnx, layer, x, active) if trained.winners else [node("Relu", [x], [active])]
        x = active
    return [*nodes, node("Gemm", [x, f"linear_{last}.weight", f"linear_{last}.bias"], [OUTPUT], transB=1)]


def _winners(onnx: Any, layer: int, x: str, active: str) -> list[Any]:
    """Return the nodes of k-winners, which compute the same as `export.modules.KWinners`."""
    node, one = onnx.helper.make_node, onnx.helper.make_tensor("one", onnx.TensorProto.FLOAT, [1], [1.0])
    boosted, largest, places, won = (f"{each}_{layer}" for each in ("boosted", "largest", "places", "won"))
    shapes = [f"shape_of_{layer}", f"shape_of_places_{layer}"]
    zeros, ones = f"zeros_{layer}", f"ones_{layer}"
    return [
        node("Mul", [x, f"winners_{layer}.factor"], [boosted]),
        node("TopK", [boosted, f"winners_{layer}.k"], [largest, places], axis=1, sorted=0),
        # Zeros for all units, then ones at the winners.
        node("Shape", [x], [shapes[0]]),
        node("ConstantOfShape", [shapes[0]], [zeros]),
        node("Shape", [places], [shapes[1]]),
        node("ConstantOfShape", [shapes[1]], [ones], value=one),
        node("ScatterElements", [zeros, places, ones], [won], axis=1),
        node("Mul", [x, won], [active]),
    ]


def _sparse(onnx: Any, name: str, weight: Any, mask: Any) -> Any:
    places = np.flatnonzero(mask).astype(np.int64)
    return onnx.helper.make_sparse_tensor(
        onnx.numpy_helper.from_array(weight.ravel()[places], name),
        onnx.numpy_helper.from_array(places, f"{name}.places"),
        list(weight.shape),
    )
