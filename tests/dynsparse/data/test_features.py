"""Features: standardization, imputation and one-hot encoding, against plain numpy and scikit-learn."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler

from dynsparse.data import DataError
from dynsparse.data.features import count_missing, feature_names, n_features, standardize
from dynsparse.data.sources.content import Category, Table

TRAIN = np.array([[1.0, 5.0, -2.0], [3.0, 5.0, 0.0], [5.0, 5.0, 2.0]])
TEST = np.array([[3.0, 9.0, 4.0]])


def test_an_example_by_hand() -> None:
    found = standardize("d", TRAIN, TEST, None)
    unit = (8 / 3) ** 0.5  # the standard deviation of 1, 3, 5 and of -2, 0, 2
    np.testing.assert_allclose(found.train, np.array([[-2, 0, -2], [0, 0, 0], [2, 0, 2]]) / unit, rtol=1e-6)
    # The column that is constant in the training part says nothing, whatever it is in the test part.
    np.testing.assert_allclose(found.test, np.array([[0, 0, 4]]) / unit, rtol=1e-6)
    assert found.mean.tolist() == [3, 5, 0] and found.scale[1] == 0
    assert found.train.dtype == found.test.dtype == np.float32


NUMBERS = st.floats(-1e6, 1e6).map(lambda number: round(number, 3))


@settings(deadline=None, max_examples=100)
@given(x=arrays(np.float64, st.tuples(st.integers(2, 30), st.integers(1, 4)), elements=NUMBERS))
def test_it_is_the_scaler_of_scikit_learn(x: np.ndarray) -> None:
    found = standardize("d", x, x[:1], None)
    expected = StandardScaler().fit(x)
    constant = x.min(0) == x.max(0)
    # Near its end, float64 has few digits left for the deviations of large numbers.
    np.testing.assert_allclose(found.train[:, ~constant], expected.transform(x)[:, ~constant], rtol=1e-3, atol=1e-4)
    assert (found.train[:, constant] == 0).all() and (found.test[:, constant] == 0).all()
    assert np.isfinite(found.train).all()


@settings(deadline=None, max_examples=100)
@given(x=arrays(np.float64, (4, 2), elements=st.floats(allow_nan=False, allow_infinity=False)))
def test_any_finite_numbers_are_standardized_or_refused_without_a_warning(x: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            found = standardize("d", x[:3], x[3:], None)
        except DataError as error:
            assert "must be numbers that float32 holds" in str(error)
            return
    assert np.isfinite(found.train).all() and np.isfinite(found.test).all()
    assert np.abs(found.train).max() <= 2**0.5 + 1e-6, "of three numbers, none is farther from their mean"


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64, np.int16, bool])
def test_numbers_of_any_type(dtype: Any) -> None:
    x = np.array([[0, 1], [1, 1], [1, 0], [1, 1]]).astype(dtype)
    found = standardize("d", x, x[:2], None)
    np.testing.assert_allclose(found.train, StandardScaler().fit_transform(x.astype(float)), rtol=1e-6)


def test_large_integers_keep_their_differences() -> None:
    x = (2**40 + np.arange(4))[:, None]
    np.testing.assert_allclose(standardize("d", x, x, None).train[:, 0], (np.arange(4) - 1.5) / 1.25**0.5, rtol=1e-6)


def test_images_with_several_axes_are_flattened() -> None:
    x = np.random.default_rng(0).normal(size=(6, 2, 3))
    assert standardize("d", x, x[:2], None).train.shape == (6, 6)
    assert n_features(x) == 6 and feature_names(x) == ()


# Missing values and text


def table(numbers: list[list[float]], codes: list[int] | None = None) -> Table:
    categories = () if codes is None else (Category("kind", ("a", "b"), np.array(codes)),)
    return Table(np.array(numbers, dtype=float), ("u", "v"), categories)


NAN = float("nan")


@pytest.mark.parametrize("impute", ["mean", "median", "most_frequent"])
def test_a_missing_number_becomes_a_statistic_of_the_training_part(impute: str) -> None:
    train = table([[1, 2], [NAN, 2], [4, 9], [10, 9], [1, NAN]])
    test = table([[NAN, 100], [1000, NAN]])
    before = train.numbers.copy(), test.numbers.copy()
    found = standardize("d", train, test, impute)
    imputer = SimpleImputer(strategy=impute).fit(train.numbers)
    scaler = StandardScaler().fit(imputer.transform(train.numbers))
    for ours, x in ((found.train, train.numbers), (found.test, test.numbers)):
        np.testing.assert_allclose(ours, scaler.transform(imputer.transform(x)), rtol=1e-5)
    np.testing.assert_array_equal(before[0], train.numbers)
    np.testing.assert_array_equal(before[1], test.numbers)


def test_missing_numbers_of_an_array() -> None:
    x = np.array([[1, NAN], [3, 4], [NAN, 6]], dtype=np.float32)
    assert count_missing(x) == {"column 0": 1, "column 1": 1}
    found = standardize("d", x, x[:1], "mean")
    np.testing.assert_allclose(found.train[:, 0], StandardScaler().fit_transform([[1], [3], [2]])[:, 0], rtol=1e-6)


def test_text_becomes_one_feature_for_each_value() -> None:
    train, test = table([[0, 0]] * 4, [0, 1, 1, -1]), table([[0, 0]] * 2, [0, -1])
    assert feature_names(train) == ("u", "v", "kind=a", "kind=b") and n_features(train) == 4
    assert count_missing(train) == {"kind": 1}
    found = standardize("d", train, test, "mean")
    # The missing value becomes "b", the most frequent one.
    is_a = np.array([1, 0, 0, 0])
    np.testing.assert_allclose(found.train[:, 2], (is_a - 0.25) / np.std(is_a), rtol=1e-6)
    np.testing.assert_allclose(found.train[:, 3], -found.train[:, 2], rtol=1e-6)
    np.testing.assert_allclose(found.test[:, 2], (np.array([1, 0]) - 0.25) / np.std(is_a), rtol=1e-6)


def test_a_value_of_text_that_no_training_example_has_is_0() -> None:
    found = standardize("d", table([[0, 0]] * 2, [0, 0]), table([[0, 0]], [1]), None)
    assert (found.train == 0).all() and (found.test == 0).all()


@pytest.mark.parametrize(
    ("train", "test", "column"),
    [
        (table([[NAN, 1], [NAN, 2]]), table([[1, 1]]), "u"),
        (table([[1, 1], [1, 2]], [-1, -1]), table([[1, 1]], [0]), "kind"),
    ],
)
def test_a_column_without_a_known_value_is_refused(train: Table, test: Table, column: str) -> None:
    with pytest.raises(DataError, match=f"must have a known value in the training part, got none in '{column}' of 'd'"):
        standardize("d", train, test, "median")
