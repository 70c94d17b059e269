"""DeepR: its rules, worked by hand, and the drift of its weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy import stats

from dynsparse.config import Config, ConfigError
from dynsparse.engines import start
from dynsparse.engines.base import initial_parameters
from dynsparse.engines.drift import position_signs
from dynsparse.methods import METHODS, Method, update_mask
from dynsparse.methods.base import at_random
from dynsparse.methods.deepr import zero_crossings
from dynsparse.ops.scores import Layer
from dynsparse.planning.plan import keys_read, plan
from dynsparse.planning.same_training import same_trials
from dynsparse.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread", "blobs")

BASE: dict[str, Any] = {
    "dataset_name": "blobs",
    "hidden_sizes": [24, 16],
    "batch_size": 32,
    "epochs": 6,
    "model": "DeepR",
}
LAYER = Layer(
    weight=torch.tensor([[0.1, -0.4, 0.0, 0.6], [0.0, 0.2, -0.5, 0.0]]),
    mask=torch.tensor([[1, 1, 0, 1], [0, 1, 1, 1]]).bool(),
    target=torch.tensor(6),
    prune_noise=torch.zeros(2, 4, dtype=torch.int32),
    grow_noise=torch.tensor([[0, 0, 9, 0], [3, 0, 0, 0]], dtype=torch.int32),
    sign=torch.tensor([[1.0, 1, 1, 1], [1, -1, -1, -1]]),
)


def config(**values: Any) -> Config:
    return Config.of({**BASE, **values})


def test_weights_of_the_wrong_sign_go_and_as_many_come() -> None:
    # -.4 and .2 have the other sign. The last weight is 0, which is no sign, and stays. Both free positions grow.
    update = update_mask(METHODS["DeepR"](config()), LAYER)
    assert update.kept.int().tolist() == [[1, 0, 0, 1], [0, 0, 1, 1]]
    assert update.mask.int().tolist() == [[1, 0, 1, 1], [1, 0, 1, 1]]
    # The lower noise grows first, if the target is lower.
    update = update_mask(METHODS["DeepR"](config()), LAYER._replace(target=torch.tensor(5)))
    assert update.mask.int().tolist() == [[1, 0, 0, 1], [1, 0, 1, 1]]


def test_nothing_happens_while_no_weight_crosses_zero() -> None:
    update = update_mask(METHODS["DeepR"](config()), LAYER._replace(sign=LAYER.weight.sign()))
    assert torch.equal(update.mask, LAYER.mask)


def test_the_sign_of_a_position_is_that_of_its_initial_weight() -> None:
    trials = [config(seed=1), config(seed=2, on_perc=1.0), config(seed=1, on_perc=1.0)]
    packed = plan(trials)
    for weight, mask, sign in zip(*initial_parameters(packed)[::2], position_signs(packed), strict=True):
        assert torch.equal(weight.sign()[mask], sign[mask])
        # A trial of the same seed has the same sign at inactive positions, too.
        assert torch.equal(sign[0], sign[2])
        assert not torch.equal(sign[0], sign[1])


@pytest.mark.parametrize("values", [{}, {"network": "LeNet5", "dataset_name": "MNIST"}])
def test_a_step_moves_active_weights_towards_zero_and_at_random(values: dict[str, Any]) -> None:
    if values:
        pytest.importorskip("torchvision")
    trials = [{"l1_drift": 0.0, "weight_temperature": 0.0}, {"l1_drift": 0.25, "weight_temperature": 0.0}]
    trials += [{"l1_drift": 0.0, "weight_temperature": 0.08}]
    engine_name = "module" if values else "torch"
    packed = plan([config(on_perc=0.5, learning_rate=0.04, engine=engine_name, **values, **trial) for trial in trials])
    engine = start(packed)
    size = packed.network.sizes[0]
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(1, 32, size, generator=generator), torch.randint(0, 5, (1, 32), generator=generator)
    engine.train_epoch((x, y), torch.arange(32)[None], epoch=1, rates=torch.full((1, 3), 0.04, dtype=torch.float64))
    noise = []
    for weight, mask, sign in zip(engine.weights, engine.masks, position_signs(packed), strict=True):
        assert not weight[~mask].any()
        # r * l1 = 0.01 against the sign; and noise of variance 2 * r * T = 0.08 ** 2.
        torch.testing.assert_close(weight[1] - weight[0], -0.01 * sign[1] * mask[1], atol=1e-6, rtol=0)
        noise.append((weight[2] - weight[0])[mask[0]] / 0.08)
    assert stats.kstest(torch.cat(noise).numpy(), "norm").pvalue > 0.001


def test_the_number_of_weights_stays_and_masks_change_where_weights_cross_zero() -> None:
    trainer = Trainer([config(pruning_interval_steps=1, momentum=0.0, weight_decay=0.0, l1_drift=0.05)])
    signs, n_pruned = position_signs(trainer.plan), 0
    for _ in range(6):
        before = trainer.parameters()
        trainer.step()
        after = trainer.parameters()
        for mask, now in zip(before.masks, after.masks, strict=True):
            assert mask.sum() == now.sum()
            n_pruned += int((mask & ~now).sum())
    # After the last step of the training there is no update.
    wrong = sum(int((w * sign < 0).sum()) for w, sign in zip(trainer.parameters().weights, signs, strict=True))
    assert n_pruned > wrong > 0


def test_the_sparse_engine_runs_it_and_the_packed_engine_does_not() -> None:
    assert type(Trainer([config()]).engine).__name__ == "SparseEngine"
    reason = "a drift of the weights, the signs of positions"
    with pytest.raises(ValueError, match=f"engine='packed' does not support {reason}. Use engine="):
        Trainer([config(engine="packed")])


@pytest.mark.parametrize("temperature", [0.0, 1e-4])
def test_weights_drift_alike_in_the_sparse_and_the_torch_engine(temperature: float) -> None:
    # Trials of a pack have their own drift. 7 steps in each epoch, and a mask update after each third step.
    trials = [{"l1_drift": 1e-3, "seed": 1}, {"l1_drift": 0.2, "seed": 2, "on_perc": 0.05}, {"l1_drift": 0.0}]
    values = {"weight_temperature": temperature, "batch_size": 200, "pruning_interval_steps": 3, "epochs": 2}
    trainers = [Trainer([config(**values, **trial, engine=name) for trial in trials]) for name in ("sparse", "torch")]
    for _ in range(2):
        for trainer in trainers:
            trainer.step()
        sparse, dense = (trainer.parameters() for trainer in trainers)
        for ours, theirs in zip(sparse.masks, dense.masks, strict=True):
            assert torch.equal(ours, theirs)
        for ours, theirs in zip(sparse.weights, dense.weights, strict=True):
            torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)


def test_another_method_may_read_the_signs_without_a_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    method = Method(0.3, zero_crossings, at_random, prune_decays=False, needs=frozenset({"sign"}))
    monkeypatch.setitem(METHODS, "SET", lambda config: method)
    trainer = Trainer([config(model="SET", on_perc=0.3, learning_rate=0.1)])
    assert type(trainer.engine).__name__ == "SparseEngine"
    before = trainer.parameters().masks
    trainer.step()
    weights, _, masks = trainer.parameters()
    assert not all(torch.equal(mask, now) for mask, now in zip(before, masks, strict=True))
    for weight, sign in zip(weights, position_signs(trainer.plan), strict=True):
        assert not (weight * sign < 0).any()


def test_the_drift_is_read_without_mask_updates_too() -> None:
    assert {"l1_drift", "weight_temperature"} <= keys_read(config(pruning_active=False))
    values: list[dict[str, Any]] = [{}, {"l1_drift": 0.1}, {"model": "SparseModel"}]
    assert same_trials([config(pruning_active=False, **each) for each in values]) == []


def test_negative_strengths_are_refused() -> None:
    with pytest.raises(ConfigError, match="l1_drift must be at least 0, got -1"):
        config(l1_drift=-1)
