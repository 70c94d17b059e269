"""The table of a network: by hand, against scipy's CSR, and as text."""

import re
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from dynsparse.pruning.summary import format_summary, summary

COLUMNS = [
    "layer",
    "shape",
    "parameters",
    "non_zero",
    "density",
    "bytes_dense",
    "bytes_sparse",
    "multiplications",
]
WEIGHTS = (torch.tensor([[1.0, 0, 2], [0, 0, 0]]), torch.tensor([[3.0, 4]]))
BIASES = (torch.tensor([5.0, 0]), torch.tensor([0.0]))


def test_by_hand():
    df = summary(WEIGHTS, BIASES)
    assert list(df.columns) == COLUMNS
    assert df.values.tolist() == [
        # bytes: 8 * 4; 2 * (4 + 4) for the weights, 3 * 4 for the row starts, 2 * 4 for the biases
        ["linear_0", (2, 3), 8, 3, 2 / 6, 32, 36, 2],
        ["linear_1", (1, 2), 3, 2, 1.0, 12, 28, 2],
        ["total", None, 11, 5, 4 / 8, 44, 64, 4],
    ]
    assert all(pd.api.types.is_integer_dtype(df[name]) for name in COLUMNS[2:4] + COLUMNS[5:])
    assert df["density"].dtype == float


def test_an_active_weight_may_be_zero():
    masks = [torch.tensor([[True, True, True], [False, False, False]]), torch.tensor([[True, False]])]
    df = summary(WEIGHTS, BIASES, masks)
    assert df["non_zero"].tolist() == [4, 1, 5]
    assert df["density"].tolist() == [3 / 6, 1 / 2, 4 / 8]
    assert df["multiplications"].tolist() == [3, 1, 4]


@pytest.mark.parametrize("density", [0, 0.05, 0.5, 1])
def test_scipys_csr_takes_as_many_bytes(density):
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(n_out, n_in, generator=generator) for n_in, n_out in pairwise((64, 30, 10))]
    weights = [each * torch.rand(each.shape, generator=generator).lt(density) for each in weights]
    biases = [torch.randn(30, generator=generator), torch.randn(10, generator=generator)]
    df = summary(weights, biases)
    for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        csr = sparse.csr_matrix(weight.numpy())
        n_bytes = csr.data.nbytes + csr.indices.nbytes + csr.indptr.nbytes + bias.numpy().nbytes
        assert df.loc[i, "bytes_sparse"] == n_bytes
        assert df.loc[i, "multiplications"] == csr.nnz
        assert df.loc[i, "bytes_dense"] == weight.numpy().nbytes + bias.numpy().nbytes
        assert df.loc[i, "non_zero"] == np.count_nonzero(weight.numpy()) + np.count_nonzero(bias.numpy())


def test_the_blogs_network():
    weights = [torch.ones(n_out, n_in) for n_in, n_out in pairwise((784, 1000, 1000, 500, 200, 10))]
    df = summary(weights, [each[:, 0] for each in weights])
    assert df["parameters"].tolist() == [785_000, 1_001_000, 500_500, 100_200, 2_010, 2_388_710]
    assert df["multiplications"].iloc[-1] == 2_388_710 - 2_710
    assert df["density"].tolist() == [1.0] * 6


def test_an_emptied_layer():
    df = summary([torch.zeros(0, 3), torch.zeros(2, 0)], [torch.zeros(0), torch.ones(2)])
    assert df["parameters"].tolist() == [0, 2, 2]
    assert df["density"].tolist() == [0, 0, 0]


def test_the_text():
    assert format_summary(summary(WEIGHTS, BIASES)).splitlines() == [
        "_________________________________________________________________",
        "Layer                        Output Shape              Param #",
        "=================================================================",
        "linear_0                     (None, 2)                 8",
        "_________________________________________________________________",
        "linear_1                     (None, 1)                 3",
        "=================================================================",
        "Total params: 11",
        "Non-zero params: 5",
        "Density of weights: 0.5",
        "_________________________________________________________________",
    ]


def test_large_totals_have_commas():
    text = format_summary(summary([torch.ones(1000, 784)], [torch.ones(1000)]))
    assert "Total params: 785,000\nNon-zero params: 785,000\nDensity of weights: 1\n" in text
    assert "linear_0                     (None, 1000)              785000\n" in text


def test_arguments_are_unchanged():
    weights, biases = [each.clone() for each in WEIGHTS], [each.clone() for each in BIASES]
    df = summary(weights, biases)
    before = df.copy(deep=True)
    format_summary(df)
    pd.testing.assert_frame_equal(df, before)
    assert all(torch.equal(a, b) for a, b in zip([*weights, *biases], [*WEIGHTS, *BIASES], strict=True))


def test_filters_have_positions_and_a_layer_may_have_a_name_and_no_bias():
    masks = [torch.tensor([[True, False, True], [True, True, True]]), torch.ones(1, 2, dtype=torch.bool)]
    df = summary([torch.ones(2, 3), torch.ones(1, 2)], [None, torch.ones(1)], masks, names=["a", "b"], positions=[9, 1])
    assert df["layer"].tolist() == ["a", "b", "total"]
    assert df["parameters"].tolist() == [6, 3, 9] and df["non_zero"].tolist() == [5, 3, 8]
    assert df["multiplications"].tolist() == [45, 2, 47]
    assert df["density"].tolist() == [5 / 6, 1.0, 7 / 8]
    # 8 for each active weight, 4 for each start of a row and each bias.
    assert df["bytes_sparse"].tolist() == [40 + 12, 16 + 8 + 4, 80]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"names": ["fc"]}, "names must have 2 entries, got 1. Give one per layer."),
        ({"positions": [1, 4, 4]}, "positions must have 2 entries, got 3. Give one per layer."),
        ({"biases": [None] * 3}, "biases must have 2 layers, got 3. Give one tensor per layer, from input to output."),
    ],
)
def test_lists_of_another_length_are_refused(values, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        summary(**{"weights": WEIGHTS, "biases": BIASES, **values})
