"""Trials on digits whose networks are torch modules in a file, as an experiment of the user's own has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.trained_trials import train

NETS = '''
import torch
from torch import nn

from dynsparse.nn.kwinners import LocalKWinners, activation
from dynsparse.nn.resnet import PaddedShortcut, ResNet


class Residual(nn.Module):
    """A convolution with batch norm, and a path around it."""

    def __init__(self, n_filters):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(n_filters, n_filters, 3, padding=1, bias=False), nn.BatchNorm2d(n_filters)

    def forward(self, x):
        return (x + self.norm(self.conv(x))).relu()


def conv_net(settings):
    """Two convolutions with batch norm, the second in a residual block, and two linear layers."""
    n_channels, height, width = settings.input_shape
    n_filters, n_units = settings.hidden_sizes
    return nn.Sequential(
        nn.Conv2d(n_channels, n_filters, 3, padding=1), nn.BatchNorm2d(n_filters), activation(n_filters, settings),
        Residual(n_filters), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.1),
        nn.Linear(n_filters * height * width // 4, n_units), nn.ReLU(), nn.Linear(n_units, settings.num_classes),
    )


def resnet(settings):
    """A small ResNet-20: two stages of a block."""
    return ResNet(1, (6, 12), 1, settings.num_classes, PaddedShortcut)


class Fourier(nn.Module):
    """A network with an operation that ONNX does not have."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        return self.head(torch.fft.fft2(x).real.flatten(1))
'''


def train_module(root: Path, network: str = "conv_net", **values: Any) -> Path:
    """Return the folder of a trained trial whose network is a function of `root/nets.py`."""
    (root / "nets.py").write_text(NETS)
    small = {"hidden_sizes": (8, 12), "epochs": 4, "model": "SparseModel", "learning_rate": 0.03}
    return train(root / "own", **{**small, "network": f"{root / 'nets.py'}:{network}", **values})
