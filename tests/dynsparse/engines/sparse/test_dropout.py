"""Compare the units that dropout keeps in the sparse engine with numpy's Philox generator."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.sparse_network import bits

from dynsparse import random
from dynsparse.random import Purpose, Stream

dropout = pytest.importorskip("dynsparse.engines.sparse.dropout")

ENDS = np.cumsum([5, 37, 100, 1, 3])


@pytest.mark.parametrize("share", [0.0, 1e-7, 0.25, 0.3, 0.999, 1 - 2**-24])
@pytest.mark.parametrize("n_batch", [1, 64, 150])
def test_the_kept_units_are_those_of_the_numbers_of_each_layer(n_batch: int, share: float) -> None:
    kept = np.full((3, ENDS[-1]), 7, np.uint64)
    stream = {"epoch": 9, "step": 2**33 + 5}
    dropout.draw_kept_units(kept, ENDS, n_batch, np.float32(share), 2**63 - 1, *stream.values())
    is_kept = bits(kept).transpose(0, 2, 1).reshape(-1, ENDS[-1])
    for layer in range(3):
        units = slice(ENDS[layer], ENDS[layer + 1])
        numbers = random.dropout_numbers(
            n_batch, units.stop - units.start, Stream(2**63 - 1, Purpose.DROPOUT, layer=layer, **stream)
        )
        limit = random.dropout_limit(torch.tensor(share, dtype=torch.float64))
        np.testing.assert_array_equal(is_kept[:n_batch, units], (numbers >= limit).numpy())
    assert is_kept[:n_batch, ENDS[0] : ENDS[3]].mean() == pytest.approx(1 - share, abs=0.1)
    assert not kept[(n_batch + 63) // 64 :].any()
    assert not kept[:, : ENDS[0]].any()
    assert not kept[:, ENDS[3] :].any()
