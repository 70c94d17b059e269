"""Statistics of paired differences: tests, interval, effect, and the correction for many of them."""

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.aggregate import CONFIDENCE

Numbers = NDArray[np.float64]

# With fewer pairs no sign-flip test can reach p < 0.05: 2 of the 2**5 flips are as extreme as the data.
FEWEST = 6
# Up to here all flips are counted, 2**16 of them. Beyond, some are drawn.
MOST_EXACT, DRAWN = 16, 9999
# Differences are equal if they differ by less than this share of the largest: by rounding.
ROUNDING = 1e-12


def without_rounding(differences: Numbers, scale: Numbers | float) -> Numbers:
    """Return the differences, with 0 in place of those that are at most the share ROUNDING of the compared values.

    Args:
        differences: differences of values, of any shape.
        scale: the largest magnitude of the compared values, for each difference or for all.
    """
    return np.where(np.abs(differences) <= ROUNDING * scale, 0.0, differences)


def t_test(differences: Numbers) -> tuple[float, float, float]:
    """Return the two-sided p value of a mean difference, and the 95% interval of the mean: Student's paired t test.

    It assumes independent and normal differences. It is little affected by other symmetric distributions, and the
    difference of two trials of a pair is symmetric if the axis has no effect. From 2 pairs on; NaN for fewer.

    If all differences are equal, t is infinite, but a metric of few examples has equal differences by chance. p is then
    that of the sign-flip test, 2**(1 - n), and if all are zero, 1.

    Reference:
        Student, "The probable error of a mean", 1908, https://doi.org/10.1093/biomet/6.1.1
    """
    n = len(differences)
    if n < 2:
        return np.nan, np.nan, np.nan
    if np.ptp(differences) <= ROUNDING * np.abs(differences).max():
        mean = float(differences.mean())
        return 2.0 ** (1 - n) if mean else 1.0, mean, mean

    # scipy.stats takes longer to import than an experiment to load.
    from scipy.stats import ttest_1samp

    result = ttest_1samp(differences, 0)
    low, high = result.confidence_interval(CONFIDENCE)
    return float(result.pvalue), float(low), float(high)


def equivalence_test(differences: Numbers, margin: float) -> float:
    """Return the p value of the hypothesis that the mean difference is at least as large as a margin, either way.

    A small one shows that both are equivalent: p is the larger one of two one-sided t tests (TOST). NaN for fewer than
    2 pairs. If all differences are equal, it is 2**(1 - n) inside the margin, and else 1.

    Reference:
        Schuirmann, "A comparison of the two one-sided tests procedure and the power approach for assessing the
        equivalence of average bioavailability", 1987, https://doi.org/10.1007/BF01068419
    """
    n = len(differences)
    if n < 2:
        return np.nan
    if np.ptp(differences) <= ROUNDING * np.abs(differences).max():
        return 2.0 ** (1 - n) if abs(differences.mean()) < margin else 1.0

    from scipy.stats import ttest_1samp

    above = ttest_1samp(differences, -margin, alternative="greater").pvalue
    below = ttest_1samp(differences, margin, alternative="less").pvalue
    return float(max(above, below))


def sign_flip_test(differences: Numbers, seed: int) -> float:
    """Return the two-sided p value of no difference at all by flipping signs; NaN for fewer than 6 pairs.

    If the axis has no effect, the trials of a pair can be exchanged, so each difference is as likely to have the other
    sign. p is the share of all sign patterns whose mean is at least as far from 0. This is exact for any distribution
    and with ties. For more than 16 pairs that differ, 9,999 patterns are drawn, so p is at least 0.0001. Wilcoxon's
    test is not used: it compares ranks, while the reported difference and its interval are those of means.

    Equal pairs have no sign; if all pairs are equal, p is 1.

    Reference:
        Fisher, "The Design of Experiments", 1935, section 21.
    """
    differing = differences[differences != 0]
    n = len(differing)
    if len(differences) < FEWEST:
        return np.nan
    if n <= MOST_EXACT:
        signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        own = 0
    else:
        signs = 1 - 2 * np.random.default_rng(seed).integers(0, 2, (DRAWN, n))
        own = 1  # The signs of the data are one of the patterns.
    # The tolerance: sums that would be equal differ by rounding.
    is_as_far = np.abs(signs @ differing) >= abs(differing.sum()) - ROUNDING * np.abs(differing).sum()
    return float((is_as_far.sum() + own) / (len(signs) + own))


def effect(differences: Numbers) -> float:
    """Return Cohen's d of the differences, mean / standard deviation; 0 if all are 0, NaN for one pair.

    Equal differences other than 0 have no deviation: their effect is infinite.

    Reference:
        Cohen, "Statistical Power Analysis for the Behavioral Sciences", 1988, section 2.3.5 (d_z).
    """
    if len(differences) < 2:
        return np.nan
    mean, deviation = differences.mean(), differences.std(ddof=1)
    if not differences.any():
        return 0.0
    are_equal = np.ptp(differences) <= ROUNDING * np.abs(differences).max()
    return float(np.copysign(np.inf, mean) if are_equal else mean / deviation)


def holm(p: Numbers) -> Numbers:
    """Return p values corrected for their number m by Holm's method; NaN stays NaN and does not count.

    The smallest is multiplied by m, the next by m - 1, and so on; none becomes smaller than one before it, or larger
    than 1. The chance of any false alarm among those below 0.05 is at most 0.05, however the tests depend on each
    other.

    Reference:
        Holm, "A simple sequentially rejective multiple test procedure", 1979, https://www.jstor.org/stable/4615733
    """
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]  # argsort puts nan last
    corrected = np.full(len(p), np.nan)
    # A larger p never comes out smaller than one before it.
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1)
    return corrected
