"""The linear model of a grid: its fit, the residual variance of each trial, and tests of its coefficients."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from analysis.statistics.design import Design, Levels, Numbers, joint_levels

# Two variances that differ by more than this factor are not pooled: one standard deviation is then more than twice the
# other. This is a textbook rule of thumb for the analysis of variance.
UNLIKE_VARIANCES = 4.0
# Variances with fewer degrees of freedom differ by that factor too often by chance.
FEWEST_DF = 3.0
# Level of Bartlett's test that the cells of a contrast differ in variance.
BARTLETT_LEVEL = 0.05
# Reweighting ends when no variance changes by more than this share, or after this number of rounds.
TOLERANCE, ROUNDS = 1e-3, 12


class Fit(NamedTuple):
    """The fitted model."""

    design: Design
    operator: Numbers  # (kept, trials): coefficients of the kept columns = operator @ metric; settings count equally
    metric: Numbers  # (trials,)
    residuals: Numbers  # (trials,)
    residual_dfs: Numbers  # (trials,): degrees of freedom of each residual, 1 - leverage; they add up to `df`
    variances: Numbers  # (trials,): variance of each trial's noise
    groups: Levels  # (trials,): trials of one group have one variance
    by: list[str]  # the axes that define the groups; empty if all variances are pooled
    df: float
    cells: tuple[Numbers, Levels] | None = None  # variances in the cells of a contrast, and the cells; None if pooled


class Estimate(NamedTuple):
    """An estimated combination of the coefficients."""

    value: float
    se: float
    df: float
    errors: str  # where the standard error comes from, as in `contrasts`


def fit_model(design: Design, metric: Numbers, joint: Sequence[str], pooled: bool) -> Fit:
    """Fit the model by least squares, with one residual variance or one for each group of trials.

    Groups are made in two steps. As long as the variances of two values of an axis differ by more than a factor of 4,
    the values of the axis with the largest factor get variances of their own, if each has 3 degrees of freedom. If then
    the cells of `joint` still differ by Bartlett's test at 5%, each cell gets its own.

    Args:
        design: the model matrix.
        metric: the metric of each trial.
        joint: the axes of the contrasts: the compared one, and those within which it is compared.
        pooled: True for one variance whatever the residuals are.
    """
    fit = _fit_with_groups(design, metric, [])
    if pooled or not fit.df:
        return fit
    while True:
        candidates = [_with_variances_by(fit, name) for name in design.levels if name not in fit.by]
        factor, candidate = max(candidates, key=lambda each: each[0], default=(0.0, fit))
        if factor <= UNLIKE_VARIANCES:
            break
        fit = candidate
    if set(joint) - set(fit.by) and _bartlett_p(fit, joint_levels(design.levels, joint)) < BARTLETT_LEVEL:
        fit = _fit_with_groups(design, metric, [*fit.by, *(name for name in joint if name not in fit.by)])
    return fit._replace(cells=_cell_variances(fit, joint))


def estimate(fit: Fit, weights: Numbers) -> Estimate:
    """Return a combination of the coefficients, its standard error and Satterthwaite's degrees of freedom.

    If the cells of the contrast that take part are noisier than their groups, their own variance is used. The
    degrees of freedom then fall in proportion, but not below those of the cells.

    Args:
        fit: the fitted model.
        weights: the weight of each coefficient, (columns,).

    Reference:
        Satterthwaite, "An approximate distribution of estimates of variance components", 1946,
        https://doi.org/10.2307/3002019
    """
    trial_weights = weights[fit.design.kept] @ fit.operator
    value = float(trial_weights @ fit.metric)
    variance, df = _variance(fit, trial_weights, fit.variances, fit.groups)
    label = f"by {', '.join(fit.by)}" if fit.by else "pooled"
    if fit.cells:
        own, own_df = _variance(fit, trial_weights, *fit.cells)
        if own > variance * (1 + 1e-9):
            df = min(df, max(own_df, df * variance / own))
            variance, label = own, "own"
    return Estimate(value, float(np.sqrt(variance)), df, label)


def joint_test(fit: Fit, weights: Numbers, joint: Sequence[str]) -> tuple[float, float, float]:
    """Return F, its second degrees of freedom and p of the hypothesis that several combinations are all 0.

    As in `estimate`, the variance of the cells themselves is used if it gives the larger p.

    Args:
        fit: the fitted model.
        weights: the weight of each coefficient in each combination, (combinations, columns).
        joint: the axes of the contrasts, as in `fit_model`.

    Reference:
        Fai and Cornelius, "Approximate F-tests of multiple degree of freedom hypotheses in generalized least squares
        analyses of unbalanced split-plot experiments", 1996, https://doi.org/10.1080/00949659608811740
    """
    from scipy.special import fdtrc

    trial_weights = weights[:, fit.design.kept] @ fit.operator
    results = []
    for variances, groups in [(fit.variances, fit.groups), *([_cell_variances(fit, joint)] if fit.cells else [])]:
        eigenvalues, eigenvectors = np.linalg.eigh((trial_weights * variances) @ trial_weights.T)
        rotated = eigenvectors.T @ trial_weights
        f = float(np.mean((rotated @ fit.metric) ** 2 / eigenvalues))
        dfs = np.array([_variance(fit, row, variances, groups)[1] for row in rotated])
        expected = float((dfs / (dfs - 2)).sum()) if dfs.min() > 2 else 0.0
        df = 2 * expected / (expected - len(dfs)) if expected > len(dfs) and np.ptp(dfs) else float(dfs.min())
        results.append((f, df, float(fdtrc(len(dfs), df, f))))
    return max(results, key=lambda result: result[2])


def _fit_with_groups(design: Design, metric: Numbers, by: list[str]) -> Fit:
    """Fit the model with a variance for each combination of values of some axes.

    The weights are 1 / variance, and a variance is the sum of squared residuals / the sum of their degrees of freedom.
    Repeated until nothing changes, this is restricted maximum likelihood (REML). Without axes it is least squares.

    Reference:
        Smyth, "An efficient algorithm for REML in heteroscedastic regression", 2002,
        https://doi.org/10.1198/106186002871
    """
    # statsmodels takes longer to import than an experiment to load.
    from statsmodels.regression.linear_model import WLS

    matrix, groups = design.matrix[:, design.kept], joint_levels(design.levels, by)
    df = float(len(metric) - matrix.shape[1])
    variances = np.ones(len(metric))
    for _ in range(ROUNDS if by else 1):
        regression = WLS(metric, matrix, weights=1 / variances)
        residuals = np.asarray(regression.fit().resid)
        residual_dfs = 1 - np.einsum("np,pn->n", regression.wexog, regression.pinv_wexog)
        weighted = regression.pinv_wexog / np.sqrt(variances)
        before, variances = variances, _group_variances(metric, residuals, residual_dfs, groups)
        if np.allclose(variances, before, rtol=TOLERANCE, atol=0):
            break
    operator = _with_equal_settings(design, weighted) if by else weighted
    return Fit(design, operator, metric, residuals, residual_dfs, variances, groups, by, df)


def _with_equal_settings(design: Design, weighted: Numbers) -> Numbers:
    """Return the operator for coefficients in which all settings count equally, whatever their noise is.

    The model has no interactions of three axes. Weights of 1 / variance would replace the mean over the values of
    another axis by that of its values with little noise. So only the effects of the seeds are taken from the weighted
    regression; the other coefficients are a regression without weights of the metric minus these effects. If every
    setting has the same seeds, the seeds do not matter, and differences of means are those of the plain means.

    Shapes: `weighted` and the result (kept, trials).
    """
    is_setting = design.kept < design.n_setting_columns
    settings, seeds = (design.matrix[:, design.kept[each]] for each in (is_setting, ~is_setting))
    unweighted, operator = np.linalg.pinv(settings), weighted.copy()
    operator[is_setting] = unweighted - (unweighted @ seeds) @ weighted[~is_setting]
    return operator


def _group_variances(metric: Numbers, residuals: Numbers, residual_dfs: Numbers, groups: Levels) -> Numbers:
    """Return the variance of each trial's group; at least that of rounding to the smallest step between two values."""
    # Accuracies may be equal because there are few test examples. Their variance is not 0.
    spread = np.ptp(metric)
    steps = np.diff(np.unique(metric))
    floor = max(float(steps[steps > 1e-9 * spread].min()) ** 2 / 12, 1e-16 * spread**2)
    sums, dfs = _sums(groups, residuals**2), _sums(groups, residual_dfs)
    return np.asarray(np.maximum(sums / np.maximum(dfs, 0.5), floor)[groups])


