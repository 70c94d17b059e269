"""Trials of the engine for torch modules: how they begin, resume and are packed; studies, costs and keys."""

from __future__ import annotations

import copy

import pytest
import torch
from support.module_trials import BATCH, batches, config, train
from support.own_modules import SmallNet, lenet
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dynsparse.config import ConfigError
from dynsparse.engines.module import ModuleEngine
from dynsparse.nn.modules import MODULES
from dynsparse.planning.packs import join_trials, select_trials
from dynsparse.planning.plan import keys_read, plan
from dynsparse.training.saved_states import checked_state
from dynsparse.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread", "module_tables")

# What begins, what is trained, what stays


def test_masked_layers_begin_as_in_all_engines_and_the_rest_as_the_module_draws_it() -> None:
    before = torch.random.get_rng_state()
    ours = ModuleEngine(plan([config(seed=3), config(seed=4), config(seed=3)]))
    assert torch.equal(torch.random.get_rng_state(), before), "the caller's random numbers are its own"
    for weight, mask in zip(ours.weights, ours.masks, strict=True):
        assert torch.equal(weight != 0, mask)
        assert torch.equal(weight[0], weight[2]) and not torch.equal(weight[0], weight[1])
    assert [each.shape[1:] for each in ours.others] == [(4,), (4,)]
    assert (ours.biases[0] == 0).all(), "conv1 has no bias"
    assert ours.modules[0].conv1.weight.data_ptr() == ours.weights[0].data_ptr()
    assert [each.name for each in ours.plan.network.layers] == ["conv1", "conv2", "head"]


def test_frozen_parameters_and_layers_left_dense() -> None:
    def half_frozen() -> nn.Module:
        net = SmallNet()
        net.conv1.requires_grad_(False)
        net.norm1.bias.requires_grad_(False)
        return net

    MODULES["frozen"] = half_frozen
    ours = Trainer([config("frozen", model="SET", dense_layers=["head"])])
    engine = ours.engine
    assert isinstance(engine, ModuleEngine)
    assert [each.name for each in engine.plan.network.layers] == ["conv2", "head"]
    assert [round(float(mask.float().mean()), 2) for mask in engine.masks] == [0.4, 1.0]
    frozen = engine.modules[0].conv1.weight.clone()
    first = engine.modules[0].norm1.weight.clone()
    while not ours.is_done:
        ours.step()
    assert torch.equal(engine.modules[0].conv1.weight, frozen)
    assert not torch.equal(engine.modules[0].norm1.weight, first)
    assert (engine.modules[0].norm1.bias == 0).all() and engine.masks[1].all()


class Siamese(nn.Module):
    """Two inputs go through a layer, and then both through its norm."""

    def __init__(self, reverse: bool) -> None:
        super().__init__()
        self.reverse = reverse
        self.shared, self.norm, self.head = nn.Linear(72, 6), nn.BatchNorm1d(6), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        halves = [self.shared(half) for half in x.flatten(1).split(72, dim=1)]
        halves = halves[::-1] if self.reverse else halves
        return self.head(sum(self.norm(half).relu() for half in halves))


@pytest.mark.parametrize(("reverse", "activity"), [(False, "norm"), (True, "shared")])
def test_a_layer_may_be_called_twice_before_its_norm(reverse: bool, activity: str) -> None:
    MODULES["siamese"] = lambda: Siamese(reverse)
    engine = ModuleEngine(plan([config("siamese", model="DSNNHeb")]))
    assert engine.plan.network.layers[0].activity == activity
    net = copy.deepcopy(engine.modules[0])
    x, y = next(batches("patches", BATCH))
    engine.differentiate(x[None], y[None], epoch=1)
    inputs = x.split(72, dim=1)
    outputs = [net.shared(each) if reverse else net.norm(net.shared(each)) for each in inputs]
    expected = sum((out > 0).float().T @ (half > 0).float() for half, out in zip(inputs, outputs, strict=True))
    assert engine.coactivation is not None
    assert torch.equal(engine.coactivation[0][0], expected)
    engine.predict(x[None])


def test_layers_inside_attention_stay_dense_and_a_layer_may_be_called_twice() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Linear(12, 8)
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.twice = nn.Linear(8, 8)
            self.head = nn.Linear(8, 5)

        def forward(self, x: Tensor) -> Tensor:
            x = self.embed(x.flatten(1, 2))
            x, _ = self.attention(x, x, x)
            return self.head(self.twice(input=self.twice(x).relu()).mean(1))

    MODULES["attention"] = Attention
    trial = config("attention", model="DSNNHeb")
    network = plan([trial]).network
    assert [(each.name, each.positions) for each in network.layers] == [("embed", 12), ("twice", 24), ("head", 1)]
    assert len(ModuleEngine(plan([trial])).others) == 4
    [[first], *_] = train(trial)
    assert first["density"] == pytest.approx(0.4, abs=0.01)


# Resume and packs


