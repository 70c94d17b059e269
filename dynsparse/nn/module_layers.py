"""The layers of a torch module that are sparse: found by running it on one example, or refused with the reason."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.nn.parameter import UninitializedParameter

from dynsparse.nn.kwinners import KWinners
from dynsparse.nn.module_norms import BATCH_NORMS, NORMS, pruning_problem, sources
from dynsparse.random import Purpose, Stream, torch_generators

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)
# Modules that, directly behind a layer, say whether its units are active.
ACTIVITIES = (*NORMS, KWinners)
SHOWN_NAMES = 5


class ModuleError(ValueError):
    """A module that cannot be trained sparsely. The message says why, and how to change it."""


@dataclass(frozen=True)
class ModuleLayer:
    """A linear or convolutional layer whose weights are masked."""

    name: str  # in the module, such as "blocks.0.conv1"
    weight_shape: tuple[int, ...]  # (out, in), and the kernel of a convolution
    positions: int  # outputs of each unit for one example, over all calls of the layer
    # The module whose output says whether a unit is active: the layer, or the last of the norms and k-winners that
    # directly follow it.
    activity: str
    norms: tuple[str, ...]  # the norms among them
    # Why its units cannot be pruned, if they cannot; else empty.
    pruning_problem: str


Layer = nn.Linear | nn.Conv1d | nn.Conv2d


class Inspection(NamedTuple):
    """What was found in a module."""

    layers: tuple[ModuleLayer, ...]  # sparse, in the order of the forward pass
    has_batch_norm: bool
    has_k_winners: bool


class _Call(NamedTuple):
    """A call of a layer, a norm or k-winners in a forward pass."""

    name: str
    input: Tensor
    output: Tensor
    # In the graph of gradients, as they are at the time of the call: later operations may change a tensor in place.
    input_node: Node | None
    node: Node | None


def inspect_module(build: Callable[[int], nn.Module], input_shape: tuple[int, ...], n_classes: int) -> Inspection:
    """Return the sparse layers of a module, and what else a plan needs to know about it.

    All Linear, Conv1d and Conv2d layers whose weights require a gradient are sparse. The module is built twice, and run
    on random examples of this shape.

    Raises:
        ModuleError: If it cannot be trained sparsely.
    """
    try:
        module, again = build(0), build(0)
        _check_parameters(module)
        calls, logits = _run_one(module, input_shape)
        _check_logits(logits, (1, n_classes))
        _run_one(again, input_shape)
        trained, trained_again = (_train_logits(each, input_shape) for each in (module, again))
    except (ModuleError, MemoryError):
        raise
    except Exception as error:
        # The code is the user's own: it may raise anything.
        shape = ", ".join(map(str, input_shape))
        raise ModuleError(
            f"building it, or running it on inputs (examples, {shape}), fails: {type(error).__name__}: {error}"
        ) from error
    layers = sparse_layers(module)
    _check_reached(layers, [call.name for call in calls])
    _check_gradients(layers, logits)
    _check_logits(trained, (2, n_classes))
    if not torch.allclose(trained, trained_again, rtol=0, atol=0, equal_nan=True):
        raise ModuleError(
            "it gives different results for the same seed and inputs: it draws random numbers from elsewhere than "
            "torch. Draw them with torch, which dynsparse seeds before each step."
        )
    ordered = list(dict.fromkeys(call.name for call in calls if call.name in layers))
    followers = {name for name, each in module.named_modules() if isinstance(each, ACTIVITIES)}
    return Inspection(
        layers=tuple(_described(name, module, calls, followers) for name in ordered),
        has_batch_norm=any(isinstance(each, BATCH_NORMS) for each in module.modules()),
        has_k_winners=any(isinstance(each, KWinners) for each in module.modules()),
    )


def sparse_layers(module: nn.Module) -> dict[str, Layer]:
    """Return the layers whose weights are masked, by name, in the order in which the module has them.

    The projection of nn.MultiheadAttention stays dense, as its other weights: it is no call of a layer.
    """
    dense = [each.out_proj for each in module.modules() if isinstance(each, nn.MultiheadAttention)]
    return {
        name: layer
        for name, layer in module.named_modules()
        if isinstance(layer, LAYERS) and layer.weight.requires_grad and not any(layer is each for each in dense)
    }


def _check_parameters(module: object) -> None:
    if not isinstance(module, nn.Module):
        raise ModuleError(f"its function must return a torch.nn.Module, got {type(module).__name__}. Return one.")
    parameters = dict(module.named_parameters())
    lazy = [name for name, each in parameters.items() if isinstance(each, UninitializedParameter)]
    _refuse(lazy, "have no shape before the first forward pass (lazy layers)", "Give their layers the number of inputs")
    wrong = [name for name, each in parameters.items() if each.requires_grad and each.dtype is not torch.float32]
    _refuse(wrong, "must be float32", "Leave out .half(), .double() and .to(dtype)")
    tensors = {**parameters, **dict(module.named_buffers())}
    elsewhere = [name for name, each in tensors.items() if each.device.type != "cpu"]
    _refuse(elsewhere, "must be on the CPU at first", "Leave out .cuda() and .to(device): `device` moves the module")
    layers = sparse_layers(module)
    if not layers:
        raise ModuleError("it has no Linear, Conv1d or Conv2d layer whose weights require a gradient. Add one.")
    computed = [name for name, layer in layers.items() if not isinstance(layer.weight, nn.Parameter)]
    _refuse(computed, "have weights that are computed from other parameters", "Remove the parametrization")
    owners: dict[int, list[str]] = {}
    for name, part in module.named_modules():
        for each in part.parameters(recurse=False):
            owners.setdefault(id(each), []).append(name)
    of_layers = dict.fromkeys(id(each) for layer in layers.values() for each in layer.parameters())
    shared = [" and ".join(owners[each]) for each in of_layers if len(owners[each]) > 1]
    _refuse(shared, "share a parameter", "Give each its own, or freeze it with requires_grad_(False)")


def _refuse(names: list[str], what: str, fix: str) -> None:
    if names:
        more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
        raise ModuleError(f"{', '.join(names[:SHOWN_NAMES])}{more} {what}. {fix}.")


def _call(name: str, given: Tensor, output: Tensor) -> _Call:
    return _Call(name, given, output, given.grad_fn, output.grad_fn)


def _run_one(module: nn.Module, input_shape: tuple[int, ...]) -> tuple[list[_Call], Tensor]:
    """Run a module in evaluation mode on one example. Return the calls of layers and followers, and the logits."""
    calls: list[_Call] = []
    handles = [
        each.register_forward_hook(
            lambda _, args, kwargs, output, name=name: calls.append(_call(name, first_input(args, kwargs), output)),
            with_kwargs=True,
        )
        for name, each in module.named_modules()
        if isinstance(each, (*LAYERS, *ACTIVITIES))
    ]
    try:
        with torch_generators(Stream(0, Purpose.MODULE)), torch.enable_grad():
            return calls, module.eval()(torch.rand(1, *input_shape))
    finally:
        for handle in handles:
            handle.remove()


def _train_logits(module: nn.Module, input_shape: tuple[int, ...]) -> Tensor:
    with torch_generators(Stream(0, Purpose.MODULE)), torch.no_grad():
        logits: Tensor = module.train()(torch.rand(2, *input_shape))
    return logits


def _check_logits(logits: object, shape: tuple[int, int]) -> None:
    if not isinstance(logits, Tensor):
        raise ModuleError(f"it must return one tensor of logits, got {type(logits).__name__}. Return the logits alone.")
    if tuple(logits.shape) != shape or logits.dtype is not torch.float32 or logits.device.type != "cpu":
        raise ModuleError(
            f"it must return float32 logits (examples, classes) on the device of its inputs, here of shape {shape}, "
            f"got {logits.dtype} of shape {tuple(logits.shape)} on {logits.device}. Change its last layer."
        )


def _check_reached(layers: dict[str, Layer], called: list[str]) -> None:
    unreached = [name for name in layers if name not in called]
    _refuse(unreached, "are never called in the forward pass", "Remove them, or freeze them with requires_grad_(False)")


def _check_gradients(layers: dict[str, Layer], logits: Tensor) -> None:
    weights = [layer.weight for layer in layers.values()]
    if not logits.requires_grad:
        _refuse(list(layers), "get no gradient", "Leave out no_grad() and detach()")
    gradients = torch.autograd.grad(logits.sum(), weights, allow_unused=True)
    without = [name for name, gradient in zip(layers, gradients, strict=True) if gradient is None]
    _refuse(without, "get no gradient", "Leave out no_grad() and detach(), or freeze them with requires_grad_(False)")


def _described(name: str, module: nn.Module, calls: list[_Call], followers: set[str]) -> ModuleLayer:
    """Describe a layer from all calls of layers, and of the norms and k-winners that may follow them."""
    layer = sparse_layers(module)[name]
    outputs = [call.output for call in calls if call.name == name]
    positions = sum(output.numel() for output in outputs) // len(layer.weight)
    chain = [name]
    while (follower := _follower(chain[-1], calls, followers)) is not None:
        chain.append(follower)
    norms = {each: norm for each in chain[1:] if isinstance(norm := module.get_submodule(each), NORMS)}
    indirect = [each for each in _batch_norms_behind(name, module, calls) if each not in norms]
    problem = pruning_problem(layer, name, norms.items(), indirect, outputs[0])
    return ModuleLayer(name, tuple(layer.weight.shape), positions, chain[-1], tuple(norms), problem)


def _batch_norms_behind(name: str, module: nn.Module, calls: list[_Call]) -> list[str]:
    """Return the batch norms that an output of a layer reaches before another layer or norm."""
    # k-winners pass a 0 on, as activations do.
    winners = {each for each, part in module.named_modules() if isinstance(part, KWinners)}
    outputs = {call.node: call.name for call in calls if call.node is not None and call.name not in winners}
    norms = {each for each, norm in module.named_modules() if isinstance(norm, BATCH_NORMS)}
    return [call.name for call in calls if call.name in norms and name in sources(call.input_node, outputs)]


def _follower(name: str, calls: list[_Call], followers: set[str]) -> str | None:
    """Return the follower that reads each output of a layer, in order, and nothing else; None if there is none."""
    outputs = [call.output for call in calls if call.name == name]
    readers = [[call.name for call in calls if call.name in followers and call.input is each] for each in outputs]
    if not readers[0]:
        return None
    first = readers[0][0]
    # A norm that several layers share would not say whose units are active.
    read = [call.input for call in calls if call.name == first]
    is_in_order = len(read) == len(outputs) and all(map(operator.is_, read, outputs))
    return first if readers == [[first]] * len(outputs) and is_in_order else None


def first_input(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the first argument of a layer, which it may get by name."""
    return args[0] if args else next(iter(kwargs.values()))
