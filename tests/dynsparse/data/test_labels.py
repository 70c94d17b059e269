"""Labels of any type as classes from 0, and the text of every refusal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dynsparse.data import DataError
from dynsparse.data.labels import check_classes, check_split_classes, encode_labels


@pytest.mark.parametrize(
    ("labels", "classes", "names"),
    [
        (["b", "a", "b"], [1, 0, 1], ("a", "b")),
        ([7, -3, 10], [1, 0, 2], ("-3", "7", "10")),
        ([True, False, True], [1, 0, 1], ("False", "True")),
        ([2.0, 1.0, 1.0], [1, 0, 0], ("1", "2")),
        ([b"y", b"x", b"y"], [1, 0, 1], ("x", "y")),
        (np.array(["b", "a", "b"], dtype=object), [1, 0, 1], ("a", "b")),
        (np.array([3, 200], dtype=np.uint8), [0, 1], ("3", "200")),
    ],
)
def test_classes_are_numbered_in_the_sorted_order_of_the_labels(labels: Any, classes: list[int], names: Any) -> None:
    [found], found_names = encode_labels("d", [np.asarray(labels)])
    assert found.tolist() == classes and found.dtype == np.int64
    assert found_names == names


def test_both_parts_have_the_same_classes() -> None:
    (train, test), names = encode_labels("d", [np.array([5, 6, 5]), np.array([6, 9])])
    assert (train.tolist(), test.tolist(), names) == ([0, 1, 0], [1, 2], ("5", "6", "9"))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([["a", "a"]], "The labels of 'd' must have at least 2 classes, got one: a."),
        (
            [[1.5, 2.0]],
            "must be text, integers or booleans, got 1.5. To predict numbers, set loss='mse';",
        ),
        (
            [[1.0, np.nan]],
            "got nan. To predict numbers, set loss='mse'; missing labels must be removed.",
        ),
        ([[1j, 2j]], "must be text, integers or booleans, got the type complex128."),
        ([["a", "b"], [0, 1]], "must be text in both parts or in neither. Convert one of them."),
    ],
)
def test_labels_that_are_no_classes(parts: Any, message: str) -> None:
    with pytest.raises(DataError) as error:
        encode_labels("d", [np.array(part) for part in parts])
    assert message in str(error.value)


def test_each_class_must_be_in_the_training_part() -> None:
    with pytest.raises(
        DataError, match=r"got none of the class 'c', which is only in the test part\. Remove its exampl"
    ):
        check_classes("d", np.array([0, 1]), np.array([2]), "abc")
    with pytest.raises(DataError, match="The test part of 'd' must have at least one example, got none"):
        check_classes("d", np.array([0, 1]), np.array([], dtype=int), "ab")
    check_classes("d", np.array([0, 1]), np.array([1]), "ab")


def test_each_class_of_data_that_are_split_must_have_two_examples() -> None:
    with pytest.raises(DataError, match=r"at least 2 examples, .*, got 1 of 'b', 'c'\. Remove rare classes\."):
        check_split_classes("d", np.array([0, 1, 0, 2]), "abc")
