"""Networks that are torch modules, for tests, and a data set of small images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from dynsparse.data import Source

PATCH = (1, 12, 12)


def read_patches(folder: Path, download: bool) -> tuple[np.ndarray, ...]:
    """Return 160 images to train on and 64 to test, of five overlapping classes."""
    generator = np.random.RandomState(0)
    centres, y = generator.randint(0, 128, (5, *PATCH)), np.arange(224) % 5
    x = (centres[y] + generator.randint(0, 128, (224, *PATCH))).astype(np.uint8)
    return x[:160], y[:160], x[160:], y[160:]


PATCHES = Source(144, 5, read_patches, image_shape=PATCH)


def plain_mlp(settings: Any) -> nn.Module:
    """Build the multilayer perceptron that the settings describe."""
    layers: list[nn.Module] = [nn.Flatten()]
    n_in = settings.input_size
    for n_out in settings.hidden_sizes:
        layers += [nn.Linear(n_in, n_out), *([nn.BatchNorm1d(n_out)] if settings.batch_norm else []), nn.ReLU()]
        n_in = n_out
    return nn.Sequential(*layers, nn.Linear(n_in, settings.num_classes))


class SmallNet(nn.Module):
    """Two convolutions, batch norm after the first, dropout, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 6, 3, stride=2)
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(6 * 2 * 2, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(self.norm1(self.conv1(x)).relu_(), 2)
        x = self.dropout(self.conv2(x).relu())
        return self.head(x.flatten(1))


def lenet() -> nn.Module:
    """Build a small LeNet without batch norm and dropout."""
    convolutions = [nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3), nn.ReLU()]
    return nn.Sequential(*convolutions, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 5))
