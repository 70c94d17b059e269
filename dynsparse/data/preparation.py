"""Own data become a `Dataset`: they are split, and features are standardized.

The result is cached for all processes of a machine under the hash of the content, so a worker on the machine of the
driver does not read the source again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple, replace
from functools import lru_cache

import numpy as np
import torch

from dynsparse.data.datasets import PIXELS, Dataset, Images, pixel_moments
from dynsparse.data.download import DataError
from dynsparse.data.features import feature_names, standardize
from dynsparse.data.holdout import at_random, folds, stratified
from dynsparse.data.labels import (
    check_classes,
    check_split_classes,
    check_targets,
    encode_labels,
    standardize_targets,
)
from dynsparse.data.own import OwnData, check_keys, read_content, read_facts, request_of
from dynsparse.data.sources import Request, Table
from dynsparse.io.shared_arrays import Arrays, load_or_make
from dynsparse.random import Purpose, Stream

# Raise it if the same content becomes other numbers: arrays in the cache are then made again.
CACHE_FORMAT = 2
# All trials share the test set, whatever their seed.
TEST_SEED = 0


class DataChangedError(DataError):
    """Data whose hash is not that of the trial. A retry would find the same data."""


def load_own(name: str, data_dir: str | None, pixels: str, own: OwnData) -> Dataset:
    """Return own data as a data set.

    Args:
        name: the value of the key `dataset_name`.
        data_dir: the folder in which a relative path starts.
        pixels: a row of PIXELS, for images.
        own: the other keys of own data. Without a hash, the data may be any.

    Raises:
        DataChangedError: If the data have another hash than `own`.
        DataError: If they cannot be read.
    """
    if isinstance(own.target, list):
        own = replace(own, target=tuple(own.target))
    request = request_of(name, data_dir, own)
    if own.data_hash is None:
        own = replace(own, data_hash=read_facts(request).data_hash)
    return _load(request, pixels, own)


# As for the rows of DATASETS: a process keeps two data sets, for a grid over data sets.
@lru_cache(maxsize=2)
@torch.inference_mode(False)
def _load(request: Request, pixels: str, own: OwnData) -> Dataset:
    # The hash and the keys determine the arrays, so an entry of the cache is never out of date.
    keys = hashlib.sha256(json.dumps([CACHE_FORMAT, *astuple(own)]).encode()).hexdigest()[:12]
    arrays, moments = load_or_make(f"own-{own.data_hash}-{keys}", [], lambda: _prepare(request, own))
    train_x, train_y, test_x, test_y, class_names, names, mean, scale, target_mean, target_deviation = arrays
    of_pixels = PIXELS[pixels](train_x, moments) if train_x.dtype == np.uint8 else (0.0, 1.0)
    return Dataset(
        request.name,
        Images(train_x, *of_pixels),
        torch.tensor(train_y),
        Images(test_x, *of_pixels),
        torch.tensor(test_y),
        num_classes=len(target_mean) if own.is_regression else len(class_names),
        class_names=tuple(class_names.tolist()),
        feature_names=tuple(names.tolist()),
        feature_mean=tuple(mean.tolist()),
        feature_scale=tuple(scale.tolist()),
        target_mean=tuple(target_mean.tolist()),
        target_deviation=tuple(target_deviation.tolist()),
        hold_out=at_random if own.is_regression else stratified,
    )


def _prepare(request: Request, own: OwnData) -> tuple[Arrays, dict[str, float]]:
    """Return the arrays of a data set, and the moments of its pixels if it has images. Raises: DataError."""
    content = read_content(request)
    if content.data_hash != own.data_hash:
        raise DataChangedError(
            f"The data of {request.name!r} must have the hash {own.data_hash} of the trial, got {content.data_hash} on "
            "this machine. Copy the data here, or rerun the command: changed data are other trials. A function must "
            "return the same data each time."
        )
    check_keys(request.name, own, read_facts(request))
    x, y = [part.x for part in content.parts], [part.y for part in content.parts]
    class_names: tuple[str, ...] = ()
    if own.is_regression:
        y = check_targets(request.name, y)
    else:
        y, class_names = encode_labels(request.name, y)
    if len(x) == 1:
        is_test = _test_part(request.name, y[0], class_names, own)
        x, y = [_rows(x[0], ~is_test), _rows(x[0], is_test)], [y[0][~is_test], y[0][is_test]]
    moments_of_targets = [np.array([]), np.array([])]
    if own.is_regression:
        y[0], y[1], *moments_of_targets = standardize_targets(request.name, y[0], y[1])
    else:
        check_classes(request.name, y[0], y[1], class_names)
    train, test = x
    labels = np.array(class_names, dtype=str)
    if isinstance(train, np.ndarray) and isinstance(test, np.ndarray) and train.dtype == np.uint8:
        images = (train.reshape(len(train), -1), y[0], test.reshape(len(test), -1), y[1])
        moments = dict(zip(("mean", "std"), pixel_moments(train), strict=True))
        return (*images, labels, np.array([], dtype=str), np.array([]), np.array([]), *moments_of_targets), moments
    features = standardize(request.name, train, test, own.impute)
    names = np.array(feature_names(train), dtype=str)
    of_features = features.mean, features.scale
    return (features.train, y[0], features.test, y[1], labels, names, *of_features, *moments_of_targets), {}


def _test_part(name: str, y: np.ndarray, class_names: tuple[str, ...], own: OwnData) -> np.ndarray:
    """Return which examples are the test part. Shapes: y (examples, ...); the result (examples,), bool."""
    if own.is_regression:
        # Numbers have no strata: as if all examples were of one class.
        y = np.zeros(len(y), dtype=np.int64)
    else:
        check_split_classes(name, y, class_names)
    stream, labels = Stream(TEST_SEED, Purpose.TEST_SPLIT), torch.from_numpy(y)
    if own.fold is not None and own.n_folds is not None:
        return (folds(labels, own.n_folds, stream) == own.fold).numpy()
    assert own.test_fraction is not None
    return stratified(labels, round(own.test_fraction * len(y)), stream).numpy()


def _rows(x: np.ndarray | Table, index: np.ndarray) -> np.ndarray | Table:
    return x.rows(index) if isinstance(x, Table) else x[index]
