"""The engine for torch modules: against the torch engine, and plain loops in torch."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.module_trials import BATCH, DIGITS, batches, config, train
from support.own_modules import lenet
from torch import Tensor, nn

from dynsparse import random
from dynsparse.config import Config
from dynsparse.data import load_dataset
from dynsparse.engines.base import UpdateContext
from dynsparse.engines.dense import DenseEngine
from dynsparse.engines.module import ModuleEngine
from dynsparse.engines.torch import TorchEngine
from dynsparse.methods import METHODS
from dynsparse.nn.module_activity import count_coactivation
from dynsparse.planning.plan import plan
from dynsparse.random import Purpose, Stream
from dynsparse.training.saved_states import checked_state
from dynsparse.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread", "module_tables")

# These drop units without paths, and the paths of a module are not known.
BY_PATHS = {"CHT", "CHTs", "CHTss"}

# The engine of the torch engine's networks


@pytest.mark.parametrize(
    ("model", "values"),
    [
        *((model, {}) for model in METHODS if model not in BY_PATHS),
        *((model, {"batch_norm": True}) for model in ("SparseModel", "DSNNHeb")),
    ],
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
