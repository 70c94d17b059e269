"""The engine for torch modules: against the torch engine, plain loops in torch, and itself after a resume."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.own_modules import PATCHES, SmallNet, lenet, plain_mlp
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dynsparse import random
from dynsparse.config import Config, ConfigError
from dynsparse.data import DATASETS, load_dataset
from dynsparse.engines import choose_for_config, start
from dynsparse.engines.base import UpdateContext
from dynsparse.engines.dense import DenseEngine
from dynsparse.engines.module import ModuleEngine
from dynsparse.engines.torch import TorchEngine
from dynsparse.methods import METHODS
from dynsparse.nn.module_activity import count_coactivation
from dynsparse.nn.modules import MODULES
from dynsparse.planning.packs import join_trials, select_trials
from dynsparse.planning.plan import keys_read, plan
from dynsparse.random import Purpose, Stream
from dynsparse.training.saved_states import checked_state
from dynsparse.training.trainer import Row, Trainer

pytestmark = pytest.mark.usefixtures("one_thread", "tables")

BATCH = 32
DIGITS: dict[str, Any] = {"dataset_name": "digits", "hidden_sizes": [24, 16], "batch_size": 50, "epochs": 8}
BASE: dict[str, Any] = {
    "dataset_name": "patches",
    "batch_size": BATCH,
    "epochs": 3,
    "on_perc": 0.4,
    "test_noise": False,
}


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Rows for the networks and images of these tests. Rows that a test adds go with it."""
    monkeypatch.setitem(DATASETS, "patches", PATCHES)
    before = dict(MODULES)
    MODULES.update({"plain": plain_mlp, "small": SmallNet, "lenet": lenet})
    yield
    MODULES.clear()
    MODULES.update(before)


def config(network: str = "small", **values: Any) -> Config:
    return Config.of({**BASE, "network": network, **values})


def train(*configs: Config) -> list[list[Row | None]]:
    """Return the rows of each step."""
    trainer = Trainer(configs)
    rows = []
    while not trainer.is_done:
        rows.append(trainer.step())
    return rows


