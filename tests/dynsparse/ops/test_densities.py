"""Densities spread over layers, and schedules."""

import itertools
import math
import random

import pytest
from scipy.optimize import brentq

from dynsparse.ops.densities import SPREADS, erdos_renyi, erdos_renyi_kernel, uniform
from dynsparse.ops.schedules import DECAYS, cosine, cubic

SHAPES = [
    [(100, 784), (100, 100), (100, 100), (10, 100)],
    [(1, 1), (2, 2), (10, 10)],
    [(7, 3)],
    [(300, 784), (10, 300)],
    [(5, 5), (5, 5), (5, 5)],
    [(1, 1000), (1000, 1), (30, 30), (2, 3)],
    [(6, 1, 5, 5), (16, 6, 5, 5), (8, 16, 3), (10, 128)],
]


def n_weights(shapes):
    return [math.prod(shape) for shape in shapes]


def by_root_finding(shapes, density):
    """min(1, scale * ratio) for each layer, with the scale that gives the total."""
    ratios = [1 / math.prod(rest) + 1 / n_out for n_out, *rest in shapes]
    sizes = n_weights(shapes)

    def missing(scale):
        return sum(n * min(1, scale * r) for n, r in zip(sizes, ratios, strict=True)) - density * sum(sizes)

    scale = brentq(missing, 0, 2 / min(ratios), xtol=1e-15, rtol=1e-14)
    return [min(1, scale * ratio) for ratio in ratios]


def test_uniform():
    assert uniform([(10, 784), (10, 10)], 0.1) == [0.1, 0.1]


def test_erdos_renyi_by_hand():
    # 16 and 16 weights, of which 16 are active; 10 and 8 units at their ends: 16 * 10/18 and 16 * 8/18 weights.
    assert erdos_renyi([(2, 8), (4, 4)], 0.5) == pytest.approx([10 / 18, 8 / 18])


def test_erdos_renyi_a_layer_that_would_overflow_is_dense():
    # Of 5050 weights the small layer would get 5050 * 20/220 = 459, and has 100; the large one gets the other 4950.
    assert erdos_renyi([(10, 10), (100, 100)], 0.5) == pytest.approx([1, 0.495])


def test_erdos_renyi_what_one_layer_cannot_take_may_fill_the_next():
    # 25.9 weights over 2 + 4 + 20 units: 1.99 for the first layer, which has 1, and 3.98 for the second, which has 4.
    # Then 24.9 over 4 + 20 units: 4.15 for the second. Then 20.9 for the third, which has 100.
    assert erdos_renyi([(1, 1), (2, 2), (10, 10)], 25.9 / 105) == pytest.approx([1, 1, 0.209])


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("density", [1e-6, 0.01, 0.05, 0.1, 0.2, 0.5, 0.9, 0.999, 1.0])
def test_erdos_renyi_is_what_root_finding_gives(shapes, density):
    densities = erdos_renyi(shapes, density)
    # brentq stops where the scale is known to about 1e-14.
    assert densities == pytest.approx(by_root_finding(shapes, density), rel=1e-9)
    assert all(0 < each <= 1 for each in densities)


def test_erdos_renyi_is_what_root_finding_gives_for_random_layers():
    draw = random.Random(0)
    for _ in range(300):
        shapes = [(draw.randint(1, 50), draw.randint(1, 50)) for _ in range(draw.randint(1, 7))]
        density = draw.choice([draw.random() ** 3 + 1e-9, draw.random(), 1.0])
        assert erdos_renyi(shapes, density) == pytest.approx(by_root_finding(shapes, density), rel=1e-9)


def test_erdos_renyi_kernel_by_hand():
    # 72 weights of a convolution, whose shape has the sum 12, and 16 of a linear layer with the sum 10. They share 11
    # weights as 12 to 10: 6 and 5.
    assert erdos_renyi_kernel([(4, 2, 3, 3), (2, 8)], 11 / 88) == pytest.approx([6 / 72, 5 / 16])
    # By filters of 18 inputs, 4 + 18 to 10.
    assert erdos_renyi([(4, 2, 3, 3), (2, 8)], 16 / 88) == pytest.approx([11 / 72, 5 / 16])


@pytest.mark.parametrize("shapes", SHAPES[:-1])
def test_erdos_renyi_kernel_is_erdos_renyi_for_linear_layers(shapes):
    assert erdos_renyi_kernel(shapes, 0.3) == erdos_renyi(shapes, 0.3)


@pytest.mark.parametrize(("spread", "shapes"), list(itertools.product(SPREADS.values(), SHAPES)))
def test_the_total_is_that_of_the_overall_density(spread, shapes):
    for density in [0.01, 0.05, 0.3, 0.8, 1.0]:
        total = sum(d * n for d, n in zip(spread(shapes, density), n_weights(shapes), strict=True))
        assert total == pytest.approx(density * sum(n_weights(shapes)))


@pytest.mark.parametrize("spread", SPREADS.values())
def test_full_density_is_one_everywhere(spread):
    for shapes in SHAPES:
        assert spread(shapes, 1.0) == pytest.approx([1.0] * len(shapes), abs=1e-12)


@pytest.mark.parametrize("spread", SPREADS.values())
def test_the_order_of_the_layers_does_not_matter(spread):
    shapes = [(1, 1000), (1000, 1), (30, 30), (4, 2, 3, 3)]
    for order in itertools.permutations(range(4)):
        straight = spread(shapes, 0.4)
        # Sums of floats differ in their last bits with the order.
        assert spread([shapes[i] for i in order], 0.4) == pytest.approx([straight[i] for i in order])


@pytest.mark.parametrize("spread", SPREADS.values())
def test_no_layers_have_no_densities(spread):
    assert spread([], 0.1) == []


def test_the_table_of_spreads():
    assert list(SPREADS.values()) == [uniform, erdos_renyi, erdos_renyi_kernel]
    assert list(SPREADS) == ["uniform", "erdos_renyi", "erdos_renyi_kernel"]


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        # At 0, a third, a half and 1. The cosine of 60 degrees is a half.
        (cosine, [1, 0.75, 0.5, 0]),
        (cubic, [1, 8 / 27, 0.125, 0]),
    ],
)
def test_schedules(schedule, values):
    assert [schedule(progress) for progress in (0, 1 / 3, 0.5, 1)] == pytest.approx(values, abs=1e-15)
    # Exactly: what is multiplied by the end value must be nothing, not almost nothing.
    assert (schedule(0), schedule(1)) == (values[0], values[-1])


@pytest.mark.parametrize(
    ("name", "factors"),
    [
        # In all of the updates, from the first to the last. The cosines of 45, 60 and 90 degrees are 0.7071, 0.5 and 0.
        ("constant", {1: [1], 2: [1, 1], 3: [1, 1, 1]}),
        ("cosine", {1: [0.5], 2: [0.75, 0.25], 3: [0.85355339, 0.5, 0.14644661]}),
        ("cosine_0.1", {1: [0], 2: [0.5, 0], 3: [0.75, 0.25, 0]}),
    ],
)
def test_decays(name, factors):
    for n, wanted in factors.items():
        assert [DECAYS[name](update, n) for update in range(1, n + 1)] == pytest.approx(wanted, abs=1e-8)