@pytest.mark.parametrize("model", ["SET", "SNFS", "DSNNMixedHeb"])
def test_a_resumed_trial_is_bit_for_bit_the_unbroken_one(model: str) -> None:
    trial = config(model=model, optim_alg="Adam", learning_rate=0.01, pruning_interval_steps=3)
    whole = train(trial)
    first = Trainer([trial])
    first.step()
    state = checked_state(copy.deepcopy(first.state_dict()), trial)
    torch.manual_seed(12345)
    second = Trainer([trial])
    second.load_state_dict(state)
    assert repr([second.step(), second.step()]) == repr(whole[1:])
    assert second.engine.state_dict()["buffers"][2].tolist() == [15], "batches that batch norm has tracked"
    assert not torch.equal(second.engine.state_dict()["buffers"][0], first.engine.state_dict()["buffers"][0])


def test_a_trial_of_a_pack_is_bit_for_bit_the_trial_alone() -> None:
    trials = [config(model="RigL", seed=seed, on_perc=density) for seed, density in ((0, 0.3), (0, 0.5), (5, 0.4))]
    together = train(*trials)
    for place, trial in enumerate(trials):
        # As text, because NaN is not equal to itself.
        assert repr([rows[place] for rows in together]) == repr([row for [row] in train(trial)])


def test_the_state_of_a_pack_is_that_of_its_trials() -> None:
    trials = [config(model="SET", seed=seed) for seed in (0, 1)]
    pack = Trainer(trials)
    pack.step()
    parts = [select_trials(copy.deepcopy(pack.state_dict()), [place]) for place in (0, 1)]
    again = Trainer(trials)
    again.load_state_dict(join_trials([checked_state(part, trial) for part, trial in zip(parts, trials, strict=True)]))
    assert repr(again.step()) == repr(pack.step())


def test_dropout_depends_on_seed_and_step_alone() -> None:
    x, y = next(batches("patches", BATCH))
    ours = ModuleEngine(plan([config(model="Dense", learning_rate=0.0, momentum=0.0)]))
    losses = [float(ours.train_batch(x[None], y[None], epoch=1, rate=torch.tensor([0.0])).loss) for _ in range(3)]
    assert len(set(losses)) == 3
    torch.manual_seed(99)
    again = ModuleEngine(plan([config(model="Dense", learning_rate=0.0, momentum=0.0)]))
    assert losses[0] == float(again.train_batch(x[None], y[None], epoch=1, rate=torch.tensor([0.0])).loss)


# Studies, costs, keys


def test_a_sweep_prunes_filters_and_a_ticket_rewinds_norms() -> None:
    sweep = {"study": "sweep", "sparsities": [0.5], "epochs": 1, "retrain_epochs": 1, "prune_kinds": ["unit"]}
    trainer = Trainer([config("lenet", model="Dense", **sweep)])
    while not trainer.is_done:
        trainer.step()
    mask, weight, bias = trainer.engine.masks[0][0], trainer.engine.weights[0][0], trainer.engine.biases[0][0]
    assert mask.any(1).tolist().count(False) == 2 and mask.any(1).tolist() == mask.all(1).tolist()
    assert (weight[~mask] == 0).all() and bias.shape == (4,)

    ticket = {"study": "ticket", "epochs": 1, "prune_ratio": 0.5, "prune_iter": 1}
    trainer = Trainer([config(model="Dense", **ticket)])
    start_of_norm = trainer.engine.state_dict()["others"][0].clone()
    [first] = trainer.step()
    assert not torch.equal(trainer.engine.state_dict()["others"][0], start_of_norm)
    trainer._replace_network(trainer._kept["early"])
    assert torch.equal(trainer.engine.state_dict()["others"][0], start_of_norm)
    [second] = trainer.step()
    assert first is not None and second is not None and second["density"] == pytest.approx(0.5, abs=0.1)


def test_operations_are_those_that_torch_counts() -> None:
    [[row], *_] = train(config("lenet", model="Dense"))
    with FlopCounterMode(display=False) as counter:
        lenet()(torch.zeros(1, 1, 12, 12))
    assert row["flops_inference"] == counter.get_total_flops() == row["flops_train"] / 3
    [[sparse], *_] = train(config("lenet", model="SparseModel", on_perc=0.5))
    assert sparse["flops_inference_ratio"] == sparse["flops_train_ratio"] == 0.5
    assert "is_connected" not in row and {f"dead_units_l{i}" for i in range(3)} <= row.keys()


def test_only_keys_that_a_function_reads_count() -> None:
    silent = {"hidden_sizes", "kwinners", "percent_on", "batch_norm", "dropout"}
    assert not keys_read(config()) & silent
    assert keys_read(config("plain")) & silent == {"hidden_sizes", "batch_norm"}
    assert {"network_hash", "dense_layers", "weight_init"} <= keys_read(config(model="SET"))
    assert "dense_layers" not in keys_read(config(model="Dense"))
    # From memory, too.
    assert keys_read(config("plain", seed=8)) & silent == {"hidden_sizes", "batch_norm"}


def test_an_unread_key_in_a_function_is_named() -> None:
    MODULES["misspelt"] = lambda settings: nn.Linear(settings.hiden_sizes[0], 5)
    with pytest.raises(ConfigError, match=r"AttributeError: Unknown key 'hiden_sizes'\. Did you mean 'hidden_sizes'"):
        config("misspelt")
