"""Scores of missing links, against their definition written as loops over a general graph."""

import itertools
import math

import pytest
import torch
from support.doctests import run_examples

from dynsparse.ops.link_prediction import ch2_l3n, ch3_l3


def random_mask(seed, n_out=6, n_in=8, density=0.35):
    return torch.rand(n_out, n_in, generator=torch.Generator().manual_seed(seed)) < density


def neighbours(mask):
    """The graph of a layer: of each node, ("out", j) or ("in", i), the nodes that it is linked with."""
    graph = {("out", j): set() for j in range(mask.shape[0])} | {("in", i): set() for i in range(mask.shape[1])}
    for j, i in mask.nonzero().tolist():
        graph["out", j].add(("in", i))
        graph["in", i].add(("out", j))
    return graph


def by_definition(mask):
    """Both scores of each missing link, from all of its paths and the links of their nodes."""
    graph, ch3, ch2n = neighbours(mask), torch.zeros(mask.shape), torch.zeros(mask.shape)
    for j, i in (~mask).nonzero().tolist():
        u, v = ("out", j), ("in", i)
        paths = [(b, a) for b in graph[u] for a in graph[b] if a != u and v in graph[a]]
        community = {node for path in paths for node in path}
        internal = {node: len(graph[node] & community) for node in community}
        external = {node: len(graph[node] - community - {u, v}) for node in community}
        ch3[j, i] = sum(1 / math.sqrt((1 + external[a]) * (1 + external[b])) for b, a in paths)
        ch2n[j, i] = sum((1 + internal[node]) / (1 + external[node]) for node in community)
    return ch3, ch2n


def test_one_link_worked_by_hand():
    # Output 2 and input 0 are connected by two paths: 2 - 1 - 0 - 0 and 2 - 1 - 1 - 0. The community is input 1 and the
    # outputs 0 and 1. Of these only output 0 has an external link, to input 2.
    mask = torch.tensor([[1, 1, 1], [1, 1, 0], [0, 1, 0]]).bool()
    assert ch3_l3(mask)[2, 0].item() == pytest.approx(1 / math.sqrt(2) + 1)
    # (1 + 2) / 1 of input 1, (1 + 1) / 2 of output 0 and (1 + 1) / 1 of output 1.
    assert ch2_l3n(mask)[2, 0].item() == 6
    # Output 2 and input 2: one path, over input 1 and output 0. External are the links from input 1 to output 1, and
    # from output 0 to input 0.
    assert ch3_l3(mask)[2, 2].item() == 0.5
    assert ch2_l3n(mask)[2, 2].item() == 2


@pytest.mark.parametrize("density", [0.0, 0.1, 0.35, 0.7, 1.0])
def test_scores_are_those_of_the_definition(density):
    for seed in range(4):
        mask = random_mask(seed, density=density)
        for found, expected in zip((ch3_l3(mask), ch2_l3n(mask)), by_definition(mask), strict=True):
            torch.testing.assert_close(found[~mask], expected[~mask])
            assert found.dtype == torch.float32


@pytest.mark.parametrize("score", [ch3_l3, ch2_l3n])
def test_stacked_transposed_and_renumbered(score):
    stack = torch.stack([random_mask(seed) for seed in range(3)])
    found = score(stack)
    missing = ~stack
    rows, columns = torch.randperm(6), torch.randperm(8)
    for alone, mask, of_stack, free in zip(map(score, stack), stack, found, missing, strict=True):
        assert torch.equal(alone, of_stack)
        # Outputs and inputs have the same part in both scores.
        assert torch.equal(score(mask.T).T[free], of_stack[free])
        renumbered = score(mask[rows][:, columns])
        assert torch.equal(renumbered[free[rows][:, columns]], of_stack[rows][:, columns][free[rows][:, columns]])
    assert score(stack[None]).shape == (1, 3, 6, 8)


@pytest.mark.parametrize("score", [ch3_l3, ch2_l3n])
def test_links_in_equal_positions_have_equal_scores(score):
    # A ring: each output is linked with the three inputs that follow it. All sums have terms such as 1 / sqrt(2) and
    # 1 / 3, added in different orders.
    n = 24
    mask = torch.zeros(n, n, dtype=torch.bool)
    for j, step in itertools.product(range(n), range(3)):
        mask[j, (j + step) % n] = True
    found = score(mask)
    for distance in range(3, n):
        assert len({found[j, (j + distance) % n].item() for j in range(n)}) == 1


def test_the_examples_run():
    run_examples(ch3_l3)
    run_examples(ch2_l3n)
