"""Networks: linear layers and batch norm against torch's modules, k-winners against a loop, the duty cycle by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal, localcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dynsparse.config import Config
from dynsparse.nn.functional import batch_norm, k_winners, linear, updated_duty, winner_scores
from dynsparse.nn.mlp import NETWORKS, KWinnersSettings
from dynsparse.planning.packs import PackConfig


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def winners_by_loop(x: Tensor, k: Sequence[int], boost: Tensor, duty: Tensor) -> Tensor:
    """One example after the other, with the formula as it is written in the paper."""
    n_trials, n_batch, n_units = x.shape
    out = torch.zeros_like(x)
    for trial in range(n_trials):
        for example in range(n_batch):
            boosted = [
                x[trial, example, unit].item()
                * math.exp(boost[trial].item() * (k[trial] / n_units - duty[trial, unit].item()))
                for unit in range(n_units)
            ]
            for unit in sorted(range(n_units), key=lambda unit: -boosted[unit])[: k[trial]]:
                out[trial, example, unit] = x[trial, example, unit]
    return out


# Linear layers and batch norm


def test_linear_is_torchs_linear_for_each_trial(generator: torch.Generator) -> None:
    modules = [nn.Linear(7, 4) for _ in range(3)]
    for module in modules:
        nn.init.normal_(module.weight, generator=generator)
        nn.init.normal_(module.bias, generator=generator)
    x = torch.randn(3, 5, 7, generator=generator)
    weight = torch.stack([module.weight for module in modules])
    bias = torch.stack([module.bias for module in modules])
    for trial, module in enumerate(modules):
        torch.testing.assert_close(linear(x, weight, bias)[trial], module(x[trial]))


def test_linear_takes_one_batch_for_all_trials(generator: torch.Generator) -> None:
    x = torch.randn(1, 5, 7, generator=generator).expand(3, -1, -1)
    weight, bias = torch.randn(3, 4, 7, generator=generator), torch.randn(3, 4, generator=generator)
    for trial in range(3):
        expected = nn.functional.linear(x[0], weight[trial], bias[trial])
        torch.testing.assert_close(linear(x, weight, bias)[trial], expected)


def test_batch_norm_is_torchs_for_each_trial_with_its_running_statistics(generator: torch.Generator) -> None:
    n_trials, n_units = 3, 5
    modules = [nn.BatchNorm1d(n_units) for _ in range(n_trials)]
    for module in modules:
        nn.init.normal_(module.weight, 1.0, 0.5, generator=generator)
        nn.init.normal_(module.bias, generator=generator)
    gain = torch.stack([module.weight.detach() for module in modules])
    shift = torch.stack([module.bias.detach() for module in modules])
    mean, variance = torch.zeros(n_trials, n_units), torch.ones(n_trials, n_units)
    for _ in range(4):
        # Trials of different scale and centre, so that statistics shared between them would show.
        x = torch.randn(n_trials, 8, n_units, generator=generator) * torch.tensor([1.0, 5, 0.2])[:, None, None] + 3
        out = batch_norm(x, gain, shift, mean, variance, training=True)
        for trial, module in enumerate(modules):
            torch.testing.assert_close(out[trial], module(x[trial]))
            torch.testing.assert_close(mean[trial], module.running_mean)
            torch.testing.assert_close(variance[trial], module.running_var)

    before = mean.clone(), variance.clone()
    out = batch_norm(x, gain, shift, mean, variance, training=False)
    for trial, module in enumerate(modules):
        torch.testing.assert_close(out[trial], module.eval()(x[trial]))
    assert torch.equal(mean, before[0])
    assert torch.equal(variance, before[1])


def test_gradients_of_batch_norm_are_torchs(generator: torch.Generator) -> None:
    x, upstream = torch.randn(2, 2, 6, 3, generator=generator)
    gain, shift = torch.randn(2, 2, 3, generator=generator)
    inputs = [each.clone().requires_grad_() for each in (x, gain, shift)]
    out = batch_norm(*inputs, torch.zeros(2, 3), torch.ones(2, 3), training=True)
    gradients = torch.autograd.grad((out * upstream).sum(), inputs)
    for trial in range(2):
        module = nn.BatchNorm1d(3)
        module.load_state_dict({**module.state_dict(), "weight": gain[trial], "bias": shift[trial]})
        own = x[trial].clone().requires_grad_()
        (module(own) * upstream[trial]).sum().backward()
        for ours, theirs in zip(gradients, (own.grad, module.weight.grad, module.bias.grad), strict=True):
            torch.testing.assert_close(ours[trial], theirs)


@pytest.mark.parametrize("n", [7, 100, 128])
def test_a_unit_without_inputs_has_exactly_its_shift(n: int, generator: torch.Generator) -> None:
    # Its pre-activation is its bias in all examples, so its sign must not be a rounding error.
    bias, shift = torch.randn(2, 1, 500, generator=generator)
    x = bias[:, None].expand(1, n, 500)
    out = batch_norm(x, torch.ones(1, 500), shift, torch.zeros(1, 500), torch.ones(1, 500), training=True)
    assert torch.equal(out, shift[:, None].expand(1, n, 500))


# k-winners


def test_k_winners_worked_example() -> None:
    x = torch.tensor([[[1.0, 2, 3, 4]]])
    duty = torch.tensor([[0.0, 0, 0.5, 0.9]])
    # k / n = 0.5: boosted by e, e, 1 and exp(-0.8), x is 2.7, 5.4, 3.0 and 1.8. Without boosting 3 and 4 would win.
    assert k_winners(x, [2], torch.tensor([2.0]), duty).tolist() == [[[0, 2, 3, 0]]]
    assert k_winners(x, [2], torch.tensor([0.0]), duty).tolist() == [[[0, 0, 3, 4]]]


def test_boosting_pushes_a_negative_unit_further_down() -> None:
    # The formula multiplies: a rare unit below zero falls behind a frequent one.
    x, duty = torch.tensor([[[-1.0, -2.0]]]), torch.tensor([[0.0, 1.0]])
    assert k_winners(x, [1], torch.tensor([2.0]), duty).tolist() == [[[0, -2]]]


def test_k_winners_is_the_loop_over_examples_with_k_and_boost_of_each_trial(generator: torch.Generator) -> None:
    k = [1, 4, 9, 12]
    x = torch.randn(4, 15, 12, generator=generator)
    boost, duty = torch.tensor([0.0, 1.4, 3.0, 5.0]), torch.rand(4, 12, generator=generator)
    out = k_winners(x, k, boost, duty)
    assert torch.equal(out, winners_by_loop(x, k, boost, duty))
    assert (out != 0).sum(-1).tolist() == [[each] * 15 for each in k]
    assert not torch.equal(out, winners_by_loop(x, k, torch.zeros(4), duty)), "boosting decides nothing here"


def test_k_winners_of_a_stack_are_those_of_each_trial_alone(generator: torch.Generator) -> None:
    k = [2, 7, 2]
    x, boost = torch.randn(3, 20, 10, generator=generator), torch.tensor([1.0, 2.0, 0.0])
    duty = torch.rand(3, 10, generator=generator)
    out = k_winners(x, k, boost, duty)
    for trial in range(3):
        one = slice(trial, trial + 1)
        assert torch.equal(out[one], k_winners(x[one], k[one], boost[one], duty[one]))


@pytest.mark.parametrize("k", [[1, 3, 10], [4, 4, 4]])
@pytest.mark.parametrize("value", [1.0, 0.0, -2.0])
def test_exactly_k_win_when_all_are_equal(k: list[int], value: float) -> None:
    x = torch.full((3, 6, 10), value, requires_grad=True)
    out = k_winners(x, k, torch.tensor([0.0, 1.4, 2.0]), torch.full((3, 10), 0.3))
    # The gradient counts the winners also where their value is 0.
    (passed,) = torch.autograd.grad(out.sum(), x)
    assert passed.sum(-1).tolist() == [[each] * 6 for each in k]
    assert set(passed.unique().tolist()) <= {0.0, 1.0}


def exact_order(x: Tensor, boost: float, duty: Tensor) -> list[int]:
    """Return the units in the order of x * exp(-boost * duty), computed with 60 digits."""
    keys = []
    with localcontext() as context:
        context.prec = 60
        for number, own in zip(x.tolist(), duty.tolist(), strict=True):
            log = abs(Decimal(number)).ln() - Decimal(boost) * Decimal(own) if number else Decimal(0)
            keys.append((0, log) if number == 0 else (1, log) if number > 0 else (-1, -log))
    return sorted(range(len(x)), key=keys.__getitem__)


@pytest.mark.parametrize("boost", [0.0, 1.4, 61.0, 300.0, 1e4, 1e12, 1e20, 3.4e38])
def test_strong_boosting_orders_units_as_exact_arithmetic_does(boost: float, generator: torch.Generator) -> None:
    x = torch.randn(1, 1, 40, generator=generator) * 10 ** torch.linspace(-30, 30, 40)
    x[0, 0, :3] = torch.tensor([0.0, 1e-45, -3e38])
    # Some units have the same duty cycle, and some nearly the same.
    duty = torch.rand(1, 40, generator=generator).mul(8).round().div(8)
    duty[0, ::5] += 2**-23
    scores = winner_scores(x, torch.tensor([boost]), duty, torch.tensor([True]))[0, 0]
    assert scores.argsort().tolist() == exact_order(x[0, 0], torch.tensor(boost).item(), duty[0])
    assert scores.unique().numel() == 40


def test_an_ordinary_trial_has_the_same_winners_beside_a_strong_one(generator: torch.Generator) -> None:
    x, duty = torch.randn(2, 50, 12, generator=generator), torch.rand(2, 12, generator=generator)
    x[:, ::7, 3:8] = 0.0
    x[:, 9, 5] = math.nan
    boost, is_strong = torch.tensor([1.4, 300.0]), torch.tensor([False, True])
    out = k_winners(x, [3, 3], boost, duty, is_strong)
    alone = k_winners(x[:1], [3], boost[:1], duty[:1])
    torch.testing.assert_close(out[:1], alone, rtol=0, atol=0, equal_nan=True)
    assert ((out != 0).sum(-1) <= 3).all()


def test_the_gradient_goes_through_winners_only_and_is_not_boosted(generator: torch.Generator) -> None:
    k, boost = [3, 5], torch.tensor([1.4, 2.0])
    x = torch.randn(2, 4, 8, generator=generator).requires_grad_()
    duty, upstream = torch.rand(2, 8, generator=generator), torch.randn(2, 4, 8, generator=generator)
    (gradient,) = torch.autograd.grad((k_winners(x, k, boost, duty) * upstream).sum(), x)
    won = winners_by_loop(x.detach(), k, boost, duty) != 0
    assert torch.equal(gradient, upstream * won)


def test_k_winners_leaves_its_arguments_alone(generator: torch.Generator) -> None:
    x, duty, boost = torch.randn(2, 4, 8, generator=generator), torch.rand(2, 8), torch.tensor([1.0, 2.0])
    before = x.clone(), duty.clone(), boost.clone()
    k_winners(x, [2, 3], boost, duty)
    assert all(torch.equal(a, b) for a, b in zip((x, duty, boost), before, strict=True))


def test_k_is_rounded_in_training_and_cut_off_in_evaluation() -> None:
    # 0.05, 0.25 and 0.155 of 30 units: 1.5 and 7.5 are rounded to even, 4.65 up.
    activation = KWinnersSettings(torch.tensor([0.05, 0.25, 0.155], dtype=torch.float64), 1.5, 1.4, 0.7, 1000)
    assert activation.winners(30, training=True) == [2, 8, 5]
    assert activation.winners(30, training=False) == [3, 12, 7]


def test_k_in_evaluation_is_not_one_short_where_the_product_is_whole() -> None:
    # In float64, 100 * 0.29 is a little less than 29, and 100 * 0.57 than 57.
    assert KWinnersSettings(1.0, 0.29, 0.0, 1.0, 1000).winners(100, training=False) == [29]
    assert KWinnersSettings(0.5, 0.57, 0.0, 1.0, 1000).winners(200, training=False) == [57]


def test_k_is_at_least_one_and_at_most_all() -> None:
    assert KWinnersSettings(0.01, 0.5, 0.0, 1.0, 1000).winners(10, training=True) == [1]
    assert KWinnersSettings(0.1, 0.5, 0.0, 1.0, 1000).winners(10, training=False) == [1]
    assert KWinnersSettings(0.8, 2.0, 0.0, 1.0, 1000).winners(10, training=False) == [10]


# The duty cycle


def test_duty_cycle_by_hand() -> None:
    duty = torch.zeros(2, 2)
    # How often each unit of each trial is positive in three batches of four examples.
    counts = torch.tensor([[[4, 0], [1, 2]], [[2, 2], [0, 0]], [[0, 4], [3, 1]]])
    expected = [
        # A period of 10 is longer than what has been seen: the mean over 4, then over 8 examples.
        [[4 / 4, 0], [1 / 4, 2 / 4]],
        [[6 / 8, 2 / 8], [1 / 8, 2 / 8]],
        # Of 12 examples, the last 10 count: 6 tenths of what was, and the new ones.
        [[(6 * 6 / 8 + 0) / 10, (6 * 2 / 8 + 4) / 10], [(6 * 1 / 8 + 3) / 10, (6 * 2 / 8 + 1) / 10]],
    ]
    for batch, count in enumerate(counts):
        positive = torch.arange(4)[None, :, None] < count[:, None, :]
        out = torch.where(positive, 0.5, -1.0)
        duty = updated_duty(duty, out, period=10, n_seen=4 * (batch + 1))
        torch.testing.assert_close(duty, torch.tensor(expected[batch]))


def test_a_winner_that_is_not_positive_does_not_count() -> None:
    out = torch.tensor([[[1.0, -1.0, 0.0], [2.0, 3.0, 0.0]]])
    assert updated_duty(torch.zeros(1, 3), out, period=1000, n_seen=2).tolist() == [[1.0, 0.5, 0.0]]


def test_a_batch_longer_than_the_period_is_all_that_counts() -> None:
    out = torch.tensor([1.0, 1, 1, 0, 0, 0, 0, 0])[None, :, None]
    duty = updated_duty(torch.tensor([[0.9]]), out, period=5, n_seen=100)
    assert duty.tolist() == [[3 / 8]]


# What a configuration asks for


def config(**values: Any) -> Config:
    return Config.of({"dataset_name": "digits", "hidden_sizes": [20, 30], **values})


def test_layers_follow_the_configuration() -> None:
    network = NETWORKS["MLPHeb"](config(batch_norm=True, dropout=0.25))
    assert network.sizes == (64, 20, 30, 10)
    assert network.shapes == [(20, 64), (30, 20), (10, 30)]
    assert network.batch_norm
    assert network.has_dropout
    assert float(network.dropout) == 0.25
    assert not NETWORKS["MLPHeb"](config()).has_dropout


def test_a_pack_has_dropout_if_any_trial_has() -> None:
    pack = PackConfig([config(dropout=0.0), config(dropout=0.5)])
    assert NETWORKS["MLPHeb"](pack).has_dropout
    assert not NETWORKS["MLPHeb"](PackConfig([config(), config(seed=1)])).has_dropout


def test_only_mlp_heb_under_the_fixed_rules_has_k_winners() -> None:
    values = {"percent_on": 0.2, "k_inference_factor": 1.5, "boost_strength": 3.0, "boost_strength_factor": 0.8}
    wanted = config(kwinners=True, duty_cycle_period=50, **values)
    assert NETWORKS["MLPHeb"](wanted).kwinners == KWinnersSettings(0.2, 1.5, 3.0, 0.8, 50)
    assert NETWORKS["MLPHeb"](config(kwinners=False)).kwinners is None
    assert NETWORKS["MLP"](wanted).kwinners is None
    assert NETWORKS["MLPHeb"](config(kwinners=True, rules="legacy_2019")).kwinners is None


def test_trials_of_different_k_break_ties_as_each_does_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    # Few values, so that most margins are ties.
    x = torch.randint(0, 3, (4, 50, 20), generator=generator).float()
    boost, duty, k = torch.zeros(4), torch.zeros(4, 20), [3, 7, 3, 12]
    together = k_winners(x, k, boost, duty)
    for i, each in enumerate(k):
        assert torch.equal(together[i], k_winners(x[i : i + 1], [each], boost[:1], duty[:1])[0])
