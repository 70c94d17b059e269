"""Statistics of paired differences: interval, p value, effect, and the correction for many of them."""

import numpy as np
from numpy.typing import NDArray

from analysis.stats.aggregate import CONFIDENCE

Numbers = NDArray[np.float64]

# With fewer pairs no sign-flip test can reach p < 0.05: 2 of the 2**5 flips are as extreme as the data.
FEWEST = 6
# Up to here all flips are counted, 2**16 of them.
MOST_EXACT = 16
RESAMPLES = 9999


def p_value(differences: Numbers) -> float:
    """How often a mean difference as far from 0 would occur if a and b were the same: two-sided; nan for no pair.

    If the axis does nothing, the two trials of a pair could be exchanged, so each difference could as well have the
    other sign. Counting the sign patterns whose mean is as extreme is then exact, whatever the distribution, for few
    pairs and with ties. Beyond 16 pairs that differ the t test takes over: the mean over all flips is close to
    normal by then, and random flips could not tell apart the small p that a correction for many rows needs. Not
    Wilcoxon's test: it asks about ranks, while the difference that we report, and its interval, is of means.

    Pairs that are equal say nothing about the sign; if all are, p is 1.

    Reference: Fisher, "The Design of Experiments", 1935, section 21; Student, "The probable error of a mean", 1908,
    https://doi.org/10.1093/biomet/6.1.1
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
    # Differences that are all alike make t as large as one likes; no flip test gives less than this.
    return float(max(2 * stdtr(n_pairs - 1, -t), 2.0 ** (1 - n)))


def interval(differences: Numbers, seed: int) -> tuple[float, float]:
    """The 95% bootstrap interval of the mean difference; nan for fewer than 6 pairs, where it would be too narrow.

    Percentiles of the means of resampled differences. For n pairs these are narrower than they should be, by
    sqrt((n - 1) / n) and by the normal in place of the t distribution, so the percentiles are moved outwards
    by as much.

    Reference: Hesterberg, "What teachers should know about the bootstrap", 2015 (expanded percentile interval),
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
    """Cohen's d of the differences: their mean in units of their deviation; 0 if all are 0, nan for one pair.

    Reference: Cohen, "Statistical Power Analysis for the Behavioral Sciences", 1988, section 2.3.5 (d_z).
    """
    if len(differences) < 2:
        return np.nan
    mean, deviation = differences.mean(), differences.std(ddof=1)
    if not differences.any():
        return 0.0
    return float(mean / deviation) if deviation else float(np.copysign(np.inf, mean))


def holm(p: Numbers) -> Numbers:
    """The p values corrected for how many there are: the smallest times m, the next times m - 1, ...; nan stays nan.

    The chance that any of those below 0.05 is a false alarm is at most 0.05, however they depend on each other.

    Reference: Holm, "A simple sequentially rejective multiple test procedure", 1979,
    https://www.jstor.org/stable/4615733
    """
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]  # argsort puts nan last
    corrected = np.full(len(p), np.nan)
    # A larger p never comes out smaller than one before it.
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1)
    return corrected
