"""Top-KAST, worked by hand."""

import torch

from dynsparse.config import Config
from dynsparse.methods import METHODS, update_mask
from dynsparse.ops.scores import Layer


def test_the_largest_of_all_positions_become_active():
    # Active are 0.1, -0.4, 0.6 and 0.2. The largest four of all are -0.9, 0.6, -0.4 and 0.3.
    layer = Layer(
        weight=torch.tensor([[0.1, -0.4, -0.9, 0.6], [0.3, 0.2, -0.15, 0.0]]),
        mask=torch.tensor([[1, 1, 0, 1], [0, 1, 0, 0]]).bool(),
        target=torch.tensor(4),
        prune_noise=torch.zeros(2, 4, dtype=torch.int32),
        grow_noise=torch.zeros(2, 4, dtype=torch.int32),
    )
    update = update_mask(METHODS["TopKAST"](Config(model="TopKAST")), layer)
    assert update.kept.int().tolist() == [[0, 1, 0, 1], [0, 0, 0, 0]]
    assert update.grown.int().tolist() == [[0, 0, 1, 0], [1, 0, 0, 0]]
