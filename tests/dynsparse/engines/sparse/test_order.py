"""Compare the order of stored weights with that of a network written with plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from support.sparse_network import RELU, DenseNetwork

order = pytest.importorskip("dynsparse.engines.sparse.order")


@pytest.mark.parametrize("density", [0.0, 0.4, 1.0])
def test_weights_are_grouped_by_source(density: float) -> None:
    arrays = DenseNetwork(density=density).arrays(RELU)
    out_indptr, targets, index_by_target = order.group_by_source(arrays.in_indptr, arrays.sources)
    np.testing.assert_array_equal(out_indptr, arrays.out_indptr)
    np.testing.assert_array_equal(targets, arrays.targets)
    np.testing.assert_array_equal(index_by_target, arrays.index_by_target)
