"""Linear model of a grid: effects of its axes and of the seeds, and the residual variance of each trial."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Places = NDArray[np.intp]
Term = tuple[str, ...]

# Two variances that differ by more than this factor are not pooled: one standard deviation is twice the other. This is
# the rule of thumb of textbooks for an analysis of variance.
UNLIKE_VARIANCES = 4.0
# A variance with fewer degrees of freedom differs by this factor by chance alone too often.
FEWEST_DF = 3.0
# Level of the test that the cells of a contrast differ in variance.
BARTLETT_LEVEL = 0.05
# The weights of groups are repeated until the variances change by less than this share, at most so often.
TOLERANCE, ROUNDS = 1e-3, 12
# More columns than any grid has; a matrix of them would fill the memory.
MOST_COLUMNS = 3000


class Design(NamedTuple):
    """The model matrix of the trials, in sum-to-zero coding: the columns of a term add up to 0 over its values."""

    places: dict[str, Places]  # for each axis, the number of each trial's value
    sizes: dict[str, int]  # the number of values of each axis
    terms: dict[Term, slice]  # the columns of each term
    matrix: Numbers
    kept: Places  # linearly independent columns
    combination: Numbers  # matrix = matrix[:, kept] @ combination
    has_block: bool  # of seeds

    def mean(self, values: dict[str, int]) -> Numbers:
        """Return the weights of the coefficients in the mean at some values, with equal weights over all other axes."""
        weights = np.zeros(self.matrix.shape[1])
        weights[0] = 1
        for term, columns in self.terms.items():
            if values.keys() >= set(term):
                product = np.ones(1)
                for name in term:
                    product = np.kron(product, _codes(self.sizes[name])[values[name]])
                weights[columns] = product
        return weights

    def is_estimable(self, weights: Numbers) -> NDArray[np.bool_]:
        """Return for each row of weights whether the trials determine this combination of the coefficients."""
        is_kept = np.isclose(weights[:, self.kept] @ self.combination, weights, atol=1e-7)
        return np.asarray(is_kept.all(axis=1), dtype=bool)


class Fit(NamedTuple):
    """The fitted model."""

    design: Design
    operator: Numbers  # coefficients of the kept columns = operator @ metric
    numbers: Numbers  # the metric of each trial
    residuals: Numbers
    free: Numbers  # degrees of freedom of each residual, 1 - leverage; they add up to `df`
    variances: Numbers  # of each trial's noise
    groups: Places  # trials of one group have one variance
    by: list[str]  # the axes that define the groups; empty if all variances are pooled
    df: float


class Estimate(NamedTuple):
    """An estimated combination of the coefficients."""

    value: float
    error: float
    df: float
    errors: str  # where the standard error comes from


def main_and_two_way(axes: Sequence[str], joint: Sequence[str]) -> list[Term]:
    """Return the terms of a model: each axis, each pair, and the interactions of all axes in `joint`."""
    sizes = range(3, len(joint) + 1)
    higher = [term for size in sizes for term in itertools.combinations(joint, size)]
    return [*((name,) for name in axes), *itertools.combinations(axes, 2), *higher]


def n_columns(sizes: dict[str, int], terms: Sequence[Term]) -> int:
    """Return the number of coefficients of a model without seeds."""
    return 1 + sum(int(np.prod([sizes[name] - 1 for name in term])) for term in terms)


def design(places: dict[str, Places], sizes: dict[str, int], terms: Sequence[Term], seeds: Places | None) -> Design:
    """Return the model matrix.

    The seeds are a block: each has an effect that is the same in every setting. The block is left out unless each seed
    occurs in at least two settings, or if it cannot be told apart from an axis.

    Args:
        places: for each axis, the number of each trial's value, from 0.
        sizes: the number of values of each axis.
        terms: the names of the axes in each term.
        seeds: the number of each trial's seed; None if there are none.
    """
    codes = {name: _codes(sizes[name])[places[name]] for name in places}
    blocks, columns, start = [np.ones((len(next(iter(places.values()))), 1))], {}, 1
    for term in terms:
        block = codes[term[0]]
        for name in term[1:]:
            block = np.einsum("ni,nj->nij", block, codes[name]).reshape(len(block), -1)
        blocks.append(block)
        columns[term] = slice(start, start + block.shape[1])
        start += block.shape[1]
    plain = _with_kept(places, sizes, columns, np.hstack(blocks), has_block=False)
    if seeds is None or not _are_shared(seeds, joint_places(places, list(places))):
        return plain
    n_seeds = int(seeds.max()) + 1
    full = _with_kept(places, sizes, columns, np.hstack([*blocks, _codes(n_seeds)[seeds]]), has_block=True)
    return full if len(full.kept) == len(plain.kept) + n_seeds - 1 else plain


def joint_places(places: dict[str, Places], names: Sequence[str]) -> Places:
    """Return the number of each trial's combination of values of some axes."""
    n_trials = len(next(iter(places.values())))
    rows = np.stack([np.zeros(n_trials, dtype=np.intp), *(places[name] for name in names)], axis=1)
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)


