"""ResNet-20, as for CIFAR."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from dynsparse.nn.settings import ModuleSettings, image_shape


class Block(nn.Module):
    """Two convolutions of 3 x 3 with batch norm, and a shortcut without parameters."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(n_out)
        self.stride, self.n_new = stride, n_out - n_in

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block. Shapes: (batch, in, height, width) to (batch, out, height / stride, width / stride)."""
        out = F.relu(self.norm1(self.conv1(x)))
        out = self.norm2(self.conv2(out))
        # Option A of the paper: the channels that are new are zero.
        shortcut = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.n_new))
        return F.relu(out + shortcut)


class ResNet(nn.Module):
    """Three stages of blocks with 16, 32 and 64 filters, and a linear layer."""

    def __init__(self, n_channels: int, n_blocks: int, n_classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_channels, 16, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        blocks, n_in = [], 16
        for n_out in (16, 32, 64):
            for number in range(n_blocks):
                blocks.append(Block(n_in, n_out, stride=2 if number == 0 and n_out > 16 else 1))
                n_in = n_out
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(64, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the logits. Shapes: (batch, channels, height, width) to (batch, classes)."""
        logits: Tensor = self.head(self.blocks(F.relu(self.norm(self.conv(x)))).mean((2, 3)))
        return logits


def resnet20(settings: ModuleSettings) -> nn.Module:
    """Build ResNet-20: 19 convolutions of 3 x 3 in 9 blocks, and a linear layer.

    Reference: Kaiming He, Xiangyu Zhang, Shaoqing Ren and Jian Sun, Deep Residual Learning for Image Recognition, 2016,
    https://arxiv.org/abs/1512.03385 (section 4.2)
    """
    channels, *_ = image_shape(settings, at_least=4)
    return ResNet(channels, n_blocks=3, n_classes=settings.num_classes)