def _variance(fit: Fit, trial_weights: Numbers, variances: Numbers, groups: Levels) -> tuple[float, float]:
    """Return the variance of a weighted sum of the trials, and its degrees of freedom."""
    parts = _sums(groups, trial_weights**2 * variances)
    variance = float(parts.sum())
    if len(parts) == 1:
        return variance, fit.df
    dfs = np.maximum(_sums(groups, fit.residual_dfs), 1e-9)
    return variance, variance**2 / float((parts**2 / dfs).sum())


def _cell_variances(fit: Fit, joint: Sequence[str]) -> tuple[Numbers, Levels]:
    """Return each trial's variance in its cell of some axes, and the cells.

    A cell without replication has the variance of its group.
    """
    cells = joint_levels(fit.design.levels, joint)
    factors, dfs = _relative_variances(fit, cells)
    return np.where(dfs >= 1, factors, 1.0)[cells] * fit.variances, cells


def _relative_variances(fit: Fit, cells: Levels) -> tuple[Numbers, Numbers]:
    """Return the variance of each cell divided by that of its groups, and its degrees of freedom."""
    dfs = _sums(cells, fit.residual_dfs)
    return _sums(cells, fit.residuals**2 / fit.variances) / np.maximum(dfs, 1e-9), dfs


def _sums(groups: Levels, numbers: Numbers) -> Numbers:
    return np.bincount(groups, numbers).astype(float)


