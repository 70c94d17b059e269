"""The Trainer: what its numbers mean, when masks change, and that save, load and continue equals continuing."""

from __future__ import annotations

import io
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dynsparse.config import Config
from dynsparse.data import load_dataset, noise_images, split
from dynsparse.methods import METHODS
from dynsparse.training.trainer import Row, Trainer, TrialError

N_TRAIN, N_TEST = 160, 64
BASE = {"dataset_name": "blobs", "hidden_sizes": [24, 16], "batch_size": 32, "epochs": 8, "on_perc": 0.3}
OF_A_LAYER = [
    "linear_{}_mean", "linear_{}_std", "density_l{}", "sparse_level_l{}", "weight_keep_mask_l{}", "missing_weights_l{}",
    "added_synapses_l{}", "mask_sizes_l{}", "surviving_synapses_l{}",
]  # fmt: skip
OF_THE_MASKS = [
    "flops_inference", "flops_inference_ratio", "flops_train", "flops_train_ratio", "explored", "is_connected",
    "cut_off_outputs",
]  # fmt: skip


pytestmark = pytest.mark.usefixtures("one_thread", "blobs")


def trainer(*trials: dict[str, Any], **values: Any) -> Trainer:
    return Trainer([Config.of({**BASE, **values, **trial}) for trial in trials or ({},)])


def only(rows: list[Row | None]) -> Row:
    (row,) = rows
    assert row is not None
    return row


def changes(trainer: Trainer, n_epochs: int) -> list[int]:
    """The epochs, from 1, after which the masks are others than before."""
    changed = []
    for epoch in range(1, n_epochs + 1):
        before = [mask.clone() for mask in trainer.engine.masks]
        trainer.step()
        if not all(torch.equal(a, b) for a, b in zip(before, trainer.engine.masks, strict=True)):
            changed.append(epoch)
    return changed


# Repetition


def test_the_same_configuration_gives_the_same_numbers_and_another_seed_others() -> None:
    values = {"kwinners": True, "batch_norm": True, "dropout": 0.2}
    runs = [trainer(seed=seed, **values) for seed in (3, 3, 4)]
    rows = [repr([each.step() for _ in range(3)]) for each in runs]
    assert rows[0] == rows[1] != rows[2]


@pytest.mark.parametrize(
    "values",
    [
        *({"model": model, "kwinners": True, "batch_norm": True, "dropout": 0.2} for model in METHODS),
        {"optim_alg": "Adam", "learning_rate": 0.01},
        {"model": "SET", "pruning_es": True, "pruning_es_threshold": 1.0, "pruning_es_window_size": 3},
        {"model": "SNFS", "prune_decay": "cosine", "val_fraction": 0.25},
        {"rules": "legacy_2019", "hebbian_prune_perc": 0.5},
        {"rules": "legacy_2019", "hebbian_prune_perc": 0.0, "hebbian_grow": False, "on_perc": 0.05},
    ],
    ids=lambda values: " ".join(map(str, values.values())),
)
def test_save_load_and_continue_equals_continuing_bit_for_bit(values: dict[str, Any]) -> None:
    trials = [{"seed": 1, "momentum": 0.9}, {"seed": 2, "momentum": 0.5}]
    undisturbed, interrupted = trainer(*trials, **values), trainer(*trials, **values)
    for _ in range(4):
        undisturbed.step()
        interrupted.step()
    file = io.BytesIO()
    torch.save(interrupted.state_dict(), file)
    file.seek(0)
    resumed = trainer(*trials, **values)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for _ in range(4):
        # NaN is equal to nothing; its text is.
        assert repr(resumed.step()) == repr(undisturbed.step())
    assert resumed.epoch == 8
    assert resumed.errors == undisturbed.errors
    ours, theirs = resumed.engine.state_dict(), undisturbed.engine.state_dict()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)


def test_a_trial_that_has_ended_stays_ended_after_loading() -> None:
    ended = trainer({"seed": 1}, {"seed": 2}, rules="legacy_2019", learning_rate=0.0)
    ended.engine.weights[2][1].abs_().neg_()
    first = ended.step()
    assert [row is None for row in first] == [False, True]
    resumed = trainer({"seed": 1}, {"seed": 2}, rules="legacy_2019", learning_rate=0.0)
    resumed.load_state_dict(ended.state_dict())
    assert [row is None for row in resumed.step()] == [False, True]
    assert resumed.errors == ended.errors


