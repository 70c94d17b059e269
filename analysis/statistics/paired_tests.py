"""Statistics of paired differences: interval, p value, effect, and the correction for many of them."""

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.aggregate import CONFIDENCE

Numbers = NDArray[np.float64]

# With fewer pairs no sign-flip test can reach p < 0.05: 2 of the 2**5 flips are as extreme as the data.
FEWEST = 6
# Up to here all flips are counted, 2**16 of them.
MOST_EXACT = 16
RESAMPLES = 9999


def p_value(differences: Numbers) -> float:
    """Return the two-sided p value of a mean difference: of no difference at all; NaN for no pair.

    If the axis has no effect, the trials of a pair can be exchanged, so each difference is as likely to have the other
    sign. p is the share of all sign patterns whose mean is at least as far from 0. This is exact for any distribution,
    for few pairs, and with ties. For more than 16 pairs that differ, Student's t test is used instead. The mean over
    all sign patterns is then close to normal, and randomly drawn patterns could not resolve the small p that a
    correction for many rows needs. Wilcoxon's test is not used: it compares ranks, while the reported difference and
    its interval are those of means.

    Equal pairs have no sign; if all pairs are equal, p is 1.

    Reference:
        Fisher, "The Design of Experiments", 1935, section 21.
        Student, "The probable error of a mean", 1908, https://doi.org/10.1093/biomet/6.1.1
    """
    n_pairs, differing = len(differences), differences[differences != 0]
    n = len(differing)
    if n == 0:
        return 1.0 if n_pairs else np.nan
    if n <= MOST_EXACT:
        signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        sums = np.abs(signs @ differing)
        # The tolerance: sums that would be equal differ by rounding.
        return float((sums >= abs(differing.sum()) - 1e-12 * np.abs(differing).sum()).mean())

    from scipy.special import stdtr

    deviation = differences.std(ddof=1)
    t = abs(differences.mean()) * np.sqrt(n_pairs) / deviation if deviation else np.inf
    # Differences that are nearly equal make t arbitrarily large; no sign-flip test gives less than this.
    return float(max(2 * stdtr(n_pairs - 1, -t), 2.0 ** (1 - n)))


def interval(differences: Numbers, seed: int) -> tuple[float, float]:
    """Return the 95% bootstrap interval of the mean difference; NaN for fewer than 6 pairs, where it is too narrow.

    The limits are percentiles of the means of resampled differences. For n pairs the plain percentiles are too narrow,
    by sqrt((n - 1) / n) and by the normal instead of the t distribution, so they are moved outwards accordingly.

    Reference:
        Hesterberg, "What teachers should know about the bootstrap", 2015 (expanded percentile interval),
        https://doi.org/10.1080/00031305.2015.1089789
    """
    n = len(differences)
    if n < FEWEST:
        return np.nan, np.nan

    from scipy.special import ndtr, stdtrit
    from scipy.stats import bootstrap

    tail = ndtr(-np.sqrt(n / (n - 1)) * stdtrit(n - 1, (1 + CONFIDENCE) / 2))
    result = bootstrap(
        (differences,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=1 + 10**6 // n,
        confidence_level=1 - 2 * tail,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


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
    return float(mean / deviation) if deviation else float(np.copysign(np.inf, mean))


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
