"""Which examples are held out: exact numbers, shares of each class, and the split of the built-in data sets."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dynsparse.data.holdout import at_random, folds, stratified
from dynsparse.random import Purpose, Stream, permutation

STREAM = Stream(3, Purpose.TEST_SPLIT)
LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(torch.tensor)


def test_an_example_by_hand() -> None:
    y = torch.tensor([0, 1, 0, 1, 0, 0, 1, 0, 0, 0])
    held_out = stratified(y, 3, STREAM)
    # Seven of class 0 and three of class 1: 3 / 10 of each is 2.1 and 0.9.
    assert y[held_out].tolist().count(0) == 2 and y[held_out].tolist().count(1) == 1


@settings(deadline=None)
@given(y=LABELS, share=st.floats(0, 1))
def test_a_stratified_part_has_its_share_of_each_class(y: torch.Tensor, share: float) -> None:
    n = round(share * len(y))
    held_out = stratified(y, n, STREAM)
    assert int(held_out.sum()) == n
    for label in y.unique():
        exact = n / len(y) * int((y == label).sum())
        assert exact - 1 < int(held_out[y == label].sum()) < exact + 1
    assert torch.equal(held_out, stratified(y, n, STREAM))


@settings(deadline=None)
@given(y=LABELS, n_folds=st.integers(2, 7))
def test_folds_differ_by_one_example_at_most(y: torch.Tensor, n_folds: int) -> None:
    fold = folds(y, n_folds, STREAM)
    for part in (y, *(y[y == label] for label in y.unique())):
        of_part = fold if part is y else fold[y == part[0]]
        counts = of_part.bincount(minlength=n_folds)
        assert counts.max() - counts.min() <= 1
    # With two examples, a class is always in the rest of the folds as well.
    for label in y.unique():
        of_class = fold[y == label]
        assert len(of_class) < 2 or len(of_class.unique()) > 1


def test_the_order_within_a_class_is_random() -> None:
    y = torch.zeros(1000, dtype=torch.int64)
    parts = [stratified(y, 500, Stream(seed, Purpose.TEST_SPLIT)) for seed in range(20)]
    shares = torch.stack(parts).double().mean(0)
    # A binomial count out of 20 has a standard deviation of 0.11; among 1000, none is 6 of them away.
    assert shares.min() > 0 and shares.max() < 1
    assert not torch.equal(parts[0], parts[1])


def test_at_random_holds_out_the_first_of_a_permutation() -> None:
    y = torch.zeros(50, dtype=torch.int64)
    expected = permutation(50, STREAM)[:7].sort().values
    assert torch.equal(at_random(y, 7, STREAM).nonzero()[:, 0], expected)
    assert int(at_random(y, 0, STREAM).sum()) == 0