def fit(model: Design, numbers: Numbers, joint: Sequence[str], pooled: bool) -> Fit:
    """Fit the model by least squares, with one residual variance or one for each group of trials.

    Groups are made in two steps. As long as the variances of two values of an axis differ by more than a factor of 4,
    the values of the axis with the largest factor get variances of their own, if each has 3 degrees of freedom. If then
    the cells of `joint` still differ by Bartlett's test at 5%, each cell gets its own.

    Args:
        model: the model matrix.
        numbers: the metric.
        joint: the axes of the contrasts: the compared one, and those within which it is compared.
        pooled: True for one variance whatever the residuals are.
    """
    found = _weighted(model, numbers, [])
    if pooled or not found.df:
        return found
    while True:
        candidates = [_with_variances_by(found, name) for name in model.places if name not in found.by]
        factor, candidate = max(candidates, key=lambda each: each[0], default=(0.0, found))
        if factor <= UNLIKE_VARIANCES:
            break
        found = candidate
    if set(joint) - set(found.by) and _bartlett(found, joint_places(model.places, joint)) < BARTLETT_LEVEL:
        found = _weighted(model, numbers, [*found.by, *(name for name in joint if name not in found.by)])
    return found


def estimate(found: Fit, weights: Numbers, joint: Sequence[str], pooled: bool) -> Estimate:
    """Return a combination of the coefficients, its standard error and Satterthwaite's degrees of freedom.

    Where the cells of `joint` that take part are noisier than their groups, their own variance is used. The degrees of
    freedom then fall in proportion, not below those of the cells.

    Reference:
        Satterthwaite, "An approximate distribution of estimates of variance components", 1946,
        https://doi.org/10.2307/3002019
    """
    shares = weights[found.design.kept] @ found.operator
    value = float(shares @ found.numbers)
    variance, df = _variance(found, shares, found.variances, found.groups)
    label = f"by {', '.join(found.by)}" if found.by else "pooled"
    if not pooled:
        own, own_df = _variance(found, shares, *_own(found, joint))
        if own > variance * (1 + 1e-9):
            df = min(df, max(own_df, df * variance / own))
            variance, label = own, "own"
    return Estimate(value, float(np.sqrt(variance)), df, label)


def joint_test(found: Fit, weights: Numbers, joint: Sequence[str], pooled: bool) -> tuple[float, float, float]:
    """Return F, its second degrees of freedom and p of the hypothesis that all combinations (rows) are 0.

    As in `estimate`, the noise of the cells themselves counts if it gives the larger p.

    Reference:
        Fai and Cornelius, "Approximate F-tests of multiple degree of freedom hypotheses in generalized least squares
        analyses of unbalanced split-plot experiments", 1996, https://doi.org/10.1080/00949659608811740
    """
    from scipy.special import fdtrc

    shares = weights[:, found.design.kept] @ found.operator
    results = []
    for variances, groups in [(found.variances, found.groups), *([] if pooled else [_own(found, joint)])]:
        sizes, axes = np.linalg.eigh((shares * variances) @ shares.T)
        rotated = axes.T @ shares
        f = float(np.mean((rotated @ found.numbers) ** 2 / sizes))
        dfs = np.array([_variance(found, row, variances, groups)[1] for row in rotated])
        expected = float((dfs / (dfs - 2)).sum()) if dfs.min() > 2 else 0.0
        df = 2 * expected / (expected - len(dfs)) if expected > len(dfs) and np.ptp(dfs) else float(dfs.min())
        results.append((f, df, float(fdtrc(len(dfs), df, f))))
    return max(results, key=lambda result: result[2])


def _codes(n_values: int) -> Numbers:
    """Return the sum-to-zero coding of n values, one row for each."""
    return np.vstack([np.eye(n_values - 1), -np.ones(n_values - 1)])


def _with_kept(
    places: dict[str, Places], sizes: dict[str, int], terms: dict[Term, slice], matrix: Numbers, has_block: bool
) -> Design:
    # scipy is imported where it is needed: `import analysis` and `load` do without it.
    from scipy.linalg import qr

    r, order = qr(matrix, mode="r", pivoting=True)
    diagonal = np.abs(np.diagonal(r))
    kept = np.sort(order[: int((diagonal > 1e-9 * diagonal[0]).sum())])
    combination = np.asarray(np.linalg.lstsq(matrix[:, kept], matrix, rcond=None)[0], dtype=float)
    return Design(places, sizes, terms, matrix, kept, combination, has_block)


def _are_shared(seeds: Places, cells: Places) -> bool:
    settings = np.unique(np.stack([seeds, cells], axis=1), axis=0)[:, 0]
    return len(np.unique(seeds)) > 1 and bool((np.bincount(settings) > 1).all())


