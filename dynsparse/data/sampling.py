"""Random choices about data: noisy images, the split into training and validation, the order of examples."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dynsparse.data.datasets import Dataset
from dynsparse.random import Purpose, Stream, bits, permutation


def noise_images(x: Tensor, noise_level: float, seed: int) -> Tensor:
    """Return a copy of images in which int(input_size * noise_level) random pixels of each image are overwritten.

    The first half of these pixels, rounded down, becomes 0.9 and the other half 0.1, in the unit of normalised pixels.
    The choice depends on the seed and the index of the image, not on the number of images.

    Shapes: x (images, input_size), on the CPU; the result likewise.
    """
    n_images, input_size = x.shape
    n_pixels = int(input_size * noise_level)
    # The first n_pixels steps of a Fisher-Yates shuffle, in all images at once: step i swaps the pixel in place i with
    # one drawn from place i onwards. 64 bits modulo a few thousand are uniform enough.
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


def n_held_out(n: int, val_fraction: float) -> int:
    """Return how many of n training examples are held out for validation."""
    return round(val_fraction * n)


def split(dataset: Dataset, val_fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Return the indices of the examples to train on, and of the round(val_fraction * n) held out for validation.

    Shapes: each (examples,), int64, ascending.
    """
    n = len(dataset.train_y)
    n_val = n_held_out(n, val_fraction)
    shuffled = permutation(n, Stream(seed, Purpose.SPLIT))
    return shuffled[n_val:].sort().values, shuffled[:n_val].sort().values


def epoch_order(n: int, seed: int, epoch: int) -> Tensor:
    """Return the order in which an epoch visits n examples. Trials of one seed share it. Shapes: (n,), int64."""
    return permutation(n, Stream(seed, Purpose.ORDER, epoch=epoch))
