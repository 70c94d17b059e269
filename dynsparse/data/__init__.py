"""Data sets as tensors in memory: loading, download, splits, noise and the order of examples.

A row of `DATASETS` says what is known of a data set before it is loaded, and how to load it. One copy of a data set
is shared by all trials of a machine.
"""

from dynsparse.data.datasets import DATASETS, PIXELS, Arrays, Dataset, Images, Source, load_dataset
from dynsparse.data.download import DataError
from dynsparse.data.sampling import epoch_order, noise_images, split

__all__ = [
    "DATASETS",
    "PIXELS",
    "Arrays",
    "DataError",
    "Dataset",
    "Images",
    "Source",
    "epoch_order",
    "load_dataset",
    "noise_images",
    "split",
]
