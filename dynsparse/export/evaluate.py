"""How good a network is on its test set, if the data set is on this machine."""

from __future__ import annotations

from contextlib import suppress

import torch
import torch.nn.functional as F
from torch import nn

from dynsparse.config import Config
from dynsparse.data import DATASETS, Dataset, load_dataset
from dynsparse.data.download import DataError, missing_files, resolve_data_dir

BATCH = 1000


def dataset_at_hand(config: Config) -> Dataset | None:
    """The trial's data set; None where it would have to be downloaded, or cannot be read."""
    # The trial's own folder may be one of another machine.
    for data_dir in (config.data_dir, None):
        if not missing_files(DATASETS[config.dataset_name].files, resolve_data_dir(data_dir)):
            with suppress(DataError):
                return load_dataset(config.dataset_name, data_dir, config.pixels)
    return None


@torch.inference_mode()
def measured(model: nn.Module, dataset: Dataset) -> tuple[float, float]:
    """Accuracy and mean loss on the test set."""
    n_right, loss = 0, 0.0
    for x, y in zip(dataset.test_x.split(BATCH), dataset.test_y.split(BATCH), strict=True):
        logits = model(x)
        n_right += int((logits.argmax(1) == y).sum())
        loss += float(F.cross_entropy(logits, y, reduction="none").double().sum())
    return n_right / len(dataset.test_y), loss / len(dataset.test_y)
