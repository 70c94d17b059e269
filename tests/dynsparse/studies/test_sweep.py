"""The sweep: what is pruned, what is then measured, and how it is retrained, held against numpy and plain torch."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.plain_torch import Plain, of_first_trial, plain_test, pruned_units, pruned_weights

from dynsparse import pruning
from dynsparse.config import Config, ConfigError
from dynsparse.data import load_dataset, noise_images, split
from dynsparse.methods import METHODS
from dynsparse.planning.plan import plan
from dynsparse.random import Purpose, Stream, noise
from dynsparse.studies import Parameters
from dynsparse.training.trainer import Row, Trainer

pytest.importorskip("numba")
pytestmark = pytest.mark.usefixtures("one_thread")

SPARSITIES = [0.0, 0.29, 0.5, 0.97, 1.0]
BASE = {
    "study": "sweep", "dataset_name": "digits", "network": "MLP", "model": "Dense", "hidden_sizes": [20, 15],
    "batch_size": 64, "epochs": 2, "sparsities": SPARSITIES, "learning_rate": 0.05,
}  # fmt: skip
ADAM = {"optim_alg": "Adam", "learning_rate": 0.001}
# Weights and biases of each layer.
N_WEIGHTS, N_BIASES = [64 * 20, 20 * 15, 15 * 10], [20, 15, 10]
ENGINES = pytest.mark.parametrize("engine", ["torch", "sparse"])


def trainer(**values: Any) -> Trainer:
    return Trainer([Config.of({**BASE, **values})])


def steps(each: Trainer) -> Iterator[tuple[Row, Parameters]]:
    """The rows that are left, each with the network after it."""
    while not each.is_done:
        (row,) = each.step()
        assert row is not None
        yield row, of_first_trial(each.parameters())


def arrays(layers: list[torch.Tensor]) -> list[np.ndarray]:
    return [each.numpy() for each in layers]


def assert_same(ours: Parameters, theirs: Parameters, tolerance: float = 0.0) -> None:
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=tolerance)


# Rows


@ENGINES
@pytest.mark.parametrize("other", [{}, {"val_fraction": 0.2}, {"test_noise": False, "debug_weights": False}], ids=str)
def test_rows_are_those_of_a_training_then_one_for_each_kind_and_sparsity(engine: str, other: dict[str, Any]) -> None:
    rows = [row for row, _ in steps(trainer(engine=engine, **other))]
    ordinary = [row for row, _ in steps(trainer(engine=engine, study="train", **other))]
    assert len(ordinary) == 2
    # NaN is equal to nothing; its text is.
    assert repr(rows[:2]) == repr(ordinary)
    wanted = [(kind, sparsity, 0) for kind in ("weight", "unit") for sparsity in SPARSITIES]
    assert [(row["pruning"], row["sparsity"], row["retrained"]) for row in rows[2:]] == wanted
    # What is pruned and not trained has all numbers but those of a training.
    more, less = {"pruning", "sparsity", "retrained"}, {"train_loss", "train_acc"}
    assert all(row.keys() == (ordinary[1].keys() | more) - less for row in rows[2:])


def test_kinds_and_sparsities_come_in_the_order_that_is_given() -> None:
    rows = [row for row, _ in steps(trainer(prune_kinds=["unit", "weight"], sparsities=[0.9, 0.1], retrain_epochs=2))]
    wanted = [(k, s, epoch) for k in ("unit", "weight") for s in (0.9, 0.1) for epoch in (0, 1, 2)]
    assert [(row["pruning"], row["sparsity"], row["retrained"]) for row in rows[2:]] == wanted
    assert ["train_loss" in row for row in rows[2:]] == [False, True, True] * 4


@ENGINES
def test_every_number_of_a_pruned_network_is_its_own(engine: str) -> None:
    each = trainer(engine=engine, val_fraction=0.2, noise_level=0.3, seed=4, sparsities=[0.5])
    digits = load_dataset("digits")
    _, held_out = split(digits, 0.2, seed=4)
    parts = {
        "val": (digits.train_x[held_out], digits.train_y[held_out]),
        "test": (digits.test_x, digits.test_y),
        "noise": (noise_images(digits.test_x, 0.3, seed=4), digits.test_y),
    }
    for row, (weights, biases, masks) in list(steps(each))[2:]:
        for name, part in parts.items():
            loss, accuracy = plain_test(*part, weights, biases)
            assert (row[f"{name}_loss"], row[f"{name}_acc"]) == (pytest.approx(loss, rel=1e-5), accuracy)
        for i, (weight, mask) in enumerate(zip(weights, masks, strict=True)):
            assert row[f"density_l{i}"] == row[f"weight_keep_mask_l{i}"] == mask.double().mean().item()
            assert row[f"sparse_level_l{i}"] == (weight != 0).double().mean().item()
            assert row[f"mask_sizes_l{i}"] == int(mask.sum())
            assert row[f"linear_{i}_mean"] == pytest.approx(weight.mean().item())
            assert row[f"added_synapses_l{i}"] == row[f"missing_weights_l{i}"] == 0
            assert np.isnan(row[f"surviving_synapses_l{i}"])


# What is pruned

VARIATIONS: list[dict[str, Any]] = [
    {},
    {"prune_biases": False},
    {"prune_last_layer": True},
    {"prune_scope": "global"},
    {"prune_scope": "global", "prune_last_layer": True, "prune_biases": False},
    {"hidden_sizes": []},
    {"hidden_sizes": [], "prune_last_layer": True},
    {"hidden_sizes": [], "prune_scope": "global"},
    {"hidden_sizes": [1]},
    {"hidden_sizes": [1, 1], "prune_scope": "global", "debug_weights": False},
]


@ENGINES
@pytest.mark.parametrize("other", VARIATIONS, ids=str)
def test_each_pruned_network_is_that_of_numpy_and_of_the_package_on_the_trained_one(
    engine: str, other: dict[str, Any]
) -> None:
    digits = load_dataset("digits")
    scope = other.get("prune_scope", "layer")
    of_weights = {
        "biases_too": other.get("prune_biases", True), "last_layer": other.get("prune_last_layer", False),
        "scope": scope,
    }  # fmt: skip
    (_, _), (trained_row, trained), *rest = steps(trainer(engine=engine, **other))
    ties = [noise(tuple(each.shape), Stream(0, Purpose.PRUNE)) for each in trained.weights]
    assert len(rest) == 10
    for row, (weights, biases, masks) in rest:
        before, sparsity = (arrays(trained.weights), arrays(trained.biases)), float(row["sparsity"])
        if row["pruning"] == "weight":
            expected = pruned_weights(*before, sparsity, **of_weights)
            library: Any = pruning.prune_weights(*trained[:2], sparsity, ties, **of_weights)
        else:
            expected = pruned_units(*before, sparsity, scope=scope)
            library = pruning.prune_units(*trained[:2], sparsity, ties, scope=scope)
        for ours, numpys, theirs in [(weights, expected[0], library.weights), (biases, expected[1], library.biases)]:
            for a, b, c in zip(ours, numpys, theirs, strict=True):
                np.testing.assert_array_equal(a.numpy(), b)
                assert torch.equal(a, c)
        # Of a dense network no weight is 0 by itself.
        assert all(torch.equal(mask, weight != 0) for mask, weight in zip(masks, weights, strict=True))
        n_active, n = sum(int(mask.sum()) for mask in masks), sum(mask.numel() for mask in masks)
        assert row["density"] == n_active / n
        loss, accuracy = plain_test(digits.test_x, digits.test_y, weights, biases)
        assert (row["val_loss"], row["val_acc"]) == (pytest.approx(loss, rel=1e-5), accuracy)
        if sparsity == 0:
            assert (row["val_loss"], row["val_acc"]) == (trained_row["val_loss"], trained_row["val_acc"])


def test_so_many_are_pruned() -> None:
    # int(0.29 * 1280) is 371, int(0.29 * 300) is 87; of 20 and 15 biases or units, 5 and 4.
    networks = {(row.get("pruning"), row.get("sparsity")): network for row, network in steps(trainer())}
    counts = {
        "weight": {0.0: ([0, 0], [0, 0]), 0.29: ([371, 87], [5, 4]), 0.97: ([1241, 291], [19, 14])},
        "unit": {0.29: ([5 * 64, 4 * 20], [5, 4]), 0.5: ([10 * 64, 7 * 20], [10, 7]), 1.0: ([1280, 300], [20, 15])},
    }
    for kind, of_kind in counts.items():
        for sparsity, (of_weights, of_biases) in of_kind.items():
            weights, biases, masks = networks[kind, sparsity]
            assert [int((w == 0).sum()) for w in weights] == [*of_weights, 0]
            assert [int((~m).sum()) for m in masks] == [*of_weights, 0]
            assert [int((b == 0).sum()) for b in biases] == [*of_biases, 0]


@ENGINES
def test_without_any_weight_the_network_says_one_class(engine: str) -> None:
    *_, (row, (_, biases, _)) = steps(trainer(engine=engine, sparsities=[1], prune_kinds=["weight"]))
    assert row["val_acc"] == (load_dataset("digits").test_y == biases[-1].argmax()).double().mean().item()
    *_, (row, _) = steps(trainer(engine=engine, sparsities=[1], prune_last_layer=True, prune_kinds=["weight"]))
    assert (row["density"], row["val_loss"]) == (0, pytest.approx(np.log(10)))


@pytest.mark.parametrize("model", sorted(METHODS))
def test_of_a_sparse_network_no_more_is_pruned_than_it_takes(model: str) -> None:
    values = {"model": model, "network": "MLPHeb", "on_perc": 0.3, "epochs": 3, "sparsities": [0, 0.5, 0.8]}
    _, _, (trained_row, trained), *rest = steps(trainer(**values))
    for row, (weights, _, masks) in rest:
        if row["sparsity"] == 0:
            assert row["val_loss"] == trained_row["val_loss"]
        assert row["density"] == sum(int(m.sum()) for m in masks) / sum(m.numel() for m in masks)
        for i, (weight, mask, before) in enumerate(zip(weights, masks, trained.masks, strict=True)):
            assert not (mask & ~before).any()
            assert not weight[~mask].any()
            if row["pruning"] == "weight" and i < 2:
                # Weights that grew last may still be 0, and go with those that are not active.
                n_left = mask.numel() - int(row["sparsity"] * mask.numel())
                assert int((weight != 0).sum()) == min(n_left, int((trained.weights[i] != 0).sum()))
                assert int(mask.sum()) <= min(n_left, int(before.sum()))


# What there is beside weights and biases


@ENGINES
def test_k_winners_keep_their_duty_cycles_and_boosting(engine: str) -> None:
    values = {"network": "MLPHeb", "kwinners": True, "boost_strength": 3.0, "percent_on": 0.3, "retrain_epochs": 1}
    each = trainer(engine=engine, prune_kinds=["weight"], sparsities=[0.0, 0.5], **values)
    _, (trained, _), (pruned, _) = (next(steps(each)) for _ in range(3))
    state = each.engine.state_dict()
    assert (pruned["val_loss"], pruned["val_acc"]) == (trained["val_loss"], trained["val_acc"])
    assert state["n_seen"] == 2 * 1437
    # In the second epoch it is 3 * 0.7, as it was when the trained network was tested.
    assert state["boost"].tolist() == pytest.approx([3 * 0.7])
    assert all((duty.sum() == pytest.approx(round(0.3 * duty.numel()), rel=0.2)) for duty in state["duty"])


def test_batch_norm_keeps_what_it_has_learnt() -> None:
    each = trainer(batch_norm=True, prune_kinds=["weight"], sparsities=[0.0, 0.5], retrain_epochs=1)
    _, (trained, _) = (next(steps(each)) for _ in range(2))
    norm = {name: each.engine.state_dict()[name] for name in ("means", "variances", "gains", "shifts")}
    norm = {name: [layer.clone()[0] for layer in layers] for name, layers in norm.items()}
    digits, accuracies = load_dataset("digits"), []
    for row, (weights, biases, _) in steps(each):
        if row["retrained"] == 1:
            assert row["train_loss"] < trained["train_loss"]
            continue
        x = digits.test_x
        for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            x = F.linear(x, weight, bias)
            if i < 2:
                x = F.batch_norm(x, norm["means"][i], norm["variances"][i], norm["gains"][i], norm["shifts"][i]).relu()
        assert row["val_loss"] == pytest.approx(F.cross_entropy(x, digits.test_y).item(), rel=1e-5)
        accuracies.append(row["val_acc"])
    assert accuracies[0] == trained["val_acc"]


# Retraining


@ENGINES
@pytest.mark.parametrize("other", [ADAM, {"weight_decay": 0.01}, {"network": "MLPHeb", "kwinners": True}], ids=str)
def test_one_shot_each_sparsity_is_what_it_is_alone(engine: str, other: dict[str, Any]) -> None:
    # Under k-winners pruned units would be trained again.
    kinds = ["weight"] if "kwinners" in other else ["weight", "unit"]
    values = {**other, "engine": engine, "retrain_epochs": 2}
    whole = list(steps(trainer(prune_kinds=kinds, sparsities=[0.5, 0.9], **values)))
    for kind in kinds:
        for sparsity in (0.5, 0.9):
            alone = list(steps(trainer(prune_kinds=[kind], sparsities=[sparsity], **values)))[2:]
            ours = [(row, net) for row, net in whole if (row.get("pruning"), row.get("sparsity")) == (kind, sparsity)]
            assert repr([row for row, _ in ours]) == repr([row for row, _ in alone])
            assert len(ours) == 3
            (_, first), *later = ours
            for (_, network), (_, other_network) in zip(ours, alone, strict=True):
                assert_same(network, other_network)
                assert_same(network, network._replace(masks=first.masks))
                assert not any(weight[~mask].any() for weight, mask in zip(network.weights, first.masks, strict=True))
            assert all((net.weights[0][first.masks[0]] != first.weights[0][first.masks[0]]).any() for _, net in later)


@ENGINES
@pytest.mark.parametrize("other", [ADAM, {}, {"momentum": 0.0, "weight_decay": 0.01}], ids=str)
def test_retraining_is_training_with_a_new_optimiser(engine: str, other: dict[str, Any]) -> None:
    values = {"retrain_epochs": 2, "sparsities": [0.6], "engine": engine, "learning_rate": 0.02, **other}
    each = trainer(**values)
    (_, _), (_, _), *rest = steps(each)
    for kind in (0, 1):
        (_, pruned), *retrained = rest[kind * 3 : kind * 3 + 3]
        plain = Plain(Config.of({**BASE, **values}), *pruned)
        for epoch, (row, network) in enumerate(retrained, start=3):
            plain.train([epoch])
            assert_same(network, plain.parameters, tolerance=1e-5)
            assert row["val_acc"] == pytest.approx(plain.accuracy(), abs=1.5 / 360)


@ENGINES
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_iteratively_each_sparsity_begins_with_the_one_before(engine: str, scope: str) -> None:
    sparsities, values = [0.3, 0.6, 0.9], {"retrain_epochs": 2, "engine": engine, "prune_scope": scope}
    each = trainer(sparsities=sparsities, prune_iteratively=True, **values)
    (_, _), (_, trained), *rest = steps(each)
    for kind, prune in enumerate((pruned_weights, pruned_units)):
        of_kind, before = rest[kind * 9 : kind * 9 + 9], trained
        for place, sparsity in enumerate(sparsities):
            (row, network), *_, (_, last) = of_kind[place * 3 : place * 3 + 3]
            assert row["sparsity"] == sparsity
            expected = prune(arrays(before.weights), arrays(before.biases), sparsity, scope=scope)
            for ours, numpys in zip((network.weights, network.biases), expected, strict=True):
                for a, b in zip(ours, numpys, strict=True):
                    np.testing.assert_array_equal(a.numpy(), b)
            before = last
        networks = [network for _, network in of_kind]
        for earlier, later in pairwise(networks):
            assert not any((b & ~a).any() for a, b in zip(earlier.masks, later.masks, strict=True))


def test_in_either_way_the_first_sparsity_is_the_same() -> None:
    one_shot, iterative = (
        trainer(sparsities=[0.3, 0.6], retrain_epochs=1, prune_iteratively=each) for each in (False, True)
    )
    rows = [[row for row, _ in steps(each)] for each in (one_shot, iterative)]
    same = [repr(a) == repr(b) for a, b in zip(*rows, strict=True)]
    # Two of training; of each kind the first sparsity and its retraining, then the second.
    assert same == [True, True, *[True, True, False, False] * 2]


@pytest.mark.parametrize("values", [{"network": "MLP"}, {"prune_kinds": ["weight"]}, {"retrain_epochs": 0}], ids=str)
def test_units_are_not_pruned_and_retrained_under_k_winners(values: dict[str, Any]) -> None:
    both = {"study": "sweep", "network": "MLPHeb", "kwinners": True, "retrain_epochs": 1, "dataset_name": "digits"}
    with pytest.raises(
        ConfigError, match=r"with k-winners and retrain_epochs > 0: a pruned unit can win and be trained"
    ):
        plan([Config.of(both)])
    assert plan([Config.of({**both, **values})]).study.steps
