"""The table of torch modules: numbers of parameters, and outputs beside those of torchvision and plain formulas."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from dynsparse.config import Config, ConfigError
from dynsparse.nn.modules import MODULES
from dynsparse.nn.resnet import PaddedShortcut

CIFAR, MNIST, SPEECH = (3, 32, 32), (1, 28, 28), (1, 32, 32)


def settings(input_shape: tuple[int, ...] = CIFAR, num_classes: int = 10, **values: Any) -> Any:
    size = int(torch.tensor(input_shape).prod())
    values = {"kwinners": False, **values}
    return SimpleNamespace(input_shape=input_shape, input_size=size, num_classes=num_classes, **values)


def number(net: nn.Module) -> int:
    return sum(each.numel() for each in net.parameters())


def copy_in_order(source: nn.Module, target: nn.Module) -> None:
    """Copy parameters and running statistics between two modules that have them in the same order."""
    ours, theirs = target.state_dict(), list(source.state_dict().values())
    target.load_state_dict(dict(zip(ours, theirs, strict=True)))


def with_statistics(net: nn.Module) -> nn.Module:
    """Give each batch norm running statistics that are not 0 and 1."""
    for each in net.modules():
        if isinstance(each, nn.BatchNorm2d):
            nn.init.uniform_(each.running_mean, -0.1, 0.1)
            nn.init.uniform_(each.running_var, 0.5, 2.0)
    return net.eval()


@pytest.mark.parametrize(
    ("name", "shape", "published", "tolerance"),
    [
        # The variant that pads the first convolution to the 32 x 32 pixels of the paper; without padding it has 44,426.
        ("LeNet5", MNIST, 61_706, 0),
        # The others are published in millions, with two decimals.
        ("VGG16", CIFAR, 14.72e6, 0.005e6),
        ("VGG11", CIFAR, 9.23e6, 0.005e6),
        ("ResNet20", CIFAR, 0.27e6, 0.005e6),
        ("ResNet18", CIFAR, 11.17e6, 0.005e6),
    ],
)
def test_numbers_of_parameters_are_the_published_ones(
    name: str, shape: tuple[int, ...], published: float, tolerance: float
) -> None:
    assert abs(number(MODULES[name](settings(shape))) - published) <= tolerance


def test_speech_cnn_has_the_parameters_of_its_layers() -> None:
    convolutions = (25 + 1 + 2) * 64 + (64 * 25 + 1 + 2) * 64
    # 32 - 4 = 28, halved 14, 14 - 4 = 10, halved 5.
    linear = (64 * 5 * 5 + 1) * 1000 + (1000 + 1) * 12
    assert number(MODULES["SpeechCNN"](settings(SPEECH, 12))) == convolutions + linear == 1_717_396


def test_resnet18_computes_what_that_of_torchvision_computes() -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.resnet18(num_classes=10)
    theirs.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    theirs.maxpool = nn.Identity()
    ours = MODULES["ResNet18"](settings())
    copy_in_order(with_statistics(theirs), ours.eval())
    x = torch.randn(2, *CIFAR)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "configuration"), [("VGG11", "A"), ("VGG16", "D")])
def test_vgg_computes_what_that_of_torchvision_computes(name: str, configuration: str) -> None:
    torch.manual_seed(0)
    theirs = with_statistics(make_layers(cfgs[configuration], batch_norm=True))
    ours = MODULES[name](settings())
    for each in theirs:
        if isinstance(each, nn.Conv2d):
            # Batch norm takes any bias away again.
            each.bias = None
    head = nn.Linear(512, 10)
    copy_in_order(nn.Sequential(theirs, head), ours.eval())
    x = torch.randn(2, *CIFAR)
    torch.testing.assert_close(ours(x), head(theirs(x).flatten(1)), rtol=1e-4, atol=1e-4)


def test_a_padded_shortcut_drops_positions_and_adds_channels() -> None:
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert PaddedShortcut(1, 3, 2)(x).tolist() == [[[[0, 2], [8, 10]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]]]


def test_a_residual_mlp_is_its_formula() -> None:
    torch.manual_seed(0)
    net = MODULES["ResidualMLP"](settings(MNIST, hidden_sizes=(6, 9, 4), batch_norm=True, dropout=0.0)).train()
    x = torch.randn(8, *MNIST)
    p = {name: each.detach() for name, each in net.named_parameters()}

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    def norm(x: Tensor) -> Tensor:
        return (x - x.mean(0)) / (x.var(0, correction=0) + 1e-5).sqrt()

    h = linear(x.flatten(1), "first")
    for block in ("blocks.0", "blocks.1"):
        h = h + linear(F.relu(linear(norm(h), f"{block}.fc1")), f"{block}.fc2")
    torch.testing.assert_close(net(x), linear(F.relu(norm(h)), "head"), rtol=1e-4, atol=1e-5)
    assert [tuple(p[f"blocks.{i}.fc1.weight"].shape) for i in (0, 1)] == [(9, 6), (4, 6)]


def test_a_residual_mlp_needs_a_block() -> None:
    with pytest.raises(ConfigError, match=r"hidden_sizes must have the number of units between blocks .* got \[100\]"):
        Config(network="ResidualMLP", hidden_sizes=[100])


@pytest.mark.parametrize("name", ["LeNet5", "SpeechCNN"])
def test_small_images_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"network='{name}' .*needs images .* but an example has the shape"):
        Config(network=name, dataset_name="digits")
