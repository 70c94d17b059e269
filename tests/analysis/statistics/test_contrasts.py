"""contrasts and interactions: against statsmodels, scipy and published numbers of R; on noise; and what they say."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.optimize
import scipy.stats
from statsmodels.formula.api import mixedlm, ols
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.multicomp import pairwise_tukeyhsd
from statsmodels.stats.multitest import multipletests
from support.grids import fail, grid, noisy, shuffled

from analysis import as_trials, contrast_sentences, contrasts, interactions, power, select
from analysis.statistics.design import design_matrix, main_and_two_way
from analysis.statistics.linear_model import estimate, fit_model

METRIC = "val_acc_max"
COLUMNS = ["axis", "a", "b", "mean_a", "mean_b", "difference", "low", "high", "se", "df", "t", "p", "p_adjusted"]
COLUMNS += ["n_a", "n_b", "left_out_a", "left_out_b", "errors", "conclusion"]
# Published to so many digits.
SHOWN = {"abs": 5e-4}

# Breaks of yarn during weaving, by type of wool and tension of the loom; data set of R.
WARP = {
    ("A", "L"): [26, 30, 54, 25, 70, 52, 51, 26, 67],
    ("A", "M"): [18, 21, 29, 17, 12, 18, 35, 30, 36],
    ("A", "H"): [36, 21, 24, 18, 10, 43, 28, 15, 26],
    ("B", "L"): [27, 14, 29, 19, 29, 31, 41, 20, 44],
    ("B", "M"): [42, 26, 19, 16, 39, 28, 21, 39, 29],
    ("B", "H"): [20, 21, 24, 17, 13, 15, 15, 16, 28],
}
# Leucine in the plasma of pigs, by source and percentage of protein; data set of R's emmeans. Some pigs are missing.
PIGS = {
    ("fish", 9): [27.8, 23.7],
    ("soy", 9): [39.3, 34.8, 29.8],
    ("skim", 9): [40.6, 31.0, 34.6],
    ("fish", 12): [31.5, 28.5, 32.8],
    ("soy", 12): [39.8, 40.0, 39.1],
    ("skim", 12): [42.9, 50.1, 37.4],
    ("fish", 15): [34.0, 28.3],
    ("soy", 15): [38.5, 39.2, 40.0],
    ("skim", 15): [59.5, 41.4],
    ("fish", 18): [30.6, 32.7, 33.7],
    ("soy", 18): [42.9],
    ("skim", 18): [59.8],
}


def trials(data: dict[tuple[Any, ...], list[float]], axes: list[str]) -> pd.DataFrame:
    rows = [[*setting, value] for setting, values in data.items() for value in values]
    return as_trials(pd.DataFrame(rows, columns=[*axes, METRIC]), axes, [METRIC])


def warpbreaks() -> pd.DataFrame:
    # Numbers keep the order of the tensions: L, M, H.
    return trials({(wool, "LMH".index(tension)): each for (wool, tension), each in WARP.items()}, ["wool", "tension"])


def test_warpbreaks_as_emmeans_gives_them() -> None:
    # R: pairs(emmeans(lm(breaks ~ wool * tension, warpbreaks), ~ tension | wool)), from the manual of emmeans.
    table = contrasts(warpbreaks(), "tension", METRIC, within="wool", correction="tukey", errors="pooled")
    assert list(table) == ["wool", *COLUMNS] and table["wool"].tolist() == list("AAABBB")
    assert table[["a", "b"]].values.tolist() == [[0, 1], [0, 2], [1, 2]] * 2
    # emmeans gives a - b.
    assert (-table["difference"]).tolist() == pytest.approx([20.556, 20.0, -0.556, -0.556, 9.444, 10.0], **SHOWN)
    assert (-table["t"]).tolist() == pytest.approx([3.986, 3.878, -0.108, -0.108, 1.831, 1.939], **SHOWN)
    assert table["p_adjusted"].tolist() == pytest.approx([0.0007, 0.0009, 0.9936, 0.9936, 0.1704, 0.1389], abs=5e-5)
    assert table["se"].tolist() == pytest.approx([5.157] * 6, **SHOWN) and table["df"].tolist() == [48] * 6
    assert table["mean_a"].tolist()[::2] == pytest.approx([44.55556, 24.0, 28.22222], abs=5e-6)
    assert table[["n_a", "n_b"]].eq(9).all(axis=None) and table["errors"].eq("pooled").all()


def test_the_interaction_of_warpbreaks_as_r_gives_it() -> None:
    # R: anova(lm(breaks ~ wool * tension, warpbreaks)) has F = 4.1891 and p = 0.0210442 for wool:tension.
    [row] = interactions(warpbreaks(), "wool", METRIC, errors="pooled").to_dict("records")
    assert (row["axis"], row["within"], row["df"], row["df_rest"]) == ("wool", "tension", 2, 48)
    assert (row["F"], row["p"]) == pytest.approx((4.1891, 0.0210442), abs=5e-5)
    assert row["conclusion"] == (
        f"The effect of wool on {METRIC} depends on tension (F(2, 48) = 4.19, p = 0.021): "
        "compare its values within tension."
    )


def test_unbalanced_pigs_as_emmeans_gives_them() -> None:
    # R: pairs(emmeans(lm(log(conc) ~ source + factor(percent), pigs), "source")), from the vignette on comparisons.
    # The model has no interaction, which contrasts always has.
    numbers = np.log([value for values in PIGS.values() for value in values])
    keys = [key for key, values in PIGS.items() for _ in values]
    levels = {
        "source": np.array([["fish", "soy", "skim"].index(source) for source, _ in keys]),
        "percent": np.array([percent // 3 - 3 for _, percent in keys]),
    }
    design = design_matrix(levels, {"source": 3, "percent": 4}, [("source",), ("percent",)], None)
    fit = fit_model(design, numbers, ["source"], pooled=True)
    means = [design.mean_weights({"source": i}) for i in range(3)]
    found = [estimate(fit, each) for each in means]
    assert [each.value for each in found] == pytest.approx([3.39, 3.67, 3.80], abs=5e-3)
    assert [each.se for each in found] == pytest.approx([0.0367, 0.0374, 0.0394], abs=5e-5)
    pairs = [estimate(fit, means[a] - means[b]) for a, b in [(0, 1), (0, 2), (1, 2)]]
    assert [each.value for each in pairs] == pytest.approx([-0.2727678, -0.4022777, -0.1295098], abs=5e-8)
    assert [each.se for each in pairs] == pytest.approx([0.05293450, 0.05415929, 0.05304280], abs=5e-8)
    assert [each.df for each in pairs] == pytest.approx([23] * 3)


def test_least_squares_means_of_the_unbalanced_pigs() -> None:
    # R: the vignette on the basics gives the means of percent, averaged over the means of the cells.
    table = contrasts(trials(PIGS, ["source", "percent"]), "percent", METRIC)
    means = [*table["mean_a"][:1], *table["mean_b"][:3]]
    assert means == pytest.approx([31.92778, 38.01111, 40.27778, 45.01111], abs=5e-6)


def by_formula(full: pd.DataFrame, used: pd.DataFrame, formula: str, a: pd.Series, b: pd.Series) -> Any:
    """Return the t test of statsmodels for the mean of the predictions where b holds minus that where a holds."""
    rows = ols(formula, full).exog
    return ols(formula, used).fit().t_test(rows[b].mean(axis=0) - rows[a].mean(axis=0))


def check_row(row: dict[str, Any], expected: Any) -> None:
    ours = [row["difference"], row["se"], row["t"], row["p"], row["df"]]
    theirs = [expected.effect, expected.sd, expected.tvalue, expected.pvalue, expected.df_denom]
    assert ours == pytest.approx([float(np.squeeze(each)) for each in theirs], rel=1e-7, abs=1e-12)
    assert [row["low"], row["high"]] == pytest.approx(np.squeeze(expected.conf_int()).tolist(), rel=1e-7, abs=1e-12)


@pytest.mark.parametrize("lost", [0, 20])
@pytest.mark.parametrize("within", [[], ["v"], ["v", "w"]])
def test_against_a_formula_of_statsmodels(within: list[str], lost: int) -> None:
    full = grid(noisy(1, 0.05, u=0.02, x=0.01), u=[0, 1, 2], v=[0, 1], w=[0, 1, 2], x=[0, 1], seed=range(3))
    full[METRIC] += 0.03 * full["seed"] + 0.05 * full["u"] * full["v"]
    df = fail(full, full["trial_id"].isin(full["trial_id"].sample(lost, random_state=1)))
    # With two axes in `within`, the model has the interaction of all three.
    formula = f"{METRIC} ~ (C(u) + C(v) + C(w) + C(x)) ** 2 + C(seed)" + " + C(u):C(v):C(w)" * (len(within) > 1)
    table = contrasts(df, "u", METRIC, within=within or None, errors="pooled")
    assert len(table) == 3 * {0: 1, 1: 2, 2: 6}[len(within)]
    for row in table.to_dict("records"):
        there = (full[within] == [row[name] for name in within]).all(axis=1)
        a, b = (there & (full["u"] == row[side]) for side in "ab")
        expected = by_formula(full, df[df["status"] == "complete"], formula, a, b)
        ours = [row["difference"], row["se"], row["t"], row["p"], row["df"]]
        theirs = [expected.effect, expected.sd, expected.tvalue, expected.pvalue, expected.df_denom]
        assert ours == pytest.approx([float(np.squeeze(each)) for each in theirs], rel=1e-7, abs=1e-12)
        interval = np.squeeze(expected.conf_int()).tolist()
        assert [row["low"], row["high"]] == pytest.approx(interval, rel=1e-7, abs=1e-12)
        complete = df["status"] == "complete"
        assert [row["n_a"], row["n_b"]] == [(a & complete).sum(), (b & complete).sum()]
        assert [row["left_out_a"], row["left_out_b"]] == [(a & ~complete).sum(), (b & ~complete).sum()]


@pytest.mark.filterwarnings("ignore:The MLE may be on the boundary")
def test_a_block_is_like_a_random_seed_in_a_full_grid() -> None:
    df = grid(noisy(0, 0.02, u=0.02), u=[0, 1, 2], v=[0, 1], seed=range(6))
    df[METRIC] += 0.05 * np.random.default_rng(3).normal(size=6)[df["seed"]]
    table = contrasts(df, "u", METRIC, within="v", errors="pooled")
    mixed = mixedlm(f"{METRIC} ~ C(u) * C(v)", df, groups=df["seed"]).fit(reml=True)
    rows = ols(f"{METRIC} ~ C(u) * C(v)", df).exog
    for row in table.to_dict("records"):
        a, b = ((df["v"] == row["v"]) & (df["u"] == row[side]) for side in "ab")
        expected = mixed.t_test((rows[b].mean(axis=0) - rows[a].mean(axis=0))[None])
        # The mixed model is fitted by iteration.
        found = [float(np.squeeze(each)) for each in (expected.effect, expected.sd)]
        assert [row["difference"], row["se"]] == pytest.approx(found, rel=1e-4)


def test_one_axis_against_tukeys_test_of_statsmodels() -> None:
    df = grid(noisy(4, 0.05, u=0.02), u=[0, 1, 2, 3], seed=range(5)).drop(columns="seed")
    table = contrasts(df, "u", METRIC, correction="tukey", errors="pooled")
    expected = pairwise_tukeyhsd(df[METRIC], df["u"])
    assert table["difference"].tolist() == pytest.approx(expected.meandiffs.tolist())
    assert table["p_adjusted"].tolist() == pytest.approx(expected.pvalues.tolist(), abs=1e-6)
    # Of two values, Tukey's test is Student's.
    two = contrasts(df[df["u"] < 2], "u", METRIC, correction="tukey", errors="pooled")
    assert two["p_adjusted"][0] == pytest.approx(two["p"][0])


def test_interactions_against_type_3_of_statsmodels() -> None:
    df = grid(noisy(1, 0.05), u=[0, 1, 2], v=[0, 1], w=[0, 1, 2], seed=range(3))
    df[METRIC] += 0.05 * df["u"] * df["v"]
    df = fail(df, df["trial_id"].isin(df["trial_id"].sample(8, random_state=1)))
    used = df[df["status"] == "complete"]
    expected = anova_lm(ols(f"{METRIC} ~ (C(u, Sum) + C(v, Sum) + C(w, Sum)) ** 2 + C(seed, Sum)", used).fit(), typ=3)
    table = interactions(df, "u", METRIC, errors="pooled")
    assert table["within"].tolist() == ["v", "w"] and table["df"].tolist() == [2, 4]
    rows = expected.loc[["C(u, Sum):C(v, Sum)", "C(u, Sum):C(w, Sum)"]]
    assert table["F"].tolist() == pytest.approx(rows["F"].tolist())
    assert table["p"].tolist() == pytest.approx(rows["PR(>F)"].tolist())
    assert table["df_rest"].tolist() == pytest.approx([expected.loc["Residual", "df"]] * 2)
    assert table["p_adjusted"].tolist() == pytest.approx(multipletests(table["p"], method="holm")[1])


def unequal(**axes: Any) -> pd.DataFrame:
    """Return a grid in which the noise with v=0 is 20 times that with other values."""
    rng = np.random.default_rng(0)
    return grid(lambda v, **_: 0.5 + rng.normal(0, 0.2 if v == 0 else 0.01), **axes)


def test_unequal_noise_is_that_of_each_value() -> None:
    df = unequal(u=[0, 1, 2], v=[0, 1, 2], seed=range(5)).drop(columns="seed")
    table = contrasts(df, "u", METRIC, within="v")
    assert set(table["errors"]) <= {"by v", "own"}
    for row in table[table["errors"] == "by v"].to_dict("records"):
        # Without seeds, the noise of v is that of an analysis of its trials alone.
        alone = contrasts(df[df["v"] == row["v"]], "u", METRIC, errors="pooled")
        [expected] = alone[(alone["a"] == row["a"]) & (alone["b"] == row["b"])].to_dict("records")
        assert [row["se"], row["df"], row["p"]] == pytest.approx([expected[name] for name in ("se", "df", "p")])


def test_two_values_with_unequal_noise_are_compared_by_welchs_test() -> None:
    df = unequal(v=[0, 1], seed=range(8)).drop(columns="seed")
    [row] = contrasts(df, "v", METRIC).to_dict("records")
    a, b = (df.loc[df["v"] == value, METRIC] for value in (0, 1))
    expected = scipy.stats.ttest_ind(b, a, equal_var=False)
    assert row["errors"] == "by v"
    assert [row["t"], row["df"], row["p"]] == pytest.approx([expected.statistic, expected.df, expected.pvalue])


def test_variances_are_those_of_restricted_maximum_likelihood() -> None:
    df = unequal(u=[0, 1, 2], v=[0, 1], seed=range(4))
    df[METRIC] += 0.02 * df["seed"]
    df = df.drop(index=[3, 8, 17])
    levels = {name: df[name].to_numpy(np.intp) for name in "uv"}
    design = design_matrix(levels, {"u": 3, "v": 2}, main_and_two_way(["u", "v"], ["u"]), df["seed"].to_numpy(np.intp))
    numbers = df[METRIC].to_numpy()
    fit = fit_model(design, numbers, ["u"], pooled=False)
    assert fit.by == ["v"] and design.has_block

    def deviance(logs: Any) -> float:
        """Return -2 log restricted likelihood for the logarithms of both variances."""
        variances = np.exp(logs)[levels["v"]]
        x, y = design.matrix / np.sqrt(variances)[:, None], numbers / np.sqrt(variances)
        residual = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
        return float(np.log(variances).sum() + np.linalg.slogdet(x.T @ x)[1] + residual @ residual)

    best = scipy.optimize.minimize(deviance, [-3.0, -9.0], method="Nelder-Mead", options={"xatol": 1e-7})
    found = [fit.variances[levels["v"] == value][0] for value in (0, 1)]
    # The variances are accurate to one part in a thousand.
    assert found == pytest.approx(np.exp(best.x).tolist(), rel=5e-3)


def noisy_models(seeds: int) -> pd.DataFrame:
    """Return a grid in which the trials of two of six models have 10 times the noise of the others."""
    rng = np.random.default_rng(4)
    axes = {"model": range(6), "on": [0, 1], "depth": [1, 2], "seed": range(seeds)}
    return grid(lambda model, on, **_: 0.9 + 0.005 * on + rng.normal(0, 0.02 if model > 3 else 0.002), **axes)


@pytest.mark.parametrize("within", [["depth"], ["depth", "model"]])
def test_differences_in_a_complete_grid_are_those_of_plain_means_whatever_the_noise_is(within: list[str]) -> None:
    df = noisy_models(3)
    table = contrasts(df, "on", METRIC, within=within)
    assert "by model" in set(table["errors"])
    means = df.groupby(["on", *within])[METRIC].mean()
    assert table["difference"].tolist() == pytest.approx((means[1] - means[0]).tolist())
    assert table["mean_b"].tolist() == pytest.approx(means[1].tolist())
    pooled = contrasts(df, "on", METRIC, within=within, errors="pooled")
    assert table["difference"].tolist() == pytest.approx(pooled["difference"].tolist())


def test_standard_errors_of_plain_means_have_the_variance_of_each_group() -> None:
    n = 40
    df = noisy_models(n)
    # Var(mean of 6n trials) = sum of the n variances of each model / (6n)^2, twice for a difference.
    variance = 2 * n * (4 * 0.002**2 + 2 * 0.02**2) / (6 * n) ** 2
    table = contrasts(df, "on", METRIC, within="depth")
    assert table["se"].tolist() == pytest.approx([math.sqrt(variance)] * 2, rel=0.1)
    # The noise is almost that of two models, with n trials in each of their four settings.
    assert 0.8 * 2 * 4 * n < table["df"].min() < 1.1 * 2 * 4 * n
    means = df.groupby(["on", "depth"])[METRIC].mean()
    change = (means[1, 2] - means[0, 2]) - (means[1, 1] - means[0, 1])
    row = interactions(df, "on", METRIC).set_index("within").loc["depth"]
    assert row["F"] == pytest.approx(change**2 / (2 * variance), rel=0.2)


def test_lost_trials_do_not_carry_the_noise_of_other_settings_over() -> None:
    df = unequal(u=[0, 1, 2], v=[0, 1, 2], seed=range(5))
    whole = contrasts(df, "u", METRIC, within="v")
    lost = contrasts(fail(df, (df["u"] == 0) & (df["v"] == 2) & (df["seed"] == 1)), "u", METRIC, within="v")
    # Four of five trials are left, and the effect of a seed is that of the quiet settings.
    assert lost["se"][6] == pytest.approx(whole["se"][6], rel=0.2)


def test_a_noisy_cell_has_its_own_error() -> None:
    df = grid(noisy(0, 0.01), u=[0, 1, 2], v=[0, 1, 2], seed=range(6)).drop(columns="seed")
    noisy_cell = (df["u"] == 0) & (df["v"] == 0)
    df.loc[noisy_cell, METRIC] += 0.3 * np.random.default_rng(1).normal(size=6)
    rows = contrasts(df, "u", METRIC, within="v").to_dict("records")
    a, b = df.loc[noisy_cell, METRIC], df.loc[(df["u"] == 1) & (df["v"] == 0), METRIC]
    expected = scipy.stats.ttest_ind(b, a, equal_var=False)
    assert [rows[0]["t"], rows[0]["df"]] == pytest.approx([expected.statistic, expected.df])


def test_the_noise_of_a_contrast_is_never_less_than_that_of_its_trials() -> None:
    df = grid(noisy(0), u=[0, 1, 2], v=[0, 1, 2], seed=range(3)).drop(columns="seed")
    pooled, auto = (contrasts(df, "u", METRIC, within="v", errors=each) for each in ("pooled", "auto"))
    assert pooled["errors"].eq("pooled").all() and set(auto["errors"]) == {"pooled", "own"}
    for row, before in zip(auto.to_dict("records"), pooled.to_dict("records"), strict=True):
        sides = [df.loc[(df["u"] == row[side]) & (df["v"] == row["v"]), METRIC] for side in "ab"]
        own = math.sqrt(sum(side.var() / 3 for side in sides))
        assert row["se"] == pytest.approx(max(own, before["se"]))
        assert (row["errors"] == "own") == (own > before["se"])
        # Welch's degrees of freedom are the fewest.
        assert scipy.stats.ttest_ind(*sides, equal_var=False).df - 1e-9 <= row["df"] <= before["df"]


@pytest.mark.parametrize(("noise", "seeds"), [("skewed", 3), ("unequal", 5)])
def test_false_claims_and_coverage(noise: str, seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    base = grid(lambda **_: 0.0, u=[0, 1, 2], v=[0, 1, 2], seed=range(seeds))
    n_times, alarms, covered = 120, 0, []
    for _ in range(n_times):
        y = rng.exponential(size=len(base)) if noise == "skewed" else rng.normal(size=len(base))
        y = y * np.where((base["v"] == 0) & (noise == "unequal"), 20, 1) + rng.normal(size=seeds)[base["seed"]]
        table = contrasts(base.assign(**{METRIC: y}), "u", METRIC, within="v")
        alarms += table["p_adjusted"].min() <= 0.05
        covered += ((table["low"] <= 0) & (table["high"] >= 0)).tolist()
    # 5% of 120 are 6; more than 14 happens once in a thousand times.
    assert alarms <= 14
    assert 0.93 <= np.mean(covered) <= 0.985


def test_holm_over_all_rows_tukey_within_each_setting_and_none() -> None:
    df = grid(noisy(1, 0.02, u=0.01), u=[0, 1, 2], v=[0, 1], seed=range(4))
    tables = {each: contrasts(df, "u", METRIC, within="v", correction=each) for each in ("holm", "tukey", "none")}
    p = tables["none"]["p"]
    assert tables["none"]["p_adjusted"].tolist() == p.tolist()
    assert tables["holm"]["p_adjusted"].tolist() == pytest.approx(multipletests(p, method="holm")[1])
    tukey = tables["tukey"]
    expected = scipy.stats.studentized_range.sf(np.sqrt(2) * tukey["t"].abs(), 3, tukey["df"])
    assert tukey["p_adjusted"].tolist() == pytest.approx(expected.tolist())
    assert (tukey["p_adjusted"] >= p).all()


def test_against_has_the_pairs_with_one_value_and_corrects_for_them_only() -> None:
    df = grid(noisy(1, 0.02, v=0.01), u=["a", "b", "c", "d"], v=[0, 1], seed=range(4))
    whole = contrasts(df, "u", METRIC, within="v").set_index(["v", "a", "b"])
    table = contrasts(df, "u", METRIC, within="v", against="b")
    assert table["a"].tolist() == ["b"] * 6 and table["b"].tolist() == ["a", "c", "d"] * 2
    for row in table.to_dict("records"):
        before, sign = (row["v"], "b", row["b"]), 1
        if row["b"] == "a":
            before, sign = (row["v"], "a", "b"), -1
        expected = whole.loc[before]
        assert row["difference"] == pytest.approx(sign * expected["difference"])
        assert sorted([row["low"], row["high"]]) == pytest.approx(sorted(sign * expected[["low", "high"]]))
        assert row["p"] == pytest.approx(expected["p"])
        means = df[df["v"] == row["v"]].groupby("u")[METRIC].mean()
        assert row["difference"] == pytest.approx(means[row["b"]] - means["b"])
    assert table["p_adjusted"].tolist() == pytest.approx(multipletests(table["p"], method="holm")[1])


def test_against_takes_a_value_of_the_axis_or_its_text() -> None:
    df = grid(noisy(1), u=[0.1, 0.25, None], seed=range(4))
    for given, a in ((0.25, 0.25), ("0.25", 0.25), ("None", None)):
        found = contrasts(df, "u", METRIC, against=given)["a"].tolist()
        assert found == [a, a] or (a is None and pd.isna(found).all())
    with pytest.raises(
        ValueError, match=r"^Unknown value of u '0\.26'\. Did you mean '0\.25'\? Available: 0\.1, 0\.25, None"
    ):
        contrasts(df, "u", METRIC, against="0.26")
    with pytest.raises(ValueError, match=r"^correction must be 'holm' or 'none' with against=0\.1, got 'tukey'"):
        contrasts(df, "u", METRIC, against=0.1, correction="tukey")


@pytest.mark.parametrize("left", ["on", "depth"])
@pytest.mark.filterwarnings("error")
def test_an_axis_of_which_one_value_is_complete_has_no_interaction(left: str) -> None:
    df = grid(noisy(0), on=[0, 1, 2], depth=[0, 1], seed=range(3))
    row = interactions(fail(df, df[left] > 0, "stopped"), "on", METRIC).iloc[0]
    assert row["df"] == 0 and row[["F", "df_rest", "p"]].isna().all()
    assert "cannot be tested: no complete trial has" in row["conclusion"]


def test_without_repeats_the_noise_is_what_interactions_leave() -> None:
    df = grid(noisy(1, 0.02), u=[0, 1, 2], v=[0, 1, 2], w=[0, 1])
    table = contrasts(df, "u", METRIC, errors="pooled")
    # 18 trials, and 1 + 2 + 2 + 1 + 4 + 2 + 2 coefficients.
    assert table["df"].tolist() == [4, 4, 4]
    means = df.groupby("u")[METRIC].mean()
    assert table["difference"].tolist() == pytest.approx(
        [means[1] - means[0], means[2] - means[0], means[2] - means[1]]
    )


def test_seeds_that_differ_between_settings_are_no_block() -> None:
    shared = grid(noisy(1, 0.02), u=[0, 1], v=[0, 1], seed=range(4))
    own = shared.assign(seed=range(len(shared)))
    # Seeds 0 to 3 with u=0, 4 to 7 with u=1: their effects cannot be told apart from that of u.
    nested = shared.assign(seed=shared["seed"] + 4 * shared["u"])
    found = {}
    for name, df in {"shared": shared, "own": own, "nested": nested}.items():
        found[name] = contrasts(df, "u", METRIC, errors="pooled")["df"][0]
    assert found == {"shared": 16 - 4 - 3, "own": 12, "nested": 12}


def test_the_order_of_the_rows_does_not_matter_and_arguments_stay() -> None:
    df = fail(unequal(u=["x", "y"], v=[0, 1, 2], seed=range(4)), pd.Series([True] + [False] * 23))
    before = df.copy()
    table = contrasts(df, "u", METRIC, within="v")
    pd.testing.assert_frame_equal(df, before)
    pd.testing.assert_frame_equal(contrasts(shuffled(df), "u", METRIC, within="v"), table)
    pd.testing.assert_frame_equal(contrasts(df.set_axis([0] * len(df)), "u", METRIC, within="v"), table)
    pd.testing.assert_frame_equal(interactions(shuffled(df), "u", METRIC), interactions(df, "u", METRIC))


NUMBERS = ["mean_a", "mean_b", "difference", "low", "high", "se", "df", "t", "p", "p_adjusted"]


def test_adding_a_constant_and_scaling() -> None:
    df = unequal(u=[0, 1, 2], v=[0, 1, 2], seed=range(3))
    table = contrasts(df, "u", METRIC, within="v")
    added = contrasts(df.assign(**{METRIC: df[METRIC] + 7}), "u", METRIC, within="v")
    np.testing.assert_allclose(added[NUMBERS[2:]], table[NUMBERS[2:]], rtol=1e-6)
    np.testing.assert_allclose(added[NUMBERS[:2]], table[NUMBERS[:2]] + 7)
    scaled = contrasts(df.assign(**{METRIC: -1000 * df[METRIC]}), "u", METRIC, within="v")
    np.testing.assert_allclose(scaled[["df", "p", "p_adjusted"]], table[["df", "p", "p_adjusted"]], rtol=1e-6)
    np.testing.assert_allclose(scaled["difference"], -1000 * table["difference"])
    np.testing.assert_allclose(scaled[["low", "high"]], -1000 * table[["high", "low"]])


def test_renaming_values_and_swapping_a_and_b() -> None:
    df = unequal(u=[0, 1, 2], v=[0, 1, 2], seed=range(3))
    table = contrasts(df, "u", METRIC, within="v")
    names = {0: "first", 1: "second", 2: "third"}
    renamed = contrasts(df.assign(u=df["u"].map(names)), "u", METRIC, within="v")
    pd.testing.assert_frame_equal(renamed[NUMBERS], table[NUMBERS])
    swapped = contrasts(df.assign(u=2 - df["u"]), "u", METRIC, within="v")
    for row in table.to_dict("records"):
        same = (swapped["a"] == 2 - row["b"]) & (swapped["b"] == 2 - row["a"]) & (swapped["v"] == row["v"])
        [other] = swapped[same].to_dict("records")
        assert [other["difference"], other["se"], other["p"]] == pytest.approx(
            [-row["difference"], row["se"], row["p"]], rel=1e-6
        )


def test_values_and_names_of_all_kinds() -> None:
    df = grid(noisy(1), **{"hidden sizes": [(3, 1), "auto", 2, None], "C(x)": [True, False, None], "seed": range(3)})
    table = contrasts(df, "hidden sizes", METRIC, within="C(x)")
    assert table["a"].tolist()[:2] == [2, 2] and table["b"].tolist()[:2] == ["auto", (3, 1)]
    assert table["C(x)"].tolist()[:12:6] == [False, True] and table["C(x)"].isna().sum() == 6
    assert table["p"].notna().all()
    assert "with hidden sizes=None" in table["conclusion"][2] and "at C(x)=None" in table["conclusion"][12]
    assert len(interactions(df, "C(x)", METRIC)) == 1


def test_a_column_of_text_or_mixed_numbers_as_within() -> None:
    df = grid(noisy(1), u=[0, 1], v=[1, 0.5, "auto"], seed=range(3))
    assert contrasts(df, "u", METRIC, within="v")["v"].tolist() == [0.5, 1, "auto"]


def test_cells_without_a_trial_are_named() -> None:
    df = grid(noisy(1), model=["a", "b", "c"], on_perc=[0.1, 0.2], depth=[1, 2], seed=range(3))
    df = fail(df, (df["model"] == "b") & (df["on_perc"] == 0.1))
    table = contrasts(df, "model", METRIC, within="on_perc")
    missing = table[table["difference"].isna()]
    assert missing[["on_perc", "a", "b"]].values.tolist() == [[0.1, "a", "b"], [0.1, "b", "c"]]
    assert missing[NUMBERS[2:]].isna().all(axis=None) and missing["errors"].eq("").all()
    assert table["p_adjusted"].tolist() == pytest.approx(
        [math.nan if math.isnan(p) else p for p in holm_of(table["p"])], nan_ok=True
    )
    assert table[["n_a", "n_b", "left_out_a", "left_out_b"]].values.tolist()[0] == [6, 0, 0, 6]
    assert table["conclusion"][0] == (
        f"{METRIC} with model=a and with b at on_perc=0.1 cannot be compared: "
        "no complete trial has model=b and on_perc=0.1."
    )
    overall = contrasts(df, "model", METRIC)
    assert overall["difference"].isna().tolist() == [True, False, True]
    assert overall["conclusion"][0] == (
        f"{METRIC} with model=a and with b cannot be compared: no complete trial has model=b and on_perc=0.1; "
        "filter the trials, or compare within on_perc."
    )
    within = contrasts(df, "model", METRIC, within="on_perc", correction="tukey")
    # At 0.1 only two values are left.
    assert within["p_adjusted"][1] == pytest.approx(within["p"][1])
    table = interactions(df, "model", METRIC)
    assert table["p"].isna().tolist() == [True, False]
    assert table["conclusion"][0] == (
        f"Whether the effect of model on {METRIC} depends on on_perc cannot be tested: "
        "no complete trial has model=b and on_perc=0.1."
    )


def holm_of(p: pd.Series) -> list[float]:
    found = pd.Series(math.nan, index=p.index)
    found[p.notna()] = multipletests(p.dropna(), method="holm")[1]
    return found.tolist()


def test_a_value_with_which_every_trial_failed() -> None:
    df = grid(noisy(1), model=["a", "b", "c"], depth=[1, 2], seed=range(3))
    df = fail(df, df["model"] == "c")
    table = contrasts(df, "model", METRIC)
    assert table["difference"].isna().tolist() == [False, True, True]
    assert table["conclusion"][1].endswith("cannot be compared: no complete trial has model=c.")
    # A value of another axis with which every trial failed is left out of the mean.
    other = contrasts(fail(df, df["depth"] == 2), "model", METRIC)
    assert other["difference"].isna().tolist() == [False, True, True]


def test_trials_that_are_left_out_unequally() -> None:
    df = grid(noisy(1), model=["a", "b"], depth=[1, 2], seed=range(4))
    df = fail(df, (df["model"] == "b") & (df["seed"] == 0))
    df = df.assign(diverged=(df["model"] == "b") & (df["seed"] == 1))
    df.loc[(df["model"] == "a") & (df["seed"] == 3) & (df["depth"] == 1), METRIC] = math.inf
    [row] = contrasts(df, "model", METRIC).to_dict("records")
    assert [row["n_a"], row["n_b"], row["left_out_a"], row["left_out_b"]] == [7, 4, 1, 4]
    caution = "Trials are left out unequally (1 of 8 with model=a, 4 of 8 with b)"
    assert row["conclusion"].endswith(f"{caution}, so that the comparison is of survivors.")


def test_equal_values_are_no_certainty() -> None:
    # 3 seeds with the same share of 100 test examples: the noise is at least that of rounding.
    df = grid(lambda u, v, seed: 0.1 * v + 0.01 * u, u=[0, 1], v=[0, 1, 2], seed=range(3))
    table = contrasts(df, "u", METRIC, within="v")
    assert (table["se"] > 0.002).all() and table["difference"].tolist() == pytest.approx([0.01] * 3)
    at_chance = unequal(u=[0, 1], v=[0, 1, 2], seed=range(3))
    at_chance.loc[at_chance["v"] == 1, METRIC] = 0.1
    table = contrasts(at_chance, "u", METRIC, within="v")
    assert table["difference"][1] == pytest.approx(0, abs=1e-9) and table["p"][1] == pytest.approx(1)
    assert np.isfinite(table[NUMBERS]).all(axis=None)


def test_a_series_as_metric_axis_and_within() -> None:
    df = as_trials(grid(noisy(1, u=0.01), u=[0, 1, 2], v=[0, 1, 2], seed=range(3)), ["u", "v", "seed"], [METRIC])
    late, tall = (df["u"] > 0).rename("u"), (df["v"] > 0).rename("v")
    expected = contrasts(df.assign(u=late, v=tall, percent=100 * df[METRIC]), "u", "percent", within="v")
    table = contrasts(df, late, (100 * df[METRIC]).rename("percent"), within=tall)
    pd.testing.assert_frame_equal(table, expected)
    pd.testing.assert_frame_equal(interactions(df, late, METRIC), interactions(df.assign(u=late), "u", METRIC))


def test_sentences() -> None:
    df = grid(noisy(3, 0.01), model=["RigL", "SET"], on_perc=[0.02, 0.05, 0.1], seed=range(5))
    df.loc[(df["model"] == "RigL") & (df["on_perc"] == 0.02), METRIC] += 0.18
    table = contrasts(df, "model", METRIC, within="on_perc")
    row = table.iloc[0]
    interval = f"95% interval {-row['high']:.3g} to {-row['low']:.3g}"
    assert table["conclusion"][0] == (
        f"{METRIC} is higher with model=RigL than with SET at on_perc=0.02: by {-row['difference']:.3g} "
        f"({interval}, p < 0.0001 after Holm's correction)."
    )
    assert table["conclusion"][1].startswith(f"{METRIC} with model=SET minus that with RigL at on_perc=0.05: ")
    assert "no clear difference (95% interval" in table["conclusion"][1]
    assert contrast_sentences(table, METRIC) == [
        f"{METRIC} with model=RigL and with SET: at on_perc=0.02 it is higher with RigL by {-row['difference']:.3g} "
        f"({interval}, p < 0.0001); at on_perc=0.05 and 0.1 there is no clear difference."
    ]
    fewer = fail(df, (df["model"] == "SET") & (df["on_perc"] > 0.02) & (df["seed"] < 2))
    assert contrast_sentences(contrasts(fewer, "model", METRIC, within="on_perc"), METRIC)[0].endswith(
        ". Trials are left out unequally at on_perc=0.05 and 0.1, so that survivors are compared there."
    )
    overall = contrasts(df, "model", METRIC)
    assert contrast_sentences(overall, METRIC) == overall["conclusion"].tolist()
    assert "Holm" not in overall["conclusion"][0]
    two = contrasts(df.assign(depth=df["seed"] % 2, seed=df["seed"] // 2), "model", METRIC, within=["on_perc", "depth"])
    [sentence] = contrast_sentences(two, METRIC)
    assert "at on_perc=0.02 and depth=0 it is higher with RigL" in sentence
    assert "at on_perc=0.05 and depth=0, on_perc=0.05 and depth=1, on_perc=0.1" in sentence


def test_a_difference_that_is_clear_only_without_correction() -> None:
    df = grid(noisy(3, 0.01), model=["RigL", "SET"], on_perc=[0.02, 0.05, 0.1], seed=range(5))
    df.loc[(df["model"] == "RigL") & (df["on_perc"] == 0.02), METRIC] += 0.021
    table = contrasts(df, "model", METRIC, within="on_perc", errors="pooled")
    row = table.iloc[0]
    assert row["p"] <= 0.05 < row["p_adjusted"], "choose another effect"
    interval = f"95% interval {row['low']:.3g} to {row['high']:.3g}"
    assert f"{row['difference']:+.3g}, no clear difference ({interval}, p = " in row["conclusion"]
    assert row["conclusion"].endswith(f"after Holm's correction; p = {row['p']:.2g} if it were the only question).")


def message(df: pd.DataFrame, *args: Any, call: Any = contrasts, **kwargs: Any) -> str:
    with pytest.raises(ValueError) as caught:
        call(df, *args, **kwargs)
    return str(caught.value)


def test_wrong_arguments() -> None:
    df = grid(noisy(0), on=[True, False], depth=[1, 2], seed=range(3))
    varies = "Hyperparameters that vary: on, depth, seed."
    assert message(df, "dept", METRIC).startswith("Unknown column 'dept'. Did you mean 'depth'?")
    assert message(df, "on", METRIC, within="dept").startswith("Unknown column 'dept'. Did you mean 'depth'?")
    assert (
        message(df, "constant", METRIC)
        == f"constant must have several values to compare, but has only the value 1. {varies}"
    )
    must = "within must be hyperparameters other than axis, 'on', each named once"
    assert message(df, "on", METRIC, within="on") == f"{must}, got ['on']. {varies}"
    assert message(df, "on", METRIC, within=["on", "depth"]) == f"{must}, got ['on', 'depth']. {varies}"
    assert message(df, "on", METRIC, within=METRIC) == f"{must}, got ['{METRIC}']. {varies}"
    repeats = "Seeds are the repeats from which the noise is estimated. Name a hyperparameter that you set."
    assert message(df, "on", METRIC, within="seed") == f"within must not be 'seed'. {repeats} {varies}"
    assert message(df, "seed", METRIC) == f"axis must not be 'seed'. {repeats} {varies}"
    text = df["trial_dir"].dtype
    assert message(df, "on", "trial_dir") == f"metric must be a column of numbers, got 'trial_dir' of type {text}."
    available = "Available: holm, tukey, none."
    assert (
        message(df, "on", METRIC, correction="holms") == f"Unknown correction 'holms'. Did you mean 'holm'? {available}"
    )
    assert message(df, "on", METRIC, errors="HC3") == "Unknown errors 'HC3'. Available: auto, pooled."
    clash = message(df.rename(columns={"depth": "df"}), "on", METRIC, within="df")
    assert clash == "Group keys ['df'] have the names of columns of the result. Rename them first."
    # What a row has besides until its conclusion is written would take their place.
    for name in ("family", "missing", "correction", "n_rows"):
        renamed = df.rename(columns={"depth": name})
        assert message(renamed, "on", METRIC, within=name) == clash.replace("df", name)
        with pytest.raises(ValueError, match=f"Group keys .*{name}"):
            power(renamed, "on", METRIC, within=name)


def test_metrics_without_information() -> None:
    df = grid(noisy(0), on=[True, False], depth=[1, 2], seed=range(3))
    none = f"{METRIC} must have a value in some complete trial, but has none in 12 trials. See failures(df)."
    assert message(df.assign(**{METRIC: math.nan}), "on", METRIC) == none
    assert message(fail(df, df["on"] | True), "on", METRIC) == none
    constant = f"{METRIC} must vary between trials, but is 0.5 in all 12 complete ones. Choose another metric."
    assert message(df.assign(**{METRIC: 0.5}), "on", METRIC) == constant


def test_a_difference_that_is_rounding_is_0() -> None:
    values = {0: [0.1, 0.7, 0.8], 1: [0.8, 0.1, 0.7]}
    df = grid(lambda on, depth, seed: values[on][seed], on=[0, 1], depth=[0, 1], seed=range(3))
    assert contrasts(df, "on", METRIC)["difference"].tolist() == [0.0]
    assert "that with 0: +0, no clear difference" in contrasts(df, "on", METRIC)["conclusion"][0]


def test_trials_of_changed_data_are_not_pooled() -> None:
    df = grid(noisy(0), model=["a", "b"], epochs=[2, 4, 6], seed=range(3)).assign(dataset_name="x.csv")
    df["data_hash"] = np.where(df["epochs"] == 6, "1e5", "0d4")
    text = message(df, "model", METRIC, within="epochs")
    # The data that most trials have.
    where = "data_hash == '0d4'"
    assert text == (
        "data_hash must vary independently of epochs, but follows from it. Take the trials of one data_hash, with "
        f'`select` or --where, such as --where "{where}".'
    )
    assert len(contrasts(select(df, where), "model", METRIC, within="epochs")) == 2


def test_axes_that_are_no_grid() -> None:
    drawn = grid(noisy(0), on=[True, False], rate=range(21), seed=range(2))
    hint = f"Filter the trials, or use correlation(df, '{METRIC}') for an axis of numbers."
    too_many = f"rate must have at most 20 values, but has 21. {hint}"
    assert message(drawn, "on", METRIC) == message(drawn, "rate", METRIC) == too_many
    df = grid(noisy(0), model=["a", "b"], depth=[1, 2], seed=range(3)).assign(
        decay=lambda df: (df["model"] == "a") * 0.5
    )
    assert message(df, "model", METRIC) == (
        "decay must vary independently of model, but follows from it. "
        "Leave one of them out, for example with df.drop(columns=['decay']), or take the trials of one value, with "
        "`select` or --where."
    )
    assert "df.drop(columns=['model'])" in message(df, "decay", METRIC)
    many = grid(lambda seed: float(seed % 7), seed=range(400))
    many = many.assign(**{f"x{i}": many["seed"] // (i + 1) % 18 for i in range(6)}).drop(columns="seed")
    assert message(many, "x0", METRIC) == (
        "The model of the grid must have at most 3000 coefficients, but has 4438 for 400 trials. "
        "Filter the trials, or leave hyperparameters out with df.drop(columns=[...])."
    )


def test_nothing_left_for_the_noise() -> None:
    df = grid(noisy(0), on=[True, False], depth=[1, 2, 3], seed=[7])
    assert message(df, "on", METRIC) == (
        "The noise needs repeated settings, but the model has as many coefficients as there are complete trials (6). "
        "Now there is 1 seed: 7. Add at least one seed to the grid and run the same command again."
    )
    assert message(df.drop(columns="seed"), "on", METRIC).endswith(
        "as there are complete trials (6). Add at least one seed to the grid and run the same command again."
    )
    alone = grid(noisy(0), on=[True, False], seed=range(3))
    expected = "Another hyperparameter than on and seed must vary, but none does."
    assert message(alone, "on", METRIC, call=interactions) == expected
    assert len(contrasts(alone, "on", METRIC)) == 1
