"""A study: the steps of a trial, each of which gives one row of results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor


class Parameters(NamedTuple):
    """The networks of a pack, one tensor per layer. Weights are 0 wherever the mask is False."""

    weights: list[Tensor]  # (trials, out, in)
    biases: list[Tensor]  # (trials, out)
    masks: list[Tensor]  # (trials, out, in), bool


class NetworkState(NamedTuple):
    """The networks of a pack: parameters and unit states, without the state of the optimizer."""

    parameters: Parameters
    # The state of the units as an engine saves it: gains, shifts and moments of batch norm, duty cycles of k-winners.
    # Empty: the initial state.
    units: Mapping[str, Any]


@dataclass(frozen=True)
class StepContext:
    """Networks and random numbers available to a step that changes the network."""

    now: NetworkState
    # "early": the network at the study's `rewind_step`; "trained": the one that the last step with `keep` evaluated.
    kept: Mapping[str, NetworkState]
    noise: Callable[[int], list[Tensor]]  # a number -> noise for each weight, to break ties; different for each number
    # Masks and a number -> newly drawn initial weights and biases for them; different for each number.
    draw: Callable[[Sequence[Tensor], int], Parameters]


# Returns the network that a step starts with. The optimizer state is reset.
Change = Callable[[StepContext], NetworkState]


# Columns of a row besides the metrics; a tensor (trials,) where the trials of a pack differ.
Columns = Mapping[str, float | str | Tensor]


@dataclass(frozen=True)
class Step:
    """One row: change the network if there is a `begin`, train an epoch if `train`, then evaluate."""

    columns: Columns = field(default_factory=dict)
    begin: Change | None = None
    train: bool = True
    keep: bool = False  # keep the network that this step evaluates as "trained", for later steps
    epoch: int | None = None  # `begin` goes back to "trained", after this epoch; None: it does not


@dataclass(frozen=True)
class Study:
    """Steps of a study, and what engine and trainer need to know about it."""

    steps: list[Step]
    rewind_step: int | None = None  # keep the network before this optimizer step, from 0, as "early"; None: do not
    shares_training: bool = False  # many trials start with the same `epochs` of training
    relu_only: bool = False  # with k-winners, pruned units could win with their output of 0 and be trained again
    owns_masks: bool = False  # nothing else may change the masks


def train_steps(n_epochs: int) -> list[Step]:
    """Return the steps of an ordinary training: one for each epoch."""
    return [Step()] * n_epochs
