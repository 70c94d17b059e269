"""Test which units win in the sparse engine, at ties and for numbers of every magnitude, and the duty cycles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from support.sparse_network import LANES, UNTOUCHED, DenseNetwork, bits, new_buffers

from dynsparse.nn.functional import boost_penalty, updated_duty, winner_scores

k_winners = pytest.importorskip("dynsparse.engines.sparse.k_winners")

Array = np.ndarray[Any, Any]


def winners(x: Array, k: int, boost: Array | None = None, tie_offset: int = 0, penalty: Array | None = None) -> Array:
    """Return which units win, in a layer between two others. Shapes: x (units, 64)."""
    n_units, n_inputs, n_classes = len(x), 3, 2
    others = np.full((1, LANES), np.inf, np.float32)
    x = np.concatenate([*[others] * n_inputs, x, *[others] * n_classes]).astype(np.float32)
    arrays = DenseNetwork((n_inputs, n_units + 1, n_classes)).arrays((k,))
    unit_boost = np.ones(len(x), np.float32)
    unit_boost[n_inputs : n_inputs + n_units] = 1 if boost is None else boost
    ends = np.cumsum([n_inputs, n_units, n_classes])
    buffers, unchanged = new_buffers(len(x)), x.copy()
    network = arrays._replace(layer_ends=ends, unit_boost=unit_boost)
    if penalty is not None:
        network = network._replace(penalty=np.concatenate([np.zeros(n_inputs), penalty, np.zeros(n_classes)]))
    [passing] = buffers.passing
    k_winners.choose_winners(network, 0, x, buffers.boosted, passing, tie_offset)
    np.testing.assert_array_equal(x, unchanged)
    assert (np.delete(passing, np.s_[n_inputs : n_inputs + n_units]) == UNTOUCHED).all()
    return bits(passing[n_inputs : n_inputs + n_units])


def largest(x: Array, k: int) -> Array:
    """Return True for the k largest of each column. The numbers must be distinct."""
    expected = np.zeros(x.shape, bool)
    np.put_along_axis(expected, np.argsort(x, axis=0)[len(x) - k :], True, axis=0)
    return expected


@pytest.mark.parametrize("n_units", [1, 2, 37, 300])
def test_the_units_with_the_largest_products_win(n_units: int) -> None:
    random = np.random.RandomState(n_units)
    x = random.randn(n_units, LANES).astype(np.float32)
    boost = random.uniform(0.2, 1, n_units).astype(np.float32)
    product = x * boost[:, None]
    assert all(len(np.unique(column)) == n_units for column in product.T), "distinct numbers have only one order"
    for k in sorted({1, min(2, n_units), (n_units + 1) // 3 or 1, max(n_units - 1, 1), n_units}):
        np.testing.assert_array_equal(winners(x, k, boost), largest(product, k))


@pytest.mark.parametrize("strength", [61.0, 300.0, 1e6, 3.4e38])
def test_strong_boosting_has_the_winners_of_the_torch_engine(strength: float) -> None:
    random = np.random.RandomState(0)
    x = (random.randn(37, LANES) * 10.0 ** random.randint(-20, 20, (37, 1))).astype(np.float32)
    x[:3, 0], x[5, 1] = [np.nan, np.inf, -np.inf], 0.0
    boost, duty = torch.tensor([strength]), torch.from_numpy(random.randint(0, 9, (1, 37)) / 8).float()
    scores = winner_scores(torch.from_numpy(x.T[None].copy()), boost, duty, torch.tensor([True]))[0].numpy().T
    penalty = boost_penalty(boost, duty)[0].numpy()
    for k in (1, 11, 36, 37):
        np.testing.assert_array_equal(winners(x, k, penalty=penalty), largest(scores, k))


def test_ties_of_strong_boosting_are_broken_in_turn() -> None:
    x = np.zeros((6, LANES), np.float32)
    lost = sum((~winners(x, 4, tie_offset=offset, penalty=np.arange(6.0))).sum(1) for offset in range(6))
    assert (lost == 2 * LANES).all()


def test_the_order_holds_for_floats_of_every_magnitude() -> None:
    positive = np.array(
        [np.inf, 3.4e38, 1e38, 1e20, 1.0000001, 1, 0.99999994, 1e-20, 2e-38, 1e-38, 1e-40, 3e-45, 1e-45]
    )
    pool = np.concatenate([positive, -positive, [0.0]]).astype(np.float32)
    assert len(np.unique(pool)) == len(pool), "denormal numbers are distinct too"
    random = np.random.RandomState(0)
    x = np.stack([random.permutation(pool) for _ in range(LANES)], axis=1)
    for k in range(1, len(pool) + 1):
        np.testing.assert_array_equal(winners(x, k), largest(x, k))


def test_among_equal_numbers_exactly_k_win_and_no_winner_is_smaller_than_a_loser() -> None:
    random = np.random.RandomState(0)
    x = random.choice([-2.5, -1, 0, 1, 1e-40, 7], (23, LANES)).astype(np.float32)
    for k in range(1, 24):
        chosen = [winners(x, k, tie_offset=offset) for offset in range(0, 60, 7)]
        for won in chosen:
            assert (won.sum(0) == k).all()
            assert (np.where(won, x, np.inf).min(0) >= np.where(won, -np.inf, x).max(0)).all()
        assert k == 23 or any((won != chosen[0]).any() for won in chosen), "other units lose with another offset"


@pytest.mark.parametrize("k", [1, 5, 12])
def test_if_all_units_are_equal_each_wins_equally_often(k: int) -> None:
    n_offsets = 13 * 4
    wins = sum(winners(np.full((13, LANES), -0.7), k, tie_offset=offset) for offset in range(1, n_offsets + 1))
    assert (wins == k * n_offsets // 13).all()


def test_if_some_units_are_equal_each_of_them_wins_about_equally_often() -> None:
    x = np.zeros((20, LANES))
    x[4:7] = 1
    wins = np.mean([winners(x, 1, tie_offset=offset)[4:7, 0] for offset in range(1, 601)], axis=0)
    assert wins.sum() == pytest.approx(1)
    assert (np.abs(wins - 1 / 3) < 0.15).all()


def test_among_nan_exactly_k_win() -> None:
    random = np.random.RandomState(0)
    x = random.choice([np.nan, -np.nan, np.inf, -np.inf, 1.0, 2.0], (17, LANES)).astype(np.float32)
    for k in (1, 4, 16, 17):
        for offset in (0, 5, 1000):
            assert (winners(x, k, tie_offset=offset).sum(0) == k).all()
            assert (winners(np.full_like(x, np.nan), k, tie_offset=offset).sum(0) == k).all()


def test_duty_cycles_and_boost_equal_those_of_the_torch_engine() -> None:
    random = np.random.RandomState(0)
    duty, boost = np.zeros(40, np.float32), np.ones(40, np.float32)
    expected, n_seen, period, strength = torch.zeros(1, 40), 0, 250, 1.7
    # One batch is longer than the period.
    for n_batch in (100, 100, 37, 300, 100, 1):
        n_seen += n_batch
        out = torch.tensor(random.randn(1, n_batch, 40)).relu()
        expected = updated_duty(expected, out, period, n_seen)
        n_active = (out[0] > 0).sum(0).numpy().astype(np.float32)
        length = max(min(period, n_seen), n_batch)
        rounded = (duty * np.float32(length - n_batch) + n_active) / np.float32(length)
        k_winners.update_duty_cycles(duty, boost, n_active, n_batch, length, strength)
        np.testing.assert_array_equal(duty, rounded, "with strong boosting the last digit may decide who wins")
        np.testing.assert_allclose(duty, expected[0], rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(boost, np.exp(-strength * expected[0].double().numpy()), rtol=1e-6)
    assert len(np.unique(duty)) > 20
