"""Models, networks and studies that read a key."""

import pytest
from support.doctests import run_examples

from dynsparse.config import keys
from dynsparse.methods import METHODS
from dynsparse.planning.readers import CHOICES, keys_by_value, readers


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("hebbian_prune_perc", {"model": ["DSNNMixedHeb"]}),
        ("hebbian_grow", {"model": ["DSNNMixedHeb"]}),
        ("gradient_momentum", {"model": ["SNFS"]}),
        ("prune_gradient_weight", {"model": ["MEST"]}),
        ("initial_density", {"model": ["CHTss", "GraNet"]}),
        ("removal_alpha", {"model": ["CHTs", "CHTss"]}),
        ("overlap_limit", {"model": ["CHT"]}),
        ("l1_drift", {"model": ["DeepR"]}),
        ("weight_temperature", {"model": ["DeepR"]}),
        ("salient_share", {"model": ["SRigL"]}),
        ("score_examples", {"model": ["SNIP", "GraSP"]}),
        ("prune_ratio", {"study": ["ticket"]}),
        ("sparsities", {"study": ["sweep"]}),
        ("boost_strength", {"network": ["MLPHeb", "SpeechCNN"]}),
        ("seed", {}),
    ],
)
def test_readers(key, expected):
    assert readers(key) == expected


def test_the_example_runs():
    run_examples(readers)


def test_models_that_prune_by_a_fraction_read_it():
    others = {"Dense", "SparseModel", "DeepR", "TopKAST", "GMP", "SNIP", "GraSP", "SynFlow"}
    assert set(readers("weight_prune_perc")["model"]) == set(METHODS) - others


def test_every_key_is_read_by_some_trial():
    read = frozenset().union(*(names for choice in CHOICES for names in keys_by_value(choice).values()))
    # They are read where a sweep trains again after pruning, with pruning_interval_steps, and with sparse_type="brf".
    on_own_data = {"data_hash", "input_shape", "target", "impute", "test_fraction", "fold", "n_folds"}
    assert set(keys()) - read == {"prune_iteratively", "pruning_end_step", "brf_randomness"} | on_own_data
