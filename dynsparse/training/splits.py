"""The data of a pack: training, validation, test and noisy test examples, in the form that its engine needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from dynsparse.data import Dataset, Images, corrupted_images, epoch_order, load_dataset, overwrite_pixels_, split
from dynsparse.data.sources.changed_images import LEAST_WHITE
from dynsparse.engines.base import EngineData
from dynsparse.ops.losses import class_weights
from dynsparse.planning.plan import Plan
from dynsparse.training.metrics import RegressionScores, Scores, classification_scores


class TrialError(RuntimeError):
    """A trial that cannot continue. The message says why."""


@dataclass(frozen=True)
class Splits:
    """The examples of a pack. Trials with the same seed share their random choices.

    Attributes:
        train: all training examples, those held out included; `order` selects from them.
        test: the test examples.
        val: the examples held out for validation, or None.
        changed: the test examples with noise, for each name in the plan's `noise`, or with a corruption.
        scores: the metrics that the sums over a split give.
        n_train: the number of examples trained on in an epoch.
        n_batches: the number of steps in an epoch.
        class_weights: the factors of the loss of each class, (seeds or 1, classes); None: all classes count alike.
    """

    train: EngineData
    test: EngineData
    val: EngineData | None
    changed: dict[str, EngineData]
    scores: Scores
    n_train: int
    n_batches: int
    class_weights: Tensor | None
    _seeds: Sequence[int]  # of the trials; one entry if all are equal
    _train_index: dict[int, Tensor]  # seed -> the examples trained on
    _dataset: Dataset

    def order(self, epoch: int) -> Tensor:
        """Return the order in which an epoch visits the training examples. Shapes: (seeds or 1, examples)."""
        orders = {seed: index[epoch_order(self.n_train, seed, epoch)] for seed, index in self._train_index.items()}
        return torch.stack([orders[seed] for seed in self._seeds])

    def unshuffled(self) -> Tensor:
        """Return the training examples in ascending order. Shapes: (seeds or 1, examples)."""
        return torch.stack([self._train_index[seed] for seed in self._seeds])

    def first_examples(self, seed: int, n: int) -> tuple[Tensor, Tensor]:
        """Return the first n training examples of an order that no epoch has, on the CPU.

        Returns:
            Inputs, (examples, inputs), and labels, (examples, ...). There are fewer examples if the set is smaller.
        """
        index = self._train_index[seed][epoch_order(self.n_train, seed, epoch=0)[:n]]
        return self._dataset.train.select(index).normalise(), self._dataset.train_y[index]

    def training_inputs(self, seed: int) -> Tensor:
        """Return the inputs of all examples that the trials of a seed train on, on the CPU. Shapes: (examples, inputs).

        They are not augmented.
        """
        return self._dataset.train.select(self._train_index[seed]).normalise()

    def evaluated(self) -> dict[str, EngineData]:
        """Return the splits that each step evaluates. The test set is the validation set where none is held out."""
        clean = {"val": self.test} if self.val is None else {"val": self.val, "test": self.test}
        return {**clean, **self.changed}


def load_splits(plan: Plan, prepare: Callable[[Sequence[Images], Tensor], EngineData]) -> Splits:
    """Load the plan's data set, split it for each seed, and pass it to the engine.

    Args:
        plan: names the data set and says how it is split.
        prepare: converts images and labels for the engine.

    Raises: TrialError where the data set is too small for the plan; DataError if it is missing.
    """
    dataset = load_dataset(plan.dataset_name, plan.data_dir, plan.pixels, plan.own_data)
    if plan.augment is not None and dataset.train.pixels.dtype != np.uint8:
        raise TrialError(
            f"augment must be None for data that are not of type uint8, got {dataset.train.pixels.dtype} for "
            f"dataset_name={plan.dataset_name!r}. Leave augment out, or store the pixels as uint8."
        )
    # If all trials have one seed, the batch has one copy of each example and is expanded; else one per trial.
    seeds = plan.seeds[:1] if len(set(plan.seeds)) == 1 else plan.seeds
    indices = {seed: split(dataset, plan.val_fraction, seed) for seed in dict.fromkeys(seeds)}
    train_index = {seed: train for seed, (train, _) in indices.items()}
    n_train = len(train_index[seeds[0]])
    _check_sizes(plan, len(dataset.train_y), n_train)

    val = None
    if plan.val_fraction > 0:
        parts = {seed: dataset.train.select(held_out) for seed, (_, held_out) in indices.items()}
        labels = torch.stack([dataset.train_y[indices[seed][1]] for seed in seeds])
        val = prepare([parts[seed] for seed in seeds], labels)
    scores: Scores = classification_scores
    if plan.loss.is_regression:
        held_out = [indices[seed][1] for seed in seeds] if plan.val_fraction > 0 else []
        scores = regression_scores(dataset, [train_index[seed] for seed in seeds], held_out)
    noisy: dict[float, EngineData] = {}
    for level in set(plan.noise.values()):
        images = {seed: _add_noise(dataset.test, level, seed) for seed in indices}
        noisy[level] = prepare([images[seed] for seed in seeds], torch.stack([dataset.test_y] * len(seeds)))
    corrupted = {
        f"corrupted@{name}": prepare([_corrupt(plan, dataset, name)], dataset.test_y[None]) for name in plan.corruptions
    }
    return Splits(
        train=prepare([dataset.train], dataset.train_y[None]),
        test=prepare([dataset.test], dataset.test_y[None]),
        val=val,
        changed={**{name: noisy[level] for name, level in plan.noise.items()}, **corrupted},
        scores=scores,
        n_train=n_train,
        n_batches=-(-n_train // plan.batch_size),
        class_weights=_class_weights(plan, dataset, [train_index[seed] for seed in seeds]),
        _seeds=seeds,
        _train_index=train_index,
        _dataset=dataset,
    )


def _corrupt(plan: Plan, dataset: Dataset, corruption: str) -> Images:
    """Return the test images with a corruption. Raises: TrialError."""
    white = dataset.train.pixels.max()
    if dataset.train.pixels.dtype != np.uint8 or white < LEAST_WHITE:
        raise TrialError(
            f"test_corruptions must be empty for images whose white is not 255 in uint8, got {white} of type "
            f"{dataset.train.pixels.dtype} for dataset_name={plan.dataset_name!r}. Leave test_corruptions out."
        )
    assert plan.image_shape is not None
    images = dataset.test.pixels.reshape(-1, *plan.image_shape)
    return replace(dataset.test, pixels=corrupted_images(images, corruption).reshape(dataset.test.pixels.shape))


def _class_weights(plan: Plan, dataset: Dataset, train: Sequence[Tensor]) -> Tensor | None:
    """Return the factors of the loss of each class, for the examples that each seed trains on."""
    if plan.class_weights is None:
        return None
    return torch.stack(
        [class_weights(plan.class_weights, dataset.train_y[index], dataset.num_classes) for index in train]
    )


def _add_noise(images: Images, level: float, seed: int) -> Images:
    """Return a copy of images with noise."""
    x = images.normalise()
    overwrite_pixels_(x, level, seed)
    return Images(x.numpy())


def regression_scores(dataset: Dataset, train: Sequence[Tensor], val: Sequence[Tensor]) -> Scores:
    """Return the scores of a regression.

    Args:
        dataset: the data.
        train: the examples that each seed trains on.
        val: the examples that each seed holds out; empty if val_* is the test set.
    """
    test = _variances([dataset.test_y])
    variances = {"val": test, "test": test, "noise": test, "corrupted": test}
    for name, parts in {"train": train, "val": val}.items():
        if parts:
            variances[name] = _variances([dataset.train_y[index] for index in parts])
    return RegressionScores(variances, dataset.target_deviation[0] if dataset.num_classes == 1 else 1.0)


def _variances(parts: Sequence[Tensor]) -> Tensor:
    """Return the variance of standardized labels, (examples, numbers) for each part, over the examples of each part."""
    return torch.stack([each.double().var(0, correction=0).mean() for each in parts])


def _check_sizes(plan: Plan, n_examples: int, n_train: int) -> None:
    n_held_out = n_examples - n_train
    if n_train == 0 or (plan.val_fraction > 0 and n_held_out == 0):
        raise TrialError(
            f"val_fraction must leave examples for training and for validation, got {plan.val_fraction}, which leaves "
            f"{n_train} and {n_held_out} of {n_examples}. Change val_fraction."
        )
    if (n_train - 1) % plan.batch_size == 0 and plan.network.batch_norm:
        raise TrialError(
            f"batch_norm needs at least 2 examples in a batch, but the last of {n_train} examples is alone in its "
            f"batch with batch_size={plan.batch_size}. Change batch_size."
        )
    steps_per_epoch = -(-n_train // plan.batch_size)
    n_steps = steps_per_epoch * plan.epochs
    if plan.method.surplus is not None and plan.updates and not plan.updates.steps(steps_per_epoch).n_updates:
        raise TrialError(
            f"A method that prunes gradually must have a mask update, but none is due in the {n_steps} steps of the "
            f"training with pruning_interval_steps={plan.updates.interval}. Lower pruning_interval_steps, or raise "
            "epochs, pruning_end or pruning_end_step."
        )
    if (plan.study.rewind_step or 0) >= n_steps:
        raise TrialError(
            f"rewind_step must be below {n_steps}, the number of steps of the first training (epochs={plan.epochs} of "
            f"{n_steps // plan.epochs} steps), got {plan.study.rewind_step}. Lower rewind_step."
        )