def batches(dataset: str, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches without end."""
    data = load_dataset(dataset)
    while True:
        yield from zip(data.train_x.split(size)[:-1], data.train_y.split(size)[:-1], strict=True)


# The engine of the torch engine's networks


@pytest.mark.parametrize(
    ("model", "values"),
    [*((model, {}) for model in METHODS), *((model, {"batch_norm": True}) for model in ("SparseModel", "DSNNHeb"))],
)
def test_a_module_gets_the_masks_and_weights_of_the_same_network_in_the_torch_engine(
    model: str, values: dict[str, Any]
) -> None:
    trials = [{"seed": 1, "on_perc": 0.3, "label_smoothing": 0.1}, {"seed": 2, "on_perc": 0.5, "learning_rate": 0.02}]
    engines: list[DenseEngine] = []
    for engine, network in ((TorchEngine, "MLP"), (ModuleEngine, "plain")):
        keys = {**DIGITS, "model": model, "clip_norm": 1.0, **values, "network": network}
        engines.append(engine(plan([Config.of({**keys, **trial}) for trial in trials])))
    ours, theirs = engines
    rate = ours.plan.learning_rates(0, 1, 1)[0]
    data = batches("digits", 50)
    for step in range(50):
        x, y = next(data)
        sums = [each.train_batch(x[None], y[None], epoch=1 + step // 10, rate=rate) for each in engines]
        torch.testing.assert_close(*[each.loss for each in sums], rtol=1e-3, atol=1e-3)
        if step % 10 == 9 and ours.plan.updates is not None:
            when = UpdateContext(1 + step // 10, (step + 1) / 50, 1.0, stopped=torch.zeros(2, dtype=torch.bool))
            for each in engines:
                each.update_masks(when)
                each.end_epoch()
        for mine, other in zip(ours.masks, theirs.masks, strict=True):
            assert torch.equal(mine, other), step
    n_hidden = len(ours.weights) - 1 if values else 0
    norms = [ours.parameters()[6 + i + j * n_hidden] for i in range(n_hidden) for j in (0, 1)]
    for mine, other in zip([*ours.parameters()[:6], *norms], theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-2, atol=1e-3)
    test = load_dataset("digits")
    results = [each.evaluate(test.test_x[None], test.test_y[None]) for each in engines]
    torch.testing.assert_close(results[0].loss, results[1].loss, rtol=1e-3, atol=0)
    for units, others in zip(results[0].active, results[1].active, strict=True):
        assert torch.equal(units, others)


# Convolutions, against loops that are written here


def plain_update(weight: Tensor, mask: Tensor, gradient: Tensor, model: str, layer: int, epoch: int) -> Tensor:
    """Return the mask after an update that drops a third of the active weights. Shapes: (out, in)."""
    w, active = weight.numpy().ravel(), mask.numpy().ravel()
    prune_noise, grow_noise = (
        random.noise(tuple(weight.shape), Stream(7, purpose, layer=layer, epoch=epoch)).numpy().ravel()
        for purpose in (Purpose.PRUNE, Purpose.GROW)
    )
    dropped = np.zeros_like(active)
    for chosen in [active] if model == "RigL" else [active & (w >= 0), active & (w < 0)]:
        places = np.flatnonzero(chosen)
        n_drop = int(np.floor(len(places) / 3 + 0.5))
        dropped[places[np.lexsort((prune_noise[places], np.abs(w[places])))[:n_drop]]] = True
    free = np.flatnonzero(~active)
    score = -np.abs(gradient.numpy().ravel()) if model == "RigL" else np.zeros(len(w))
    grown = free[np.lexsort((grow_noise[free], score[free]))[: dropped.sum()]]
    after = active & ~dropped
    after[grown] = True
    return torch.from_numpy(after).view(mask.shape)


@pytest.mark.parametrize("model", ["SET", "RigL"])
def test_convolutions_are_trained_as_in_a_plain_loop(model: str) -> None:
    # A third of any whole number is not exactly half a weight away from the next one.
    ours = ModuleEngine(plan([config("lenet", model=model, seed=7, weight_prune_perc=1 / 3, momentum=0.9)]))
    net = lenet()
    layers = [each for each in net if isinstance(each, nn.Conv2d | nn.Linear)]
    masks = [mask[0].clone() for mask in ours.masks]
    with torch.no_grad():
        for layer, weight, bias in zip(layers, ours.weights, ours.biases, strict=True):
            layer.weight.copy_(weight[0].view(layer.weight.shape))
            layer.bias.copy_(bias[0])
    assert [tuple(mask.shape) for mask in masks] == [(4, 9), (6, 36), (16, 24), (5, 16)]
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    data = batches("patches", BATCH)
    for epoch in (1, 2, 3):
        for _ in range(5):
            x, y = next(data)
            ours.train_batch(x[None], y[None], epoch=epoch, rate=torch.tensor([0.1]))
            optimizer.zero_grad()
            F.cross_entropy(net(x.view(-1, 1, 12, 12)), y).backward()
            dense = [layer.weight.grad.flatten(1).clone() for layer in layers]
            for layer, mask in zip(layers, masks, strict=True):
                layer.weight.grad *= mask.view(layer.weight.shape)
            optimizer.step()
        ours.update_masks(UpdateContext(epoch, epoch / 3, 1.0, stopped=torch.tensor([False])))
        for i, layer in enumerate(layers):
            new = plain_update(layer.weight.detach().flatten(1), masks[i], dense[i], model, i, epoch)
            assert new.sum() == masks[i].sum() and not torch.equal(new, masks[i])
            stays = (new & masks[i]).view(layer.weight.shape)
            layer.weight.data *= stays
            optimizer.state[layer.weight]["momentum_buffer"] *= stays
            masks[i] = new
            assert torch.equal(ours.masks[i][0], new), (epoch, i)
            torch.testing.assert_close(ours.weights[i][0], layer.weight.detach().flatten(1), rtol=1e-3, atol=1e-5)
            assert (ours.weights[i][0][~new] == 0).all()


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(2, 4, 3, stride=2, padding=1),
        nn.Conv2d(4, 6, (1, 2), groups=2, dilation=2),
        nn.Conv2d(2, 3, (2, 3), padding="same"),
        nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"),
        nn.Conv1d(3, 4, 2, padding=1),
        nn.Linear(5, 4),
    ],
    ids=str,
)
def test_coactivation_counts_positions_one_by_one(layer: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    shape = {nn.Linear: (3, 2, 5), nn.Conv1d: (3, 3, 6)}.get(type(layer), (3, getattr(layer, "in_channels", 0), 5, 6))
    x = torch.randint(0, 2, shape, generator=generator).bool()
    out = torch.randint(0, 2, layer(x.float()).shape, generator=generator).bool()
    counts = count_coactivation(layer, x, out)
    for place in range(counts.shape[1]):
        # One weight of each filter alone passes the input that it reads at each position.
        with torch.no_grad():
            layer.weight.zero_()
            layer.weight.flatten(1)[:, place] = 1
            layer.bias.zero_()
            read = layer(x.float()) > 0
        both = read & out
        axes = [axis for axis in range(both.ndim) if axis != (both.ndim - 1 if isinstance(layer, nn.Linear) else 1)]
        assert torch.equal(counts[:, place].long(), both.sum(axes))


def test_coactivation_reads_the_batch_norm_that_follows_a_layer() -> None:
    ours = ModuleEngine(plan([config(model="DSNNHeb")]))
    assert [(each.name, each.activity) for each in ours.plan.network.layers] == [
        ("conv1", "norm1"), ("conv2", "conv2"), ("head", "head"),
    ]  # fmt: skip
    x, y = next(batches("patches", BATCH))
    net = copy.deepcopy(ours.modules[0])
    ours.train_batch(x[None], y[None], epoch=1, rate=torch.tensor([0.1]))
    images = x.view(-1, 1, 12, 12)
    out = net.norm1(net.conv1(images)) > 0
    read = F.unfold(F.pad(images, (1, 1, 1, 1)), 3) > 0
    expected = torch.einsum("nop,nip->oi", out.flatten(2).float(), read.float())
    assert ours.coactivation is not None
    torch.testing.assert_close(ours.coactivation[0][0], expected, rtol=0, atol=0)


@pytest.mark.parametrize("network", ["lenet", "small"])
def test_bf16_computes_as_autocast(network: str) -> None:
    keys = {"model": "SET", "precision": "bf16", "label_smoothing": 0.1}
    ours = ModuleEngine(plan([config(network, **keys)]))
    exact = ModuleEngine(plan([config(network, **{**keys, "precision": "float32"})]))
    net = copy.deepcopy(ours.modules[0])
    net.train()
    [each.eval() for each in net.modules() if isinstance(each, nn.Dropout)]
    [each.eval() for each in ours.modules[0].modules() if isinstance(each, nn.Dropout)]
    x, y = next(batches("patches", BATCH))
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(x.view(-1, 1, 12, 12))
    F.cross_entropy(logits.float(), y, label_smoothing=0.1).backward()
    logits, _, gradients = ours.differentiate(x[None], y[None], epoch=1)
    assert logits.dtype is torch.float32 and {each.dtype for each in gradients} == {torch.float32}
    for gradient, each in zip(gradients, ours._trained[0], strict=True):
        [name] = [name for name, own in ours.modules[0].named_parameters() if own is each]
        expected = net.get_parameter(name).grad
        assert expected is not None
        torch.testing.assert_close(gradient[0].view(expected.shape), expected, rtol=1e-5, atol=1e-7)
    others = exact.differentiate(x[None], y[None], epoch=1)[2]
    assert not any(torch.equal(mine, other) for mine, other in zip(gradients[:3], others, strict=False))


def test_a_trial_in_bf16_resumes_bit_for_bit() -> None:
    trial = config(model="RigL", precision="bf16")
    whole, first, second = train(trial), Trainer([trial]), Trainer([trial])
    first.step()
    second.load_state_dict(checked_state(copy.deepcopy(first.state_dict()), trial))
    assert repr([second.step(), second.step()]) == repr(whole[1:])
    assert repr(whole) != repr(train(config(model="RigL")))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_gradients_on_a_gpu_are_exact_and_repeat() -> None:
    x, y = next(batches("patches", BATCH))
    found = [
        ModuleEngine(plan([config("lenet", device=device)])).differentiate(
            x[None].to(device), y[None].to(device), epoch=1
        )[2]
        for device in ("cpu", "cuda", "cuda")
    ]
    for exact, one, other in zip(*found, strict=True):
        # tf32 would be off by 1e-3.
        torch.testing.assert_close(one.cpu(), exact, rtol=1e-4, atol=1e-6)
        assert torch.equal(one, other)


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


# Engines and refusals


@pytest.mark.parametrize("engine", ["sparse", "torch", "packed"])
def test_other_engines_refuse_modules(engine: str) -> None:
    message = (
        f"engine='{engine}' does not support a network that is a torch module. Use engine='auto' or engine='module'"
    )
    with pytest.raises(ValueError, match=message):
        choose_for_config(config(engine=engine))


def test_auto_takes_this_engine_which_refuses_multilayer_perceptrons() -> None:
    assert choose_for_config(config()).name == choose_for_config(config(engine="module")).name == "module"
    assert isinstance(start(plan([config()])), ModuleEngine)
    with pytest.raises(ValueError, match="engine='module' does not support a network that is a multilayer perceptron"):
        choose_for_config(config("MLP", engine="module"))


def two_heads() -> nn.Module:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(144, 5), nn.Linear(144, 5)
            self.b.weight = self.a.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.a(x.flatten(1)) + self.b(x.flatten(1))

    return Tied()


class Around(nn.Module):
    """A linear layer with something done to its inputs or outputs."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.body, self.what = nn.Linear(144, 5), what
        if what == "unreached":
            self.spare = nn.Conv1d(1, 1, 1)

    def forward(self, x: Tensor) -> Any:
        x = x.flatten(1)
        if self.what == "numpy":
            x = x * np.random.rand()
        if self.what == "no gradient":
            with torch.no_grad():
                return self.body(x)
        out = self.body(x)
        return {"tuple": (out, out), "one number": out.sum()}.get(self.what, out)


def other_seed(name: str) -> nn.Module:
    net = nn.Sequential(nn.Flatten(), nn.Linear(144, 5))
    if name == "half":
        net.half()
    if name == "frozen":
        net.requires_grad_(False)
    if name == "parametrized":
        nn.utils.parametrizations.weight_norm(net[1])
    return net


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: 3, r"its function must return a torch\.nn\.Module, got int\. Return one\."),
        (lambda a, b: None, "must have one argument without a default, the settings of the trial, or none, got a, b"),
        (lambda *, width: None, "must have one argument without a default, .* got width. Give the others defaults"),
        (lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(5)), r"1\.weight, 1\.bias have no shape before .* Give"),
        (lambda: nn.Flatten(), "has no Linear, Conv1d or Conv2d layer whose weights require a gradient. Add one"),
        (lambda: other_seed("frozen"), "has no Linear, Conv1d or Conv2d layer whose weights require a gradient"),
        (lambda: other_seed("half"), r"1\.weight, 1\.bias must be float32\. Leave out \.half\(\)"),
        (lambda: other_seed("parametrized"), r"1 have weights that are computed .* Remove the parametrization"),
        (two_heads, r"a and b share a parameter\. Give each its own, or freeze it with requires_grad_\(False\)"),
        (lambda: Around("unreached"), r"spare are never called in the forward pass\. Remove them, or freeze them"),
        (lambda: Around("numpy"), "different results for the same seed and inputs: it draws random numbers from else"),
        (lambda: Around("no gradient"), r"body get no gradient\. Leave out no_grad\(\) and detach\(\)"),
        (lambda: Around("tuple"), "must return one tensor of logits, got tuple. Return the logits alone"),
        (lambda: Around("one number"), r"here of shape \(1, 5\), got torch.float32 of shape \(\) on cpu"),
        (
            lambda: nn.Sequential(nn.Flatten(), nn.Linear(9, 5)),
            r"on inputs \(examples, 1, 12, 12\), fails: RuntimeError",
        ),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(144, 5)).to("meta"), r"must be on the CPU at first\. Leave out"),
    ],
)
def test_a_module_that_cannot_be_trained_is_refused_by_name(function: Any, message: str) -> None:
    MODULES["mine"] = function
    with pytest.raises(ConfigError, match=f"network='mine' on dataset_name='patches': .*{message}"):
        config("mine")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kwinners": True}, "kwinners must be False with network='small', whose function does not read it"),
        ({"dense_layers": ["heads"]}, "Unknown layer in dense_layers 'heads'. Did you mean 'head'?"),
        ({"network_hash": "0123"}, "network_hash must be None for network='small', got '0123'"),
        ({"precision": "bf16", "network": "MLP"}, "precision='bf16' is for networks that are torch modules"),
        ({"network": "smalls"}, "Unknown network 'smalls'. Did you mean 'small'.* For a function of your own, give"),
        ({"network": 3}, "network must be one of MLPHeb, .*, a function, or .* got 3"),
        ({"on_perc": 0.001}, "leaves no active weight in a layer of 4 x 9"),
    ],
)
def test_keys_that_do_not_fit_a_module(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(**values)


def test_trials_whose_modules_differ_in_shape_are_no_pack() -> None:
    MODULES["by seed"] = lambda settings: nn.Sequential(
        nn.Flatten(), nn.Linear(144, 4 + settings.seed), nn.ReLU(), nn.Linear(4 + settings.seed, 5)
    )
    trials = [config("by seed", seed=seed) for seed in (0, 1)]
    with pytest.raises(ValueError, match="cannot be trained as one pack: their networks must have equal shapes"):
        ModuleEngine(plan(trials))
