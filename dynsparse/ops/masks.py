"""Operations on boolean masks, True where a weight is active.

Shapes: masks, scores and noise are (..., out, in); counts and fractions are numbers or tensors of shape (...). The
leading dimensions are empty for one trial, or (trials,) for a pack. Nothing here changes its arguments.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor


def count(mask: Tensor) -> Tensor:
    """Return the number of active weights. Shapes: (..., out, in) to (...), int64."""
    if mask.device.type != "cpu":
        return mask.sum((-2, -1))
    # numpy counts booleans twenty times as fast as torch sums them.
    leading = mask.shape[:-2]
    rows = mask.numpy().reshape(leading.numel(), mask.shape[-2:].numel())
    return torch.from_numpy(np.array([np.count_nonzero(row) for row in rows], np.int64)).view(leading)


def density(mask: Tensor) -> Tensor:
    """Return the share of weights that are active, in [0, 1]. Shapes: (..., out, in) to (...), float64."""
    return count(mask).double() / (mask.shape[-2] * mask.shape[-1])


def round_share(fraction: float | Tensor, number: Tensor) -> Tensor:
    """Return round(fraction * number), halves to even as in Python. Shapes: both (...); int64."""
    # In float32, 0.1 * 25 may come out above or below 2.5.
    return torch.as_tensor(fraction, dtype=torch.float64, device=number.device).mul(number).round().long()


def rank_order(score: Tensor, noise: Tensor, among: Tensor | None) -> Tensor:
    """Return the positions in the order of their scores, the highest first.

    Positions of equal score are ordered by noise, so that ties are fair. With `among`, a boolean or integer tensor,
    positions of a higher `among` come before all of a lower one, whatever their scores; NaN counts as highest.

    Shapes: all (..., out, in); the result (..., out * in), int64.
    """
    order = noise.flatten(-2).argsort(dim=-1, stable=True)
    for key in (_sort_keys(score),) if among is None else (_sort_keys(score), among.to(torch.int8)):
        by_key = key.flatten(-2).gather(-1, order).argsort(dim=-1, descending=True, stable=True)
        order = order.gather(-1, by_key)
    return order


def select_highest(values: Tensor, number: Tensor) -> Tensor:
    """Select exactly `number` entries of each row, those of the highest values (all, where there are fewer).

    Of equal values the first win; NaN counts as highest. The CPU does not wait for the device.

    Shapes: values (..., n); number broadcasts to (...), int64.
    """
    if values.device.type != "cpu":
        return _first_positions(values.argsort(dim=-1, descending=True, stable=True), number)
    # The same result from the lowest selected value: numpy sorts values twenty times as fast as torch sorts positions.
    keys, n = _sort_keys(values), values.shape[-1]
    ascending = torch.from_numpy(np.sort(keys.numpy(), axis=-1))
    number = number.expand(values.shape[:-1])[..., None]
    least = ascending.gather(-1, (n - number).clamp(0, n - 1))
    above, equal = keys > least, keys == least
    return above | (equal & (equal.cumsum(-1) <= number - above.sum(-1, keepdim=True)))


def _first_positions(order: Tensor, number: Tensor) -> Tensor:
    """Select the first `number` positions of each row's order. Shapes: order (..., n); number as (...)."""
    chosen = torch.arange(order.shape[-1], device=order.device) < number[..., None]
    return torch.zeros_like(order, dtype=torch.bool).scatter_(-1, order, chosen.expand_as(order))


def highest(score: Tensor, number: int | Tensor, noise: Tensor, among: Tensor | None = None) -> Tensor:
    """Select exactly `number` positions with the highest score (all positions, where there are fewer).

    With `among`, positions of a higher `among` come first: pass a mask to choose only among its positions, provided
    that it has `number` of them.

    Shapes: score, noise, among (..., out, in); number (...).
    """
    number = torch.as_tensor(number, device=score.device)
    if score.device.type != "cpu":
        # A few sorts over all networks at once, during which the CPU does not wait for the device.
        return _first_positions(rank_order(score, noise, among), number).view(score.shape)
    # The same result without a sort, one network at a time.
    n_positions = score.shape[-2:].numel()
    # numpy has no bfloat16.
    values = score.detach().float() if score.is_floating_point() else score
    scores, noises = (each.flatten(-2).reshape(-1, n_positions) for each in (values, noise))
    numbers = number.expand(score.shape[:-2]).reshape(-1).tolist()
    levels = [None] * len(numbers) if among is None else among.to(torch.int8).flatten(-2).reshape(-1, n_positions)
    chosen = [_highest_by_level(*each) for each in zip(scores, numbers, noises, levels, strict=True)]
    return torch.stack(chosen).view(score.shape)


def _sort_keys(score: Tensor) -> Tensor:
    """Return integers in the order of the scores, of 32 bits for floats; NaN counts as highest."""
    if not score.is_floating_point():
        return score
    # Adding 0 turns -0 into 0. The bits of floats, read as integers, sort like the floats once all bits of negative
    # ones except the sign are flipped.
    bits = (score.float() + 0.0).view(torch.int32)
    ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
    return torch.where(score.isnan(), torch.iinfo(torch.int32).max, ordered)


