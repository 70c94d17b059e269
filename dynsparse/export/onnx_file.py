"""A network as an ONNX graph.

The graph of a multilayer perceptron is written node by node, because it has only four kinds of layers, and torch's
graphs change with the version of torch. That of a torch module is traced by torch's older exporter: the newer one also
needs onnxscript.
"""

from __future__ import annotations

import json
import warnings
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from dynsparse.export.layer import Layer
from dynsparse.export.network import AnyTrained
from dynsparse.export.optional import optional
from dynsparse.export.trained_mlp import Trained
from dynsparse.export.trained_module import TrainedModule

# The oldest versions of the operators and of the file format that support all nodes, for the sake of old runtimes.
OPERATORS, FILE_VERSION = 17, 8

INPUT, OUTPUT = "normalised_pixels", "logits"


def to_onnx(trained: AnyTrained, form: str) -> bytes:
    """Return the .onnx file of a network: float32 `normalised_pixels` (batch, *input_shape) to `logits`.

    Its tensors have the names of `trained.tensors()`. In the form "sparse" the weights are sparse initializers: a value
    and an int64 position for each active weight. onnxruntime converts them to dense tensors when it loads them.

    Raises: ImportError without the package onnx; ValueError if torch cannot write an operation of a torch module.
    """
    onnx = optional("onnx")
    model = _write_graph(onnx, trained) if isinstance(trained, Trained) else _trace_graph(onnx, trained)
    if form == "sparse":
        for layer in trained.layers():
            _make_sparse_(onnx, model.graph, layer)
    onnx.helper.set_model_props(model, {"dynsparse": json.dumps({**trained.description, "form": form})})
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _write_graph(onnx: Any, trained: Trained) -> Any:
    """Return the graph of a multilayer perceptron."""
    helper = onnx.helper
    numbers = {name: each.contiguous().numpy() for name, each in trained.tensors().items()}
    numbers |= {f"winners_{layer}.k": np.array([k], np.int64) for layer, k in enumerate(trained.winners)}
    graph = helper.make_graph(
        _nodes(onnx, trained),
        "network",
        [helper.make_tensor_value_info(INPUT, onnx.TensorProto.FLOAT, ["batch", trained.sizes[0]])],
        [helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, ["batch", trained.sizes[-1]])],
        initializer=[onnx.numpy_helper.from_array(each, name) for name, each in numbers.items()],
    )
    versions = {"opset_imports": [helper.make_opsetid("", OPERATORS)], "ir_version": FILE_VERSION}
    return helper.make_model(graph, producer_name="dynsparse", **versions)


def _trace_graph(onnx: Any, trained: TrainedModule) -> Any:
    """Return the graph of a torch module."""
    # Of two examples, because an operation may treat a batch of one in another way.
    example = torch.zeros(2, *trained.input_shape)
    try:
        with warnings.catch_warnings(), TemporaryDirectory() as folder:
            warnings.simplefilter("ignore")
            path = f"{folder}/network.onnx"
            torch.onnx.export(
                trained.as_module(),
                (example,),
                path,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_axes={INPUT: {0: "batch"}, OUTPUT: {0: "batch"}},
                opset_version=OPERATORS,
                # Names and values of the tensors stay those of the module.
                do_constant_folding=False,
                dynamo=False,
            )
            return onnx.load(path)
    except Exception as error:
        # The network is the user's own, and its operations may be any.
        raise ValueError(
            f"The network cannot be written as .onnx: torch.onnx does not support one of its operations "
            f"({type(error).__name__}: {error}). Export .pt or .safetensors."
        ) from error


def _make_sparse_(onnx: Any, graph: Any, layer: Layer) -> None:
    """Replace the weights of a layer by a sparse initializer."""
    name, places = f"{layer.name}.weight", np.flatnonzero(layer.mask.numpy()).astype(np.int64)
    # torch stores equal tensors once, by the name of one of them.
    found = [each for each in graph.initializer if each.name == name]
    # A sparse tensor must not have a dimension of 0, which a compressed network may have.
    if not found or layer.mask.numel() == 0:
        return
    graph.initializer.remove(found[0])
    sparse = onnx.helper.make_sparse_tensor(
        onnx.numpy_helper.from_array(layer.weight.numpy().ravel()[places], name),
        onnx.numpy_helper.from_array(places, f"{name}.places"),
        list(found[0].dims),
    )
    graph.sparse_initializer.append(sparse)


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
