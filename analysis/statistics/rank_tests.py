"""Tests of the ranks of methods over data sets: of all methods at once, and in pairs."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.frame.series import Column
from analysis.frame.words import plural, value_text
from analysis.statistics.aggregate import CONFIDENCE
from analysis.statistics.blocks import Numbers
from analysis.statistics.paired_tests import holm
from analysis.statistics.ranks import DIGITS, BlockRanks, block_ranks, significant
from analysis.statistics.significance import LEVEL, p_text

# Differences with the same significant digits are equal. They have fewer than the means, whose rounding they inherit,
# also that of accuracies that were computed with 32 bits.
DIFFERENCE_DIGITS = 5
# With fewer blocks the chi-squared distribution is a poor approximation.
FEWEST_BLOCKS = 5
# For up to this many differences, Wilcoxon's test counts all patterns of signs.
MOST_EXACT = 13
FRIEDMAN_COLUMNS = ["axis", "values", "blocks", "left_out_blocks", "chi2", "p", "F", "p_F", "critical_difference"]
FRIEDMAN_COLUMNS += ["conclusion"]
PAIR_COLUMNS = ["axis", "a", "b", "blocks", "rank_a", "rank_b", "difference", "critical_difference", "p_nemenyi"]
PAIR_COLUMNS += ["p_wilcoxon", "p_holm", "b_wins", "conclusion"]


def friedman(
    df: pd.DataFrame,
    axis: Column,
    metric: Column,
    *,
    blocks: Column | Sequence[Column] | None = "dataset_name",
    lowest: bool | None = None,
) -> pd.DataFrame:
    """Test whether the mean ranks of the values of a hyperparameter over data sets or other blocks differ at all.

    Ranks are those of `mean_ranks`. With n blocks, k values and mean ranks R_j,
    chi2 = 12 n / (k (k + 1)) * sum over j of (R_j - (k + 1) / 2)^2, divided by the correction for ties, has about a
    chi-squared distribution if no value is better than another. Its p is a little too large. The p of Iman and
    Davenport's F = (n - 1) chi2 / (n (k - 1) - chi2) is closer from 10 blocks on, and a little too small for fewer.
    The conclusion follows `p`.

    The result has one row, with these columns:
    - `axis`; `values`, their number k; `blocks`, their number n; `left_out_blocks`, those in which a value has no
      complete trial.
    - `chi2` and its `p`; `F` and its `p_F`. They are NaN for two values, for which `compare_ranks` has the tests.
    - `critical_difference`: mean ranks that differ by less than this are not significantly different at the 5% level,
      by Nemenyi's test for all pairs at once: q sqrt(k (k + 1) / (12 n)), with q from the studentized range.
    - `conclusion`: the result in a sentence.

    Args:
        df: the trials.
        axis: a hyperparameter, such as "model", as the name of a column or as a Series of the same rows.
        metric: the name of a column of numbers, or a Series of the same rows.
        blocks: as for `mean_ranks`.
        lowest: True if lower values are better; None decides by the name.

    Raises:
        ValueError: as for `mean_ranks`.

    Reference:
        Friedman, "The use of ranks to avoid the assumption of normality implicit in the analysis of variance", 1937,
        https://doi.org/10.1080/01621459.1937.10503522
        Iman and Davenport, "Approximations of the critical region of the Friedman statistic", 1980,
        https://doi.org/10.1080/03610928008827904
        Demšar, "Statistical comparisons of classifiers over multiple data sets", 2006,
        https://www.jmlr.org/papers/v7/demsar06a.html

    Example:
        >>> import textwrap
        >>> from analysis import friedman, load_example
        >>> df = load_example("quickstart")
        >>> table = friedman(df, "model", "test_acc_at_best", blocks=["on_perc", "seed"])
        >>> table.drop(columns="conclusion").round(3)
            axis  values  blocks  left_out_blocks   chi2      p      F    p_F  critical_difference
        0  model       3       9                0  4.222  0.121  2.452  0.118                1.105
        >>> print(textwrap.fill(table["conclusion"][0], width=100))
        test_acc_at_best: no clear difference between the mean ranks of the 3 values of model (Friedman's
        chi2 = 4.22, p = 0.12, 9 blocks).
    """
    from scipy.stats import f, friedmanchisquare

    _, found = block_ranks(df, axis, metric, blocks, lowest)
    n, k = found.ranks.shape
    chi2, p, f_value, p_f = np.nan, np.nan, np.nan, np.nan
    if not np.ptp(found.ranks, axis=1).any():
        chi2, p, f_value, p_f = 0.0, 1.0, 0.0, 1.0
    elif k > 2:
        chi2, p = map(float, friedmanchisquare(*found.means.T))
        rest = n * (k - 1) - chi2
        f_value = (n - 1) * chi2 / rest if rest > 10.0**-DIGITS else np.inf
        # If all blocks agree, F is infinite. By chance alone they all agree with probability (k!)^(1 - n).
        p_f = max(float(f.sf(f_value, k - 1, (k - 1) * (n - 1))), float(math.factorial(k)) ** (1 - n))
    row = [found.axis, k, n, found.n_left_out, chi2, p, f_value, p_f, _critical_difference(n, k)]
    return pd.DataFrame([[*row, _finding(found, chi2, p)]], columns=FRIEDMAN_COLUMNS)


def compare_ranks(
    df: pd.DataFrame,
    axis: Column,
    metric: Column,
    *,
    blocks: Column | Sequence[Column] | None = "dataset_name",
    lowest: bool | None = None,
) -> pd.DataFrame:
    """Compare the values of a hyperparameter in pairs, over data sets or other blocks, by two tests.

    Blocks and ranks are those of `mean_ranks`. Wilcoxon's signed-rank test takes the differences of the two values'
    means in each block, ranked by their size. Nemenyi's test takes the difference of the mean ranks, which also
    depends on the other values that are compared: adding a poor method may change it. Wilcoxon's p does not depend on
    them, and the conclusion follows it, with Holm's correction.

    The result has one row for each pair of values, in the order of the values, with these columns:
    - `axis`, `a`, `b`, `blocks`.
    - `rank_a`, `rank_b`, and `difference` (rank_b - rank_a): negative if b is better.
    - `critical_difference` and `p_nemenyi`, which is corrected for the number of rows.
    - `p_wilcoxon`, and `p_holm`, which is corrected for the number of rows by Holm's method.
    - `b_wins`: share of the blocks in which b is better; a tie counts half.
    - `conclusion`: the result in a sentence.

    The smallest p of Wilcoxon's test with n blocks is 2 / 2^n: a single pair of values needs 6 blocks, 3 values need
    7, and 10 values need 11. Different data sets have differences on different scales, so a data set
    with large differences counts most.

    Args:
        df: the trials.
        axis: a hyperparameter, such as "model", as the name of a column or as a Series of the same rows.
        metric: the name of a column of numbers, or a Series of the same rows.
        blocks: as for `mean_ranks`.
        lowest: True if lower values are better; None decides by the name.

    Raises:
        ValueError: as for `mean_ranks`.

    Reference:
        Nemenyi, "Distribution-free multiple comparisons", 1963.
        Wilcoxon, "Individual comparisons by ranking methods", 1945, https://doi.org/10.2307/3001968
        Benavoli, Corani and Mangili, "Should we really use post-hoc tests based on mean-ranks?", 2016,
        https://www.jmlr.org/papers/v17/benavoli16a.html

    Example:
        >>> import textwrap
        >>> from analysis import compare_ranks, load_example
        >>> df = load_example("quickstart")
        >>> table = compare_ranks(df, "model", "test_acc_at_best", blocks=["on_perc", "seed"])
        >>> table[["a", "b", "rank_a", "rank_b", "p_nemenyi", "p_wilcoxon", "p_holm", "b_wins"]].round(3)
              a            b  rank_a  rank_b  p_nemenyi  p_wilcoxon  p_holm  b_wins
        0  RigL          SET   1.667   1.778      0.970       0.156   0.156   0.444
        1  RigL  SparseModel   1.667   2.556      0.143       0.039   0.078   0.222
        2   SET  SparseModel   1.778   2.556      0.225       0.023   0.070   0.222
        >>> print(textwrap.fill(table["conclusion"][1], width=100))
        test_acc_at_best with model=SparseModel and with RigL: no clear difference (mean rank 2.56 and 1.67,
        9 blocks, Wilcoxon's p = 0.078 after Holm's correction).
    """
    from scipy.stats import studentized_range

    _, found = block_ranks(df, axis, metric, blocks, lowest)
    n, k = found.ranks.shape
    ranks = found.ranks.mean(axis=0)
    critical = _critical_difference(n, k)
    rows = []
    for a, b in itertools.combinations(range(k), 2):
        differences = significant(found.means[:, b] - found.means[:, a], DIFFERENCE_DIGITS)
        q = abs(ranks[b] - ranks[a]) / _standard_error(n, k)
        rows.append(
            {
                "axis": found.axis,
                "a": found.values[a],
                "b": found.values[b],
                "blocks": n,
                "rank_a": ranks[a],
                "rank_b": ranks[b],
                "difference": ranks[b] - ranks[a],
                "critical_difference": critical,
                "p_nemenyi": float(studentized_range.sf(q, k, np.inf)),
                "p_wilcoxon": _wilcoxon(differences),
                "b_wins": float(((np.sign(differences) + 1) / 2).mean()),
                # For the conclusion only.
                "is_better": _signed_ranks(differences).sum() > 0,
            }
        )
    for row, p in zip(rows, holm(np.array([row["p_wilcoxon"] for row in rows])), strict=True):
        row |= {"p_holm": float(p), "conclusion": _pair_finding({**row, "p_holm": p}, found.metric, len(rows))}
    return pd.DataFrame(rows, columns=PAIR_COLUMNS).astype({"a": object, "b": object})


def _wilcoxon(differences: Numbers) -> float:
    """Return the p value of scipy.stats.wilcoxon without differences of 0; 1 if fewer than two are left.

    For up to 13 differences, all patterns of signs are counted here: scipy.stats.wilcoxon takes seconds if ranks are
    tied.
    """
    from scipy.stats import permutation_test, wilcoxon

    differing = differences[differences != 0]
    if len(differing) < 2:
        return 1.0
    if len(differing) > MOST_EXACT:
        return float(wilcoxon(differing).pvalue)
    ranks = _signed_ranks(differing)
    counted = permutation_test((ranks,), np.sum, permutation_type="samples", n_resamples=2**MOST_EXACT, axis=-1)
    return float(counted.pvalue)


def _signed_ranks(differences: Numbers) -> Numbers:
    from scipy.stats import rankdata

    return np.asarray(np.sign(differences) * rankdata(np.abs(differences)), dtype=float)


def _critical_difference(n: int, k: int) -> float:
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(CONFIDENCE, k, np.inf) * _standard_error(n, k))


def _standard_error(n: int, k: int) -> float:
    """Return the standard error of a mean rank of k values over n blocks."""
    return math.sqrt(k * (k + 1) / (12 * n))


def _finding(found: BlockRanks, chi2: float, p: float) -> str:
    n, k = found.ranks.shape
    ranks = f"the mean ranks of the {k} values of {found.axis}"
    numbers = f"Friedman's chi2 = {chi2:.3g}, {p_text(p)}, {n} blocks"
    if n < FEWEST_BLOCKS:
        needed = f"at least {FEWEST_BLOCKS} are needed, better 10"
        sentence = f"{n} blocks are too few to tell whether {ranks} differ: {needed}"
    elif math.isnan(p):
        sentence = f"Friedman's test needs 3 values of {found.axis}; compare_ranks has the tests for 2"
    elif p <= LEVEL:
        sentence = f"{ranks} differ ({numbers}); compare_ranks says which"
    else:
        sentence = f"no clear difference between {ranks} ({numbers})"
    left_out = f" {plural(found.n_left_out, 'block')} without a value took no part." if found.n_left_out else ""
    return f"{found.metric}: {sentence}.{left_out}"


def _pair_finding(row: dict[str, Any], metric: str, n_rows: int) -> str:
    axis, n = row["axis"], row["blocks"]
    a, b = value_text(row["a"]), value_text(row["b"])
    after = " after Holm's correction" if n_rows > 1 else ""
    numbers = f"mean rank {row['rank_b']:.3g} and {row['rank_a']:.3g}, {n} blocks"
    # The smallest p of n blocks, 2 / 2^n, times the number of rows must be at most 0.05.
    needed = math.ceil(1 + math.log2(n_rows / LEVEL))
    if n < needed:
        enough = f"{n_rows} comparisons need at least {needed}" if n_rows > 1 else f"{needed} are needed"
        return f"{metric} with {axis}={b} and with {a}: too few blocks to tell ({numbers}); {enough}."
    p = f"Wilcoxon's {p_text(row['p_holm'])}{after}"
    if row["p_holm"] > LEVEL:
        return f"{metric} with {axis}={b} and with {a}: no clear difference ({numbers}, {p})."
    word = "better" if row["is_better"] else "worse"
    if row["is_better"] == (row["difference"] < 0):
        return f"{metric} with {axis}={b} ranks {word} than with {a} ({numbers}, {p})."
    but = "The mean ranks, which depend on the other values, do not say so."
    return f"{metric} with {axis}={b} is {word} than with {a} ({numbers}, {p}). {but}"
