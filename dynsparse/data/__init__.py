"""Data sets as tensors in memory: loading, download, splits, noise and the order of examples.

A row of `DATASETS` has the sizes of a data set and a function that loads it. Data of your own are named by a file, a
library or a function, in the forms of `KINDS`. All trials on a machine share one copy of a data set.
"""

from dynsparse.data.datasets import DATASETS, PIXELS, Dataset, Images, Source
from dynsparse.data.download import DataError
from dynsparse.data.library_sets import Arrays
from dynsparse.data.loading import load_data, load_dataset
from dynsparse.data.own import DataSettings, Facts, OwnData, example_shape, facts, is_own, own_keys
from dynsparse.data.preparation import DataChangedError
from dynsparse.data.sampling import epoch_order, noise_images, overwrite_pixels_, split
from dynsparse.data.sources import KINDS
from dynsparse.data.sources.changed_images import CORRUPTIONS, corrupted_images

__all__ = [
    "CORRUPTIONS",
    "DATASETS",
    "KINDS",
    "PIXELS",
    "Arrays",
    "DataChangedError",
    "DataError",
    "DataSettings",
    "Dataset",
    "Facts",
    "Images",
    "OwnData",
    "Source",
    "corrupted_images",
    "epoch_order",
    "example_shape",
    "facts",
    "is_own",
    "load_data",
    "load_dataset",
    "noise_images",
    "overwrite_pixels_",
    "own_keys",
    "split",
]
