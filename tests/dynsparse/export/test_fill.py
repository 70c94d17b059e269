"""Tensors of a file in a module: which layers may become smaller, and which shapes are refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dynsparse.export.fill import fill_


def content(module: nn.Module) -> tuple[dict[str, Tensor], dict[str, tuple[int, ...]]]:
    """Return the tensors of a module and their shapes."""
    tensors = module.state_dict()
    return tensors, {name: tuple(each.shape) for name, each in tensors.items()}


def layers_of_volumes(n_out: int) -> nn.Module:
    norms = nn.BatchNorm3d(n_out), nn.InstanceNorm3d(n_out, affine=True)
    return nn.Sequential(nn.Conv3d(1, n_out, 3), *norms, nn.Conv3d(n_out, 2, 3))


def test_layers_of_volumes_become_smaller() -> None:
    small, large = layers_of_volumes(4), layers_of_volumes(6)
    fill_(large, *content(small))
    assert repr(large) == repr(small)
    x = torch.randn(2, 1, 6, 6, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(large.eval()(x), small.eval()(x))


@pytest.mark.parametrize(
    ("of_file", "module"),
    [
        (nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 3, padding=1)),
        (nn.Conv1d(3, 4, 3), nn.Conv1d(3, 4, 5)),
        (nn.Conv2d(4, 2, 3, groups=2), nn.Conv2d(4, 4, 3, groups=2)),
        (nn.LayerNorm(3), nn.LayerNorm(4)),
        (nn.Linear(3, 5), nn.Linear(3, 4)),
    ],
    ids=repr,
)
def test_only_numbers_of_channels_become_smaller(of_file: nn.Module, module: nn.Module) -> None:
    before = repr(module)
    with pytest.raises(ValueError, match=r"^weight of the module must be torch\.float32 of shape .* as in the file"):
        fill_(module, *content(of_file))
    assert repr(module) == before
