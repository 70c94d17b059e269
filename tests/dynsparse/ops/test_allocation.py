"""Allocation of a total to layers: the examples, which are worked by hand, and properties."""

import pytest
import torch
from support.doctests import run_examples

from dynsparse.ops.allocation import apportion, highest_together


@pytest.mark.parametrize("function", [apportion, highest_together])
def test_the_example_runs(function):
    run_examples(function)


def test_whole_numbers_add_up_to_the_total_within_the_room():
    generator = torch.Generator().manual_seed(0)
    share = torch.rand(500, 4, generator=generator, dtype=torch.float64) * (
        torch.rand(500, 4, generator=generator) < 0.8
    )
    room = torch.randint(0, 20, (500, 4), generator=generator)
    total = (room.sum(-1) * torch.rand(500, generator=generator)).long()
    found = apportion(total, share, room)
    assert torch.equal(found.sum(-1), total)
    assert ((found >= 0) & (found <= room)).all()
    # Alone, each row gives the same.
    assert torch.equal(torch.stack([apportion(*each) for each in zip(total, share, room, strict=True)]), found)
