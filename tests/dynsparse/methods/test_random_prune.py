"""Random pruning and growth, worked by hand."""

import torch

from dynsparse.config import Config
from dynsparse.methods import METHODS, update_mask
from dynsparse.ops.scores import Layer

LAYER = Layer(
    weight=torch.tensor([[0.1, -0.4, 0.0, 0.6], [0.0, 0.2, -0.5, 0.0]]),
    mask=torch.tensor([[1, 1, 0, 1], [0, 1, 1, 0]]).bool(),
    target=torch.tensor(5),
    prune_noise=torch.tensor([[8, 1, 0, -4], [0, 6, 7, 0]], dtype=torch.int32),
    grow_noise=torch.tensor([[0, 0, 9, 0], [3, 0, 0, 5]], dtype=torch.int32),
)


def updated(layer=LAYER, **keys):
    return update_mask(METHODS["RandomPrune"](Config(model="RandomPrune", **keys)), layer)


def test_the_lowest_noises_go_and_come():
    # Of the active ones' 8 1 -4 6 7 go two, -4 and 1, whatever the weights; of the inactive ones' 9 3 5 come 3 and 5.
    update = updated(weight_prune_perc=0.4)
    assert update.kept.int().tolist() == [[1, 0, 0, 0], [0, 1, 1, 0]]
    assert update.grown.int().tolist() == [[0, 0, 0, 0], [1, 0, 0, 1]]
    assert update.mask.int().tolist() == [[1, 0, 0, 0], [1, 1, 1, 1]]


def test_the_weights_do_not_matter():
    layer = LAYER._replace(weight=torch.tensor([[9.0, -9.0, 0.0, 0.01], [0.0, 9.0, 0.01, 0.0]]))
    assert torch.equal(updated(layer, weight_prune_perc=0.4).mask, updated(weight_prune_perc=0.4).mask)
