"""Evaluation of a network on its test set, if the data set is on this machine."""

from __future__ import annotations

from contextlib import suppress

import torch
from torch import nn

from dynsparse.config import Config
from dynsparse.data import DATASETS, Dataset, is_own, load_data, load_dataset
from dynsparse.data.download import DataError, resolve_data_dir
from dynsparse.data.own import is_file
from dynsparse.engines.base import Sums
from dynsparse.ops.losses import LOSSES
from dynsparse.training.metrics import classification_scores
from dynsparse.training.splits import regression_scores

# Convolutions need much memory for each example.
BATCH = 250


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
        if DATASETS[config.dataset_name].is_in(resolve_data_dir(data_dir)):
            with suppress(DataError):
                return load_dataset(config.dataset_name, data_dir, config.pixels)
    return None


@torch.inference_mode()
def evaluate(model: nn.Module, dataset: Dataset, input_shape: tuple[int, ...]) -> dict[str, float]:
    """Return accuracy and mean loss on the test set; in a regression, the scores that a trial logs.

    The names are those of the trial's columns, without `test_`.
    """
    y = dataset.test_y
    outputs = torch.cat([model(x.view(-1, *input_shape)) for x in dataset.test_x.split(BATCH)])
    is_regression = bool(dataset.target_deviation)
    loss = LOSSES["mse" if is_regression else "cross_entropy"]
    sums = Sums(loss.of_examples(outputs[None], y[None]).double().sum(1), loss.correct(outputs[None], y[None]).sum(1))
    scores = regression_scores(dataset, [], []) if is_regression else classification_scores
    return {name.removeprefix("test_"): float(value) for name, value in scores("test", sums, len(y)).items()}