@pytest.mark.parametrize("model", METHODS)
@pytest.mark.parametrize("kwinners", [False, True])
def test_the_loss_falls(model: str, kwinners: bool) -> None:
    each = trainer(model=model, kwinners=kwinners, on_perc=0.5, epochs=24, pruning_interval=3, pruning_end=0.7)
    rows = [only(each.step()) for _ in range(24)]
    assert rows[-1]["train_loss"] < 0.2 * rows[0]["train_loss"]
    assert rows[-1]["val_loss"] < 0.4 * rows[0]["val_loss"]
    assert rows[-1]["val_acc"] > 0.85


# What is in a row


def test_the_names_of_the_numbers() -> None:
    layers = [name.format(layer) for name in OF_A_LAYER for layer in range(3)]
    accuracies = ["train_loss", "train_acc", "val_loss", "val_acc", "val_ece"]
    layers += ["dead_units_l0", "dead_units_l1"]
    whole = ["density", *OF_THE_MASKS, "surviving_synapses", "surviving_synapses_avg"]
    assert set(only(trainer().step())) == {*accuracies, "noise_loss", "noise_acc", *whole, *layers}

    held_out = only(trainer(val_fraction=0.2, test_noise=False, debug_sparse=False).step())
    linear = [name for name in layers if name.startswith("linear")]
    assert set(held_out) == {*accuracies, "test_loss", "test_acc", "test_ece", "density", *OF_THE_MASKS, *linear}
    bare = only(trainer(debug_weights=False, debug_sparse=False, test_noise=False).step())
    assert set(bare) == {*accuracies, "density", *OF_THE_MASKS}


def test_numbers_of_an_epoch_are_those_before_its_mask_update_and_those_of_the_update() -> None:
    each = trainer(model="SET", weight_prune_perc=0.4, noise_level=0.3, seed=5)
    blobs = load_dataset("blobs")
    noisy = noise_images(blobs.test_x, 0.3, seed=5)
    before: list[tuple[Tensor, Tensor, Tensor]] = []
    update_masks = each.engine.update_masks

    def watched(*args: Any) -> Any:
        before[:] = [
            (weight[0].clone(), bias[0].clone(), mask[0].clone())
            for weight, bias, mask in zip(each.engine.weights, each.engine.biases, each.engine.masks, strict=True)
        ]
        return update_masks(*args)

    each.engine.update_masks = watched  # type: ignore[method-assign]
    grown: list[Tensor] = []
    for epoch in range(4):
        row = only(each.step())
        for name, x in [("val", blobs.test_x), ("noise", noisy)]:
            logits = x
            for layer, (weight, bias, _) in enumerate(before):
                logits = F.linear(logits.relu() if layer else logits, weight, bias)
            assert row[f"{name}_loss"] == pytest.approx(F.cross_entropy(logits, blobs.test_y).item(), rel=1e-5)
            assert row[f"{name}_acc"] == (logits.argmax(1) == blobs.test_y).double().mean().item()

        n_active, n_grown, n_alive, survival = 0, 0, 0, []
        for i, (weight, _, mask) in enumerate(before):
            after, n = each.engine.masks[i][0], mask.numel()
            assert row[f"linear_{i}_mean"] == pytest.approx(weight.double().mean().item())
            assert row[f"linear_{i}_std"] == pytest.approx(weight.double().std().item())
            assert row[f"density_l{i}"] == mask.sum().item() / n
            assert row[f"sparse_level_l{i}"] == (weight != 0).sum().item() / n
            # Of the update: what it kept, what was then missing, what it grew, and what there is in the end.
            kept, new = mask & after, after & ~mask
            assert 0 < kept.sum() < mask.sum() == after.sum()
            assert row[f"weight_keep_mask_l{i}"] == kept.sum().item() / n
            assert row[f"missing_weights_l{i}"] == (mask.sum() - kept.sum()).item() / n
            assert row[f"added_synapses_l{i}"] == new.sum().item() / n
            assert row[f"mask_sizes_l{i}"] == after.sum().item()
            assert isinstance(row[f"mask_sizes_l{i}"], int)
            n_active += int(mask.sum())
            if epoch > 0:
                alive = int((grown[i] & after).sum())
                survival.append(alive / int(grown[i].sum()))
                n_grown, n_alive = n_grown + int(grown[i].sum()), n_alive + alive
                assert row[f"surviving_synapses_l{i}"] == survival[i]
            else:
                assert math.isnan(row[f"surviving_synapses_l{i}"])
        assert row["density"] == n_active / sum(mask.numel() for _, _, mask in before)
        if epoch > 0:
            assert row["surviving_synapses_avg"] == pytest.approx((survival[0] + survival[1]) / 2)
            assert row["surviving_synapses"] == n_alive / n_grown
            assert 0 < n_alive < n_grown
        grown = [after[0] & ~mask for after, (_, _, mask) in zip(each.engine.masks, before, strict=True)]


