"""ResNet-20 and ResNet-18, as for CIFAR."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from dynsparse.nn.settings import ModuleSettings, image_shape


class PaddedShortcut(nn.Module):
    """A shortcut without parameters, option A of the paper: channels that are new are zero."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.n_new, self.stride = n_out - n_in, stride

    def forward(self, x: Tensor) -> Tensor:
        """Shapes: (batch, in, height, width) to (batch, out, height / stride, width / stride)."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.n_new))


def projected_shortcut(n_in: int, n_out: int, stride: int) -> nn.Module:
    """Return option B of the paper: a convolution of 1 x 1 with batch norm where the shape changes."""
    if (n_in, stride) == (n_out, 1):
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride=stride, bias=False), nn.BatchNorm2d(n_out))


class Block(nn.Module):
    """Two convolutions of 3 x 3 with batch norm, and a shortcut."""

    def __init__(self, n_in: int, n_out: int, stride: int, shortcut: nn.Module) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(n_out)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block. Shapes: (batch, in, height, width) to (batch, out, height / stride, width / stride)."""
        out = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(out)) + self.shortcut(x))


class ResNet(nn.Module):
    """Stages of blocks, each with its number of filters, and a linear layer. Stages after the first halve the size."""

    def __init__(
        self,
        n_channels: int,
        filters: tuple[int, ...],
        n_blocks: int,
        n_classes: int,
        shortcut: Callable[[int, int, int], nn.Module],
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_channels, filters[0], 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(filters[0])
        blocks, n_in = [], filters[0]
        for stage, n_out in enumerate(filters):
            for number in range(n_blocks):
                stride = 2 if number == 0 and stage > 0 else 1
                blocks.append(Block(n_in, n_out, stride, shortcut(n_in, n_out, stride)))
                n_in = n_out
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(n_in, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the logits. Shapes: (batch, channels, height, width) to (batch, classes)."""
        logits: Tensor = self.head(self.blocks(F.relu(self.norm(self.conv(x)))).mean((2, 3)))
        return logits


def resnet20(settings: ModuleSettings) -> nn.Module:
    """Build ResNet-20: 19 convolutions of 3 x 3 in 9 blocks of 16, 32 and 64 filters, and a linear layer.

    Reference: Kaiming He, Xiangyu Zhang, Shaoqing Ren and Jian Sun, Deep Residual Learning for Image Recognition, 2016,
    https://arxiv.org/abs/1512.03385 (section 4.2)
    """
    channels, *_ = image_shape(settings, at_least=4)
    return ResNet(channels, (16, 32, 64), 3, settings.num_classes, PaddedShortcut)


def resnet18(settings: ModuleSettings) -> nn.Module:
    """Build ResNet-18 for small images: 8 blocks of 64, 128, 256 and 512 filters, and a linear layer.

    The paper's network for ImageNet begins with a convolution of 7 x 7 and a max pooling; here it is one of 3 x 3
    without pooling, as usual for CIFAR.

    Reference: as `resnet20` (table 1)
    """
    channels, *_ = image_shape(settings, at_least=8)
    return ResNet(channels, (64, 128, 256, 512), 2, settings.num_classes, projected_shortcut)
