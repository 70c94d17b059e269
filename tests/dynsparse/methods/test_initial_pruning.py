"""SNIP, GraSP and SynFlow: their scores beside independent formulas."""

import itertools
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from dynsparse.config import Config
from dynsparse.engines.base import draw_parameters
from dynsparse.engines.initial_network import initial_network
from dynsparse.methods.grasp import TEMPERATURE, gradient_preservation
from dynsparse.methods.snip import connection_sensitivity
from dynsparse.methods.synflow import synaptic_flow
from dynsparse.ops.losses import LOSSES
from dynsparse.planning.plan import plan
from dynsparse.studies import Parameters

pytestmark = pytest.mark.usefixtures("one_thread", "blobs")
SMALL = {"dataset_name": "blobs", "hidden_sizes": [6, 4], "model": "SNIP"}
N = 12


def network_of(x=None, y=None, dtype=torch.float64, loss="cross_entropy", biases=None, **keys):
    """A network with examples, its weights and its biases; in float64, so that differences keep their digits."""
    alone = replace(plan([Config(**{**SMALL, **keys})]), loss=LOSSES[loss])
    active = [torch.ones(1, *shape, dtype=torch.bool) for shape in alone.network.shapes]
    drawn = draw_parameters(alone, active, number=0)
    biases = drawn.biases if biases is None else biases
    parameters = Parameters([w.to(dtype) for w in drawn.weights], [b.to(dtype) for b in biases], active)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(N, 32, generator=generator, dtype=dtype) if x is None else x
    y = torch.randint(0, 5, (N,), generator=generator) if y is None else y
    network = initial_network(alone, parameters, x, y)
    return network, [w[0] for w in parameters.weights], [b[0] for b in parameters.biases], x, y


def plain_loss(weights, biases, x, y, temperature=1.0):
    """The loss of a multilayer perceptron, in torch's own functions."""
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        x = F.relu(F.linear(x, weight, bias))
    return F.cross_entropy(F.linear(x, weights[-1], biases[-1]) / temperature, y)


def test_snip_is_the_change_of_the_loss_when_a_weight_shrinks_a_little():
    network, weights, biases, x, y = network_of()
    scores = connection_sensitivity(network, weights)
    step = 1e-6
    for layer, weight in enumerate(weights):
        for position in itertools.product(*map(range, weight.shape)):
            losses = []
            for factor in (1 + step, 1 - step):
                changed = [each.clone() for each in weights]
                changed[layer][position] *= factor
                losses.append(float(plain_loss(changed, biases, x, y)))
            assert float(scores[layer][position]) == pytest.approx(abs(losses[0] - losses[1]) / (2 * step), abs=1e-8)


def test_grasp_is_the_product_of_weight_and_hessian_times_gradient():
    network, weights, biases, x, y = network_of()

    def loss(*at):
        return plain_loss(at, biases, x, y, TEMPERATURE)

    gradient = torch.autograd.functional.jacobian(loss, tuple(weights))
    _, product = torch.autograd.functional.hvp(loss, tuple(weights), gradient)
    for score, weight, each in zip(gradient_preservation(network, weights), weights, product, strict=True):
        torch.testing.assert_close(score, weight * each)


def test_grasp_keeps_the_weights_without_which_the_gradient_would_shrink():
    network, weights, biases, x, y = network_of()

    def norm(at):
        leaves = [each.clone().requires_grad_() for each in at]
        return sum(g.square().sum() for g in torch.autograd.grad(plain_loss(leaves, biases, x, y, TEMPERATURE), leaves))

    scores, before, step = gradient_preservation(network, weights), norm(weights), 1e-4
    for layer in range(3):
        for best in (scores[layer].argmax(), scores[layer].argmin()):
            changed = [each.clone() for each in weights]
            changed[layer].view(-1)[best] *= 1 - step
            slope = float(norm(changed) - before) / step
            assert slope == pytest.approx(-2 * float(scores[layer].view(-1)[best]), rel=1e-2)


