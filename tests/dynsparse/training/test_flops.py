"""Counts of floating-point operations: against the formulas of the RigL paper, and against torch's own counter."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dynsparse.config import Config
from dynsparse.training.trainer import Row, Trainer

pytestmark = pytest.mark.usefixtures("one_thread", "blobs")

# The data set "blobs" has 160 training images of 32 pixels in 5 classes: an epoch has 5 steps of 32 examples.
BASE = {"dataset_name": "blobs", "hidden_sizes": [24, 16], "batch_size": 32, "epochs": 8, "on_perc": 0.25}
F_D = 2 * (32 * 24 + 24 * 16 + 16 * 5)
F_S = F_D / 4


def train(*trials: dict[str, Any], **values: Any) -> list[list[Row]]:
    """The rows of each trial."""
    trainer = Trainer([Config.of({**BASE, **values, **trial}) for trial in trials or ({},)])
    steps = []
    while not trainer.is_done:
        steps.append([row for row in trainer.step() if row is not None])
    return [list(rows) for rows in zip(*steps, strict=True)]


def training(rows: list[Row]) -> list[float]:
    return [float(row["flops_train"]) for row in rows]


def dense_network(x: torch.Tensor) -> torch.Tensor:
    layers = [nn.Linear(32, 24), nn.ReLU(), nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 5)]
    return nn.Sequential(*layers)(x)


def test_a_dense_network_needs_what_torch_counts() -> None:
    [rows] = train(model="Dense")
    x, y = torch.randn(32, 32, requires_grad=True), torch.arange(32) % 5
    with FlopCounterMode(display=False) as inference:
        logits = dense_network(x)
    with FlopCounterMode(display=False) as step:
        F.cross_entropy(dense_network(x), y).backward()
    assert {row["flops_inference"] for row in rows} == {inference.get_total_flops() / 32} == {F_D}
    assert set(training(rows)) == {step.get_total_flops() / 32} == {3 * F_D}
    assert logits.shape == (32, 5)
    assert {(row["flops_inference_ratio"], row["flops_train_ratio"]) for row in rows} == {(1.0, 1.0)}


def test_a_static_network_needs_the_share_of_its_density() -> None:
    [rows] = train(model="SparseModel")
    assert {(row["flops_inference"], row["flops_train"]) for row in rows} == {(F_S, 3 * F_S)}
    assert {(row["flops_inference_ratio"], row["flops_train_ratio"]) for row in rows} == {(0.25, 0.25)}


def test_rigl_needs_a_dense_gradient_at_each_update() -> None:
    # The paper, for an update every dT + 1 steps: (3 f_S dT + 2 f_S + f_D) / (dT + 1). The last epoch has no update.
    paper = (3 * F_S * 4 + 2 * F_S + F_D) / 5
    [rows] = train(model="RigL")
    assert training(rows) == pytest.approx([paper] * 7 + [(7 * paper + 3 * F_S) / 8], rel=1e-12)
    assert {row["flops_inference"] for row in rows} == {F_S}
    # An update every two epochs: 9 steps and one with a dense gradient.
    paper = (3 * F_S * 9 + 2 * F_S + F_D) / 10
    [rows] = train(model="RigL", pruning_interval=2)
    assert training(rows)[0] == 3 * F_S
    assert training(rows)[1::2] == pytest.approx([paper] * 3 + [(3 * paper + 3 * F_S) / 4], rel=1e-12)


def test_each_update_between_two_steps_of_an_epoch_counts() -> None:
    # After every second of the 5 steps of an epoch: 2, 4, ...; after 10 steps, 5 periods of the paper's dT + 1 = 2.
    [rows] = train(model="RigL", pruning_interval_steps=2)
    assert training(rows)[1] == pytest.approx((3 * F_S + 2 * F_S + F_D) / 2, rel=1e-12)


def test_the_dense_gradient_is_that_of_the_last_batch_which_may_be_shorter() -> None:
    # Batches of 50, 50, 50 and 10 examples.
    [rows] = train(model="RigL", batch_size=50)
    assert training(rows)[0] == pytest.approx((150 * 3 * F_S + 10 * (2 * F_S + F_D)) / 160, rel=1e-12)


def test_snfs_needs_dense_gradients_until_its_last_update() -> None:
    [rows] = train(model="SNFS")
    assert training(rows)[:7] == pytest.approx([2 * F_S + F_D] * 7, rel=1e-12)
    assert training(rows)[7] == pytest.approx((7 * (2 * F_S + F_D) + 3 * F_S) / 8, rel=1e-12)
    [rows] = train(model="SNFS", pruning_interval=3, pruning_end=0.5)
    assert training(rows)[2:4] == pytest.approx([2 * F_S + F_D, (3 * (2 * F_S + F_D) + 3 * F_S) / 4], rel=1e-12)


@pytest.mark.parametrize(
    "values", [{"model": "SET"}, {"model": "DSNNHeb"}, {"model": "MEST"}, {"model": "RigL", "pruning_active": False}]
)
def test_other_updates_need_no_gradient_of_inactive_positions(values: dict[str, Any]) -> None:
    [rows] = train(**values)
    assert set(training(rows)) == {3 * F_S}


def test_momentum_of_inactive_weights_under_the_2019_rules_needs_dense_gradients() -> None:
    [rows] = train(rules="legacy_2019", hebbian_prune_perc=None, hebbian_grow=False, epochs=2)
    assert training(rows)[0] == 2 * rows[0]["flops_inference"] + F_D


def test_the_density_of_gmp_falls_and_the_mean_over_the_training_with_it() -> None:
    [rows] = train(model="GMP", pruning_interval=2)
    inference = [float(row["flops_inference"]) for row in rows]
    # The density falls after epochs 2, 4 and 6.
    assert inference[0] == inference[1] == F_D > inference[2] == inference[3] > inference[4] > inference[6] == F_S
    assert training(rows) == pytest.approx([3 * sum(inference[:n]) / n for n in range(1, 9)], rel=1e-12)


def test_granet_needs_a_dense_gradient_at_each_update_of_a_falling_density() -> None:
    [rows] = train(model="GraNet", pruning_interval=2, initial_density=0.5)
    inference = [float(row["flops_inference"]) for row in rows]
    assert inference[0] == inference[1] == F_D / 2 > inference[2] > inference[4] > inference[6] == F_S
    # Of the 5 steps of epochs 2, 4 and 6, the last one.
    dense = [(F_D - each) / 5 * (epoch in (2, 4, 6)) for epoch, each in enumerate(inference, start=1)]
    steps = [3 * each + more for each, more in zip(inference, dense, strict=True)]
    assert training(rows) == pytest.approx([sum(steps[:n]) / n for n in range(1, 9)], rel=1e-12)


def test_updates_that_have_ended_early_need_nothing_more() -> None:
    # Survival is known after the second update, and low whatever it is.
    stopped = {"pruning_es": True, "pruning_es_threshold": 1.0, "pruning_es_window_size": 1}
    for model, extra_examples in [("RigL", 2 * 32), ("SNFS", 2 * 160)]:
        [rows] = train(model=model, **stopped, weight_prune_perc=0.5)
        assert training(rows)[-1] == pytest.approx(3 * F_S + (F_D - F_S) * extra_examples / (8 * 160), rel=1e-12)


def test_trials_of_a_pack_have_the_counts_that_they_have_alone() -> None:
    trials = [{"on_perc": 0.25, "seed": 1}, {"on_perc": 0.5, "seed": 2}]
    together = train(*trials, model="RigL", layer_densities="erdos_renyi")
    for trial, rows in zip(trials, together, strict=True):
        [alone] = train(trial, model="RigL", layer_densities="erdos_renyi")
        assert training(alone) == training(rows)
    assert training(together[0]) != training(together[1])


def test_a_ticket_counts_all_rounds() -> None:
    [rows] = train(study="ticket", model="Dense", prune_iter=1, prune_ratio=0.5, epochs=2)
    dense, pruned = (float(rows[i]["flops_inference"]) for i in (0, 2))
    assert training(rows) == pytest.approx([3 * dense, 3 * dense, 2 * dense + pruned, 1.5 * (dense + pruned)])


@pytest.mark.parametrize("iterative", [False, True])
def test_a_sweep_counts_the_training_of_the_network_that_is_tested(iterative: bool) -> None:
    values = {"study": "sweep", "model": "Dense", "prune_kinds": ["weight"], "sparsities": [0.5, 0.75], "epochs": 2}
    [rows] = train(**values, retrain_epochs=1, prune_iteratively=iterative)
    half, quarter = (float(rows[i]["flops_inference"]) for i in (2, 4))
    assert [row.get("sparsity") for row in rows] == [None, None, 0.5, 0.5, 0.75, 0.75]
    # The row after a pruning has the training before it.
    after_half = (2 * 3 * F_D + 3 * half) / 3
    if iterative:
        last = [after_half, (2 * 3 * F_D + 3 * half + 3 * quarter) / 4]
    else:
        last = [3 * F_D, (2 * 3 * F_D + 3 * quarter) / 3]
    assert training(rows) == pytest.approx([3 * F_D] * 3 + [after_half, *last])
    assert {row["explored"] for row in rows} == {1.0}
