"""The model matrix of a grid: effects of its axes, of their interactions, and of the seeds."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
# The level of each trial: the number of its value of an axis, from 0.
Levels = NDArray[np.intp]
Term = tuple[str, ...]

# More columns than any grid has; a matrix of them would fill the memory.
MOST_COLUMNS = 3000


class Design(NamedTuple):
    """The model matrix of the trials, in sum-to-zero coding: the columns of a term add up to 0 over its levels."""

    levels: dict[str, Levels]  # for each axis, (trials,)
    n_levels: dict[str, int]  # for each axis
    terms: dict[Term, slice]  # the columns of each term
    matrix: Numbers  # (trials, columns)
    kept: Levels  # linearly independent columns
    combination: Numbers  # (kept, columns): matrix = matrix[:, kept] @ combination
    has_block: bool  # True if the seeds have an effect

    @property
    def n_setting_columns(self) -> int:
        """The number of columns of the mean and of the terms; those of the seeds follow."""
        return max((columns.stop for columns in self.terms.values()), default=1)

    def mean_weights(self, levels: dict[str, int]) -> Numbers:
        """Return the weights of the coefficients in the mean at some levels, with equal weights over all other axes.

        Shapes: the result is (columns,).
        """
        weights = np.zeros(self.matrix.shape[1])
        weights[0] = 1
        for term, columns in self.terms.items():
            if levels.keys() >= set(term):
                product = np.ones(1)
                for name in term:
                    product = np.kron(product, _codes(self.n_levels[name])[levels[name]])
                weights[columns] = product
        return weights

    def is_estimable(self, weights: Numbers) -> NDArray[np.bool_]:
        """Return for each combination of the coefficients whether the trials determine it.

        Shapes: weights (combinations, columns), and the result (combinations,).
        """
        is_close = np.isclose(weights[:, self.kept] @ self.combination, weights, atol=1e-7)
        return np.asarray(is_close.all(axis=1), dtype=bool)


def main_and_two_way(axes: Sequence[str], joint: Sequence[str]) -> list[Term]:
    """Return the terms of a model: each axis, each pair, and the interactions of all axes in `joint`."""
    sizes = range(3, len(joint) + 1)
    higher = [term for size in sizes for term in itertools.combinations(joint, size)]
    return [*((name,) for name in axes), *itertools.combinations(axes, 2), *higher]


def n_columns(n_levels: dict[str, int], terms: Sequence[Term]) -> int:
    """Return the number of coefficients of a model without seeds."""
    return 1 + sum(int(np.prod([n_levels[name] - 1 for name in term])) for term in terms)


def design_matrix(
    levels: dict[str, Levels], n_levels: dict[str, int], terms: Sequence[Term], seeds: Levels | None
) -> Design:
    """Return the model matrix.

    The seeds are a block: each has an effect that is the same in every setting. The block is left out unless each seed
    occurs in at least two settings, or if it cannot be told apart from an axis.

    Args:
        levels: the level of each trial, for each axis.
        n_levels: the number of levels of each axis.
        terms: the names of the axes in each term.
        seeds: the level of each trial's seed; None if there are none.
    """
    codes = {name: _codes(n_levels[name])[levels[name]] for name in levels}
    blocks, columns, start = [np.ones((len(next(iter(levels.values()))), 1))], {}, 1
    for term in terms:
        block = codes[term[0]]
        for name in term[1:]:
            block = np.einsum("ni,nj->nij", block, codes[name]).reshape(len(block), -1)
        blocks.append(block)
        columns[term] = slice(start, start + block.shape[1])
        start += block.shape[1]
    plain = _design(levels, n_levels, columns, np.hstack(blocks), has_block=False)
    if seeds is None or not _are_shared(seeds, joint_levels(levels, list(levels))):
        return plain
    n_seeds = int(seeds.max()) + 1
    full = _design(levels, n_levels, columns, np.hstack([*blocks, _codes(n_seeds)[seeds]]), has_block=True)
    return full if len(full.kept) == len(plain.kept) + n_seeds - 1 else plain


def joint_levels(levels: dict[str, Levels], names: Sequence[str]) -> Levels:
    """Return the number of each trial's combination of levels of some axes."""
    n_trials = len(next(iter(levels.values())))
    rows = np.stack([np.zeros(n_trials, dtype=np.intp), *(levels[name] for name in names)], axis=1)
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)


def _codes(n_levels: int) -> Numbers:
    """Return the sum-to-zero coding, one row for each level."""
    return np.vstack([np.eye(n_levels - 1), -np.ones(n_levels - 1)])


def _design(
    levels: dict[str, Levels], n_levels: dict[str, int], terms: dict[Term, slice], matrix: Numbers, has_block: bool
) -> Design:
    """Return the design with a largest set of linearly independent columns."""
    # scipy is imported where it is needed: `import analysis` and `load` do without it.
    from scipy.linalg import qr

    r, order = qr(matrix, mode="r", pivoting=True)
    diagonal = np.abs(np.diagonal(r))
    kept = np.sort(order[: int((diagonal > 1e-9 * diagonal[0]).sum())])
    combination = np.asarray(np.linalg.lstsq(matrix[:, kept], matrix, rcond=None)[0], dtype=float)
    return Design(levels, n_levels, terms, matrix, kept, combination, has_block)


def _are_shared(seeds: Levels, settings: Levels) -> bool:
    """Return True if there are several seeds, and each occurs in at least two settings."""
    seeds_of_settings = np.unique(np.stack([seeds, settings], axis=1), axis=0)[:, 0]
    return len(np.unique(seeds)) > 1 and bool((np.bincount(seeds_of_settings) > 1).all())
