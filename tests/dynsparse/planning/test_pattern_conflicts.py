"""Messages for a mask_pattern that does not go with other keys."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dynsparse.config import Config, ConfigError
from dynsparse.ops.patterns import Blocks, Groups, Unstructured
from dynsparse.planning.plan import plan

BASE: dict[str, Any] = {"dataset_name": "digits", "hidden_sizes": [32, 12], "model": "RigL", "on_perc": 0.5}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mask_pattern": "4:2"}, "mask_pattern must be N:M with 0 < N < M, such as 2:4, or BxC with at least two"),
        ({"mask_pattern": "1x1"}, "mask_pattern must be N:M"),
        ({"mask_pattern": 24}, "mask_pattern must be N:M"),
        (
            {"mask_pattern": "2:4", "on_perc": 0.1},
            "on_perc must be 0.5 with mask_pattern='2:4', got 0.1. Set on_perc=0.5 or another mask_pattern.",
        ),
        ({"mask_pattern": "2:4", "on_perc": 1.0}, "on_perc must be 0.5 with mask_pattern='2:4', got 1."),
        (
            {"mask_pattern": "2:4", "layer_densities": "erdos_renyi"},
            "layer_densities must be 'uniform' with mask_pattern='2:4', got 'erdos_renyi'. Leave out layer_densities",
        ),
        (
            {"mask_pattern": "2:4", "model": "GraNet", "initial_density": 0.6},
            "initial_density must be a multiple of 1/4 with mask_pattern='2:4', got 0.6. Set it to a multiple",
        ),
        (
            {"mask_pattern": "4:8"},
            "mask_pattern='4:8' does not fit layer 2 (10 x 12): 12 inputs are no multiple of 8. Set "
            "last_layer_dense=True, or another mask_pattern.",
        ),
        (
            {"mask_pattern": "8x8", "last_layer_dense": True},
            "mask_pattern='8x8' does not fit layer 1 (12 x 32): 12 outputs are no multiple of 8. Set other "
            "hidden_sizes, or another mask_pattern.",
        ),
        (
            {"mask_pattern": "2:4", "network": "LeNet5"},
            "mask_pattern='2:4' does not fit layer conv1 (6 x 25): 25 inputs are no multiple of 4. Set "
            "first_layer_dense=True, or another mask_pattern.",
        ),
        (
            {"mask_pattern": "8x4", "on_perc": 0.02, "hidden_sizes": [16, 16], "last_layer_dense": True},
            "A density of 0.02 leaves no active block in a layer of 16 x 16. Raise on_perc, or set "
            "layer_densities='erdos_renyi' or other hidden_sizes.",
        ),
        (
            {"mask_pattern": "2:4", "model": "SRigL"},
            "mask_pattern must be None with model='SRigL', which ablates units, got '2:4'. Leave out mask_pattern.",
        ),
        ({"mask_pattern": "2x2", "model": "SNIP"}, "must be None with model='SNIP', which prunes all layers together"),
        ({"mask_pattern": "2:4", "sparse_type": "brf"}, "mask_pattern must be None with sparse_type='brf', got '2:4'."),
        (
            {"mask_pattern": "2:4", "model": "DSNNMixedHeb", "rules": "legacy_2019"},
            "mask_pattern must be None with rules='legacy_2019', got '2:4'.",
        ),
        (
            {"mask_pattern": "2:4", "model": "SparseModel", "study": "ticket"},
            "mask_pattern must be None with study='ticket', which prunes single weights, got '2:4'.",
        ),
    ],
    ids=str,
)
def test_conflicts_are_named(values: dict[str, Any], message: str) -> None:
    data = {"dataset_name": "MNIST"} if "network" in values else {}
    with pytest.raises(ConfigError, match=re.escape(message)):
        Config(**{**BASE, **data, **values})


def test_a_wrong_density_of_groups_is_the_only_problem() -> None:
    with pytest.raises(ConfigError) as error:
        Config(**{**BASE, "mask_pattern": "2:4", "on_perc": 0.1})
    assert len(str(error.value).splitlines()) == 1


def test_layers_that_stay_dense_have_no_pattern() -> None:
    of_layers = plan([Config(**BASE, mask_pattern=" 02 x 4", last_layer_dense=True)]).patterns
    assert of_layers == [Blocks(2, 4), Blocks(2, 4), Unstructured()]
    assert plan([Config(**BASE, mask_pattern="2:4")]).patterns == [Groups(2, 4)] * 3


def test_a_dense_model_of_the_same_grid_does_not_read_the_pattern() -> None:
    dense = Config(**{**BASE, "model": "Dense", "mask_pattern": "3:7", "on_perc": 3 / 7})
    assert plan([dense]).patterns == [Unstructured()] * 3


def test_the_text_is_part_of_a_trials_identity_in_one_form() -> None:
    assert Config(**BASE, mask_pattern="02 : 4") == Config(**BASE, mask_pattern="2:4")
