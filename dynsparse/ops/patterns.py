"""Patterns of masks: structures of the active weights of a layer, such as N:M groups or blocks.

The key `mask_pattern` names one. Prune and grow rules select positions by the methods of the layer's pattern, so that
every mask update keeps it. Shapes are those of `masks`: scores, noise and masks (..., out, in), numbers (...). Nothing
here changes its arguments.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from dynsparse.ops import masks


class Pattern(Protocol):
    """The methods by which rules select positions of a layer.

    Numbers count weights, not groups or blocks. Shapes are those of `masks`.
    """

    def problem(self, shape: tuple[int, int]) -> str | None:
        """Return the reason for which a layer of this shape, (out, in), cannot have the pattern; None if it can."""

    def step(self, shape: tuple[int, int]) -> int:
        """Return the step, in weights, of the possible numbers of active weights of a layer of this shape."""

    def mean(self, values: Tensor) -> Tensor:
        """Replace each value by the mean over the positions that are selected together with its own."""

    def noise(self, noise: Tensor) -> Tensor:
        """Return noise that is the same for positions that are selected together."""

    def lowest(self, score: Tensor, number: Tensor, noise: Tensor, among: Tensor) -> Tensor:
        """Select about `number` positions to drop, in whose place as many others grow; otherwise as `masks.lowest`."""

    def lowest_for_good(self, score: Tensor, number: Tensor, noise: Tensor, among: Tensor) -> Tensor:
        """Select positions to drop as the density falls, in whose place nothing grows; otherwise as `masks.lowest`."""

    def highest(self, score: Tensor, kept: Tensor, number: Tensor, noise: Tensor, among: Tensor) -> Tensor:
        """Select `number` positions to grow, which complete the mask `kept`; otherwise as `masks.highest`."""

    def whole(self, mask: Tensor) -> Tensor:
        """Return the mask, and all positions that are selected together with one of its active ones."""

    def misfit(self, mask: Tensor) -> str | None:
        """Return in words how a mask breaks the pattern; None if it has the pattern."""


@dataclass(frozen=True)
class Unstructured:
    """Any positions may be active."""

    def problem(self, shape: tuple[int, int]) -> str | None:
        """Return None: a layer may have any shape."""
        return None

    def step(self, shape: tuple[int, int]) -> int:
        """Return 1."""
        return 1

    def mean(self, values: Tensor) -> Tensor:
        """Return the values."""
        return values

    def noise(self, noise: Tensor) -> Tensor:
        """Return the noise."""
        return noise

    def lowest(self, score: Tensor, number: Tensor, noise: Tensor, among: Tensor) -> Tensor:
        """Select the lowest of the layer."""
        return masks.lowest(score, number, noise, among)

    def lowest_for_good(self, score: Tensor, number: Tensor, noise: Tensor, among: Tensor) -> Tensor:
        """Select the lowest of the layer."""
        return masks.lowest(score, number, noise, among)

    def highest(self, score: Tensor, kept: Tensor, number: Tensor, noise: Tensor, among: Tensor) -> Tensor:
        """Select the highest of the layer."""
        return masks.highest(score, number, noise, among)

    def whole(self, mask: Tensor) -> Tensor:
        """Return the mask."""
        return mask

    def misfit(self, mask: Tensor) -> str | None:
        """Return None."""
        return None


@dataclass(frozen=True)
class Groups(Unstructured):
    """N:M sparsity: of each `size` consecutive inputs of a unit, equally many are active.

    A prune rule drops weights anywhere in the layer; then each group grows as many as it lacks. When the density falls,
    each group loses equally many. In a convolution the inputs of a filter are in the order of its weights: all
    positions of the kernel for one channel, then those for the next.

    Args:
        n_active: N, at the end if the density falls.
        size: M.

    Reference: Aojun Zhou, Yukun Ma, Junnan Zhu, Jianbo Liu, Zhijie Zhang, Kun Yuan, Wenxiu Sun and Hongsheng Li,
    Learning N:M Fine-grained Structured Sparse Neural Networks From Scratch, 2021, https://arxiv.org/abs/2102.04010
    """

    n_active: int
    size: int

    def problem(self, shape: tuple[int, int]) -> str | None:
        """Return the reason for which the inputs of a unit cannot be divided into groups; None if they can."""
        return f"{shape[1]} inputs are no multiple of {self.size}" if shape[1] % self.size else None

    def step(self, shape: tuple[int, int]) -> int:
        """Return the number of groups, because each of them gains or loses one weight."""
        return math.prod(shape) // self.size

    def lowest_for_good(self, score: Tensor, number: Tensor, noise: Tensor, among: Tensor) -> Tensor:
        """Select equally many of each group."""
        groups = self._groups(among)
        of_groups = (number // groups.shape[-2])[..., None].expand(groups.shape[:-1])
        chosen = masks.highest_in_rows(self._groups(-score), of_groups, self._groups(noise), groups)
        return chosen.view(among.shape)

    def highest(self, score: Tensor, kept: Tensor, number: Tensor, noise: Tensor, among: Tensor) -> Tensor:
        """Select as many of each group as it lacks."""
        groups = self._groups(kept)
        n_wanted = (masks.count(kept) + number) // groups.shape[-2]
        n_missing = (n_wanted[..., None] - groups.sum(-1)).clamp_min(0)
        chosen = masks.highest_in_rows(self._groups(score), n_missing, self._groups(noise), self._groups(among))
        return chosen.view(kept.shape)

    def misfit(self, mask: Tensor) -> str | None:
        """Return the smallest and largest number of active weights of a group, if they differ."""
        n_active = self._groups(mask).sum(-1)
        fewest, most = n_active.amin(-1), n_active.amax(-1)
        if torch.equal(fewest, most):
            return None
        widest = int((most - fewest).reshape(-1).argmax())
        return f"groups have {fewest.reshape(-1)[widest]} to {most.reshape(-1)[widest]} active weights"

    def __str__(self) -> str:
        """Return the value of `mask_pattern`."""
        return f"{self.n_active}:{self.size}"

    def _groups(self, values: Tensor) -> Tensor:
        """Return values with one group in each row. Shapes: (..., out, in) to (..., groups, size)."""
        return values.reshape(*values.shape[:-2], -1, self.size)


@dataclass(frozen=True)
class Blocks:
    """Blocks of `rows` consecutive outputs and `columns` consecutive inputs: all weights of a block are active or none.

    The score of a block is the mean of the scores of its weights. Numbers of weights are rounded to whole blocks,
    halves to even.
    """

    rows: int
    columns: int

    def problem(self, shape: tuple[int, int]) -> str | None:
        """Return the reason for which a layer cannot be divided into blocks; None if it can."""
        for number, name, size in ((shape[0], "outputs", self.rows), (shape[1], "inputs", self.columns)):
            if number % size:
                return f"{number} {name} are no multiple of {size}"
        return None

    def step(self, shape: tuple[int, int]) -> int:
        """Return the number of weights of a block."""
        return self.rows * self.columns

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean of each block, at all of its positions."""
        # The rounding to the type of the values hides differences by the order of the float64 additions.
        return self._spread(self._blocks(values).double().mean((-3, -1)).to(values.dtype))

    def noise(self, noise: Tensor) -> Tensor:
        """Return the noise of the first position of each block, at all of its positions."""
        return self._spread(self._first(noise))

    def lowest(self, score: Tensor, number: Tensor, noise: Tensor, among: Tensor) -> Tensor:
        """Select the blocks of the lowest scores. Arguments are the same at all positions of a block."""
        return self._spread(masks.lowest(*self._of_blocks(score, number, noise, among)))

    def lowest_for_good(self, score: Tensor, number: Tensor, noise: Tensor, among: Tensor) -> Tensor:
        """Select the blocks of the lowest scores."""
        return self.lowest(score, number, noise, among)

    def highest(self, score: Tensor, kept: Tensor, number: Tensor, noise: Tensor, among: Tensor) -> Tensor:
        """Select the blocks of the highest scores. Arguments are the same at all positions of a block."""
        return self._spread(masks.highest(*self._of_blocks(score, number, noise, among)))

    def whole(self, mask: Tensor) -> Tensor:
        """Return the blocks that have any active weight."""
        return self._spread(self._blocks(mask).any(-1).any(-2))

    def misfit(self, mask: Tensor) -> str | None:
        """Return the number of blocks that are partly active, if there are any."""
        if torch.equal(mask, self._spread(self._first(mask))):
            return None
        blocks = self._blocks(mask)
        is_mixed = blocks.any(-1).any(-2) & ~blocks.all(-1).all(-2)
        return f"{int(is_mixed.sum((-2, -1)).max())} blocks are partly active"

    def __str__(self) -> str:
        """Return the value of `mask_pattern`."""
        return f"{self.rows}x{self.columns}"

    def _of_blocks(
        self, score: Tensor, number: Tensor, noise: Tensor, among: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return score, number, noise and `among` with one entry for each block."""
        n_blocks = number.double().div(self.rows * self.columns).round().long()
        return self._first(score), n_blocks, self._first(noise), self._first(among)

    def _blocks(self, values: Tensor) -> Tensor:
        """Return blocks. Shapes: (..., out, in) to (..., block rows, rows, block columns, columns)."""
        n_out, n_in = values.shape[-2:]
        cells = n_out // self.rows, self.rows, n_in // self.columns, self.columns
        return values.reshape(*values.shape[:-2], *cells)

    def _first(self, values: Tensor) -> Tensor:
        """Return the first value of each block. Shapes: (..., out, in) to (..., block rows, block columns)."""
        return values[..., :: self.rows, :: self.columns]

    def _spread(self, values: Tensor) -> Tensor:
        """Return the value of each block at all of its positions: the inverse of `_first`."""
        return values.repeat_interleave(self.rows, -2).repeat_interleave(self.columns, -1)


UNSTRUCTURED: Pattern = Unstructured()


def pattern_of(text: str | None) -> Pattern:
    """Return the pattern that a value of `mask_pattern` stands for.

    Example:
        >>> from dynsparse.ops.patterns import pattern_of
        >>> pattern_of("2:4"), pattern_of("4x4")
        (Groups(n_active=2, size=4), Blocks(rows=4, columns=4))
    """
    if text is None:
        return UNSTRUCTURED
    kind, separator = (Groups, ":") if ":" in text else (Blocks, "x")
    return kind(*map(int, text.split(separator)))


def draw(pattern: Pattern, noise: Tensor, number: Tensor) -> Tensor:
    """Draw an initial mask of exactly `number` active weights uniformly. Shapes: noise (..., out, in); number (...)."""
    nothing = torch.zeros_like(noise, dtype=torch.bool)
    return pattern.highest(torch.zeros_like(noise).float(), nothing, number, noise, ~nothing)