def _highest_by_level(score: Tensor, number: int, noise: Tensor, levels: Tensor | None) -> Tensor:
    """Select the `number` positions with the highest scores, higher levels first. Shapes: (positions,)."""
    if levels is None:
        return torch.from_numpy(_highest(score, min(number, len(score)), noise.numpy()))
    chosen, level_of = np.zeros(len(score), bool), levels.numpy()
    for level in range(int(level_of.max()), int(level_of.min()) - 1, -1):
        # Only the positions of this level are read: for most rules, the active ones. Indexing by numbers takes less
        # time than by booleans in random order.
        there = np.flatnonzero(level_of == level)
        n_there = min(len(there), number)
        chosen[there] = _highest(torch.from_numpy(score.numpy()[there]), n_there, noise.numpy()[there])
        number -= n_there
        if number == 0:
            break
    return torch.from_numpy(chosen)


def _highest(score: Tensor, number: int, noise: np.ndarray) -> np.ndarray:
    """Select the `number` highest scores; of equal scores those with the lowest noise, and of these the first."""
    keys = _sort_keys(score).numpy()
    if number == 0 or keys.min() == keys.max():
        return select_lowest(noise, number)
    least = np.partition(keys, len(keys) - number)[len(keys) - number]
    chosen: np.ndarray = keys > least
    equal = np.flatnonzero(keys == least)
    chosen[equal] = select_lowest(noise[equal], number - int(np.count_nonzero(chosen)))
    return chosen


def select_lowest(values: np.ndarray, number: int) -> np.ndarray:
    """Select the `number` lowest values; of equal ones the first. Shapes: values (n,); the result (n,), bool."""
    if number == 0:
        return np.zeros(len(values), bool)
    most = np.partition(values, number - 1)[number - 1]
    chosen: np.ndarray = values < most
    chosen[np.flatnonzero(values == most)[: number - int(np.count_nonzero(chosen))]] = True
    return chosen


def lowest(score: Tensor, number: int | Tensor, noise: Tensor, among: Tensor | None = None) -> Tensor:
    """Select exactly `number` positions with the lowest score; otherwise like `highest`."""
    return highest(-score, number, noise, among)


def highest_in_rows(score: Tensor, number: Tensor, noise: Tensor, among: Tensor) -> Tensor:
    """Select exactly `number` positions of each row with the highest score, those of a higher `among` first.

    It is `highest` for each row alone, but ties are broken by the upper 29 bits of the noise.

    Shapes: score, a float, noise, and among, in [0, 3] (..., out, in); number (..., out).
    """
    if score.device.type != "cpu":
        return select_highest(_row_keys(score, noise, among), number)
    if not number.any():
        return torch.zeros_like(score, dtype=torch.bool)
    # The same result from the lowest selected score of each row, where it decides: numpy sorts numbers of 32 bits fast.
    first = among == among.max()
    keys = torch.where(first, _sort_keys(score), torch.iinfo(torch.int32).min).numpy()
    places = (keys.shape[-1] - number).clamp(0, keys.shape[-1] - 1)[..., None].numpy()
    chosen = torch.from_numpy(keys >= np.take_along_axis(np.sort(keys, axis=-1), places, -1)) & (number > 0)[..., None]
    undecided = (chosen.sum(-1) != number) | (number > first.sum(-1))
    if undecided.any():
        rest = _row_keys(score[undecided], noise[undecided], among[undecided])
        chosen[undecided] = select_highest(rest, number[undecided])
    return chosen


def _row_keys(score: Tensor, noise: Tensor, among: Tensor) -> Tensor:
    """Return integers in the order of `highest_in_rows`. Shapes: all (..., out, in)."""
    return (((among.long() << 32) + _sort_keys(score)) << 29) - (noise >> 3)


def drawn(weight: Tensor, exponent: float | Tensor, noise: Tensor) -> Tensor:
    """Return keys whose k highest are k positions drawn one after another, without replacement.

    Each of those that are left is drawn with a probability proportional to weight^exponent. Positions of weight 0 come
    last. The keys are exponent * log(weight) + g, where g is the noise as a random number of Gumbel's distribution.

    Shapes: weight, at least 0, noise, int32 and uniform over all its values (..., out, in); exponent, above 0, a number
    or (..., 1, 1); the result (..., out, in), float64.

    Reference: Wouter Kool, Herke van Hoof and Max Welling, Stochastic Beams and Where to Find Them: The Gumbel-Top-k
    Trick for Sampling Sequences Without Replacement, 2019, https://arxiv.org/abs/1903.06059
    """
    # The middle of the interval that each number stands for: neither 0 nor 1, whose keys would be infinite.
    # In place, because each further tensor would take as long as a logarithm.
    minus_gumbel = noise.double().add_(2**31 + 0.5).mul_(2.0**-32).log_().neg_().log_()
    return weight.double().log().mul(exponent).sub_(minus_gumbel)


