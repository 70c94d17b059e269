"""Weight initializations: their distributions, and the size of the signal that they keep over layers."""

from __future__ import annotations

import itertools
import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from scipy import integrate, stats
from torch import Tensor

from dynsparse.config import Config
from dynsparse.engines.base import initial_parameters
from dynsparse.engines.torch import TorchEngine
from dynsparse.nn.init import WEIGHT_INITS, activation_gain
from dynsparse.nn.mlp import KWinnersSettings
from dynsparse.planning.plan import plan
from dynsparse.studies import Parameters


def drawn(**values: Any) -> Parameters:
    """Return the initial parameters of one trial."""
    weights, biases, masks = initial_parameters(plan([Config.of({"dataset_name": "digits", "seed": 5, **values})]))
    return Parameters([each[0] for each in weights], [each[0] for each in biases], [each[0] for each in masks])


def expected_distribution(name: str, shape: torch.Size, n_active: int, layer: int) -> Any:
    """Return scipy's distribution of the weights of a ReLU unit."""
    n_out, n_in = shape
    gain = 1.0 if layer == 0 else math.sqrt(2)
    bound = {
        "he_uniform": gain * math.sqrt(3 / n_active),
        "active_uniform": 1 / math.sqrt(n_active),
        "glorot_uniform": math.sqrt(6 / (n_active + n_out * n_active / n_in)),
        "dense_uniform": 1 / math.sqrt(n_in),
    }
    return (
        stats.norm(0, gain / math.sqrt(n_active))
        if name == "he_normal"
        else stats.uniform(-bound[name], 2 * bound[name])
    )


@pytest.mark.parametrize("name", WEIGHT_INITS)
@pytest.mark.parametrize("density", [1.0, 0.2])
def test_weights_have_the_named_distribution(name: str, density: float) -> None:
    # With exact_per_output every unit has the same number of active inputs.
    values = {"model": "SparseModel", "on_perc": density, "sparse_type": "exact_per_output"}
    network = drawn(**values, weight_init=name, hidden_sizes=[200, 100], kwinners=False)
    for layer, (weight, mask) in enumerate(zip(network.weights, network.masks, strict=True)):
        n_in = weight.shape[1]
        active = weight[mask].numpy()
        expected = expected_distribution(name, weight.shape, round(density * n_in), layer)
        assert stats.kstest(active, expected.cdf).pvalue > 0.001
        assert not weight[~mask].any()


@pytest.mark.parametrize("name", WEIGHT_INITS)
def test_biases_are_those_of_a_dense_layer_in_torch(name: str) -> None:
    network = drawn(weight_init=name, hidden_sizes=[400, 100], on_perc=0.1)
    for weight, bias in zip(network.weights[:-1], network.biases[:-1], strict=True):
        bound = 1 / math.sqrt(weight.shape[1])
        assert stats.kstest(bias.numpy(), stats.uniform(-bound, 2 * bound).cdf).pvalue > 0.001


def test_dense_uniform_is_the_default_of_torch_for_linear_layers() -> None:
    torch.manual_seed(0)
    ours = drawn(model="Dense", weight_init="dense_uniform", hidden_sizes=[300])
    theirs = [torch.nn.Linear(64, 300), torch.nn.Linear(300, 10)]
    for weight, linear in zip(ours.weights, theirs, strict=True):
        assert stats.ks_2samp(weight.flatten().numpy(), linear.weight.detach().flatten().numpy()).pvalue > 0.001


def test_a_unit_with_fewer_active_inputs_has_larger_weights() -> None:
    network = drawn(on_perc=0.05, hidden_sizes=[1000], weight_init="he_normal")
    weight, mask = network.weights[0], network.masks[0]
    n_active = mask.sum(1)
    for n in (2, 3, 4):
        values = weight[n_active == n][mask[n_active == n]]
        assert values.std() == pytest.approx(1 / math.sqrt(n), rel=0.1)


