"""The metrics of a step, as columns: name -> one number per trial, (trials,); and the rows made of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from dynsparse.engines.base import Evaluation, Sums, WeightSums
from dynsparse.methods import MaskUpdate
from dynsparse.ops import masks
from dynsparse.training.survival import Survivors

Row = dict[str, float | str]
Metrics = dict[str, Tensor]


class Scores(Protocol):
    """What the sums over a split say about the networks."""

    def __call__(self, split: str, sums: Sums | Evaluation, n: int) -> Metrics:
        """Return the metrics of the `n` examples of a split; of "noise@0.3" as noise_loss@0.3."""


def classification_scores(split: str, sums: Sums | Evaluation, n: int) -> Metrics:
    """Return the mean loss and the accuracy, and for val and test the expected calibration error: see `Scores`."""
    name, at, level = split.partition("@")
    scores = {f"{name}_loss{at}{level}": sums.loss / n, f"{name}_acc{at}{level}": sums.correct.double() / n}
    if isinstance(sums, Evaluation) and split in ("val", "test"):
        scores[f"{name}_ece"] = calibration_error(sums, n)
    return scores


class RegressionScores(NamedTuple):
    """Mean squared error, its root in the unit of the labels, and the coefficient of determination: see `Scores`.

    Attributes:
        variances: for each split, the variance of its standardized labels, their mean over several numbers to predict.
            Shapes: (trials or 1,), float64.
        unit: the standard deviation of the labels of the training part; 1 for several numbers to predict.
    """

    variances: Mapping[str, Tensor]
    unit: float

    def __call__(self, split: str, sums: Sums | Evaluation, n: int) -> Metrics:
        """Return loss, rmse and r2 = 1 - loss / variance of the labels."""
        name, at, level = split.partition("@")
        loss = sums.loss / n
        r2 = 1 - loss / self.variances[name].to(loss)
        scores = {"loss": loss, "rmse": loss.sqrt() * self.unit, "r2": r2}
        return {f"{name}_{score}{at}{level}": value for score, value in scores.items()}


def calibration_error(evaluation: Evaluation, n: int) -> Tensor:
    """Return the expected calibration error over `n` examples, in [0, 1]. Shapes: (trials,)."""
    return evaluation.calibration.abs().sum(1) / n


def dead_units(evaluation: Evaluation) -> Metrics:
    """Return for each hidden layer the share of its units that are not positive for any example."""
    return {f"dead_units_l{i}": (~active).double().mean(1) for i, active in enumerate(evaluation.active)}


def connections(active: Sequence[Tensor]) -> Metrics:
    """Return whether paths of active weights lead from the inputs to the outputs.

    `is_connected` is True if there is any such path; `cut_off_outputs` is the share of the outputs without one.

    Shapes: active (trials, out, in), bool, for each layer.
    """
    reached = torch.ones_like(active[0][:, 0])
    for mask in active:
        reached = (mask & reached[:, None]).any(-1)
    return {"is_connected": reached.any(-1), "cut_off_outputs": (~reached).double().mean(-1)}


def weight_metrics(
    sums: Sequence[WeightSums], active: Sequence[Tensor], *, debug_weights: bool, debug_sparse: bool
) -> Metrics:
    """Return the density of the networks; on request also metrics of each layer.

    Args:
        sums: of each layer's weights; may be empty if neither is requested.
        active: the mask of each layer, (trials, out, in).
        debug_weights: add mean and standard deviation of the weights, inactive ones included.
        debug_sparse: add the share of active and of non-zero weights.
    """
    n_active = [masks.count(mask) for mask in active]
    columns = {"density": torch.stack(n_active).sum(0).double() / sum(mask[0].numel() for mask in active)}
    for i, of_layer in enumerate(sums):
        n = active[i][0].numel()
        if debug_weights:
            mean = of_layer.total / n
            columns[f"linear_{i}_mean"] = mean
            # The deviation of a single weight is NaN.
            variance = (of_layer.squares - n * mean.square()).clamp_min(0) / (n - 1 if n > 1 else math.nan)
            columns[f"linear_{i}_std"] = variance.sqrt()
        if debug_sparse:
            columns[f"density_l{i}"] = masks.density(active[i])
            columns[f"sparse_level_l{i}"] = of_layer.n_nonzero / n
    return columns


def mask_update_metrics(
    active: Sequence[Tensor], updates: Sequence[MaskUpdate] | None, survivors: Survivors
) -> Metrics:
    """Return the metrics of a mask update, as fractions of all positions.

    Args:
        active: the mask of each layer after the update, (trials, out, in).
        updates: the update of each layer; None after an epoch without one, which keeps and adds nothing new.
        survivors: NaN where nothing had grown before.
    """
    columns: Metrics = {}
    for i, mask in enumerate(active):
        update = updates[i] if updates else None
        nothing = torch.zeros(mask.shape[0], dtype=torch.float64, device=mask.device)
        columns[f"weight_keep_mask_l{i}"] = masks.density(update.kept if update else mask)
        missing = (update.target - masks.count(update.kept)).clamp_min(0) if update else nothing
        columns[f"missing_weights_l{i}"] = missing.double() / mask[0].numel()
        columns[f"added_synapses_l{i}"] = masks.density(update.grown) if update else nothing
        columns[f"mask_sizes_l{i}"] = masks.count(mask)
        columns[f"surviving_synapses_l{i}"] = survivors.layers[i]
    columns["surviving_synapses_avg"] = survivors.average
    columns["surviving_synapses"] = survivors.overall
    return columns


def combine_mask_updates(updates: Sequence[Metrics]) -> Metrics:
    """Return the metrics of an epoch with several mask updates, from those of each update in order.

    `added_synapses` and `missing_weights` are sums over the updates, `weight_keep_mask` is the smallest share that an
    update kept, survival is the mean over the updates that followed grown weights, and `mask_sizes` is that after the
    last update.
    """
    last = updates[-1]
    return {name: _combine(name, [each[name] for each in updates]) for name in last}


def _combine(name: str, values: Sequence[Tensor]) -> Tensor:
    if name.startswith("mask_sizes"):
        return values[-1]
    if name.startswith("weight_keep_mask"):
        return torch.stack(list(values)).amin(0)
    # Added one by one: trials whose updates have ended have more terms in a pack than alone, all of them zero or NaN.
    if name.startswith("surviving_synapses"):
        return _add([each.nan_to_num(0) for each in values]) / _add([(~each.isnan()).double() for each in values])
    return _add(values)


def _add(values: Sequence[Tensor]) -> Tensor:
    return reduce(torch.add, values)


def to_rows(columns: dict[str, Tensor], failed: Tensor) -> tuple[list[Row], list[bool]]:
    """Return one row per trial, and for each trial whether it has failed.

    Everything is copied from the device in one transfer, for which the CPU waits.

    Args:
        columns: on any device; each (trials,) or a scalar.
        failed: (trials,) bool, on the device from which all is copied.
    """
    all_columns = [each.to(failed.device, torch.float64).expand(len(failed)) for each in (*columns.values(), failed)]
    table = torch.stack(all_columns, dim=1).tolist()
    counts = [name for name in columns if name.startswith("mask_sizes")]
    rows: list[Row] = []
    for numbers in table:
        row: Row = dict(zip(columns, numbers[:-1], strict=True))
        row.update({name: int(row[name]) for name in counts})
        rows.append(row)
    return rows, [bool(numbers[-1]) for numbers in table]
