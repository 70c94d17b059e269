"""Link prediction in the graph of a layer: scores of missing connections from the mask alone, without data.

The nodes of the graph are the outputs and the inputs of a layer, and its links are the active weights. The ends u, an
output, and v, an input, of a missing link are connected by paths of three links u - b - a - v, where the input b is
linked with u and the output a with v. The nodes a and b of all of these paths are the local community of u and v. The
links of a node of it are internal if they lead to other nodes of it, and external if they lead elsewhere, except to u
and v. Here int(z) is the number of internal links of a node z, and ext(z) that of its external ones. In this graph an
output a has int(a) = c(a, u), the number of inputs that it shares with u, and ext(a) = degree(a) - c(a, u) - 1. So
both depend on one end of the missing link only; likewise for inputs.

Scores are computed in float64 and rounded to float32, so that links in equal positions get equal scores in whatever
order their paths are added.

Shapes: masks (..., out, in), bool; scores (..., out, in), float32. A score has no meaning where the mask is True.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def ch3_l3(mask: Tensor) -> Tensor:
    """Return the CH3-L3 score of each missing link: the sum over its paths of 1 / sqrt((1 + ext(a)) * (1 + ext(b))).

    Links without any path get 0. With n active weights, the time grows as n^2.

    Example:
        >>> import torch
        >>> from dynsparse.ops.link_prediction import ch3_l3
        >>> # Output 1 and input 1 are connected by the path 1 - 0 - 0 - 1, without external links.
        >>> ch3_l3(torch.tensor([[True, True], [True, False]]))[1, 1]
        tensor(1.)

    Reference: Yingtao Zhang, Jialin Zhao, Wenjing Wu, Alessandro Muscoloni and Carlo Vittorio Cannistraci,
    Epitopological Learning and Cannistraci-Hebb Network Shape Intelligence Brain-Inspired Theory for Ultra-Sparse
    Advantage in Deep Learning, 2024, https://openreview.net/forum?id=iayEcORsGd
    """
    return _of_each_trial(_ch3_l3, mask)


def ch2_l3n(mask: Tensor) -> Tensor:
    """Return the CH2-L3n score of each missing link: the sum over its local community of (1 + int(z)) / (1 + ext(z)).

    It needs matrix products only, no paths. Links with an empty local community get 0.

    Example:
        >>> import torch
        >>> from dynsparse.ops.link_prediction import ch2_l3n
        >>> # The local community of output 1 and input 1: output 0 and input 0, with one internal link each.
        >>> ch2_l3n(torch.tensor([[True, True], [True, False]]))[1, 1]
        tensor(4.)

    Reference: Yingtao Zhang, Diego Cerretti, Jialin Zhao, Wenjing Wu, Ziheng Liao, Umberto Michieli and Carlo Vittorio
    Cannistraci, Brain Network Science Modelling of Sparse Neural Networks Enables Transformers and LLMs to Perform as
    Fully Connected, 2025, https://arxiv.org/abs/2501.19107
    """
    return _of_each_trial(_ch2_l3n, mask)


def _of_each_trial(score: Callable[[Tensor], Tensor], mask: Tensor) -> Tensor:
    """Call a function of a mask (out, in) for each trial: sparse matrices cannot be stacked."""
    trials = mask.reshape(-1, *mask.shape[-2:])
    return torch.stack([score(each).float() for each in trials]).view(mask.shape)


def _ch3_l3(mask: Tensor) -> Tensor:
    at_outputs, at_inputs = ((1 + external(each, common_neighbours(each))).double().rsqrt_() for each in (mask, mask.T))
    of_inputs = at_inputs.T.contiguous()  # [b, v]; at_outputs has [u, a]
    links = mask.double()
    scores = torch.zeros_like(links)
    # Of each input b, the paths u - b - a - v: its outputs are both the u and the a of them.
    outputs_of_inputs = mask.T.nonzero()[:, 1].split(mask.sum(0).tolist())
    for b, outputs in enumerate(outputs_of_inputs):
        if len(outputs) > 1:
            # `index_select` takes less time than an index in brackets.
            from_u_to_a = at_outputs.index_select(0, outputs).index_select(1, outputs)
            from_u_to_v = from_u_to_a @ links.index_select(0, outputs)
            scores.index_add_(0, outputs, from_u_to_v.mul_(of_inputs[b]))
    return scores


def _ch2_l3n(mask: Tensor) -> Tensor:
    of_outputs, of_inputs = (_of_community(each) for each in (mask, mask.T))  # [u, a] and [v, b]
    return _product(mask.T, of_outputs.T).T + _product(mask, of_inputs.T)


def _of_community(mask: Tensor) -> Tensor:
    """Return (1 + int(a)) / (1 + ext(a)) for each two outputs that share an input, else 0. Shapes: see `external`."""
    common = common_neighbours(mask)
    return (1 + common).mul_(common > 0).double().div_(1 + external(mask, common))


def external(mask: Tensor, common: Tensor) -> Tensor:
    """Return ext(a) with respect to an end u, for each two outputs. Shapes: (out, in); result [u, a], (out, out).

    It is at least 0 where a is on a path that starts at u. Elsewhere it has no meaning.
    """
    return (mask.sum(1) - common - 1).clamp_min(0)


def common_neighbours(mask: Tensor) -> Tensor:
    """Return how many inputs two outputs share. Shapes: (out, in); result (out, out), float32, symmetric."""
    # Exact: the numbers are below 2^24.
    return _product(mask, mask.T.float())


def _product(mask: Tensor, dense: Tensor) -> Tensor:
    """Multiply a mask by a dense matrix. The time grows with the number of active weights."""
    # A transposed matrix would take ten times as long.
    product: Tensor = torch.sparse.mm(mask.to_sparse().to(dense.dtype), dense.contiguous())
    return product
