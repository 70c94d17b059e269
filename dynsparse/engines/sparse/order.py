"""The order in which the sparse engine stores weights. Compiled by Numba."""

from __future__ import annotations

import numpy as np

from dynsparse.engines.sparse.arrays import Array
from dynsparse.engines.sparse.compiler import kernel


@kernel
def group_by_source(in_indptr: Array, sources: Array) -> tuple[Array, Array, Array]:
    """Return `out_indptr`, `targets` and `index_by_target` of `NetworkArrays`, from `in_indptr` and `sources`.

    The weights from one source are in the order of their targets.
    """
    n_units = len(in_indptr) - 1
    out_indptr = np.zeros(n_units + 1, np.int64)
    for source in sources:
        out_indptr[source + 1] += 1
    out_indptr = out_indptr.cumsum()
    free = out_indptr.copy()
    targets, index_by_target = np.empty(len(sources), np.uint32), np.empty(len(sources), np.uint32)
    for unit in range(n_units):
        for j in range(in_indptr[unit], in_indptr[unit + 1]):
            index_by_target[j] = free[sources[j]]
            targets[index_by_target[j]] = unit
            free[sources[j]] += 1
    return out_indptr, targets, index_by_target
