"""Data sets that come with scikit-learn."""

from __future__ import annotations

import numpy as np

from dynsparse.config import unknown
from dynsparse.data.download import DataError
from dynsparse.data.sources.content import Content, Part, Request, Table, hash_parts

# The data sets that `sklearn.datasets.load_NAME` returns: those of classification, and of regression.
CLASSIFICATION = ("breast_cancer", "wine", "iris", "digits")
REGRESSION = ("diabetes", "linnerud")


def read_scikit_learn(request: Request) -> Content:
    """Return a data set of scikit-learn, without a test part. Raises: DataError."""
    name = request.name.partition(":")[2]
    if name not in CLASSIFICATION + REGRESSION:
        raise DataError(unknown("data set of scikit-learn", name, CLASSIFICATION + REGRESSION))
    if request.is_regression != (name in REGRESSION):
        raise DataError(
            f"loss must be {'mse' if name in REGRESSION else 'cross_entropy'!r} for {request.name!r}, whose labels are "
            f"{'numbers to predict' if name in REGRESSION else 'classes'}."
        )
    # Imported here, because it takes a second.
    from sklearn import datasets

    loaded = getattr(datasets, f"load_{name}")()
    labels = np.asarray(loaded.target)
    if name in CLASSIFICATION:
        labels = np.asarray(loaded.target_names)[labels]
    table = Table(np.asarray(loaded.data, dtype=np.float64), tuple(map(str, loaded.feature_names)))
    parts = (Part(table, labels),)
    return Content(parts, hash_parts(parts))
