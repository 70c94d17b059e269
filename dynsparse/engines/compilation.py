"""The forward pass of torch modules, through `torch.compile` or directly."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

# Packages of torch whose errors are those of its compiler.
COMPILER_PACKAGES = ("torch._dynamo", "torch._inductor", "torch._functorch")

# A function of a module and its inputs.
Forward = Callable[[nn.Module, Tensor], Tensor]


class CompileError(ValueError):
    """A module that cannot be compiled here. The message says why, and what to install or change."""


def call(module: nn.Module, x: Tensor) -> Tensor:
    """Compute the outputs of a module."""
    outputs: Tensor = module(x)
    return outputs


def compile_forward() -> Forward:
    """Return a function that compiles the forward and backward pass of a module, once for each shape of its inputs.

    The modules of a pack share the compiled code. By default, torch compiles the second shape for all shapes, and a
    trial would have other bits if it is resumed with that shape first. Random numbers are those of the module without
    compilation.

    Raises (the function): CompileError.
    """
    options: dict[str, Any] = {"dynamic": False, "options": {"fallback_random": True}}
    if "isolate_recompiles" in inspect.signature(torch.compile).parameters:
        # Else all engines of a process share one limit, beyond which torch silently stops compiling.
        options["isolate_recompiles"] = True
    forward: Forward = torch.compile(lambda module, x: module(x), **options)

    def run(module: nn.Module, x: Tensor) -> Tensor:
        try:
            return forward(module, x)
        except Exception as error:
            if not type(error).__module__.startswith(COMPILER_PACKAGES):
                raise
            [first_line, *_] = str(error).splitlines() or [""]
            needs = "a C++ compiler, such as g++" if x.device.type == "cpu" else "Triton and a C compiler, such as gcc"
            raise CompileError(
                f"compile=True fails: torch.compile raises {type(error).__name__}: {first_line} It needs {needs}. "
                "Install it if it is missing, or set compile=False."
            ) from error

    return run
