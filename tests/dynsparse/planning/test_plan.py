"""Plans: the keys that a trial reads, when masks are updated, and the masks and weights that an engine starts with."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy import stats

from dynsparse.config import Config, ConfigError, keys
from dynsparse.engines.torch import TorchEngine
from dynsparse.methods import METHODS
from dynsparse.planning.plan import EarlyStop, Plan, keys_read, plan
from dynsparse.training.trainer import Trainer

BASE = {"dataset_name": "blobs", "hidden_sizes": [16, 12], "batch_size": 30, "epochs": 8}
KWINNERS = {"percent_on", "k_inference_factor", "boost_strength", "boost_strength_factor", "duty_cycle_period"}
EARLY_STOP = {"pruning_es_patience", "pruning_es_window_size", "pruning_es_threshold"}
UPDATES = {"pruning_interval", "pruning_interval_steps", "pruning_end", "prune_decay", "pruning_es"}
# Methods that prune before training.
AT_START = {"SNIP", "GraSP", "SynFlow"}
# Another value for every key that some trial does not read.
OTHER = {
    "noise_level": 0.4, "noise_levels": [0.2],
    "kwinners": True, "percent_on": 0.6, "k_inference_factor": 1.5, "boost_strength": 0.2,
    "boost_strength_factor": 0.1, "duty_cycle_period": 30, "on_perc": 0.6, "sparse_type": "bernoulli",
    "layer_densities": "erdos_renyi", "first_layer_dense": True, "last_layer_dense": True, "weight_prune_perc": 0.6,
    "hebbian_prune_perc": 0.7, "hebbian_grow": False, "gradient_momentum": 0.1, "prune_gradient_weight": 0.2,
    "initial_density": 0.7, "backward_density": 0.9, "global_floor": 0.09,
    "redistribution": "magnitude", "score_examples": 30, "salient_share": 1.0, "l1_drift": 0.1,
    "weight_temperature": 0.01, "overlap_limit": 0.0, "removal_alpha": 0.2, "removal_delta": 0.95,
    "selection_temperature": 1.0, "brf_randomness": 0.9, "mask_pattern": "1x4",
    "pruning_active": False,
    "pruning_interval": 2, "pruning_end": 0.3, "prune_decay": "cosine", "pruning_es": True, "pruning_es_patience": 1,
    "pruning_es_window_size": 2, "pruning_es_threshold": 0.9, "momentum": 0.2, "sparsities": [0.3, 0.7],
    "prune_kinds": ["unit"], "prune_scope": "global", "prune_biases": False, "prune_last_layer": True,
    "retrain_epochs": 1, "prune_iteratively": True, "prune_ratio": 0.6, "prune_iter": 3, "criterion": "random",
    "init": "reinit", "rewind_step": 3, "last_layer_rate": 1.0, "precision": "tf32", "lr_milestones": [3],
    "lr_gamma": 0.5, "lr_final": 0.3, "nesterov": True, "pruning_interval_steps": 3, "pruning_end_step": 4,
    "dense_layers": ["head"],
    # Of a researcher's own data: no trial on a row of DATASETS reads them.
    "target": "class", "impute": "median", "test_fraction": 0.3, "fold": 1, "n_folds": 3,
}  # fmt: skip
TRIALS = [
    *({"model": model} for model in METHODS),
    {"model": "DSNNMixedHeb", "rules": "legacy_2019", "on_perc": 0.5},
    {"model": "SET", "network": "MLP", "test_noise": False, "sparse_type": "brf"},
    {"model": "SNFS", "optim_alg": "Adam", "kwinners": True, "pruning_es": True},
    {"model": "SET", "lr_schedule": "multistep", "lr_milestones": [2]},
    {"model": "DSNNHeb", "pruning_interval_steps": 4},
    {"model": "SparseModel", "lr_schedule": "cosine", "warmup_epochs": 2},
    {"model": "Dense", "study": "sweep", "epochs": 2},
    {"model": "Dense", "study": "sweep", "epochs": 2, "retrain_epochs": 2, "prune_kinds": ["weight"]},
    {"model": "Dense", "study": "ticket", "epochs": 2},
    {"model": "Dense", "study": "ticket", "epochs": 2, "init": "reinit"},
]


pytestmark = pytest.mark.usefixtures("one_thread", "blobs")


def config(**values: Any) -> Config:
    return Config.of({**BASE, **values})


def planned(**values: Any) -> Plan:
    return plan([config(**values)])


def read(**values: Any) -> frozenset[str]:
    return keys_read(config(**values))


# The keys that a trial reads


@pytest.mark.parametrize("values", TRIALS, ids=lambda values: " ".join(map(str, values.values())))
def test_a_key_has_an_effect_if_and_only_if_it_is_read(values: dict[str, Any]) -> None:
    is_read, usual = read(**values), numbers(**values)
    unread = {name: value for name, value in OTHER.items() if name not in is_read}
    # Only DSNNMixedHeb has other rules, only networks and data of the user's own have hashes and shapes, and only torch
    # modules are compiled.
    no_other_value = {"rules", "model_hash", "network_hash", "data_hash", "input_shape", "compile"}
    assert keys().keys() - is_read - no_other_value == unread.keys()
    # These two may not be combined with their counterparts in steps.
    together = {name: value for name, value in unread.items() if name not in ("pruning_interval", "pruning_end")}
    assert numbers(**{**values, **together}) == usual
    # The rule that ends updates early has a test of its own.
    spared = {"pruning_es", *EARLY_STOP}
    for name in (is_read & OTHER.keys()) - spared:
        has_it = values.get(name) == OTHER[name]
        other = {"kwinners": False, "init": "original"}[name] if has_it else OTHER[name]
        assert numbers(**{**values, name: other}) != usual, f"{name} is read, and changes nothing"


@pytest.mark.parametrize(
    "other", [{"pruning_active": False}, {"pruning_end": 0.0}, {"pruning_interval": 9}, {"epochs": 1}]
)
def test_gradual_pruning_that_would_never_prune_is_refused(other: dict[str, Any]) -> None:
    with pytest.raises(
        ConfigError, match=r"^model='GMP' would keep its initial density: no mask update is due within epochs="
    ):
        plan([config(model="GMP", **other)])


@pytest.mark.parametrize("model", ["SET", "RigL"])
def test_the_keys_of_the_rule_that_ends_updates_early_have_an_effect(model: str) -> None:
    # Survival below 1 is low: after the second update the masks stay.
    rule = {"pruning_es": True, "pruning_es_threshold": 1.0, "pruning_es_window_size": 1, "model": model}
    usual = numbers(**rule)
    for name, other in {**dict.fromkeys(EARLY_STOP, 2), "pruning_es": False, "pruning_es_threshold": 0.0}.items():
        assert numbers(**{**rule, name: other}) != usual, f"{name} is read, and changes nothing"


def numbers(**values: Any) -> str:
    """All that six epochs log; for a trial that is refused, why."""
    try:
        trainer = Trainer([config(**values)])
    except ConfigError as error:
        return str(error)
    n_rows = 6 if trainer.plan.epochs > 2 else len(trainer.plan.study.steps)
    return repr([trainer.step() for _ in range(n_rows)])


def test_k_winners_keys_are_read_with_k_winners_only() -> None:
    assert not KWINNERS & read()
    assert read(kwinners=True) > KWINNERS
    assert "kwinners" in read()


@pytest.mark.parametrize("values", [{"network": "MLP"}, {"rules": "legacy_2019"}])
def test_a_network_without_k_winners_does_not_read_kwinners(values: dict[str, Any]) -> None:
    assert not (KWINNERS | {"kwinners"}) & read(kwinners=True, **values)


def test_noise_level_is_read_with_noise_only() -> None:
    assert {"noise_level", "noise_levels"} <= read()
    assert not {"noise_level", "noise_levels"} & read(test_noise=False)


def test_momentum_is_not_adams() -> None:
    assert {"momentum", "learning_rate", "weight_decay"} <= read()
    assert {"learning_rate", "weight_decay"} <= read(optim_alg="Adam")
    assert "momentum" not in read(optim_alg="Adam")


def test_prune_fractions_and_growth_are_read_by_the_methods_that_have_them() -> None:
    of = {model: read(model=model) for model in METHODS}
    have = {name: {model for model in METHODS if name in of[model]} for name in keys()}
    assert have["hebbian_grow"] == have["hebbian_prune_perc"] == {"DSNNMixedHeb"}
    assert have["gradient_momentum"] == {"SNFS"}
    assert have["prune_gradient_weight"] == {"MEST"}
    assert set(METHODS) - have["weight_prune_perc"] == {"Dense", "SparseModel", "DeepR", "TopKAST", "GMP", *AT_START}
    assert set(METHODS) - have["on_perc"] == {"Dense"}
    assert set(METHODS) - have["layer_densities"] == {"Dense", *AT_START}
    assert have["score_examples"] == {"SNIP", "GraSP"}
    assert set(METHODS) - have["sparse_type"] == {"Dense", "GMP", "GraNet", "CHTss", "SRigL", "TopKAST", *AT_START}
    assert have["salient_share"] == {"SRigL"}
    assert have["l1_drift"] == have["weight_temperature"] == {"DeepR"}
    assert have["initial_density"] == {"GraNet", "CHTss"}
    assert have["removal_alpha"] == have["removal_delta"] == {"CHTs", "CHTss"}
    assert have["overlap_limit"] == {"CHT"}
    assert have["backward_density"] == {"TopKAST"}
    assert have["global_floor"] == {"GMP", "GraNet", *AT_START}
    falling, static = {"GMP", "GraNet", "CHTss"}, {"Dense", "SparseModel", *AT_START}
    assert set(METHODS) - have["redistribution"] == {"SRigL", "TopKAST"} | falling | static
    assert set(METHODS) - have["mask_pattern"] == {"Dense"}
    drawing = {"SET", "RigL", "SNFS", "MEST", "DSNNHeb", "DSNNWeightedMag"}
    assert have["selection_temperature"] == drawing
    assert set(METHODS) - have["pruning_active"] == {"Dense", "SparseModel", *AT_START}


def test_keys_of_mask_updates_are_read_where_there_are_some() -> None:
    for values in ({"model": "SparseModel"}, {"model": "Dense"}, {"pruning_active": False}):
        assert not (UPDATES | EARLY_STOP) & read(pruning_es=True, **values)
    assert read() > UPDATES
    assert not EARLY_STOP & read()
    assert read(pruning_es=True) > EARLY_STOP


def test_gmp_has_its_own_schedule_and_no_grown_weights_that_could_survive() -> None:
    assert {"pruning_interval", "pruning_end"} < read(model="GMP")
    assert not ({"prune_decay", "pruning_es"} | EARLY_STOP) & read(model="GMP", pruning_es=True)


def test_updates_of_granet_do_not_end_early_at_a_density_that_still_falls() -> None:
    assert "prune_decay" in read(model="GraNet")
    assert not ({"pruning_es"} | EARLY_STOP) & read(model="GraNet", pruning_es=True)


def test_a_dense_network_does_not_read_how_its_mask_is_drawn() -> None:
    assert {"sparse_type", "layer_densities"} <= read(model="SparseModel", on_perc=0.9)
    assert not {"sparse_type", "layer_densities"} & read(model="SparseModel", on_perc=1.0)
    assert "sparse_type" not in read(rules="legacy_2019")


# When masks are updated


def due(**values: Any) -> list[int]:
    """The epochs with an update after them, or the steps where an epoch has one step."""
    updates = planned(**{"epochs": 10, **values}).updates
    return [epoch for epoch in range(1, 11) if updates is not None and updates.steps(1).due(epoch)]


def test_updates_come_after_every_interval_but_not_after_the_last_epoch() -> None:
    assert due() == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert due(pruning_interval=3) == [3, 6, 9]
    assert due(pruning_interval=5) == [5]
    assert due(epochs=1) == []


def test_under_legacy_they_come_after_the_last_epoch_too() -> None:
    assert due(rules="legacy_2019") == list(range(1, 11))
    assert due(rules="legacy_2019", epochs=1) == [1]


def test_updates_end_after_their_share_of_the_epochs() -> None:
    assert due(pruning_end=0.5) == [1, 2, 3, 4, 5]
    assert due(pruning_end=0.5, pruning_interval=2) == [2, 4]
    assert due(pruning_end=0.0) == []
    assert due(pruning_active=False) == []
    assert due(model="SparseModel") == []


def test_all_updates_are_done_with_the_last_one() -> None:
    updates = planned(epochs=10, pruning_interval=2, pruning_end=0.7).updates
    assert updates is not None
    assert [updates.steps(1).share_done(epoch) for epoch in (2, 4, 6)] == [1 / 3, 2 / 3, 1]
    # An epoch of 5 steps: they follow steps 10, 20 and 30.
    assert [step for step in range(51) if updates.steps(5).due(step)] == [10, 20, 30]
    assert [updates.steps(5).share_done(step) for step in (10, 20, 30)] == [1 / 3, 2 / 3, 1]


@pytest.mark.parametrize(
    ("values", "factors"),
    [
        # The factor is (1 + cos(pi e / E)) / 2 after epoch e; E is one interval after the last update.
        ({"epochs": 4}, {1: 0.85355339, 2: 0.5, 3: 0.14644661}),
        ({"epochs": 7, "pruning_interval": 3}, {3: 0.75, 6: 0.25}),
        ({"epochs": 2}, {1: 0.5}),
        ({"epochs": 10, "pruning_end": 0.2}, {1: 0.75, 2: 0.25}),
        ({"epochs": 10, "pruning_end": 0.5, "pruning_interval": 3}, {3: 0.5}),
        ({"epochs": 7, "pruning_interval": 3, "prune_decay": "cosine_0.1"}, {3: 0.5, 6: 0}),
        ({"epochs": 2, "prune_decay": "cosine_0.1"}, {1: 0}),
    ],
    ids=str,
)
def test_the_drop_fraction_decays_to_zero_after_the_last_update(
    values: dict[str, Any], factors: dict[int, float]
) -> None:
    updates = planned(**{"prune_decay": "cosine", **values}).updates
    assert updates is not None
    assert due(**values) == list(factors)
    assert {epoch: updates.steps(1).drop_scale(epoch) for epoch in factors} == pytest.approx(factors, abs=1e-8)
    assert {epoch: updates.steps(7).drop_scale(7 * epoch) for epoch in factors} == pytest.approx(factors, abs=1e-8)


def due_steps(steps_per_epoch: int, **values: Any) -> dict[int, float]:
    """The steps that updates follow, and the factor of the drop fraction in each."""
    updates = planned(**{"epochs": 3, "prune_decay": "cosine", **values}).updates
    assert updates is not None
    steps = updates.steps(steps_per_epoch)
    return {step: steps.drop_scale(step) for step in range(3 * steps_per_epoch + 2) if steps.due(step)}


def test_updates_counted_in_steps_do_not_care_where_epochs_end() -> None:
    # Three epochs of 10 steps. The factors are those of 1, 2 and 3 updates of a cosine decay.
    assert list(due_steps(10, pruning_interval_steps=4)) == [4, 8, 12, 16, 20, 24, 28]
    assert list(due_steps(10, pruning_interval_steps=1)) == list(range(1, 30)), "none after the last step"
    assert list(due_steps(10, pruning_interval_steps=10)) == [10, 20]
    assert due_steps(10, pruning_interval_steps=4, pruning_end=0.5) == pytest.approx(
        {4: 0.85355339, 8: 0.5, 12: 0.14644661}
    )
    assert due_steps(10, pruning_interval_steps=4, pruning_end_step=8) == pytest.approx({4: 0.75, 8: 0.25})
    assert due_steps(10, pruning_interval_steps=25) == pytest.approx({25: 0.5})
    assert due_steps(10, pruning_interval_steps=30) == due_steps(10, pruning_interval_steps=7, pruning_end_step=6) == {}


def test_a_trial_reads_the_keys_of_its_unit_of_time_only() -> None:
    assert {"pruning_interval", "pruning_interval_steps"} <= read()
    assert "pruning_end_step" not in read()
    in_steps = read(pruning_interval_steps=5)
    assert {"pruning_interval_steps", "pruning_end", "pruning_end_step"} <= in_steps
    assert "pruning_interval" not in in_steps
    assert "pruning_end" not in read(pruning_interval_steps=5, pruning_end_step=50)


def test_early_stop_is_that_of_the_configuration() -> None:
    values = {"pruning_es_threshold": 0.1, "pruning_es_window_size": 4, "pruning_es_patience": 2}
    with_rule, without = planned(pruning_es=True, **values).updates, planned(**values).updates
    assert with_rule is not None and with_rule.early_stop == EarlyStop(0.1, 4, 2)
    assert without is not None and without.early_stop is None


# What an engine starts with

SIZES = [32 * 16, 16 * 12, 12 * 5]


def counts(**values: Any) -> list[int]:
    return [int(mask.sum()) for mask in TorchEngine(planned(**values)).masks]


@pytest.mark.parametrize("model", sorted(set(METHODS) - {"Dense", "GMP", "GraNet", "CHTss", *AT_START}))
def test_each_layer_has_exactly_its_share(model: str) -> None:
    # Not 0.3 in float32, which is a little more: 1/2 is rounded to even.
    assert counts(model=model, on_perc=0.3) == [154, 58, 18]
    assert counts(model=model, on_perc=0.3, hidden_sizes=[5, 3]) == [48, 4, 4]


def test_dense_layers_are_dense_and_the_others_keep_on_perc() -> None:
    assert counts(first_layer_dense=True) == [SIZES[0], 19, 6]
    assert counts(last_layer_dense=True) == [51, 19, SIZES[2]]
    assert counts(first_layer_dense=True, last_layer_dense=True) == [SIZES[0], 19, SIZES[2]]
    assert counts(first_layer_dense=True, last_layer_dense=True, hidden_sizes=[]) == [32 * 5]


def test_erdos_renyi_spreads_the_same_number_in_proportion_to_the_units_of_a_layer() -> None:
    # A layer of n_in * n_out weights has n_in + n_out shares: 48, 28 and 17 of 93. Of 764 weights 76.4 are active.
    assert counts(layer_densities="erdos_renyi", on_perc=0.1) == [round(76.4 * share / 93) for share in (48, 28, 17)]
    # The last layer would have 382 * 17 / 93 = 69.8 of its 60: it is dense, and the others share 322.
    assert counts(layer_densities="erdos_renyi", on_perc=0.5) == [round(322 * 48 / 76), round(322 * 28 / 76), 60]
    # A layer that is left dense takes no share.
    spread = counts(layer_densities="erdos_renyi", on_perc=0.1, first_layer_dense=True)
    assert spread == [SIZES[0], round(25.2 * 28 / 45), round(25.2 * 17 / 45)]


def test_erdos_renyi_kernel_knows_the_kernels_of_convolutions() -> None:
    lenet = Config(dataset_name="MNIST", network="LeNet5", layer_densities="erdos_renyi_kernel", on_perc=0.1)
    # Of 61,470 weights 6,147 are active, in proportion to the sums of (6, 1, 5, 5), (16, 6, 5, 5), (120, 400) ...
    sums, sizes = (17, 32, 520, 204, 94), (150, 2400, 48000, 10080, 840)
    expected = [6147 * each / sum(sums) / size for each, size in zip(sums, sizes, strict=True)]
    assert plan([lenet]).densities == [pytest.approx(expected)]


def test_granet_starts_at_its_initial_density_spread_over_the_layers() -> None:
    values = {"model": "GraNet", "on_perc": 0.1, "initial_density": 0.5}
    assert counts(**values) == [round(n / 2) for n in SIZES]
    for spread in ("uniform", "erdos_renyi"):
        alike = counts(model="SparseModel", on_perc=0.5, layer_densities=spread)
        assert counts(**values, layer_densities=spread) == alike
    assert "sparse_type" in read(**values)


def test_an_initial_density_below_the_final_one_is_refused() -> None:
    message = "^initial_density must be at least on_perc=0.3, the density at the end, got 0.2. Raise initial_density"
    with pytest.raises(ConfigError, match=message):
        config(model="GraNet", on_perc=0.3, initial_density=0.2)
    # Other methods do not read it.
    assert config(model="SET", on_perc=0.3, initial_density=0.2)


def test_dense_is_dense_and_gmp_starts_dense() -> None:
    for model in ("Dense", "GMP", "GraNet"):
        assert counts(model=model, sparse_type="bernoulli", layer_densities="erdos_renyi", on_perc=0.1) == SIZES


def test_legacy_draws_each_weight_by_itself_and_keeps_the_number_that_came() -> None:
    engine = TorchEngine(plan([config(rules="legacy_2019", seed=seed) for seed in range(200)]))
    for mask, target, n in zip(engine.masks, engine.targets, SIZES, strict=True):
        drawn = mask.sum((-2, -1))
        assert torch.equal(drawn, target)
        # 200 draws of a binomial number: their sum is one, and their variance n * 0.1 * 0.9.
        assert stats.binomtest(int(drawn.sum()), 200 * n, 0.1).pvalue > 0.001
        assert 0.7 < drawn.double().var() / (n * 0.1 * 0.9) < 1.4
