"""Augmentation: random crops and flips of training images, which differ from epoch to epoch.

To add one, write a function of images, random numbers and the value of black, and add a row to `AUGMENTATIONS`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from dynsparse.random import Purpose, Stream, uniform

# Pixels that are added at each side of an image before it is cropped to its size.
PADDING = 4

# From images (images, channels, rows, columns), random numbers in [0, 1) (images, 3) and the value of black to images.
Augmentation = Callable[[Tensor, Tensor, float], Tensor]


def augmentation_numbers(n: int, seed: int, epoch: int) -> Tensor:
    """Return the random numbers of each training example in an epoch, whatever its place. Shapes: (n, 3), float32."""
    return uniform((n, 3), Stream(seed, Purpose.AUGMENTATION, epoch=epoch))


def crop(images: Tensor, numbers: Tensor, black: float, *, flips: bool = False) -> Tensor:
    """Move each image by up to PADDING pixels up or down, and left or right; flip half of them if `flips`.

    What is moved in is black, the darkest pixel of the training set. The three numbers of an image choose its rows,
    its columns and whether it is mirrored: with `top = int(9 * number) - 4`, row i shows row i + top.

    Reference:
        Kaiming He, Xiangyu Zhang, Shaoqing Ren and Jian Sun, Deep Residual Learning for Image Recognition, 2015,
        https://arxiv.org/abs/1512.03385, section 4.2

    Example:
        >>> import torch
        >>> from dynsparse.data.augmentation import crop
        >>> crop(torch.tensor([[[[1.0, 2.0, 3.0]]]]), torch.tensor([[0.5, 0.6, 0.0]]), black=0.0, flips=True)
        tensor([[[[0., 3., 2.]]]])
    """
    n, channels, n_rows, n_columns = images.shape
    padded = F.pad(images, [PADDING] * 4, value=black)
    starts = (numbers[:, :2] * (2 * PADDING + 1)).long()
    rows = starts[:, :1] + torch.arange(n_rows, device=images.device)
    columns = starts[:, 1:] + torch.arange(n_columns, device=images.device)
    if flips:
        columns = torch.where(numbers[:, 2:] < 0.5, columns.flip(1), columns)
    image, channel = (torch.arange(size, device=images.device) for size in (n, channels))
    return padded[image[:, None, None, None], channel[:, None, None], rows[:, None, :, None], columns[:, None, None]]


AUGMENTATIONS: dict[str, Augmentation] = {"crop": crop, "crop_flip": partial(crop, flips=True)}
