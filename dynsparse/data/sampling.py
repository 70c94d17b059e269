"""Random choices about data: noisy images, the split of the training set, the order of examples."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dynsparse.data.datasets import Dataset
from dynsparse.random import Purpose, Stream, bits, permutation


def noise_images(x: Tensor, noise_level: float, seed: int) -> Tensor:
    """A copy of images in which int(input_size * noise_level) random pixels of each are overwritten.

    The first half of them, rounded down, becomes 0.9 and the other half 0.1, in the unit of the normalised
    pixels. Which pixels depends on the seed and the image's index, not on how many images there are.

    Shapes: x (images, input_size), on the CPU, and so is the result.
    """
    n_images, input_size = x.shape
    n_pixels = int(input_size * noise_level)
    # The first n_pixels steps of a Fisher-Yates shuffle, in all images at once: step i swaps the pixel in
    # place i with that in a place drawn from i on. 64 bits modulo a few thousand are as good as uniform.
    steps = np.arange(n_pixels, dtype=np.uint64)
    draws = bits(n_images * n_pixels, Stream(seed, Purpose.NOISE_IMAGES)).reshape(n_images, n_pixels)
    places = (steps + draws % (np.uint64(input_size) - steps)).astype(np.int32).T.copy()
    pixels = np.repeat(np.arange(input_size, dtype=np.int32)[:, None], n_images, axis=1)
    images = np.arange(n_images)
    for i in range(n_pixels):
        chosen = pixels[places[i], images]
        pixels[places[i], images] = pixels[i]
        pixels[i] = chosen
    overwritten = torch.from_numpy(pixels[:n_pixels]).T.long()
    noisy = x.clone()
    noisy.scatter_(1, overwritten[:, : n_pixels // 2], 0.9)
    noisy.scatter_(1, overwritten[:, n_pixels // 2 :], 0.1)
    return noisy


def split(dataset: Dataset, val_fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of the training examples that are trained on, and of the round(val_fraction * n) held out.

    Shapes: each (examples,), int64, ascending. A val_fraction of 0 holds none out.
    """
    n = len(dataset.train_y)
    n_val = round(val_fraction * n)
    shuffled = permutation(n, Stream(seed, Purpose.SPLIT))
    return shuffled[n_val:].sort().values, shuffled[:n_val].sort().values


def epoch_order(n: int, seed: int, epoch: int) -> Tensor:
    """The order in which an epoch visits n examples; trials of one seed share it. Shapes: (n,), int64."""
    return permutation(n, Stream(seed, Purpose.ORDER, epoch=epoch))
