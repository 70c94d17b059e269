"""Random choices about data: noisy images, the split into training and validation, the order of examples."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dynsparse.data.datasets import Dataset
from dynsparse.random import Purpose, Stream, bits, permutation

# With more images at once, the arrays of pixels would not fit into the CPU's cache.
IMAGES_AT_ONCE = 1000


def noise_images(x: Tensor, noise_level: float, seed: int) -> Tensor:
    """Return a copy of images in which int(input_size * noise_level) random pixels of each image are overwritten.

    The first half of these pixels, rounded down, becomes 0.9 and the other half 0.1, in the unit of normalised pixels.
    The choice depends on the seed and the index of the image, not on the number of images.

    Shapes: x (images, input_size), on the CPU; the result likewise.
    """
    noisy = x.clone()
    overwrite_pixels_(noisy, noise_level, seed)
    return noisy


def overwrite_pixels_(x: Tensor, noise_level: float, seed: int) -> None:
    """Do in place what `noise_images` does: a worker keeps the memory of a copy, 31 MB for MNIST, until it ends."""
    n_images, input_size = x.shape
    n_pixels = int(input_size * noise_level)
    draws = torch.from_numpy(bits(n_images * n_pixels, Stream(seed, Purpose.NOISE_IMAGES)).reshape(n_images, n_pixels))
    for images, of_images in zip(x.split(IMAGES_AT_ONCE), draws.split(IMAGES_AT_ONCE), strict=True):
        overwritten = _distinct_pixels(of_images.numpy(), input_size)
        images.scatter_(1, overwritten[:, : n_pixels // 2], 0.9)
        images.scatter_(1, overwritten[:, n_pixels // 2 :], 0.1)


def _distinct_pixels(draws: np.ndarray, input_size: int) -> Tensor:
    """Turn random numbers into distinct pixels. Shapes: draws (images, pixels), uint64; the result the same, int64.

    They are the first steps of a Fisher-Yates shuffle, in all images at once: step i swaps the pixel in place i with
    one drawn from place i onwards. 64 bits modulo a few thousand are uniform enough.
    """
    n_images, n_pixels = draws.shape
    steps = np.arange(n_pixels, dtype=np.uint64)
    places = (steps + draws % (np.uint64(input_size) - steps)).astype(np.int32).T.copy()
    pixels = np.repeat(np.arange(input_size, dtype=np.int32)[:, None], n_images, axis=1)
    images = np.arange(n_images)
    for i in range(n_pixels):
        chosen = pixels[places[i], images]
        pixels[places[i], images] = pixels[i]
        pixels[i] = chosen
    return torch.from_numpy(pixels[:n_pixels]).T.long()


def n_held_out(n: int, val_fraction: float) -> int:
    """Return how many of n training examples are held out for validation."""
    return round(val_fraction * n)


def split(dataset: Dataset, val_fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Return the indices of the examples to train on, and of the round(val_fraction * n) held out for validation.

    Shapes: each (examples,), int64, ascending.
    """
    n_val = n_held_out(len(dataset.train_y), val_fraction)
    held_out = dataset.hold_out(dataset.train_y, n_val, Stream(seed, Purpose.SPLIT))
    return (~held_out).nonzero()[:, 0], held_out.nonzero()[:, 0]


def epoch_order(n: int, seed: int, epoch: int) -> Tensor:
    """Return the order in which an epoch visits n examples. Trials of one seed share it. Shapes: (n,), int64."""
    return permutation(n, Stream(seed, Purpose.ORDER, epoch=epoch))