def _with_variances_by(fit: Fit, name: str) -> tuple[float, Fit]:
    """Return the factor between the variances of the values of another axis, and the fit in which they differ.

    The factor is 0 if a group would have too few degrees of freedom.
    """
    by = [*fit.by, name]
    if _sums(joint_levels(fit.design.levels, by), fit.residual_dfs).min() < FEWEST_DF:
        return 0.0, fit
    candidate = _fit_with_groups(fit.design, fit.metric, by)
    values = fit.design.levels[name]
    changes = _sums(values, fit.residual_dfs * candidate.variances / fit.variances) / _sums(values, fit.residual_dfs)
    return float(changes.max() / changes.min()), candidate


def _bartlett_p(fit: Fit, cells: Levels) -> float:
    """Return p of Bartlett's test of equal variances in the cells; 1 if one of them has no replication.

    scipy.stats.bartlett is not used: it takes samples, and residuals have fewer degrees of freedom than samples.

    Reference:
        Bartlett, "Properties of sufficiency and statistical tests", 1937, https://doi.org/10.1098/rspa.1937.0109
    """
    from scipy.special import chdtrc

    factors, dfs = _relative_variances(fit, cells)
    if len(dfs) < 2 or dfs.min() < 1:
        return 1.0
    total, factors = dfs.sum(), np.maximum(factors, 1e-12)
    statistic = total * np.log(dfs @ factors / total) - dfs @ np.log(factors)
    return float(chdtrc(len(dfs) - 1, statistic / (1 + ((1 / dfs).sum() - 1 / total) / (3 * (len(dfs) - 1)))))
