"""Mask updates in which the numbers of active weights of the layers depend on each other."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dynsparse.config import Config, ConfigError
from dynsparse.engines.base import UpdateContext
from dynsparse.training.trainer import Trainer

BASE: dict[str, Any] = {
    "dataset_name": "digits", "hidden_sizes": [24, 16], "batch_size": 100, "epochs": 4, "test_noise": False,
    "learning_rate": 0.02, "on_perc": 0.1,
}  # fmt: skip
SIZES = [24 * 64, 16 * 24, 10 * 16]

pytestmark = pytest.mark.usefixtures("one_thread")


def trainer_of(*trials: dict[str, Any], **values: Any) -> Trainer:
    return Trainer([Config.of({**BASE, **values, **each}) for each in trials or ({},)])


def counts(layers: list[torch.Tensor], trial: int = 0) -> list[int]:
    return [int(mask[trial].sum()) for mask in layers]


def last_update(n_trials: int = 1) -> UpdateContext:
    return UpdateContext(epoch=1, share_done=1.0, drop_scale=1.0, stopped=torch.zeros(n_trials, dtype=torch.bool))


def step_alike(trainers: list[Trainer], alone: Trainer) -> None:
    """Train all of them for an epoch, and check that the masks of `trainers` are equal."""
    for trainer in (*trainers, alone):
        trainer.step()
    for trainer in trainers:
        for ours, theirs in zip(trainer.engine.masks, trainers[0].engine.masks, strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize("floor", [0.0, 0.08])
def test_the_largest_weights_of_all_layers_are_left_and_each_layer_keeps_its_floor(floor: float) -> None:
    engine = trainer_of(model="GMP", global_floor=floor, engine="torch").engine
    weights = [each[0].clone() for each in engine.weights]
    engine.update_masks(last_update())
    # One after the other, the largest first; but the largest of each layer, up to its floor, before all others.
    total, protected = sum(round(0.1 * n) for n in SIZES), [max(1, round(floor * n)) for n in SIZES]
    ranked = []
    for layer, weight in enumerate(weights):
        order = weight.abs().flatten().argsort(descending=True).tolist()
        sizes = weight.abs().flatten().tolist()
        ranked += [(rank >= protected[layer], -sizes[place], layer, place) for rank, place in enumerate(order)]
    expected = [torch.zeros(n, dtype=torch.bool) for n in SIZES]
    for _, _, layer, place in sorted(ranked)[:total]:
        expected[layer][place] = True
    for mask, right in zip(engine.masks, expected, strict=True):
        assert torch.equal(mask[0].flatten(), right)
    assert counts(engine.masks) != [round(0.1 * n) for n in SIZES]
    assert all(count >= least for count, least in zip(counts(engine.masks), protected, strict=True))


@pytest.mark.parametrize("model", ["GMP", "GraNet"])
def test_all_engines_rank_all_layers_together(model: str) -> None:
    trials = [{"global_floor": 0.0}, {"global_floor": 0.05, "on_perc": 0.2}]
    trainers = [trainer_of(*trials, model=model, engine=engine) for engine in ("torch", "sparse", "packed")]
    alone = trainer_of(trials[1], model=model, engine="torch")
    while not alone.is_done:
        step_alike(trainers, alone)
    assert counts(alone.engine.masks) == counts(trainers[0].engine.masks, 1)
    assert sum(counts(alone.engine.masks)) == sum(round(0.2 * n) for n in SIZES)


def test_layers_that_are_left_dense_are_not_ranked() -> None:
    engine = trainer_of(model="GMP", global_floor=0.0, last_layer_dense=True).engine
    engine.update_masks(last_update())
    assert counts(engine.masks)[2] == SIZES[2]
    assert sum(counts(engine.masks)[:2]) == sum(round(0.1 * n) for n in SIZES[:2])


@pytest.mark.parametrize("model", ["SNIP", "GraSP", "SynFlow"])
def test_methods_that_prune_before_training_keep_the_floor(model: str) -> None:
    values = {"model": model, "on_perc": 0.05, "score_examples": 20}
    free, bounded = (trainer_of(**values, global_floor=floor).parameters().masks for floor in (None, 0.04))
    assert sum(counts(free)) == sum(counts(bounded)) == round(0.05 * sum(SIZES))
    assert any(count < round(0.04 * n) for count, n in zip(counts(free), SIZES, strict=True))
    assert all(count >= round(0.04 * n) for count, n in zip(counts(bounded), SIZES, strict=True))


@pytest.mark.parametrize("model", ["GMP", "SNIP"])
def test_a_floor_above_the_density_is_refused(model: str) -> None:
    with pytest.raises(ConfigError, match=r"^global_floor must be at most on_perc=0\.1, got 0\.2\. Lower global_floor"):
        Config(**{**BASE, "model": model, "global_floor": 0.2})
    with pytest.raises(ConfigError, match=r"^mask_pattern must be None with "):
        Config(**{**BASE, "model": model, "global_floor": 0.1, "mask_pattern": "2x2"})


def test_pruned_weights_grow_in_proportion_to_the_mean_magnitude_of_a_layer() -> None:
    engine = trainer_of(model="RigL", redistribution="magnitude", engine="torch").engine
    engine.gradient = [torch.randn_like(each) for each in engine.weights]
    before = counts(engine.masks)
    means = [float(w[mask].abs().mean()) for w, mask in zip(engine.weights, engine.masks, strict=True)]
    n_pruned = [round(0.3 * n) for n in before]
    engine.update_masks(last_update())
    total = sum(n_pruned)
    grown = [after - n + pruned for after, n, pruned in zip(counts(engine.masks), before, n_pruned, strict=True)]
    assert sum(grown) == total
    for number, mean in zip(grown, means, strict=True):
        assert abs(number - total * mean / sum(means)) < 1
    # The last layer has the largest weights, and grows more than it has lost.
    assert counts(engine.masks)[2] > before[2]


@pytest.mark.parametrize(
    "values",
    [
        {"model": "SET", "redistribution": "magnitude"},
        {"model": "CHTs", "redistribution": "magnitude", "pruning_interval_steps": 5},
        {"model": "SNFS", "redistribution": "gradient_momentum", "last_layer_dense": True},
        {"model": "RandomPrune", "redistribution": "gradient_momentum"},
    ],
    ids=str,
)
def test_all_engines_redistribute_alike_and_keep_the_total(values: dict[str, Any]) -> None:
    names = ("torch", "packed") if values["redistribution"] == "gradient_momentum" else ("torch", "sparse", "packed")
    trials = [{"weight_prune_perc": 0.5, "on_perc": 0.3}, {}]
    trainers = [trainer_of(*trials, **values, engine=name) for name in names]
    alone = trainer_of(**values, engine="torch")
    total, first = sum(counts(alone.engine.masks)), counts(alone.engine.masks)
    while not alone.is_done:
        step_alike(trainers, alone)
        assert counts(trainers[0].engine.masks, 1) == counts(alone.engine.masks)
        assert sum(counts(alone.engine.masks)) == total
    assert counts(alone.engine.masks) != first


def test_layers_that_no_longer_change_keep_their_number_of_weights() -> None:
    trainer = trainer_of({}, {}, model="SET", redistribution="magnitude", engine="torch")
    before = [counts(trainer.engine.masks, trial) for trial in (0, 1)]
    stopped = torch.zeros(2, 3, dtype=torch.bool)
    stopped[1, 2] = True
    trainer.engine.update_masks(last_update(2)._replace(stopped_layers=stopped))
    after = [counts(trainer.engine.masks, trial) for trial in (0, 1)]
    assert after[0][2] != before[0][2]
    assert after[1][2] == before[1][2]
    assert [sum(each) for each in after] == [sum(each) for each in before]


@pytest.mark.parametrize("value", [0.0, torch.nan, torch.inf])
def test_without_usable_means_each_layer_grows_what_it_has_lost(value: float) -> None:
    engine = trainer_of(model="RandomPrune", redistribution="magnitude", engine="torch").engine
    before = counts(engine.masks)
    for weight, mask in zip(engine.weights, engine.masks, strict=True):
        weight[mask] = value
    engine.update_masks(last_update())
    assert counts(engine.masks) == before


@pytest.mark.parametrize(
    "values",
    [
        {"model": "SET", "redistribution": "magnitude", "on_perc": 1.0},
        {"model": "RigL", "redistribution": "magnitude", "first_layer_dense": True, "last_layer_dense": True},
        {"model": "GMP", "global_floor": 0.0, "first_layer_dense": True, "last_layer_dense": True},
        {"model": "GraNet", "global_floor": 0.0, "on_perc": 1.0},
    ],
)
def test_a_network_without_sparse_layers_trains(values: dict[str, Any]) -> None:
    trainer = trainer_of(**values, hidden_sizes=[20], epochs=2)
    for _ in range(2):
        trainer.step()
    assert counts(trainer.engine.masks) == [20 * 64, 10 * 20]


@pytest.mark.parametrize("model", ["SET", "CHT", "CHTs", "GraNet"])
def test_a_layer_that_is_left_dense_is_never_pruned(model: str) -> None:
    trainer = trainer_of(model=model, hidden_sizes=[50], last_layer_dense=True, weight_prune_perc=0.7, epochs=2)
    row = trainer.step()[0]
    assert row is not None and row["weight_keep_mask_l1"] == 1 and row["missing_weights_l1"] == 0
    assert row["missing_weights_l0"] > 0
    if model == "CHTs":
        # No unit is cut off, because all have all outputs: only the share goes, 0.7 of 320 weights.
        assert row["missing_weights_l0"] * 50 * 64 == pytest.approx(224)
