"""Compression of torch modules: by hand, and the outputs of the networks of the table before and after it."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterable

import pytest
import torch
from torch import Tensor, nn

from dynsparse.nn.module_network import new_module
from dynsparse.nn.resnet import Block, PaddedShortcut, projected_shortcut
from dynsparse.pruning import compress_module

SHAPE = (1, 12, 12)


@torch.no_grad()
def drawn(module: nn.Module) -> nn.Module:
    """Return a module whose norms have moments, gains and shifts as after a training."""
    generator = torch.Generator().manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d):
            part.running_mean.normal_(generator=generator)
            part.running_var.uniform_(0.5, 2, generator=generator)
        for each in part.parameters(recurse=False):
            each.add_(0.1 * torch.randn(each.shape, generator=generator))
    return module.eval()


@torch.no_grad()
def without(units: Iterable[int], *parts: nn.Module) -> None:
    """Set the weights, biases, gains and shifts of units to 0."""
    for part in parts:
        for each in part.parameters():
            each[list(units)] = 0


def outputs(module: nn.Module, shape: tuple[int, ...]) -> Tensor:
    with torch.no_grad():
        return module(torch.randn(20, *shape, generator=torch.Generator().manual_seed(1)))


def check(module: nn.Module, shape: tuple[int, ...] = SHAPE) -> nn.Module:
    """Return the smaller module, after comparing its outputs."""
    before = copy.deepcopy(module.state_dict())
    smaller = compress_module(module, shape)
    torch.testing.assert_close(outputs(smaller, shape), outputs(module, shape), rtol=1e-4, atol=1e-5)
    assert all(torch.equal(a, b) for a, b in zip(module.state_dict().values(), before.values(), strict=True))
    assert [each.requires_grad for each in smaller.parameters()] == [each.requires_grad for each in module.parameters()]
    return smaller


def n_out(module: nn.Module) -> list[int]:
    return [len(each.weight) for each in module.modules() if isinstance(each, nn.Conv2d | nn.Linear)]


def conv_net(norm: nn.Module | None = None, activation: nn.Module | None = None) -> nn.Sequential:
    """Return a network of two convolutions of 6 and 4 filters, and a linear layer."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), norm or nn.BatchNorm2d(6), activation or nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5),
    )  # fmt: skip


# Networks of the table


def test_lenet() -> None:
    net = drawn(new_module("LeNet5", input_shape=(1, 28, 28), num_classes=10))
    without([1, 4], net.conv1)
    without(range(3, 16), net.conv2)
    without([0], net.fc1)
    smaller = check(net, (1, 28, 28))
    assert n_out(net) == [6, 16, 120, 84, 10] and n_out(smaller) == [4, 3, 119, 84, 10]
    assert (smaller.conv2.in_channels, smaller.fc1.in_features) == (4, 3 * 25)


def test_vgg() -> None:
    net = drawn(new_module("VGG11", input_shape=(1, 8, 8), num_classes=10))
    without(range(60), net.conv1_1, net.norm1_1)
    # Its norm still adds a shift.
    without([5], net.conv2_1)
    without(range(500), net.conv5_2, net.norm5_2)
    smaller = check(net, (1, 8, 8))
    assert n_out(smaller) == [4, 128, 256, 256, 512, 512, 512, 12, 10]
    assert smaller.norm1_1.num_features == 4 and smaller.head.in_features == 12


def test_resnet20_loses_a_channel_of_a_sum_only_if_no_block_adds_to_it() -> None:
    net = drawn(new_module("ResNet20", input_shape=(1, 8, 8), num_classes=10))
    without([0, 1, 2], net.blocks[0].conv1, net.blocks[0].norm1)
    without([7], net.blocks[0].conv2, net.blocks[0].norm2)
    assert n_out(check(net, (1, 8, 8))) == [16, 13, *n_out(net)[2:]]

    # Channels 3 and 7 of the first stage go on through all shortcuts.
    for block in net.blocks:
        without([3, 7], block.conv2, block.norm2)
    without([3], net.conv, net.norm)
    smaller = check(net, (1, 8, 8))
    assert n_out(smaller) == [15, 13, 15, 16, 15, 16, 15, *[32, 31] * 3, *[64, 63] * 3, 10]
    assert smaller.head.in_features == 63
    without([7], net.conv, net.norm)
    assert n_out(check(net, (1, 8, 8)))[:3] == [14, 13, 14]