@pytest.mark.parametrize("density", [0.02, 0.1, 0.3, 0.5, 0.9, 1.0])
def test_the_gain_of_k_winners_against_an_integral(density: float) -> None:
    quantile = stats.norm.ppf(1 - density)
    second_moment, _ = integrate.quad(lambda z: z * z * stats.norm.pdf(z), max(quantile, -12.0), 12.0)
    kwinners = KWinnersSettings(density, 1.0, 0.0, 1.0, 1000)
    assert activation_gain(kwinners).item() == pytest.approx(1 / math.sqrt(second_moment), rel=1e-6)
    assert activation_gain(None).item() == pytest.approx(math.sqrt(2))


def test_a_pack_draws_the_weights_of_each_trial_alone() -> None:
    base = {"dataset_name": "digits", "hidden_sizes": [50, 20], "kwinners": True}
    configs = [
        Config.of({**base, "percent_on": percent_on, "on_perc": on_perc, "seed": seed})
        for percent_on, on_perc, seed in [(0.1, 0.1, 0), (0.5, 0.1, 0), (0.5, 0.3, 1)]
    ]
    together = initial_parameters(plan(configs))
    for i, config in enumerate(configs):
        for ours, alone in zip(together, initial_parameters(plan([config])), strict=True):
            assert all(torch.equal(a[i], b[0]) for a, b in zip(ours, alone, strict=True))


# The size of the signal


def variance_ratios(**values: Any) -> Tensor:
    """Return the variance of each layer's sums over that of the layer before, for inputs of variance 1.

    It is a mean over twelve networks: a layer with three inputs per unit may be far from it. Biases are left out.
    """
    common = {"dataset_name": "MNIST", "model": "SparseModel", "boost_strength": 0.0}
    engine = TorchEngine(plan([Config.of({**common, **values, "seed": seed}) for seed in range(12)]))
    x = torch.randn(12, 64, 784, generator=torch.Generator().manual_seed(3))
    variances = [torch.ones(12)]
    for layer, weight in enumerate(engine.weights):
        sums = x @ weight.mT
        variances.append(sums.square().mean((1, 2)))
        x = engine._activate(sums, layer, training=False) if layer < len(engine.weights) - 1 else sums
    return torch.stack([(after / before).mean() for before, after in pairwise(variances)])


# Each density with both ways to draw a mask and both spreads over layers, but not with every combination of them.
MASKS = [
    {"sparse_type": "exact", "layer_densities": "uniform"},
    {"sparse_type": "bernoulli", "layer_densities": "erdos_renyi"},
]
OTHER_MASKS = [
    {"sparse_type": "exact", "layer_densities": "erdos_renyi"},
    {"sparse_type": "bernoulli", "layer_densities": "uniform"},
]
NETWORKS = [(0.01, 10, "he_uniform"), (0.03, 10, "he_normal"), (0.1, 10, "he_uniform"), (0.5, 3, "he_normal"),
            (0.03, 1, "he_uniform"), (1.0, 10, "he_uniform")]  # fmt: skip


@pytest.mark.parametrize("activation", [{"kwinners": False}, {"kwinners": True, "percent_on": 0.1}], ids=str)
@pytest.mark.parametrize(
    ("density", "depth", "weight_init", "drawn"),
    [
        (*network, drawn)
        for network, pair in zip(NETWORKS, itertools.cycle([MASKS, OTHER_MASKS]), strict=False)
        for drawn in pair
    ],
    ids=str,
)
def test_the_variance_of_pre_activations_stays_within_a_factor_of_2(
    density: float, depth: int, weight_init: str, drawn: dict[str, Any], activation: dict[str, Any]
) -> None:
    ratios = variance_ratios(
        on_perc=density, weight_init=weight_init, hidden_sizes=[300] * depth, **drawn, **activation
    )
    assert ratios.min() > 0.5 and ratios.max() < 2


def test_with_the_dense_fan_in_the_signal_shrinks_by_the_density_in_every_layer() -> None:
    ratios = variance_ratios(on_perc=0.1, hidden_sizes=[300] * 4, kwinners=False, weight_init="dense_uniform")
    # U(-b, b) has variance b^2 / 3, ReLU passes half of the mean square, and a tenth of the inputs is active.
    assert ratios[1:4].tolist() == pytest.approx([0.1 / 6] * 3, rel=0.2)