def _weighted(model: Design, numbers: Numbers, by: list[str]) -> Fit:
    """Fit the model with a variance for each combination of values of some axes.

    The weights are 1 / variance, and a variance is the sum of squared residuals / the sum of their degrees of freedom.
    Repeated until nothing changes, this is restricted maximum likelihood (REML).

    Reference:
        Smyth, "An efficient algorithm for REML in heteroscedastic regression", 2002,
        https://doi.org/10.1198/106186002871
    """
    # statsmodels takes longer to import than an experiment to load.
    from statsmodels.regression.linear_model import WLS

    matrix, groups = model.matrix[:, model.kept], joint_places(model.places, by)
    df = float(len(numbers) - matrix.shape[1])
    variances = np.ones(len(numbers))
    for _ in range(ROUNDS if by else 1):
        regression = WLS(numbers, matrix, weights=1 / variances)
        residuals = np.asarray(regression.fit().resid)
        free = 1 - np.einsum("np,pn->n", regression.wexog, regression.pinv_wexog)
        operator = regression.pinv_wexog / np.sqrt(variances)
        before, variances = variances, _group_variances(numbers, residuals, free, groups)
        if np.allclose(variances, before, rtol=TOLERANCE, atol=0):
            break
    return Fit(model, operator, numbers, residuals, free, variances, groups, by, df)


def _group_variances(numbers: Numbers, residuals: Numbers, free: Numbers, groups: Places) -> Numbers:
    """Return the variance of each trial's group, at least that of rounding to the smallest step between two values."""
    # Some accuracies are equal because they are shares of few test examples: that is not certainty.
    spread = np.ptp(numbers)
    steps = np.diff(np.unique(numbers))
    floor = max(float(steps[steps > 1e-9 * spread].min()) ** 2 / 12, 1e-16 * spread**2)
    sums, dfs = _sums(groups, residuals**2), _sums(groups, free)
    return np.asarray(np.maximum(sums / np.maximum(dfs, 0.5), floor)[groups])


def _variance(found: Fit, shares: Numbers, variances: Numbers, groups: Places) -> tuple[float, float]:
    """Return the variance of a weighted sum of the trials, and its degrees of freedom."""
    parts = _sums(groups, shares**2 * variances)
    variance = float(parts.sum())
    if len(parts) == 1:
        return variance, found.df
    dfs = np.maximum(_sums(groups, found.free), 1e-9)
    return variance, variance**2 / float((parts**2 / dfs).sum())


def _own(found: Fit, joint: Sequence[str]) -> tuple[Numbers, Places]:
    """Return the variances in the cells of some axes, and the cells. One without replication has that of its group."""
    cells = joint_places(found.design.places, joint)
    factors, dfs = _relative_variances(found, cells)
    return np.where(dfs >= 1, factors, 1.0)[cells] * found.variances, cells


def _relative_variances(found: Fit, cells: Places) -> tuple[Numbers, Numbers]:
    """Return the variance of each cell relative to that of its groups, and its degrees of freedom."""
    dfs = _sums(cells, found.free)
    return _sums(cells, found.residuals**2 / found.variances) / np.maximum(dfs, 1e-9), dfs


def _sums(groups: Places, numbers: Numbers) -> Numbers:
    return np.bincount(groups, numbers).astype(float)


def _with_variances_by(found: Fit, name: str) -> tuple[float, Fit]:
    """Return the factor between the variances of the values of another axis, and the fit in which they differ.

    The factor is 0 if a group would have too few degrees of freedom.
    """
    by = [*found.by, name]
    if _sums(joint_places(found.design.places, by), found.free).min() < FEWEST_DF:
        return 0.0, found
    candidate = _weighted(found.design, found.numbers, by)
    values = found.design.places[name]
    changes = _sums(values, found.free * candidate.variances / found.variances) / _sums(values, found.free)
    return float(changes.max() / changes.min()), candidate


def _bartlett(found: Fit, cells: Places) -> float:
    """Return p of Bartlett's test of equal variances in the cells; 1 if one of them has no replication.

    scipy's takes samples, and would not know how many degrees of freedom the residuals have.

    Reference:
        Bartlett, "Properties of sufficiency and statistical tests", 1937, https://doi.org/10.1098/rspa.1937.0109
    """
    from scipy.special import chdtrc

    factors, dfs = _relative_variances(found, cells)
    if len(dfs) < 2 or dfs.min() < 1:
        return 1.0
    total, factors = dfs.sum(), np.maximum(factors, 1e-12)
    statistic = total * np.log(dfs @ factors / total) - dfs @ np.log(factors)
    return float(chdtrc(len(dfs) - 1, statistic / (1 + ((1 / dfs).sum() - 1 / total) / (3 * (len(dfs) - 1)))))
