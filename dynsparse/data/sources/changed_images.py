"""Data sets of images with their pixels permuted, or with corrupted test images: made here from a row of DATASETS.

The corruptions are in the style of MNIST-C, of one severity. They are not its files, and accuracies on them are not
comparable with those on MNIST-C.

Reference:
    Norman Mu and Justin Gilmer, MNIST-C: A Robustness Benchmark for Computer Vision, 2019,
    https://arxiv.org/abs/1906.02337
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from dynsparse.config import unknown
from dynsparse.data.datasets import DATASETS, load_builtin
from dynsparse.data.download import DataError
from dynsparse.data.sources.arrays import content_of_arrays
from dynsparse.data.sources.content import HASH_DIGITS, Array, Content, Part, Request, hash_parts
from dynsparse.random import Purpose, Stream, permutation, uniform

# All trials get the same images, whatever their seed.
SEED = 0
# Raise it if the same images become others: the hash of the data changes with it.
VERSION = 1
# Images without any pixel as bright as that have another white than 255.
LEAST_WHITE = 128


def read_permuted(request: Request) -> Content:
    """Return a data set whose pixels are permuted, in the same way in all images: "permuted:MNIST".

    A multilayer perceptron is not affected by the permutation, a convolutional network is.

    Raises:
        DataError: If there is no such data set, or it cannot be loaded.
    """
    name = request.name.partition(":")[2]
    train_x, train_y, test_x, test_y = _images(name, request)
    order = permutation(train_x[0].size, Stream(SEED, Purpose.PERMUTED_PIXELS)).numpy()
    permuted = [x.reshape(len(x), -1)[:, order].reshape(x.shape) for x in (train_x, test_x)]
    return content_of_arrays(request.name, list(zip(permuted, (train_y, test_y), strict=True)))


def read_corrupted(request: Request) -> Content:
    """Return a data set with clean training images and corrupted test images: "corrupted:MNIST:gaussian_blur".

    Raises:
        DataError: If there is no such data set or corruption, or the data set cannot be loaded.
    """
    name, _, corruption = request.name.partition(":")[2].partition(":")
    if corruption not in CORRUPTIONS:
        raise DataError(f"{unknown('corruption', corruption, CORRUPTIONS)} Write corrupted:NAME:CORRUPTION.")
    train_x, train_y, test_x, test_y = _images(name, request)
    if train_x.max() < LEAST_WHITE:
        raise DataError(f"corrupted:NAME:CORRUPTION needs images whose white is 255, got {train_x.max()} in {name!r}.")
    corrupted = corrupted_images(test_x, corruption)
    # The hash is that of what the images are made from: rounding may differ between machines.
    clean = hash_parts((Part(train_x, train_y), Part(test_x, test_y)))
    data_hash = hashlib.sha256(f"{clean} {corruption} {VERSION}".encode()).hexdigest()[:HASH_DIGITS]
    return content_of_arrays(request.name, [(train_x, train_y), (corrupted, test_y)], data_hash)


def corrupted_images(x: Array, corruption: str) -> Array:
    """Return images with a corruption of CORRUPTIONS, the same in all trials.

    Shapes: x (images, channels, rows, columns), uint8, of which 255 is white; the result the same.
    """
    stream = Stream(SEED, Purpose.CORRUPTION, layer=list(CORRUPTIONS).index(corruption))
    return np.asarray(CORRUPTIONS[corruption](x.astype(np.float32), stream).clip(0, 255).round().astype(np.uint8))


def _images(name: str, request: Request) -> tuple[Array, Array, Array, Array]:
    """Return images and labels of a row of DATASETS: train_x, train_y, test_x, test_y.

    Shapes: x (examples, channels, rows, columns), uint8; y (examples,). Raises: DataError.
    """
    of_images = [each for each, source in DATASETS.items() if source.image_shape is not None]
    if name not in of_images:
        raise DataError(unknown("data set of images", name, of_images))
    data, shape = load_builtin(name, request.folder, "standard"), DATASETS[name].image_shape or ()
    train_x, test_x = (np.array(each.pixels.reshape(-1, *shape)) for each in (data.train, data.test))
    return train_x, data.train_y.numpy(), test_x, data.test_y.numpy()


# Each corruption takes images from 0 (black) to 255 and a stream of random numbers, and returns images that may exceed
# this range. Shapes: (images, channels, rows, columns), float32.
Corruption = Callable[[Array, Stream], Array]


def shot_noise(x: Array, stream: Stream) -> Array:
    """Count photons: a pixel gets a Poisson number of them, with a mean of 10 where it is white."""
    # The quantile function, for the 256 possible means at once: row i has i + the probabilities of at most 0, 1, ...
    n_columns, pixel = 40, torch.arange(256).double()[:, None]
    table = pixel + torch.special.gammaincc(torch.arange(1, n_columns + 1).double(), pixel * (10 / 255))
    photons = np.searchsorted(table.flatten().numpy(), x + uniform(x.shape, stream).double().numpy()) - x * n_columns
    return np.asarray(photons * 25.5)


def impulse_noise(x: Array, stream: Stream) -> Array:
    """Set a tenth of the pixels to black, and a tenth to white."""
    drawn = uniform(x.shape, stream).numpy()
    return np.where(drawn < 0.1, 0, np.where(drawn < 0.2, 255, x))


def gaussian_blur(x: Array, stream: Stream) -> Array:
    """Blur with a standard deviation of 1.5 pixels; black surrounds the image."""
    # The import takes a second, and only this needs it.
    from scipy import ndimage

    return np.asarray(ndimage.gaussian_filter(x, sigma=(0, 0, 1.5, 1.5), mode="constant"))


def brightness(x: Array, stream: Stream) -> Array:
    """Add 100 to all pixels."""
    return x + 100


def contrast(x: Array, stream: Stream) -> Array:
    """Bring all pixels closer to the mean of their image: a fifth of the difference is left."""
    mean: Array = x.mean((1, 2, 3), keepdims=True)
    return mean + (x - mean) / 5


def stripe(x: Array, stream: Stream) -> Array:
    """Invert the columns of the middle quarter."""
    width = x.shape[-1]
    is_inverted = abs(np.arange(width) - (width - 1) / 2) < width / 8
    return np.where(is_inverted, 255 - x, x)


def rotation(x: Array, stream: Stream) -> Array:
    """Rotate each image about its centre by an angle between -45 and 45 degrees; black surrounds the image."""
    angle = (uniform((len(x),), stream) - 0.5) * (torch.pi / 2)
    zero, cos, sin = torch.zeros(len(x)), angle.cos(), angle.sin()
    matrices = torch.stack([torch.stack([cos, -sin, zero], 1), torch.stack([sin, cos, zero], 1)], 1)
    places = F.affine_grid(matrices, list(x.shape), align_corners=False)
    return F.grid_sample(torch.from_numpy(x), places, align_corners=False).numpy()


def translation(x: Array, stream: Stream) -> Array:
    """Move each image by up to 6 pixels in both directions; black surrounds the image."""
    padded = np.pad(x, [(0, 0), (0, 0), (6, 6), (6, 6)])
    starts = (uniform((len(x), 2), stream) * 13).long().numpy()
    rows, columns = x.shape[2:]
    return np.stack(
        [each[:, top : top + rows, left : left + columns] for each, (top, left) in zip(padded, starts, strict=True)]
    )


CORRUPTIONS: dict[str, Corruption] = {
    "shot_noise": shot_noise,
    "impulse_noise": impulse_noise,
    "gaussian_blur": gaussian_blur,
    "brightness": brightness,
    "contrast": contrast,
    "stripe": stripe,
    "rotation": rotation,
    "translation": translation,
}
