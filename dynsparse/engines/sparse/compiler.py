"""Decorators that compile kernels with Numba and cache the machine code on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

from dynsparse.engines.sparse.sources import DIGEST


def _compile(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    def decorate(function: Callable[..., Any]) -> Any:
        # Numba names its cache files after the qualified name, and checks only whether the function's own file changed.
        # The digest makes it compile again when another file of this folder changes, such as simd.py.
        function.__qualname__ += f"_{DIGEST}"
        return njit(cache=True, error_model="numpy", boundscheck=False, **options)(function)

    return decorate


# Sums may be computed in any order, as in torch.
FAST: dict[str, Any] = {"fastmath": {"reassoc", "contract", "nsz"}}
# A function that Python calls.
kernel = _compile(**FAST)
# A function that kernels call, always inlined. A separate function would be compiled twice, alone and in its caller,
# with different rounding, and which of the two is called would depend on whether the caller comes from the cache.
inlined = _compile(forceinline=True, **FAST)
# The same, with operations in the order in which they are written.
inlined_in_order = _compile(forceinline=True)