def test_an_active_weight_that_is_zero_counts_as_active() -> None:
    each = trainer(model="SparseModel", learning_rate=0.0, engine="torch")
    row = only(each.step())
    assert row["sparse_level_l0"] == row["density_l0"]
    each.engine.weights[0].zero_()
    row = only(each.step())
    assert (row["sparse_level_l0"], row["density_l0"]) == (0, round(0.3 * 32 * 24) / (32 * 24))


# The examples


def test_every_example_is_trained_on_once_an_epoch_in_another_order_each_time() -> None:
    each, x, orders = trainer({"seed": 1}, {"seed": 2}, engine="torch"), load_dataset("blobs").train_x, []
    train_batch, batches = each.engine.train_batch, []

    def watched(x: Tensor, y: Tensor, *, epoch: int, rate: Tensor) -> Any:
        batches.append(x)
        return train_batch(x, y, epoch=epoch, rate=rate)

    each.engine.train_batch = watched  # type: ignore[method-assign]
    for _ in range(2):
        batches.clear()
        each.step()
        assert [len(batch[0]) for batch in batches] == [32] * 5
        seen = torch.cat(batches, dim=1)
        orders += [[int((x == image).all(1).nonzero()) for image in trial] for trial in seen]
    assert all(sorted(order) == list(range(N_TRAIN)) for order in orders)
    assert len(set(map(tuple, orders))) == 4, "by epoch and by seed"


def test_a_held_out_part_is_not_trained_on_but_validated_on_and_the_test_set_is_reported_beside() -> None:
    # Without learning the network is the same for all batches, the last of which is shorter.
    values = {"learning_rate": 0.0, "weight_decay": 0.0, "val_fraction": 0.25, "model": "SparseModel"}
    each, blobs = trainer({"seed": 1}, {"seed": 2}, **values, engine="torch"), load_dataset("blobs")
    rows = each.step()
    for trial, row in enumerate(rows):
        assert row is not None
        train, held_out = split(blobs, 0.25, seed=trial + 1)
        assert (len(train), len(held_out)) == (120, 40)
        parts = {
            "train": (blobs.train_x[train], blobs.train_y[train]),
            "val": (blobs.train_x[held_out], blobs.train_y[held_out]),
            "test": (blobs.test_x, blobs.test_y),
        }
        for name, (x, y) in parts.items():
            logits, _ = each.engine.forward(x.expand(2, -1, -1), epoch=1, training=False)
            assert row[f"{name}_loss"] == pytest.approx(F.cross_entropy(logits[trial], y).item(), rel=1e-5)
            assert row[f"{name}_acc"] == (logits[trial].argmax(1) == y).double().mean().item()


@pytest.mark.parametrize("batch_size", [1, 3, 53, 159])
def test_batch_norm_of_a_last_batch_of_one_example_is_refused(batch_size: int) -> None:
    trainer(batch_size=batch_size)
    with pytest.raises(TrialError, match="batch_norm needs at least 2 examples in a batch, but the last of 160"):
        trainer(batch_size=batch_size, batch_norm=True)


# Mask updates


def test_masks_change_when_the_configuration_says_so() -> None:
    assert changes(trainer(model="SET"), 8) == [1, 2, 3, 4, 5, 6, 7]
    assert changes(trainer(model="SET", pruning_interval=3), 8) == [3, 6]
    assert changes(trainer(model="SET", pruning_end=0.5), 8) == [1, 2, 3, 4]
    assert changes(trainer(model="SET", pruning_active=False), 8) == []
    assert changes(trainer(model="SparseModel"), 8) == []
    assert changes(trainer(rules="legacy_2019", hebbian_prune_perc=None, epochs=3), 3) == [1, 2, 3]


