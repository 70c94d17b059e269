"""Test the selection of the highest values, with a count per row, against plain Python: ties, extreme counts, NaN."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from dynsparse.ops import masks

N = 23


def by_sorting(values: Tensor, number: Tensor) -> Tensor:
    """Select with the algorithm of other devices than the CPU."""
    order = values.argsort(dim=-1, descending=True, stable=True)
    return masks._first_positions(order, number)


def by_hand(values: list[float], number: int) -> list[bool]:
    order = sorted(range(len(values)), key=lambda i: (not math.isnan(values[i]), -values[i], i))
    # NaN is not ordered by `-values[i]`: those come first, by place.
    none = [i for i in order if math.isnan(values[i])]
    order = sorted(none) + sorted((i for i in order if i not in none), key=lambda i: (-values[i], i))
    return [i in order[:number] for i in range(len(values))]


def few_values(seed: int, *leading: int) -> Tensor:
    """Draw values with many ties, infinities, both zeros and NaN of both signs."""
    values = torch.tensor([0.0, -0.0, 1.0, -1.0, 0.5, math.inf, -math.inf, math.nan, -math.nan])
    generator = torch.Generator().manual_seed(seed)
    return values[torch.randint(len(values), (*leading, N), generator=generator)]


@pytest.mark.parametrize("select", [masks.select_highest, by_sorting])
@pytest.mark.parametrize("seed", range(5))
def test_exactly_the_number_of_each_row_and_of_equal_ones_the_first(select, seed: int) -> None:
    values = few_values(seed, N + 2, 3)
    # From none to all, and one more than there are.
    number = torch.arange(N + 2)[:, None]
    chosen = select(values, number)
    assert chosen.sum(-1).tolist() == [[min(k, N)] * 3 for k in range(N + 2)]
    for k in range(N + 2):
        for row in range(3):
            assert chosen[k, row].tolist() == by_hand(values[k, row].tolist(), k)


@pytest.mark.parametrize("select", [masks.select_highest, by_sorting])
def test_one_number_for_all_rows_and_values_that_do_not_lie_in_order(select) -> None:
    values = few_values(7, 4, 5).transpose(0, 1)
    before = values.clone()
    chosen = select(values, torch.tensor(6))
    assert [[by_hand(row.tolist(), 6) for row in each] for each in values] == chosen.tolist()
    torch.testing.assert_close(values, before, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("leading", [(), (6,)])
@pytest.mark.parametrize("among", [None, 2, 3])
def test_masks_are_chosen_by_sorting_as_they_are_on_a_cpu(leading: tuple[int, ...], among: int | None) -> None:
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        score = few_values(seed, *leading, 4)
        # Few values of noise as well, so that it is tied too.
        noise = torch.randint(-3, 3, score.shape, generator=generator, dtype=torch.int32)
        levels = None if among is None else torch.randint(among, score.shape, generator=generator)
        number = torch.randint(4 * N + 2, leading, generator=generator)
        order = masks.rank_order(score, noise, levels)
        assert torch.equal(
            masks._first_positions(order, number).view(score.shape), masks.highest(score, number, noise, levels)
        )


def test_none_are_selected_where_the_largest_value_is_unique() -> None:
    values = torch.tensor([[3.0, 1.0, 2.0], [1.0, 2.0, 3.0]])
    assert masks.select_highest(values, torch.tensor([0, 1])).tolist() == [[False] * 3, [False, False, True]]


def test_scores_far_below_one_are_distinguished() -> None:
    score, noise = torch.tensor([[1e-30, 3e-30], [2e-30, 4e-30]]), torch.zeros(2, 2, dtype=torch.int32)
    assert masks.highest(score, 2, noise).tolist() == [[False, True], [False, True]]
    assert masks.select_highest(score, torch.tensor([1, 1])).tolist() == [[False, True], [False, True]]


def test_scores_of_half_precision_and_with_a_gradient():
    score = torch.tensor([[1.0, 3.0, 2.0]], dtype=torch.bfloat16)
    noise, among = torch.zeros(1, 3, dtype=torch.int32), torch.tensor([[True, False, True]])
    assert masks.highest(score, 1, noise, among).tolist() == [[False, False, True]]
    assert masks.highest(score.float().requires_grad_(), 1, noise).tolist() == [[False, True, False]]