def on_paths(layers: Sequence[Tensor]) -> list[Tensor]:
    """Return the masks of layers that follow each other, without the weights of units that are cut off.

    A weight stays if its input has a path from some input of the first layer, and its output has one to some output of
    the last layer. Shapes: (..., out, in) for each layer, bool.
    """
    reached = [torch.ones_like(layers[0][..., 0, :])]
    for mask in layers[:-1]:
        reached.append((mask & reached[-1].unsqueeze(-2)).any(-1))
    leads_on = [torch.ones_like(layers[-1][..., 0])]
    for mask in reversed(layers[1:]):
        leads_on.insert(0, (mask & leads_on[0].unsqueeze(-1)).any(-2))
    return [
        mask & inputs.unsqueeze(-2) & outputs.unsqueeze(-1)
        for mask, inputs, outputs in zip(layers, reached, leads_on, strict=True)
    ]


def exact(noise: Tensor, number: int | Tensor) -> Tensor:
    """Draw exactly `number` positions uniformly. Shapes: noise (..., out, in); number (...)."""
    return highest(torch.zeros_like(noise), number, noise)


def exact_per_output(noise: Tensor, number: int | Tensor) -> Tensor:
    """Draw exactly `number` positions, spread evenly over the outputs.

    Each output unit gets the same number of inputs. The remainder goes, one each, to units drawn uniformly.

    Shapes: noise (..., out, in); number (...).
    """
    return noise.argsort(-1).argsort(-1) < _per_output(noise, number)[..., None]


def brf(noise: Tensor, number: int | Tensor, randomness: float = 0.3) -> Tensor:
    """Draw exactly `number` positions as receptive fields, spread evenly over the outputs as in `exact_per_output`.

    Inputs and outputs lie on two rings. The inputs of an output are drawn without replacement. Input i of n_in and
    output j of n_out, with the ring distance d of i and j * n_in / n_out, rounded down, have the weight
    (1 + d)^(-(1 - r) / r) with r = randomness, in [0, 1]. With 0, each output gets the nearest inputs; with 1, all are
    equally likely.

    Difference from the published code: it draws, for each unit of the smaller side, some units of the larger one. The
    paper names the rule bipartite receptive field, and also has varying numbers of inputs.

    Shapes: noise (..., out, in), int32 and uniform over all its values; number (...).

    Reference: Zhang et al., Brain Network Science Modelling of Sparse Neural Networks Enables Transformers and LLMs to
    Perform as Fully Connected, 2025, https://arxiv.org/abs/2501.19107
    """
    n_out, n_in = noise.shape[-2:]
    centres = torch.arange(n_out, device=noise.device) * n_in // n_out
    distance = (torch.arange(n_in, device=noise.device) - centres[:, None]).abs()
    distance = distance.minimum(n_in - distance).expand(noise.shape)
    if randomness > 0:
        # Above 1e30 the exponent could become infinite in float32, and from there on only the nearest inputs are drawn.
        score = drawn((1.0 + distance) ** (-(1 - randomness)), min(1 / randomness, 1e30), noise)
    else:
        score = -distance.double()
    return highest_in_rows(score, _per_output(noise, number), noise, among=torch.ones_like(noise, dtype=torch.bool))


def _per_output(noise: Tensor, number: int | Tensor) -> Tensor:
    """Return how many inputs each output gets: equally many, and one more for some drawn by the noise.

    Shapes: noise (..., out, in); number (...); the result (..., out), int64.
    """
    number = torch.as_tensor(number, device=noise.device)[..., None]
    n_out = noise.shape[-2]
    # Units are ranked by their smallest noise over all inputs: the noise at one fixed input would favour that input.
    gets_one_more = noise.amin(-1).argsort(-1).argsort(-1) < number % n_out
    return number // n_out + gets_one_more


def bernoulli(noise: Tensor, number: int | Tensor) -> Tensor:
    """Draw each position independently, with the probability at which `number` positions are expected.

    Shapes: noise (..., out, in), int32 and uniform over all its values; number (...).
    """
    probability = torch.as_tensor(number, device=noise.device) / (noise.shape[-2] * noise.shape[-1])
    return uniform(noise) < probability[..., None, None]


def uniform(noise: Tensor) -> Tensor:
    """Convert int32 noise to float64 in [0, 1)."""
    return (noise.double() + 2**31) / 2**32


# Ways to draw an initial mask, by the name that `sparse_type` gives. "csti" is "exact" until the data are loaded: then
# training/correlated_masks.py replaces the masks of all layers but the last.
DRAWS: dict[str, Callable[..., Tensor]] = {
    "exact": exact,
    "exact_per_output": exact_per_output,
    "bernoulli": bernoulli,
    "brf": brf,
    "csti": exact,
}
