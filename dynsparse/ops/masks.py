"""Operations on boolean masks, True where a weight is active.

Shapes: masks, scores and noise are (..., out, in); counts and fractions are numbers or tensors of shape (...). The
leading dimensions are empty for one trial, or (trials,) for a pack. Nothing here changes its arguments.
"""

import numpy as np
import torch
from torch import Tensor


def count(mask: Tensor) -> Tensor:
    """How many weights are active. Shapes: (..., out, in) to (...), int64."""
    return mask.sum((-2, -1))


def density(mask: Tensor) -> Tensor:
    """The share of weights that are active, in [0, 1]. Shapes: (..., out, in) to (...), float64."""
    return count(mask).double() / (mask.shape[-2] * mask.shape[-1])


def share(fraction: float | Tensor, number: Tensor) -> Tensor:
    """round(fraction * number), halves to even as in Python. Shapes: both (...); int64.

    In float64: in float32, 0.1 of 25 would be a coin's throw between 2 and 3.
    """
    return torch.as_tensor(fraction, dtype=torch.float64, device=number.device).mul(number).round().long()


def ranks(score: Tensor, noise: Tensor, among: Tensor | None = None) -> Tensor:
    """The place of each position when all are ordered by score, 0 being the highest.

    Positions of equal score are ordered by noise, so that a tie is fair. With `among`, a boolean or integer tensor,
    positions of a higher `among` come before all of a lower one, whatever their scores; NaN counts as highest.

    Shapes: all (..., out, in); the result is int64.
    """
    order = _in_order(score, noise, among)
    places = torch.arange(order.shape[-1], device=order.device).expand_as(order)
    return torch.empty_like(order).scatter_(-1, order, places).view(score.shape)


def _in_order(score: Tensor, noise: Tensor, among: Tensor | None) -> Tensor:
    """The positions as `ranks` puts them in order. Shapes: (..., out * in), int64."""
    order = noise.flatten(-2).argsort(dim=-1, stable=True)
    for key in (_ordered(score),) if among is None else (_ordered(score), among.to(torch.int8)):
        by_key = key.flatten(-2).gather(-1, order).argsort(dim=-1, descending=True, stable=True)
        order = order.gather(-1, by_key)
    return order


def select_highest(values: Tensor, number: Tensor) -> Tensor:
    """A mask of exactly `number` entries of each row, those of the highest values (all, where there are fewer).

    Of equal values the first win; NaN counts as highest. Nothing waits for the device.

    Shapes: values (..., n); number broadcasts to (...), int64.
    """
    if values.device.type != "cpu":
        return _first_of(values.argsort(dim=-1, descending=True, stable=True), number)
    # The same by the lowest value that wins: numpy sorts values twenty times as fast as torch sorts positions.
    keys, n = _ordered(values), values.shape[-1]
    ascending = torch.from_numpy(np.sort(keys.numpy(), axis=-1))
    number = number.expand(values.shape[:-1])[..., None]
    least = ascending.gather(-1, (n - number).clamp(0, n - 1))
    above, equal = keys > least, keys == least
    return above | (equal & (equal.cumsum(-1) <= number - above.sum(-1, keepdim=True)))


def _first_of(order: Tensor, number: Tensor) -> Tensor:
    """A mask of the first `number` positions of each row's order. Shapes: order (..., n); number as (...)."""
    chosen = torch.arange(order.shape[-1], device=order.device) < number[..., None]
    return torch.zeros_like(order, dtype=torch.bool).scatter_(-1, order, chosen.expand_as(order))


