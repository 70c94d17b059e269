"""A study: what a trial does, as a list of steps, each of which gives one row of its results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    # State of the units that an engine saves: batch norm's gains, shifts and moments, duty cycles of k-winners.
    # Empty: the initial state.
    units: Mapping[str, Any]


@dataclass(frozen=True)
class Occasion:
    """What a step that changes the network can make the new one of."""

    now: NetworkState
    # "early": as it was at the study's `rewind_step`; "trained": as the last step with `keep` tested it.
    kept: Mapping[str, NetworkState]
    noise: Callable[[int], list[Tensor]]  # a number -> what breaks ties, for each weight; another for each number
    drawn: Callable[[int], Parameters]  # a number -> weights and biases as at the beginning, but new ones


# The network that a step begins with, with fresh optimiser state.
Change = Callable[[Occasion], NetworkState]


# Of a row, beside what is measured; a tensor (trials,) where trials of a pack differ.
Columns = Mapping[str, float | str | Tensor]


@dataclass(frozen=True)
class Step:
    """One row: change the network, if `begin` is there; train an epoch, if `train`; test it."""

    columns: Columns = field(default_factory=dict)
    begin: Change | None = None
    train: bool = True
    keep: bool = False  # the network that this step tests is the `trained` one of later steps
    epoch: int | None = None  # the number of epochs that training goes on from; None: from that of the step before


@dataclass(frozen=True)
class Study:
    """What an engine and its trainer must know of a study."""

    steps: list[Step]
    rewind_step: int | None = None  # of the optimiser, from 0, before which the network is the `early` one; None: never
    shares_training: bool = False  # many trials begin with the same `epochs` of training
    relu_only: bool = False  # under k-winners pruned units, which give 0, would win and be trained again
    owns_masks: bool = False  # nothing else may change them


def training(n_epochs: int) -> list[Step]:
    """So many epochs, and nothing else."""
    return [Step()] * n_epochs
