"""Evaluation of a network on its test set, if the data set is on this machine."""

from __future__ import annotations

from contextlib import suppress

import torch
import torch.nn.functional as F
from torch import nn

from dynsparse.config import Config
from dynsparse.data import DATASETS, Dataset, is_own, load_data, load_dataset
from dynsparse.data.download import DataError, missing_files, resolve_data_dir
from dynsparse.data.own import is_file

BATCH = 1000


def find_dataset(config: Config) -> Dataset | None:
    """Return the trial's data set; None if its files are not on this machine or cannot be read.

    Data that a function returns are not loaded: the folder of a trial may come from somebody else, and name any code.
    """
    if is_own(config.dataset_name):
        with suppress(DataError):
            return load_data(config, config.pixels) if is_file(config.dataset_name) else None
        return None
    # The trial's data_dir may be a folder on another machine.
    for data_dir in (config.data_dir, None):
        if not missing_files(DATASETS[config.dataset_name].files, resolve_data_dir(data_dir)):
            with suppress(DataError):
                return load_dataset(config.dataset_name, data_dir, config.pixels)
    return None


@torch.inference_mode()
def evaluate(model: nn.Module, dataset: Dataset) -> tuple[float, float]:
    """Return the accuracy and the mean loss on the test set."""
    n_correct, loss = 0, 0.0
    for x, y in zip(dataset.test_x.split(BATCH), dataset.test_y.split(BATCH), strict=True):
        logits = model(x)
        n_correct += int((logits.argmax(1) == y).sum())
        loss += float(F.cross_entropy(logits, y, reduction="none").double().sum())
    return n_correct / len(dataset.test_y), loss / len(dataset.test_y)
