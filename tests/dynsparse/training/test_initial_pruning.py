"""Networks that are pruned before training: the same weights are left in every engine, pack and run."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.own_modules import PATCHES, SmallNet, plain_mlp
from torch import Tensor, nn

from dynsparse.config import Config, ConfigError
from dynsparse.data import DATASETS, epoch_order, load_dataset, split
from dynsparse.engines.base import initial_parameters
from dynsparse.engines.initial_network import initial_network
from dynsparse.methods import METHODS, Method
from dynsparse.methods.initial_pruning import InitialPruning
from dynsparse.nn.kwinners import activation
from dynsparse.nn.modules import MODULES
from dynsparse.planning.plan import plan
from dynsparse.planning.same_training import same_trials
from dynsparse.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread", "blobs")

MODELS = ["SNIP", "GraSP", "SynFlow"]
BASE: dict[str, Any] = {
    "dataset_name": "blobs",
    "hidden_sizes": [24, 16],
    "batch_size": 32,
    "epochs": 6,
    "on_perc": 0.1,
}
SIZES = [32 * 24, 24 * 16, 16 * 5]
N = sum(SIZES)

every_model = pytest.mark.parametrize("model", MODELS)


def config(**values: Any) -> Config:
    return Config.of({**BASE, **values})


def masks_of(*trials: dict[str, Any], **values: Any) -> list[Tensor]:
    """Return the masks at the start of the training. Shapes: (trials, out, in) for each layer."""
    return Trainer([config(**values, **trial) for trial in trials or ({},)]).parameters().masks


def counts(masks: list[Tensor]) -> list[int]:
    return [int(mask.sum()) for mask in masks]


def row(*layers: Tensor) -> Tensor:
    return torch.cat([each.flatten() for each in layers])


@every_model
@pytest.mark.parametrize("on_perc", [0.001, 0.0125, 0.1, 0.5, 0.99])
def test_exactly_the_share_of_all_weights_is_left(model: str, on_perc: float) -> None:
    # Whatever the spread over the layers, which the scores decide.
    for values in ({}, {"batch_norm": True}, {"kwinners": True}):
        assert sum(counts(masks_of(model=model, on_perc=on_perc, **values))) == round(on_perc * N)


@every_model
def test_density_1_prunes_nothing(model: str) -> None:
    assert counts(masks_of(model=model, on_perc=1.0)) == SIZES


@every_model
def test_dense_layers_are_not_ranked(model: str) -> None:
    first, *others = counts(masks_of(model=model, first_layer_dense=True))
    assert [first, sum(others)] == [SIZES[0], round(0.1 * (SIZES[1] + SIZES[2]))]
    first, middle, last = counts(masks_of(model=model, first_layer_dense=True, last_layer_dense=True))
    assert [first, middle, last] == [SIZES[0], round(0.1 * SIZES[1]), SIZES[2]]


@pytest.mark.parametrize("model", ["SNIP", "GraSP"])
def test_the_highest_scores_of_the_drawn_examples_are_left_with_their_values(model: str) -> None:
    of_trial = config(model=model, val_fraction=0.2, score_examples=50, seed=3)
    blobs = load_dataset("blobs")
    train, _ = split(blobs, 0.2, seed=3)
    index = train[epoch_order(len(train), 3, epoch=0)[:50]]
    alone = plan([of_trial])
    dense = initial_parameters(alone)
    network = initial_network(alone, dense, blobs.train_x[index], blobs.train_y[index])
    pruning = alone.method.initial_pruning
    assert pruning is not None
    scores = row(*pruning.scores(network, [each[0] for each in dense.weights]))
    expected = torch.zeros(N, dtype=torch.bool)
    expected[scores.argsort(descending=True)[: round(0.1 * N)]] = True
    weights, biases, masks = Trainer([of_trial]).parameters()
    assert torch.equal(row(*masks), expected)
    assert torch.equal(row(*weights), row(*dense.weights) * expected)
    assert all(torch.equal(a, b) for a, b in zip(biases, dense.biases, strict=True))


def test_synflow_scores_what_each_round_has_left() -> None:
    weights = initial_parameters(plan([config(model="SynFlow")])).weights
    active = torch.ones(N, dtype=torch.bool)
    for number in range(1, 101):
        layers = [
            (weight[0] * part.view(weight[0].shape)).abs().double()
            for weight, part in zip(weights, active.split(SIZES), strict=True)
        ]
        forwards, signal = [], torch.ones(32, dtype=torch.float64)
        for layer in layers:
            forwards.append(signal)
            signal = layer @ signal
        backward, scores = torch.ones(5, dtype=torch.float64), []
        for layer, forward in zip(reversed(layers), reversed(forwards), strict=True):
            scores.insert(0, layer * backward[:, None] * forward)
            backward = layer.T @ backward
        active = torch.zeros(N, dtype=torch.bool)
        # 0.1 of 1232 weights are 123.2, and 123 are left at the end.
        active[row(*scores).argsort(descending=True)[: round(N * (123 / N) ** (number / 100))]] = True
    assert torch.equal(row(*masks_of(model="SynFlow")), active)


def test_synflow_leaves_paths_where_snip_has_emptied_a_layer() -> None:
    # Ten hidden layers of 16 units, and 29 weights: a path needs 11.
    deep = {"hidden_sizes": [16] * 10, "on_perc": 0.01}
    connected = {}
    for model in ("SNIP", "SynFlow"):
        [first_row] = Trainer([config(model=model, **deep)]).step()
        assert first_row is not None
        connected[model] = first_row["is_connected"]
    assert connected == {"SNIP": 0, "SynFlow": 1}


@every_model
def test_all_engines_start_with_the_same_masks(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODULES, "plain", plain_mlp)
    trials = [{"seed": 1}, {"seed": 2, "on_perc": 0.3}, {"seed": 1, "on_perc": 0.3, "learning_rate": 0.01}]
    expected = masks_of(*trials, model=model, engine="torch")
    for values in ({"engine": "sparse"}, {"engine": "packed"}, {"network": "plain"}):
        for ours, theirs in zip(masks_of(*trials, model=model, **values), expected, strict=True):
            assert torch.equal(ours, theirs), values
    for number, trial in enumerate(trials):
        for ours, theirs in zip(masks_of(trial, model=model), expected, strict=True):
            assert torch.equal(ours[0], theirs[number])


@every_model
def test_the_seed_decides_and_keys_of_the_training_do_not(model: str) -> None:
    usual = row(*masks_of(model=model))
    for values in ({"learning_rate": 0.3}, {"batch_size": 64}, {"label_smoothing": 0.2}, {"optim_alg": "Adam"}):
        assert torch.equal(row(*masks_of(model=model, **values)), usual)
    assert not torch.equal(row(*masks_of(model=model, seed=1)), usual)
    # SynFlow needs no data.
    assert torch.equal(row(*masks_of(model=model, score_examples=30)), usual) == (model == "SynFlow")


def with_winners(settings: Any) -> nn.Module:
    """Build a perceptron with k-winners or ReLU."""
    return nn.Sequential(nn.Flatten(), nn.Linear(32, 24), activation(24, settings), nn.Linear(24, 5))


def equal_scores(config: Any) -> Method:
    """Prune at random, by scores that are all equal."""
    return Method(config.on_perc, initial_pruning=InitialPruning(lambda network, weights: [w * 0 for w in weights]))


def empty_middle(config: Any) -> Method:
    """Prune all weights of the second layer."""
    pruning = InitialPruning(lambda network, weights: [w.abs() + (layer != 1) for layer, w in enumerate(weights)])
    return Method(config.on_perc, initial_pruning=pruning)


def refuse(config: Any) -> Method:
    """Fail when the weights are scored."""
    return Method(config.on_perc, initial_pruning=InitialPruning(lambda network, weights: 1 / 0))


def test_ties_are_broken_by_the_noise_of_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "SNIP", equal_scores)
    drawn = torch.stack([row(*masks_of(model="SNIP", seed=seed)) for seed in range(200)])
    assert set(drawn.sum(1).tolist()) == {123}
    # Each layer gets its share: of 200 times 123, the share of each layer, within four standard deviations.
    for part, n in zip(drawn.split(SIZES, dim=1), SIZES, strict=True):
        share = n / N
        assert abs(int(part.sum()) - 200 * 123 * share) < 4 * (200 * 123 * share * (1 - share)) ** 0.5


@pytest.mark.parametrize(
    "values", [{"engine": "sparse"}, {"engine": "torch"}, {"engine": "packed"}, {"network": "plain"}]
)
def test_a_layer_without_weights_is_trained_and_shows_in_the_columns(
    values: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS, "SNIP", empty_middle)
    monkeypatch.setitem(MODULES, "plain", plain_mlp)
    trainer = Trainer([config(model="SNIP", **values)])
    rows = [trainer.step()[0] for _ in range(3)]
    assert rows[-1] is not None
    assert rows[-1]["density_l1"] == 0
    assert rows[-1]["density"] == 123 / N
    if "engine" in values:
        assert rows[-1]["cut_off_outputs"] == 1
    # The biases of the last layer learn the shares of the classes, which are equal.
    assert rows[-1]["val_loss"] == pytest.approx(torch.tensor(5.0).log().item(), rel=0.05)


@every_model
def test_a_resumed_trial_is_not_scored_again(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    straight, stopped = Trainer([config(model=model)]), Trainer([config(model=model)])
    rows = [straight.step() for _ in range(4)]
    stopped.step()
    state = stopped.state_dict()
    monkeypatch.setitem(METHODS, model, refuse)
    resumed = Trainer([config(model=model)])
    resumed.load_state_dict(state)
    assert repr([resumed.step() for _ in range(3)]) == repr(rows[1:])
    with pytest.raises(ZeroDivisionError):
        Trainer([config(model=model)]).step()


@every_model
def test_a_state_from_before_the_first_step_starts_the_same_training(model: str) -> None:
    straight, saved, looked_at = (Trainer([config(model=model)]) for _ in range(3))
    resumed = Trainer([config(model=model)])
    resumed.load_state_dict(saved.state_dict())
    looked_at.parameters()
    rows = repr(straight.step())
    assert repr(resumed.step()) == repr(looked_at.step()) == rows


def test_the_first_engine_that_a_trainer_tries_out_is_the_pruned_one() -> None:
    trainer = Trainer([config(model="SNIP")])
    trainer.try_out()
    assert sum(counts(trainer.engine.masks)) == 123


def test_a_ticket_begins_with_the_pruned_network() -> None:
    trainer = Trainer([config(model="SNIP", study="ticket", epochs=2, prune_ratio=0.5, last_layer_rate=1.0)])
    first = trainer.parameters().masks
    rows = [trainer.step()[0] for _ in range(4)]
    assert [round(row["density"] * N) for row in rows if row is not None] == [123, 123, 62, 62]
    assert not any((left & ~mask).any() for left, mask in zip(trainer.parameters().masks, first, strict=True))


def test_a_density_that_leaves_no_weight_is_refused() -> None:
    message = rf"^A density of 0.0004 leaves no active weight of {N}. Raise on_perc."
    with pytest.raises(ConfigError, match=message):
        config(model="SNIP", on_perc=0.0004)
    assert sum(counts(masks_of(model="SNIP", on_perc=0.0005))) == 1


def test_trainings_of_different_scores_are_different() -> None:
    others = [{"model": model} for model in (*MODELS, "SparseModel")]
    others += [{"model": "SNIP", "score_examples": 50}, {"model": "SNIP", "on_perc": 0.1001}]
    assert same_trials([config(**values) for values in others]) == []
    unread = [
        {"model": "SynFlow", **values} for values in ({}, {"score_examples": 50}, {"layer_densities": "erdos_renyi"})
    ]
    assert [len(group) for group in same_trials([config(**values) for values in unread])] == [3]


def test_k_winners_and_their_gain_do_not_change_what_synflow_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    # A factor of all weights of a layer is one of all scores, and k-winners pass all of their inputs.
    monkeypatch.setitem(MODULES, "winners", with_winners)
    for network in ("MLPHeb", "winners"):
        plain, winners = (row(*masks_of(model="SynFlow", network=network, kwinners=each)) for each in (False, True))
        assert torch.equal(plain, winners)
        assert not torch.equal(row(*masks_of(model="SNIP", network=network, kwinners=True)), plain)


@every_model
def test_a_convolutional_module_starts_with_the_share_of_its_weights(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DATASETS, "patches", PATCHES)
    monkeypatch.setitem(MODULES, "small", SmallNet)
    values = {"dataset_name": "patches", "network": "small", "on_perc": 0.2, "model": model}
    first, again = Trainer([config(**values)]), Trainer([config(**values)])
    masks = first.parameters().masks
    assert sum(counts(masks)) == round(0.2 * (4 * 9 + 6 * 36 + 5 * 24))
    # Batch norm, dropout and biases begin as without scores.
    untouched = Trainer([config(**{**values, "model": "SparseModel"})])
    for ours, theirs in zip(
        first.engine.state_dict()["buffers"], untouched.engine.state_dict()["buffers"], strict=True
    ):
        assert torch.equal(ours, theirs)
    for ours, theirs in zip(first.engine.biases, untouched.engine.biases, strict=True):
        assert torch.equal(ours, theirs)
    assert repr(first.step()) == repr(again.step())
    assert all(torch.equal(a, b) for a, b in zip(first.engine.masks, masks, strict=True))


@pytest.mark.parametrize(("sizes", "share"), [([1] * 6, 0.6), ([3, 5, 3, 3, 3], 0.5)])
def test_each_layer_keeps_its_floor_rounded_down(sizes: list[int], share: float) -> None:
    # If the floors were rounded to the nearest number, they would be more together than the weights that are left.
    active = masks_of(model="SNIP", hidden_sizes=sizes, on_perc=share, global_floor=share)
    assert sum(counts(active)) == round(share * sum(mask[0].numel() for mask in active))
    assert all(int(mask.sum()) >= int(share * mask[0].numel()) for mask in active)