def test_prune_decay_is_what_the_drop_fraction_is_multiplied_by() -> None:
    each = trainer(model="RigL", prune_decay="cosine", weight_prune_perc=0.5, pruning_end=0.5)
    n, active = 32 * 24, round(0.3 * 32 * 24)
    for update in (1, 2, 3, 4):
        wanted = 0.5 * (1 + math.cos(math.pi * update / 5)) / 2
        assert only(each.step())["added_synapses_l0"] == round(wanted * active) / n


@pytest.mark.parametrize("interval", [1, 2, 3])
@pytest.mark.parametrize("epochs", [2, 4, 7])
def test_no_update_of_a_cosine_decay_drops_nothing(epochs: int, interval: int) -> None:
    due = [epoch for epoch in range(1, epochs) if epoch % interval == 0]
    values = {"epochs": epochs, "pruning_interval": interval, "weight_prune_perc": 0.3}
    assert changes(trainer(model="RigL", prune_decay="cosine", **values), epochs) == due
    # In version 0.1 the last one did.
    assert changes(trainer(model="RigL", prune_decay="cosine_0.1", **values), epochs) == due[:-1]


def test_srigl_keeps_the_number_of_weights_and_shares_it_among_the_units_that_are_left() -> None:
    each = trainer(model="SRigL", on_perc=0.3, weight_prune_perc=0.5, salient_share=0.9, epochs=12)
    before = [mask.sum() for mask in each.engine.masks]
    n_ablated = 0
    for _ in range(12):
        each.step()
        for layer, (mask, n) in enumerate(zip(each.engine.masks, before, strict=True)):
            fan_in = mask[0].sum(-1)
            left = fan_in[fan_in > 0]
            assert mask.sum() == n
            assert left.max() - left.min() <= 1
            n_ablated += len(fan_in) - len(left)
            assert len(left) == len(fan_in) or layer < 2
    assert n_ablated > 0


def test_granet_replaces_weights_while_its_density_falls_from_the_initial_one() -> None:
    # Updates after epochs 2, 4 and 6 of 8: progress 1/3, 2/3 and 1.
    each = trainer(model="GraNet", on_perc=0.1, initial_density=0.4, weight_prune_perc=0.25, pruning_interval=2)
    sizes = [32 * 24, 24 * 16, 16 * 5]
    rows = [only(each.step()) for _ in range(8)]
    for layer, n in enumerate(sizes):
        first, final = round(0.4 * n), round(0.1 * n)
        left = [final + round((1 - progress) ** 3 * (first - final)) for progress in (0, 1 / 3, 2 / 3, 1)]
        assert [row[f"density_l{layer}"] * n for row in rows] == pytest.approx([left[i // 2] for i in range(8)])
        grown = [row[f"added_synapses_l{layer}"] * n for row in rows]
        assert grown == pytest.approx([0, *(value for i in (1, 2, 3) for value in (round(left[i] / 4), 0)), 0])


def test_the_density_of_gmp_falls_on_its_cubic_schedule_and_is_on_perc_before_the_last_epoch() -> None:
    # Updates after epochs 2, 4 and 6 of 8: progress 1/3, 2/3 and 1.
    each = trainer(model="GMP", on_perc=0.1, pruning_interval=2)
    sizes = [32 * 24, 24 * 16, 16 * 5]
    rows = [only(each.step()) for _ in range(8)]
    for layer, n in enumerate(sizes):
        final = round(0.1 * n)
        left = [final + round((1 - progress) ** 3 * (n - final)) for progress in (0, 1 / 3, 2 / 3, 1)]
        assert left[0] == n
        assert [row[f"density_l{layer}"] * n for row in rows] == pytest.approx([left[i // 2] for i in range(8)])
        assert [row[f"mask_sizes_l{layer}"] for row in rows] == [left[(i + 1) // 2] for i in range(7)] + [final]
    assert rows[-1]["density"] == sum(round(0.1 * n) for n in sizes) / sum(sizes)
    assert rows[-1]["weight_keep_mask_l0"] == rows[-1]["density_l0"]
