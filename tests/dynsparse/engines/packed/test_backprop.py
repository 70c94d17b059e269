"""Test the parts of the packed engine: backward pass, matrix products, flat parameters, matmul precision."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dynsparse.config import Config
from dynsparse.engines.active_bits import active_bits
from dynsparse.engines.base import matmul_precision
from dynsparse.engines.flat_params import FlatParameters
from dynsparse.engines.packed.backprop import backward_, cross_entropy, forward, relu_active
from dynsparse.engines.packed.cuda_graph import make_step_runner
from dynsparse.engines.packed.matmul import add_coactivation_counts_, expand_to_trials
from dynsparse.nn.optimizers import OPTIMIZERS
from dynsparse.planning.packs import PackConfig

TRIALS, BATCH, SIZES = 6, 20, [30, 12, 9, 5]


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def network() -> tuple[list[Tensor], list[Tensor]]:
    weights = [random(TRIALS, n_out, n_in, seed=n_out) / n_in**0.5 for n_in, n_out in pairwise(SIZES)]
    return weights, [random(TRIALS, n_out, seed=100 + n_out) for n_out in SIZES[1:]]


def best_two(layer: int, sums: Tensor) -> Tensor:
    """Return the bits of the two units with the largest sums."""
    return active_bits(sums.argsort(-1).argsort(-1) >= sums.shape[-1] - 2)


@pytest.mark.parametrize("n_groups", [1, 2, 3, 6])
@pytest.mark.parametrize("active_units", [relu_active, best_two])
def test_gradients_of_each_trial_are_those_of_autograd_over_its_own_mean(n_groups: int, active_units) -> None:
    weights, biases = network()
    x = random(n_groups, BATCH, SIZES[0], seed=1)
    labels = torch.randint(5, (n_groups, BATCH), generator=torch.Generator().manual_seed(2))
    forward_pass = forward(x, weights, biases, active_units)
    loss = cross_entropy(forward_pass.logits, expand_to_trials(labels, TRIALS))
    ours = [torch.full_like(each, torch.nan) for each in weights], [torch.full_like(each, torch.nan) for each in biases]
    backward_(loss.gradient, forward_pass, weights, *ours)
    for trial in range(TRIALS):
        run = trial * n_groups // TRIALS
        parameters = [each[trial].clone().requires_grad_() for each in (*weights, *biases)]
        h = x[run]
        for layer, (weight, bias) in enumerate(zip(parameters[:3], parameters[3:], strict=True)):
            h = F.linear(h, weight, bias)
            if layer < 2:
                h = h.relu() if active_units is relu_active else h * (h >= h.topk(2).values[:, 1:])
        losses = F.cross_entropy(h, labels[run], reduction="none")
        theirs = torch.autograd.grad(losses.mean(), parameters)
        torch.testing.assert_close(loss.losses[trial], losses.detach(), rtol=1e-5, atol=1e-5)
        assert torch.equal(loss.correct[trial], h.argmax(-1) == labels[run])
        for mine, other in zip((*ours[0], *ours[1]), theirs, strict=True):
            torch.testing.assert_close(mine[trial], other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n_groups", [1, 3, 6])
def test_counts_are_those_of_one_example_after_the_other(n_groups: int) -> None:
    x, active = (random(n_groups, 7, 5, seed=3) > 0).float(), (random(TRIALS, 7, 4, seed=4) > 0).float()
    total = torch.full((TRIALS, 4, 5), 2.0)
    add_coactivation_counts_(total, active, x)
    for trial in range(TRIALS):
        run = trial * n_groups // TRIALS
        for i in range(4):
            for j in range(5):
                both = [bool(active[trial, e, i]) and bool(x[run, e, j]) for e in range(7)]
                assert total[trial, i, j] == 2 + sum(both)


@pytest.mark.parametrize(
    ("name", "kind"), [("SGD", torch.optim.SGD), ("Adam", torch.optim.Adam), ("AdamW", torch.optim.AdamW)]
)
def test_a_step_of_flat_parameters_equals_torchs_optimizer_and_leaves_inactive_weights_zero(name: str, kind) -> None:
    rates = [0.1, 0.02, 0.05]
    configs = [Config.of({"optim_alg": name, "learning_rate": rate, "weight_decay": 0.1}) for rate in rates]
    shapes = [(3, 5), (3,)]
    rows = FlatParameters(3, shapes, OPTIMIZERS[name](PackConfig(configs)), torch.device("cpu"), pad_to=16)
    values, gradients = (rows.views(each) for each in (rows.values, rows.gradient))
    assert rows.values.shape == (3, 32)
    masks = [random(3, 3, 5, seed=5) > 0, torch.ones(3, 3, dtype=torch.bool)]
    rows.views(rows.active)[0].copy_(active_bits(masks[0]))
    for number, (value, mask) in enumerate(zip(values, masks, strict=True)):
        value.copy_(random(*value.shape, seed=number) * mask)
    theirs = [[value[trial].clone().requires_grad_() for value in values] for trial in range(3)]
    more = {"momentum": 0.9} if name == "SGD" else {}
    optimizers = [kind(own, lr=rate, weight_decay=0.1, **more) for own, rate in zip(theirs, rates, strict=True)]
    for step in range(1, 21):
        for number, gradient in enumerate(gradients):
            gradient.copy_(random(*gradient.shape, seed=100 * step + number))
        rows.step_(rows.masked_gradient(), torch.tensor(step, dtype=torch.float64), torch.tensor(rates))
        for trial, optimizer in enumerate(optimizers):
            for own, gradient, mask in zip(theirs[trial], gradients, masks, strict=True):
                own.grad = gradient[trial] * mask[trial]
            optimizer.step()
            for own, value in zip(theirs[trial], values, strict=True):
                torch.testing.assert_close(value[trial], own.detach(), rtol=1e-5, atol=1e-6)
    assert (values[0][~masks[0]] == 0).all()
    assert (values[0][masks[0]] != 0).all()


def setting() -> object:
    # Newer torch has the first, and refuses to read the second once the first is used.
    products = torch.backends.cuda.matmul
    return products.fp32_precision if hasattr(products, "fp32_precision") else products.allow_tf32


def test_the_precision_is_set_for_products_only_and_put_back_even_after_an_error() -> None:
    before = setting()
    with pytest.raises(RuntimeError, match="midway"), matmul_precision("tf32"):
        assert setting() in ("tf32", True)
        with matmul_precision("float32"):
            assert setting() in ("ieee", False)
        assert setting() in ("tf32", True)
        raise RuntimeError("midway")
    assert setting() == before


def test_on_a_cpu_a_step_is_run_as_it_is() -> None:
    seen: list[Tensor] = []
    index = torch.ones(1, 3)
    make_step_runner(torch.device("cpu"))(seen.append, index)
    assert seen == [index]