@pytest.mark.parametrize("shortcut", [PaddedShortcut, projected_shortcut])
def test_channels_that_a_shortcut_adds(shortcut: type[nn.Module]) -> None:
    block = Block(4, 8, 2, shortcut(4, 8, 2))
    net = drawn(nn.Sequential(nn.Conv2d(1, 4, 3), block, nn.Flatten(), nn.Linear(8 * 25, 5)))
    # Channel 6 is a new one, which a padded shortcut fills with zeros. Its number of zeros is fixed, so it stays there.
    without([6], block.conv2, block.norm2)
    if shortcut is projected_shortcut:
        assert n_out(check(net)) == [4, 8, 8, 8, 5], "the shortcut adds to it"
        without([6], *block.shortcut)
        assert n_out(check(net)) == [4, 8, 7, 7, 5]
    else:
        assert n_out(check(net)) == [4, 8, 8, 5]


def test_residual_mlp() -> None:
    settings = {"input_size": 9, "num_classes": 4, "hidden_sizes": (20, 15, 10), "batch_norm": False, "dropout": 0.0}
    net = drawn(new_module("ResidualMLP", **settings))
    without([2, 3], net.blocks[0].fc1)
    without([0, 1], net.first, net.blocks[1].fc2)
    without([1, 2], net.blocks[0].fc2)
    assert n_out(net) == [20, 15, 20, 10, 20, 4] and n_out(check(net, (9,))) == [19, 13, 19, 10, 19, 4]


# One at a time


def test_a_filter_whose_norm_has_a_shift_stays() -> None:
    net = drawn(conv_net())
    without([0, 1], net[0])
    without([0], net[1])
    with torch.no_grad():
        net[1].weight[1] = 0
    assert n_out(check(net)) == [5, 4, 5]
    with torch.no_grad():
        net[1].bias[1] = 0
    assert n_out(check(net)) == [4, 4, 5]


def test_filters_that_nothing_reads_go_and_so_do_those_that_only_they_read() -> None:
    net = drawn(conv_net())
    with torch.no_grad():
        net[4].weight[:, 2] = 0
        # Filter 3 is read by filter 1 of the second convolution alone, which the linear layer does not read.
        net[4].weight[[0, 2, 3], 3] = 0
        net[7].weight.view(5, 4, 36)[:, 1] = 0
    assert n_out(check(net)) == [4, 3, 5]


def test_a_unit_whose_inputs_are_gone_goes_too() -> None:
    net = drawn(nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)))
    without([0, 1], net[0])
    with torch.no_grad():
        net[2].weight[3, 2:], net[2].bias[3] = 0, 0
    assert n_out(check(net, (6,))) == [3, 3, 3]


def test_a_layer_keeps_one_unit() -> None:
    net = drawn(conv_net())
    without(range(6), net[0], net[1])
    assert n_out(check(net)) == [1, 4, 5]


def test_a_network_without_zeros_stays() -> None:
    assert n_out(check(drawn(conv_net()))) == [6, 4, 5]


@pytest.mark.parametrize("norm", [nn.GroupNorm(2, 6), nn.GroupNorm(1, 6), nn.LayerNorm((6, 12, 12))], ids=repr)
def test_channels_that_a_norm_mixes_stay(norm: nn.Module) -> None:
    net = drawn(conv_net(norm))
    without([2], net[0], net[1])
    assert n_out(check(net)) == [6, 4, 5]


@pytest.mark.parametrize("activation", [nn.PReLU(6), nn.GELU(), nn.Tanh()], ids=repr)
def test_activations_of_which_0_gives_0(activation: nn.Module) -> None:
    net = drawn(conv_net(nn.InstanceNorm2d(6, affine=True), activation))
    without([2], net[0], net[1])
    assert n_out(check(net)) == [5, 4, 5]


def test_groups_stay() -> None:
    convs = nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3, groups=6)
    net = drawn(nn.Sequential(*convs, nn.Flatten(), nn.Linear(384, 5)))
    without([2], net[0], net[2])
    assert n_out(check(net)) == [6, 6, 5]


def test_outputs_that_would_change_are_an_error() -> None:
    net = drawn(conv_net(activation=nn.Sigmoid()))
    without([2], net[0], net[1])
    with pytest.raises(ValueError, match=r"cannot be compressed: without the channels that .* differ by 0\.\d+ of"):
        compress_module(net, SHAPE)


class Reshaped(nn.Module):
    """A network that knows its number of filters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 6, 3), nn.Linear(600, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x).relu().reshape(-1, 600))


def test_an_operation_that_needs_all_channels_is_an_error() -> None:
    net = drawn(Reshaped())
    without([2], net.conv)
    with pytest.raises(ValueError, match=r"cannot be compressed: .* or one depends on the number of channels \("):
        compress_module(net, SHAPE)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_pruning", None)
    with pytest.raises(ImportError, match=r'torch-pruning cannot be imported .* pip install "dynsparse\[compress\]"\.'):
        compress_module(conv_net(), SHAPE)