def highest(score: Tensor, number: int | Tensor, noise: Tensor, among: Tensor | None = None) -> Tensor:
    """A mask of exactly `number` positions with the highest score (all positions, where there are fewer).

    With `among`, positions of a higher `among` come first: pass a mask to choose only among its positions, provided
    that it has `number` of them.

    Shapes: score, noise, among (..., out, in); number (...).
    """
    number = torch.as_tensor(number, device=score.device)
    if score.device.type != "cpu":
        # In a few sorts over all networks at once, without waiting for the device.
        return _first_of(_in_order(score, noise, among), number).view(score.shape)
    # The same, without putting all in order, one network at a time: a tenth of the time.
    positions = score.shape[-2:].numel()
    keys = _ordered(score).long().flatten(-2).reshape(-1, positions)
    levels = None if among is None else among.flatten(-2).reshape(-1, positions).to(torch.int8)
    keys = (keys << 32) - noise.flatten(-2).reshape(-1, positions).long()
    numbers = number.expand(score.shape[:-2]).reshape(-1).tolist()
    chosen = [_largest(keys[i], n, None if levels is None else levels[i]) for i, n in enumerate(numbers)]
    return torch.stack(chosen).view(score.shape)


def _ordered(score: Tensor) -> Tensor:
    """Whole numbers in the order of the scores, of 32 bits for floats; NaN counts as highest."""
    if not score.is_floating_point():
        return score
    # Adding 0 makes 0 of -0. As whole numbers floats are in order, once the bits of negative ones, but the sign, are
    # flipped.
    bits = (score.float() + 0.0).view(torch.int32)
    ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
    return torch.where(score.isnan(), torch.iinfo(torch.int32).max, ordered)


def _largest(keys: Tensor, number: int, levels: Tensor | None) -> Tensor:
    """True at the `number` positions with the largest keys, those of a higher level first. Shapes: (positions,)."""
    chosen = torch.zeros_like(keys, dtype=torch.bool)
    levels = chosen.to(torch.int8) if levels is None else levels
    for level in range(int(levels.max()), int(levels.min()) - 1, -1):
        among = levels.eq(level)
        n_there = int(among.sum())
        if number >= n_there:
            chosen |= among
            number -= n_there
        elif number > 0:
            least = keys[among].kthvalue(n_there - number + 1).values
            above, equal = among & (keys > least), among & (keys == least)
            # Two of equal noise are not told apart: the first of them.
            missing = number - int(above.sum())
            return chosen | above | (equal & (equal.cumsum(0) <= missing))
        else:
            break
    return chosen


def lowest(score: Tensor, number: int | Tensor, noise: Tensor, among: Tensor | None = None) -> Tensor:
    """A mask of exactly `number` positions with the lowest score. Otherwise as `highest`."""
    return highest(-score, number, noise, among)


def exact(noise: Tensor, number: int | Tensor) -> Tensor:
    """Exactly `number` positions, drawn uniformly. Shapes: noise (..., out, in); number (...)."""
    return highest(torch.zeros_like(noise), number, noise)


def exact_per_output(noise: Tensor, number: int | Tensor) -> Tensor:
    """Exactly `number` positions, spread evenly over the outputs.

    Each output unit gets the same number of inputs; what is left over goes, one each, to units drawn uniformly.

    Shapes: noise (..., out, in); number (...).
    """
    number = torch.as_tensor(number, device=noise.device)[..., None]
    n_out = noise.shape[-2]
    # By a unit's smallest noise, which may be at any input: the noise at one input would favour that input.
    lucky = noise.amin(-1).argsort(-1).argsort(-1) < number % n_out
    per_output = number // n_out + lucky
    return noise.argsort(-1).argsort(-1) < per_output[..., None]


def bernoulli(noise: Tensor, number: int | Tensor) -> Tensor:
    """Each position by itself with the same probability, so that `number` are expected, and another number comes.

    Shapes: noise (..., out, in), int32 and uniform over all its values; number (...).
    """
    probability = torch.as_tensor(number, device=noise.device) / (noise.shape[-2] * noise.shape[-1])
    return uniform(noise) < probability[..., None, None]


def uniform(noise: Tensor) -> Tensor:
    """Noise of all int32 values as float64 in [0, 1)."""
    return (noise.double() + 2**31) / 2**32


# How an initial mask may be drawn.
DRAWS = {"exact": exact, "exact_per_output": exact_per_output, "bernoulli": bernoulli}
