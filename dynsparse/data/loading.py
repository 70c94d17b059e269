"""Load a data set: a row of `DATASETS`, or a researcher's own data."""

from __future__ import annotations

from dynsparse.config import unknown
from dynsparse.data.datasets import DATASETS, Dataset, load_builtin
from dynsparse.data.download import DataError
from dynsparse.data.own import DataSettings, OwnData, is_own, own_keys
from dynsparse.data.preparation import load_own


def load_dataset(
    name: str, data_dir: str | None = None, pixels: str = "standard", own: OwnData | None = None
) -> Dataset:
    """Return a data set, read from a folder or downloaded into it.

    Args:
        name: a row of DATASETS, or own data in one of the forms of `KINDS`: a file, a data set of a library or a
            function.
        data_dir: a folder, or the URI of an object store (s3://bucket/folder), from which each machine fetches the
            files once. None: DYNSPARSE_DATA_DIR if set, else the user's cache folder; for own files, the working
            directory comes first.
        pixels: a row of PIXELS: "standard" (mean 0 and standard deviation 1) or "unit" (in [0, 1]). For images only.
        own: the other keys of own data, such as the label column of a table.

    Raises: DataError if the data set is unknown, cannot be downloaded or is damaged.
    """
    if is_own(name):
        return load_own(name, data_dir, pixels, own or OwnData())
    if name not in DATASETS:
        raise DataError(unknown("dataset_name", name, DATASETS))
    return load_builtin(name, data_dir, pixels)


def load_data(config: DataSettings, pixels: str = "standard") -> Dataset:
    """Return the data set of a trial. Raises: DataError."""
    return load_dataset(config.dataset_name, config.data_dir, pixels, own_keys(config))
