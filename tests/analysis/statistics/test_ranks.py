"""mean_ranks, friedman, compare_ranks: against a published example, scipy, and numbers of scikit-posthocs."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from statsmodels.stats.multitest import multipletests
from support.grids import fail, shuffled
from support.many_data_sets import AUC, CLASSIFIERS, noise, published, results

import analysis
from analysis import compare_ranks, friedman, mean_ranks
from analysis.statistics.rank_tests import _critical_difference, _wilcoxon
from analysis.statistics.significance import LEVEL

ABC = ["a", "b", "c"]


def test_the_published_mean_ranks() -> None:
    table = mean_ranks(published(), "model", "acc")
    assert table["model"].tolist() == ["C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"]
    assert table["rank"].round(3).tolist() == [1.964, 2.0, 2.893, 3.143]
    assert table["blocks"].tolist() == [14] * 4 and table["left_out_blocks"].tolist() == [0] * 4
    assert table["count"].tolist() == [14] * 4
    best = (np.array(AUC) == np.max(AUC, axis=1, keepdims=True)).sum(axis=0)
    assert dict(zip(table["model"], table["best_in"], strict=True)) == dict(zip(CLASSIFIERS, best, strict=True))


def test_the_published_tests() -> None:
    [row] = friedman(published(), "model", "acc").to_dict("records")
    assert (row["axis"], row["values"], row["blocks"], row["left_out_blocks"]) == ("model", 4, 14, 0)
    # scipy divides by a correction for ties, which the paper does not: t equal values of a data set count t^3 - t.
    ties = sum(n**3 - n for each in AUC for n in np.unique(each, return_counts=True)[1])
    without = row["chi2"] * (1 - ties / (14 * (4**3 - 4)))
    assert without == pytest.approx(9.28, abs=0.005)
    assert 13 * without / (14 * 3 - without) == pytest.approx(3.69, abs=0.005)
    assert row["F"] == pytest.approx(13 * row["chi2"] / (14 * 3 - row["chi2"]))
    expected = scipy.stats.friedmanchisquare(*np.transpose(AUC))
    assert (row["chi2"], row["p"]) == pytest.approx((expected.statistic, expected.pvalue))
    assert row["p_F"] == pytest.approx(scipy.stats.f(3, 39).sf(row["F"]))
    assert row["critical_difference"] == pytest.approx(1.25, abs=0.005)
    assert row["conclusion"] == (
        "acc: the mean ranks of the 4 values of model differ (Friedman's chi2 = 10.2, p = 0.017, 14 blocks); "
        "compare_ranks says which."
    )


def test_the_published_critical_values_of_nemenyis_test() -> None:
    # Table 5 of the paper, for 2 to 10 classifiers. It cuts the third digit off.
    published = [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]
    found = [_critical_difference(1, k) / math.sqrt(k * (k + 1) / 6) for k in range(2, 11)]
    assert found == pytest.approx(published, abs=0.001)


@pytest.mark.faults
def test_pairs_against_scikit_posthocs_and_scipy() -> None:
    table = compare_ranks(published(), "model", "acc")
    assert table[["a", "b"]].values.tolist() == [list(pair) for pair in itertools.combinations(sorted(CLASSIFIERS), 2)]
    # posthoc_nemenyi_friedman of scikit-posthocs 0.17.1.
    pairs = {("C4.5", "C4.5+m"): 0.08867271, ("C4.5", "C4.5+cf"): 0.95617718, ("C4.5", "C4.5+m+cf"): 0.0741848}
    pairs |= {("C4.5+m", "C4.5+cf"): 0.25922807, ("C4.5+m", "C4.5+m+cf"): 0.99985945}
    pairs |= {("C4.5+cf", "C4.5+m+cf"): 0.22669689}
    nemenyi = {frozenset(pair): p for pair, p in pairs.items()}
    numbers = dict(zip(CLASSIFIERS, np.transpose(AUC), strict=True))
    for row in table.to_dict("records"):
        assert row["p_nemenyi"] == pytest.approx(nemenyi[frozenset((row["a"], row["b"]))], abs=1e-6)
        differences = (numbers[row["b"]] - numbers[row["a"]]).round(9)
        differences = differences[differences != 0]
        assert row["p_wilcoxon"] == pytest.approx(scipy.stats.wilcoxon(differences).pvalue)
        assert row["difference"] == row["rank_b"] - row["rank_a"] and row["blocks"] == 14
        assert row["critical_difference"] == pytest.approx(1.25, abs=0.005)
    assert table["p_holm"].tolist() == pytest.approx(multipletests(table["p_wilcoxon"], method="holm")[1])


def test_two_data_sets_by_hand() -> None:
    # a is 1, b 2, c 3; then b and c share the ranks 1 and 2, and a is 3.
    table = mean_ranks(results([[0.9, 0.8, 0.7], [0.1, 0.5, 0.5]], ABC), "model", "acc")
    assert table["model"].tolist() == ["b", "a", "c"] and table["rank"].tolist() == [1.75, 2.0, 2.25]
    assert table["best_in"].tolist() == [1, 1, 1]
    lowest = mean_ranks(results([[0.9, 0.8, 0.7], [0.1, 0.5, 0.5]], ABC), "model", "acc", lowest=True)
    assert dict(zip(lowest["model"], lowest["rank"], strict=True)) == {"b": 2.25, "a": 2.0, "c": 1.75}


def test_low_losses_are_better() -> None:
    df = results([[0.9, 0.8, 0.7], [0.3, 0.2, 0.1]], ABC).rename(columns={"acc": "val_loss_last"})
    table = mean_ranks(df, "model", "val_loss_last")
    assert table["model"].tolist() == ["c", "b", "a"] and table["rank"].tolist() == [1, 2, 3]
    assert compare_ranks(df, "model", "val_loss_last")["b_wins"].tolist() == [1, 1, 1]


def test_seeds_are_averaged_first() -> None:
    one, several = published(), results(AUC, CLASSIFIERS, seeds=3)
    table = mean_ranks(several, "model", "acc")
    assert table["rank"].tolist() == mean_ranks(one, "model", "acc")["rank"].tolist()
    assert table["count"].tolist() == [42] * 4
    pd.testing.assert_frame_equal(friedman(several, "model", "acc"), friedman(one, "model", "acc"))


def test_equal_means_have_equal_ranks_in_spite_of_rounding_errors() -> None:
    # 0.1 + 0.2 is not 0.3 + 0.0, in floats.
    df = pd.DataFrame({"dataset_name": list("xxxxyyyy"), "model": list("aabb") * 2, "seed": [0, 1] * 4})
    df["acc"] = [0.1, 0.2, 0.3, 0.0, 0.1, 0.2, 0.3, 0.0]
    df = analysis.as_trials(df, ["dataset_name", "model", "seed"], ["acc"])
    assert mean_ranks(df, "model", "acc")["rank"].tolist() == [1.5, 1.5]
    assert compare_ranks(df, "model", "acc")["p_wilcoxon"].tolist() == [1.0]


def test_equal_differences_are_equal_in_any_unit() -> None:
    # Ninths have no end in decimals: rounded one by one, 7/9 - 6/9 and 5/9 - 4/9 differ in the last digit.
    values = np.array([[7, 6], [5, 4], [3, 2], [9, 8], [1, 2], [4, 2], [9, 6], [2, 5]], dtype=float)
    expected = _wilcoxon(values[:, 1] - values[:, 0])
    for unit in (1.0, 9.0, 7e5, 3e-7):
        table = compare_ranks(results((values / unit).tolist(), ["a", "b"]), "model", "acc")
        assert table["p_wilcoxon"].tolist() == pytest.approx([expected])
    in_32_bits = (values / 9).astype("float32").astype(float).tolist()
    assert compare_ranks(results(in_32_bits, ["a", "b"]), "model", "acc")["p_wilcoxon"].tolist() == [expected]


def test_one_huge_value_makes_no_ties_elsewhere() -> None:
    # The loss of a training that explodes, beside losses that differ in the usual way.
    losses = [[0.1, 0.2, 0.3]] * 7 + [[0.1, 0.2, 1e14]]
    table = mean_ranks(results(losses, ABC), "model", "acc", lowest=True)
    assert table["rank"].tolist() == [1, 2, 3] and table["best_in"].tolist() == [8, 0, 0]
    assert compare_ranks(results(losses, ABC), "model", "acc")["p_wilcoxon"].tolist() == [2 / 2**8] * 3


def test_a_block_without_a_value_is_left_out_and_counted() -> None:
    df = results([[0.9, 0.8, 0.7]] * 3 + [[0.1, 0.2, 0.3]], ABC, seeds=2)
    df = fail(df, (df["dataset_name"] == "data03") & (df["model"] == "b"))
    df = fail(df, (df["dataset_name"] == "data00") & (df["model"] == "c") & (df["seed"] == 1), "incomplete")
    df = df.assign(diverged=(df["dataset_name"] == "data01") & (df["model"] == "a") & (df["seed"] == 0))
    table = mean_ranks(df, "model", "acc")
    assert table["model"].tolist() == ABC and table["rank"].tolist() == [1, 2, 3]
    assert table["blocks"].tolist() == [3] * 3 and table["left_out_blocks"].tolist() == [1] * 3
    assert table["failed"].tolist() == [0, 2, 0] and table["incomplete"].tolist() == [0, 0, 1]
    assert table["diverged"].tolist() == [1, 0, 0] and table["count"].tolist() == [7, 6, 7]
    [row] = friedman(df, "model", "acc").to_dict("records")
    assert row["left_out_blocks"] == 1 and "1 block without a value took no part." in row["conclusion"]


def test_other_blocks_than_data_sets() -> None:
    df = analysis.load_example("quickstart")
    metric = "test_acc_at_best"
    densities = mean_ranks(df, "model", metric, blocks="on_perc")
    wide = df.pivot_table(index="on_perc", columns="model", values=metric)
    expected = wide.rank(axis=1, ascending=False).mean()
    assert densities["rank"].tolist() == pytest.approx(expected[densities["model"]].tolist())
    assert densities["blocks"].tolist() == [3] * 3
    # None is everything that varies, except the axis and the seed.
    pd.testing.assert_frame_equal(mean_ranks(df, "model", metric, blocks=None), densities)
    assert mean_ranks(df, "model", metric, blocks=["on_perc", "seed"])["blocks"].tolist() == [9] * 3
    is_low = (df["on_perc"] < 0.05).rename("is_low")
    assert mean_ranks(df, "model", metric, blocks=[is_low, "seed"])["blocks"].tolist() == [6] * 3


def test_few_blocks_say_what_is_needed() -> None:
    df = results([[0.9, 0.8, 0.7]] * 4, ABC)
    assert friedman(df, "model", "acc")["conclusion"][0] == (
        "acc: 4 blocks are too few to tell whether the mean ranks of the 3 values of model differ: at least 5 are "
        "needed, better 10."
    )
    assert compare_ranks(df, "model", "acc")["conclusion"][1] == (
        "acc with model=c and with a: too few blocks to tell (mean rank 3 and 1, 4 blocks); 3 comparisons need at "
        "least 7."
    )
    two = compare_ranks(results([[0.9, 0.8]] * 5, ["a", "b"]), "model", "acc")
    assert two["conclusion"][0].endswith("too few blocks to tell (mean rank 2 and 1, 5 blocks); 6 are needed.")


def test_as_many_blocks_as_are_needed_can_show_a_difference() -> None:
    for n_models, needed in ((2, 6), (3, 7), (10, 11)):
        models = [f"m{i}" for i in range(n_models)]
        values = [[-0.1 * j - 0.001 * i * j for j in range(n_models)] for i in range(needed)]
        table = compare_ranks(results(values, models), "model", "acc")
        assert (table["p_holm"] <= LEVEL).all() and not table["conclusion"].str.contains("too few").any()
        fewer = compare_ranks(results(values[1:], models), "model", "acc")
        assert (fewer["p_holm"] > LEVEL).any() and fewer["conclusion"].str.contains("too few").all()


def test_sentences_of_pairs() -> None:
    better = compare_ranks(results([[0.1 + 0.01 * i, 0.2 + 0.03 * i] for i in range(8)], ["a", "b"]), "model", "acc")
    assert better["conclusion"][0] == (
        "acc with model=b ranks better than with a (mean rank 1 and 2, 8 blocks, Wilcoxon's p = 0.0078)."
    )
    unclear = compare_ranks(noise(10, ["a", "b", "c"]), "model", "acc")["conclusion"][0]
    assert "no clear difference (mean rank" in unclear and "after Holm's correction)" in unclear


def test_mean_ranks_may_point_the_other_way() -> None:
    # b is better by 0.3 in 14 data sets, and worse by 0.01 in 6, where four others lie between: its mean rank is worse.
    wide, close = [0.5, 0.8, 0.1, 0.1, 0.1, 0.1], [0.51, 0.5, 0.502, 0.504, 0.506, 0.508]
    df = results([wide] * 14 + [close] * 6, list("abcdef"))
    row = compare_ranks(df, "model", "acc").iloc[0]
    assert row["difference"] > 0 and row["b_wins"] > 0.5 and row["p_holm"] <= LEVEL
    assert row["conclusion"].startswith("acc with model=b is better than with a (mean rank ")
    assert row["conclusion"].endswith("The mean ranks, which depend on the other values, do not say so.")


def test_two_values_have_no_friedman_test() -> None:
    [row] = friedman(noise(12, ["a", "b"]), "model", "acc").to_dict("records")
    assert all(math.isnan(row[name]) for name in ("chi2", "p", "F", "p_F"))
    assert row["conclusion"] == "acc: Friedman's test needs 3 values of model; compare_ranks has the tests for 2."


def test_all_blocks_agree_or_nothing_differs() -> None:
    [agree] = friedman(results([[0.9, 0.8, 0.7]] * 6, ABC), "model", "acc").to_dict("records")
    assert agree["chi2"] == pytest.approx(12) and agree["F"] == math.inf
    # Chance gives each of the 6 orders of the other 5 blocks with the same probability.
    assert agree["p_F"] == 6.0**-5
    [equal] = friedman(results([[0.5, 0.5, 0.5]] * 6, ABC), "model", "acc").to_dict("records")
    assert (equal["chi2"], equal["p"], equal["F"], equal["p_F"]) == (0, 1, 0, 1)
    assert compare_ranks(results([[0.0, 0.0]] * 6, ["a", "b"]), "model", "acc")["p_wilcoxon"].tolist() == [1.0]


@pytest.mark.parametrize("n", [1, 2, 5, 9, 13, 14, 40, 60])
@pytest.mark.parametrize("digits", [1, 9])
def test_wilcoxon_against_scipy(n: int, digits: int) -> None:
    differences = np.random.default_rng(n).normal(0.3, 1, n).round(digits)
    assert _wilcoxon(differences) == pytest.approx(scipy.stats.wilcoxon(differences[differences != 0]).pvalue)


@pytest.mark.parametrize(("n_blocks", "n_models"), [(5, 3), (15, 4)])
def test_false_alarms(n_blocks: int, n_models: int) -> None:
    models = [f"m{i}" for i in range(n_models)]
    frames = [noise(n_blocks, models, seed) for seed in range(80)]
    # At most 5% of 80 are expected, 4; 10 or more happen once in a hundred times.
    assert sum(friedman(df, "model", "acc")["p"][0] <= 0.05 for df in frames) <= 9
    assert sum((compare_ranks(df, "model", "acc")["p_holm"] <= 0.05).any() for df in frames) <= 9


def test_a_real_difference_is_found() -> None:
    df = noise(25, ABC, gap=0.8)
    assert friedman(df, "model", "acc")["p"][0] < 0.01
    assert compare_ranks(df, "model", "acc")["p_holm"][1] < 0.01
    assert mean_ranks(df, "model", "acc")["model"].tolist() == ["c", "b", "a"]


def test_order_of_rows_and_unit_do_not_matter_and_arguments_stay() -> None:
    df = results(np.random.default_rng(0).normal(0, 1, (9, 3)).tolist(), ABC, seeds=3)
    before = df.copy()
    for function in (mean_ranks, friedman, compare_ranks):
        table = function(df, "model", "acc")
        pd.testing.assert_frame_equal(function(shuffled(df), "model", "acc"), table)
        pd.testing.assert_frame_equal(function(df.set_axis([0] * len(df)), "model", "acc"), table)
        pd.testing.assert_frame_equal(function(df.assign(acc=1e9 * df["acc"]), "model", "acc"), table)
    pd.testing.assert_frame_equal(df, before)


def test_values_of_all_kinds() -> None:
    df = results([[0.9, 0.8, 0.7]] * 7, ABC).assign(model=[(3, 1), None, 2] * 7)
    assert mean_ranks(df, "model", "acc")["model"].tolist()[0] == (3, 1)
    table = compare_ranks(df, "model", "acc")
    assert table["a"].tolist()[:2] == [2, 2] and table["b"].isna().tolist() == [False, True, True]
    assert "with model=None and with 2" in table["conclusion"][1] or "model=None ranks" in table["conclusion"][1]


@pytest.mark.parametrize("function", [mean_ranks, friedman, compare_ranks])
def test_messages(function: object) -> None:
    df = published()

    def message(df: pd.DataFrame, axis: object = "model", metric: object = "acc", **options: object) -> str:
        with pytest.raises(ValueError) as caught:
            function(df, axis, metric, **options)  # type: ignore[operator]
        return str(caught.value)

    assert message(df, "modle").startswith("Unknown column 'modle'. Did you mean 'model'?")
    assert message(df, metric="ac").startswith("Unknown column 'ac'. Did you mean 'acc'?")
    unknown = message(df, blocks=["dataset"])
    assert unknown.startswith("Unknown column 'dataset'. Did you mean 'dataset_name'?")
    assert unknown.endswith("Pass the columns that tell data sets or settings apart, such as blocks=['on_perc'].")
    assert message(df, metric="model").startswith("metric must be a column of numbers, got 'model'")
    one = message(df[df["model"] == "C4.5"])
    assert one.startswith("model must have several values to compare, but has only the value 'C4.5'.")
    assert message(df[df["dataset_name"] == "data00"]) == (
        "There must be at least 2 blocks to rank in, but dataset_name has a single value. Hyperparameters that vary: "
        "model. Pass some of them as blocks, or load more data sets."
    )
    alone = message(df[df["dataset_name"] == "data00"], blocks=None)
    assert alone.startswith("There must be at least 2 blocks to rank in, but no other hyperparameter varies.")
    assert message(df, blocks=["model"]) == (
        "blocks must not name a column that has another role, got 'model'. Name other columns."
    )
    assert message(df, blocks=[]) == "blocks must be at least one column, each named once, got []."
    many = results([[float(j) for j in range(21)]] * 2, [f"m{j}" for j in range(21)])
    assert message(many) == "model must have at most 20 values, but has 21. Filter the trials."
    failed = fail(df, (df["model"] == "C4.5+m") & (df["dataset_name"] > "data00"))
    assert message(failed) == (
        "At least 2 blocks must have a complete trial of each model, got 1 of 14. model=C4.5+m has one in 1 block: "
        "leave it out, or run its trials."
    )
    assert message(df, df["model"].rename(None)).startswith("A Series must have a name")
