"""Weights at all positions, as Top-KAST keeps them: steps worked by hand, and training beside plain torch."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from support.module_trials import config as module_config

from dynsparse.config import Config, ConfigError
from dynsparse.engines import choose_for_config
from dynsparse.engines.latent_weights import step_
from dynsparse.nn.optimizers import OPTIMIZERS
from dynsparse.ops import masks
from dynsparse.training.trainer import Trainer

BASE: dict[str, Any] = {
    "dataset_name": "digits", "model": "TopKAST", "hidden_sizes": [24, 16], "batch_size": 100, "epochs": 3,
    "on_perc": 0.2, "backward_density": 0.5, "pruning_interval_steps": 5, "learning_rate": 0.05,
}  # fmt: skip

pytestmark = pytest.mark.usefixtures("one_thread")


def trainer_of(**values: Any) -> Trainer:
    return Trainer([Config.of({**BASE, **values})])


@pytest.mark.parametrize("optim_alg", ["SGD", "AdamW"])
def test_weight_decay_is_divided_by_the_density_for_trained_weights_that_are_inactive(optim_alg: str) -> None:
    # Of four weights, one is active, and two are trained: the density is 1/4. Without a gradient, the active weight
    # loses rate * decay = 0.1 * 0.01 of its value, the other trained one four times as much, and the others nothing.
    optimizer = OPTIMIZERS[optim_alg](Config(optim_alg=optim_alg, momentum=0.0, weight_decay=0.01))
    weight = torch.tensor([[[2.0, -1.0, 0.5, 0.4]]])
    active, trained = torch.tensor([[[1, 0, 0, 0]]]).bool(), torch.tensor([[[1, 1, 0, 0]]]).bool()
    state = optimizer.init(weight)
    nothing, rate = torch.zeros_like(weight), torch.tensor([0.1])
    step_(optimizer, weight, nothing, state, 1, rate, active=active, trained=trained)
    assert weight[0, 0].tolist() == pytest.approx([2.0 * 0.999, -1.0 * 0.996, 0.5, 0.4], abs=1e-6)
    assert all(not each[~trained].any() for each in state.values())


def test_training_is_that_of_a_plain_network_with_masked_copies_of_its_weights() -> None:
    trainer = trainer_of(epochs=1, test_noise=False, weight_decay=0.01, momentum=0.9)
    engine, (x, y) = trainer.engine, trainer.splits.train
    theta = [each[0].clone() for each in engine.latent]
    biases = [each[0].clone() for each in engine.biases]
    velocity = [torch.zeros_like(each) for each in theta + biases]
    order = trainer.splits.order(1)
    for number, index in enumerate(order[0].split(100)):
        if number % 5 == 0:
            sizes = [each.numel() for each in theta]
            active, trained = (
                [largest(each, round(share * n)) for each, n in zip(theta, sizes, strict=True)] for share in (0.2, 0.5)
            )
            for kept, each in zip(trained, velocity, strict=False):
                each.mul_(kept)
        n_active = [int(each.sum()) for each in active]
        leaves = [(t * a).requires_grad_() for t, a in zip(theta, active, strict=True)]
        of_biases = [each.clone().requires_grad_() for each in biases]
        hidden = x[0][index]
        for layer, (w, b) in enumerate(zip(leaves, of_biases, strict=True)):
            hidden = torch.nn.functional.linear(hidden, w, b)
            hidden = hidden.relu() if layer < 2 else hidden
        gradients = torch.autograd.grad(torch.nn.functional.cross_entropy(hidden, y[0][index]), leaves + of_biases)
        for i, gradient in enumerate(gradients):
            values = theta[i] if i < 3 else biases[i - 3]
            decay = torch.full_like(values, 0.01)
            if i < 3:
                decay = decay * (active[i] + (trained[i] & ~active[i]) * (theta[i].numel() / n_active[i]))
            step = gradient * (trained[i] if i < 3 else 1) + decay * values
            velocity[i] = 0.9 * velocity[i] + step
            values.sub_(0.05 * velocity[i])
    trainer.step()
    for ours, expected, a in zip(engine.latent, theta, active, strict=True):
        assert torch.allclose(ours[0], expected, atol=1e-5)
        assert a.sum() == round(0.2 * a.numel())
    for ours, expected in zip(engine.biases, biases, strict=True):
        assert torch.allclose(ours[0], expected, atol=1e-5)


def largest(weight: torch.Tensor, number: int) -> torch.Tensor:
    threshold = weight.abs().flatten().sort(descending=True).values[number - 1]
    return weight.abs() >= threshold


@pytest.mark.parametrize(
    "values", [{}, {"optim_alg": "Adam", "learning_rate": 0.001}, {"mask_pattern": "1:4"}], ids=str
)
def test_after_every_epoch_active_weights_are_the_latent_ones_and_counts_are_exact(values: dict[str, Any]) -> None:
    pattern = {"on_perc": 0.25} if "mask_pattern" in values else {}
    trainer = trainer_of(**values, **pattern)
    engine = trainer.engine
    while not trainer.is_done:
        [row] = trainer.step()
        for layer, mask in enumerate(engine.masks):
            latent, trained, n = engine.latent[layer], engine.trained[layer], mask.numel()
            assert torch.equal(engine.weights[layer], latent * mask)
            assert mask.sum() == engine.targets[layer]
            assert not (mask & ~trained).any()
            assert int(trained.sum()) == int(mask.sum()) + round((0.5 - float(trainer.plan.method.density)) * n)
            assert trainer.plan.patterns[layer].misfit(mask) is None
            for state in engine.optimizer[layer].values():
                assert not state[~trained].any()
    assert row["train_acc"] > 0.25
    # Forward and the gradient of inputs with the active weights, the gradient of weights with the trained ones.
    n_active, n_trained = (sum(int(each.sum()) for each in layers) for layers in (engine.masks, engine.trained))
    assert row["flops_train"] == 2 * (2 * n_active + n_trained)


def test_weights_that_are_not_trained_stay() -> None:
    trainer = trainer_of(pruning_interval_steps=1000)
    before = [each.clone() for each in trainer.engine.latent]
    trainer.step()
    for now, then, trained in zip(trainer.engine.latent, before, trainer.engine.trained, strict=True):
        assert torch.equal(now[~trained], then[~trained])
        assert not torch.equal(now[trained], then[trained])


def test_a_trial_resumes_bit_for_bit_alone_and_in_a_pack() -> None:
    configs = [Config.of({**BASE, "backward_density": each}) for each in (0.3, 0.6)]
    whole, first, second = Trainer(configs), Trainer(configs), Trainer(configs)
    alone = Trainer(configs[1:])
    for _ in range(3):
        whole.step()
        alone.step()
    first.step()
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for _ in range(2):
        second.step()
    for ours, theirs in zip(second.engine.latent, whole.engine.latent, strict=True):
        assert torch.equal(ours, theirs)
    for ours, theirs in zip(alone.engine.masks, whole.engine.masks, strict=True):
        assert torch.equal(ours[0], theirs[1])


@pytest.mark.usefixtures("module_tables")
def test_a_torch_module_trains_as_the_multilayer_perceptron() -> None:
    values = {name: value for name, value in BASE.items() if name != "model"}
    module, plain = Trainer([module_config("plain", model="TopKAST", **values)]), trainer_of(network="MLP")
    for _ in range(2):
        module.step()
        plain.step()
    for ours, theirs in zip(module.engine.masks, plain.engine.masks, strict=True):
        assert torch.equal(ours, theirs)
    for ours, theirs in zip(module.engine.latent, plain.engine.latent, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)
    assert all(masks.count(a) < masks.count(b) for a, b in zip(module.engine.masks, module.engine.trained, strict=True))


def test_only_dense_engines_train_it() -> None:
    choice = choose_for_config(Config(**BASE))
    assert (choice.name, choice.reason) == ("torch", "trained weights that are not active")
    for engine in ("sparse", "packed"):
        with pytest.raises(
            ValueError, match=f"^engine='{engine}' does not support trained weights that are not active"
        ):
            choose_for_config(Config(**BASE, engine=engine))
    with pytest.raises(
        ConfigError, match=r"^backward_density must be at least on_perc=0\.6, got 0\.5\. Raise backward"
    ):
        Config(**{**BASE, "on_perc": 0.6})


def test_a_layer_that_a_sweep_has_emptied_keeps_finite_weights() -> None:
    trainer = trainer_of(study="sweep", sparsities=[1.0], prune_kinds=["weight"], retrain_epochs=1, epochs=1)
    while not trainer.is_done:
        trainer.step()
    assert not trainer.engine.masks[0].any()
    state = trainer.state_dict()["engine"]
    assert all(each.isfinite().all() for each in state["latent"])
