"""Data sets as tensors in memory: loading, download, splits, noise and the order of examples.

A row of `DATASETS` has the sizes of a data set and a function that loads it. All trials on a machine share one copy
of a data set.
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