def test_snip_and_grasp_worked_by_hand():
    # One linear unit with eight weights w, and four without weights. Its sum is w . x = 0, and -5 is right. The loss is
    # the mean of five squares, so that dL/dw = 2 / 5 * 5 * x = 2 x.
    weight, x, y = torch.zeros(5, 32), torch.zeros(1, 32), torch.zeros(1, 5)
    weight[0, :8] = torch.tensor([1, -1, 2, 0.5, 0, 0, -1, 1])
    x[0, :8] = torch.tensor([1.0, 1, 0, 2, 1, 1, 1, 0])
    y[0, 0] = -5
    keys = {"hidden_sizes": [], "loss": "mse", "biases": [torch.zeros(1, 5)], "dtype": torch.float32}
    network = network_of(x, y, **keys)[0]
    (scores,) = connection_sensitivity(network, [weight])
    assert scores[0, :8].tolist() == [2, 2, 0, 2, 0, 0, 2, 0]
    # H g = 2 / 5 * x (x . 2 x) = 4 / 5 * 9 * x = 7.2 x.
    (scores,) = gradient_preservation(network, [weight])
    assert scores[0, :8].tolist() == pytest.approx([7.2, -7.2, 0, 7.2, 0, 0, -7.2, 0])


def test_synflow_sums_the_products_of_the_weights_on_all_paths():
    # Inputs a and b, hidden units with weights (1, -2) and (3, 0.5), outputs with (2, -1) and (0.5, 4). What leaves the
    # hidden units is 2 + 0.5 = 2.5 and 1 + 4 = 5 times what enters, 1 + 2 = 3 and 3 + 0.5 = 3.5. The other inputs and
    # outputs have weights of 0.
    hidden, output = torch.zeros(2, 32), torch.zeros(5, 2)
    hidden[:, :2], output[:2] = torch.tensor([[1, -2], [3, 0.5]]), torch.tensor([[2, -1], [0.5, 4]])
    network = network_of(hidden_sizes=[2])[0]
    hidden_scores, output_scores = synaptic_flow(network, [hidden, output])
    assert hidden_scores[:, :2].tolist() == [[2.5, 5], [15, 2.5]]
    assert output_scores[:2].tolist() == [[6, 3.5], [1.5, 14]]
    assert not hidden_scores[:, 2:].any()
    assert not output_scores[2:].any()


def test_synflow_is_the_flow_of_torchs_own_functions():
    network, weights, *_ = network_of()
    leaves = [each.abs().requires_grad_() for each in weights]
    signal = torch.ones(32, dtype=torch.float64)
    for weight in leaves:
        signal = F.relu(F.linear(signal, weight))
    expected = torch.autograd.grad(signal.sum(), leaves)
    for score, weight, each in zip(synaptic_flow(network, weights), weights, expected, strict=True):
        torch.testing.assert_close(score, weight.abs() * each)


@pytest.mark.parametrize(
    "keys", [{}, {"kwinners": True, "boost_strength": 3.0}, {"batch_norm": True}, {"dropout": 0.4}]
)
@pytest.mark.parametrize("scores", [connection_sensitivity, gradient_preservation, synaptic_flow])
def test_scores_are_the_same_at_each_call_and_change_no_weight(scores, keys):
    network, weights, *_ = network_of(dtype=torch.float32, **keys)
    copies = [each.clone() for each in weights]
    first, second = scores(network, weights), scores(network, weights)
    for one, other, weight, copy in zip(first, second, weights, copies, strict=True):
        assert torch.equal(one, other)
        assert torch.equal(weight, copy)
        assert one.isfinite().all()
    assert all(bool((each != 0).any()) for each in first)


def test_a_regression_ignores_the_temperature():
    for loss in ("cross_entropy", "mse"):
        y = torch.randn(N, 5, dtype=torch.float64) if loss == "mse" else None
        network, weights, *_ = network_of(y=y, loss=loss)
        assert (network.loss(weights, 200.0) == network.loss(weights)) == (loss == "mse")
