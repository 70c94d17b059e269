"""Choose the examples that are held out: at random, or with the same share of each class."""

from __future__ import annotations

import torch
from torch import Tensor

from dynsparse.random import Stream, permutation


def at_random(y: Tensor, n_held_out: int, stream: Stream) -> Tensor:
    """Return which examples are held out, drawn at random. Shapes: y (examples,), the result the same, bool."""
    held_out = torch.zeros(len(y), dtype=torch.bool)
    held_out[permutation(len(y), stream)[:n_held_out]] = True
    return held_out


def stratified(y: Tensor, n_held_out: int, stream: Stream) -> Tensor:
    """Return which examples are held out, so that the number of each class is its share, rounded up or down.

    Shapes: y (examples,), int64; the result the same, bool.
    """
    # Evenly spaced places in the list of examples sorted by class; within a class the order is random.
    place = torch.arange(len(y))
    is_chosen = (place + 1) * n_held_out // max(len(y), 1) > place * n_held_out // max(len(y), 1)
    held_out = torch.zeros(len(y), dtype=torch.bool)
    held_out[_by_class(y, stream)] = is_chosen
    return held_out


def folds(y: Tensor, n_folds: int, stream: Stream) -> Tensor:
    """Return the fold of each example. Folds differ by at most one example of a class, and one in all.

    Shapes: y (examples,), int64; the result the same, in [0, n_folds).
    """
    fold = torch.empty(len(y), dtype=torch.int64)
    fold[_by_class(y, stream)] = torch.arange(len(y)) % n_folds
    return fold


def _by_class(y: Tensor, stream: Stream) -> Tensor:
    """Return the indices of the examples sorted by class, in random order within a class."""
    shuffled = permutation(len(y), stream)
    return shuffled[y[shuffled].sort(stable=True).indices]
