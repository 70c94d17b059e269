"""Config: defaults, conversion, and the text of every refusal."""

import dataclasses
import re

import pytest

from dynsparse.config import SUBJECTS, Config, ConfigError, is_default, keys
from dynsparse.config.checks import Number
from dynsparse.config.config import check_of
from dynsparse.config.functions import FORMS
from dynsparse.data import DATASETS, Source
from dynsparse.methods import METHODS


def problems(**values):
    """The lines of the error that these values raise."""
    with pytest.raises(ConfigError) as raised:
        Config.of(values)
    return str(raised.value).splitlines()


@pytest.mark.parametrize("name", keys())
def test_a_default_is_in_its_final_type(name):
    # Defaults are not read when a Config is created.
    default = keys()[name].default
    read = check_of(keys()[name]).read(name, default)
    assert (type(read), read) == (type(default), default)


def test_the_defaults_are_a_trial():
    config = Config()
    assert (config.dataset_name, config.model, config.network) == ("MNIST", "DSNNMixedHeb", "MLPHeb")
    assert Config.of(config.values()) == config


def test_input_size_and_classes_follow_the_data_set():
    for name, source in DATASETS.items():
        config = Config(dataset_name=name)
        assert (config.input_size, config.num_classes) == (source.input_size, source.num_classes)


def test_input_size_and_classes_must_agree_if_given():
    assert Config(dataset_name="digits", input_size=64, num_classes=10).input_size == 64
    assert problems(dataset_name="digits", input_size=784, num_classes=47) == [
        "input_size must be 64 for dataset_name='digits', got 784. Leave input_size out.",
        "num_classes must be 10 for dataset_name='digits', got 47. Leave num_classes out.",
    ]


def test_values_take_their_final_type():
    config = Config(hidden_sizes=[300, 100], hebbian_prune_perc=0, epochs=3.0)
    assert config.hidden_sizes == (300, 100)
    assert isinstance(config.hebbian_prune_perc, float)
    assert (config.epochs, type(config.epochs)) == (3, int)


def test_all_problems_are_reported_together_with_near_matches():
    assert problems(on_prec=0.1, on_perc=1.5, model="RigeL", kwinners=1, zzz=0) == [
        "Unknown key 'on_prec'. Did you mean 'on_perc'?",
        f"Unknown key 'zzz'. Available: {', '.join(keys())}.",
        "kwinners must be True or False, got 1.",
        f"Unknown model 'RigeL'. Did you mean 'RigL' or 'SRigL'? Available: {', '.join(METHODS)}. For a function of "
        f"your own, give {FORMS}.",
        "on_perc must be in (0, 1], got 1.5.",
    ]


@pytest.mark.parametrize(
    ("name", "ours"),
    [("lr", "learning_rate"), ("Sparsity", "on_perc"), ("optimizer", "optim_alg"), ("bs", "batch_size")],
)
def test_names_that_others_use_lead_to_ours(name, ours):
    assert problems(**{name: 1}) == [f"Unknown key {name!r}. Did you mean {ours!r}?"]


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("on_perc", 0, "must be in (0, 1], got 0"),
        ("on_perc", float("nan"), "must be a number in (0, 1], got nan"),
        ("weight_prune_perc", 1.1, "must be in [0, 1], got 1.1"),
        ("momentum", 1, "must be in [0, 1), got 1"),
        ("epochs", 0, "must be an integer of at least 1, got 0"),
        ("seed", -1, "must be an integer of at least 0, got -1"),
        ("seed", 2**63, f"must be below 2**63, got {2**63}"),
        (
            "hidden_sizes",
            300,
            "must be a list of integers of at least 1, got 300. Write [300], or [300, 100] for two layers; with --set, "
            "(300,) or (300,100)",
        ),
        ("hidden_sizes", [100, 0], "must be a list of integers of at least 1, got [100, 0]"),
        (
            "rules",
            ["fixed"],
            "must be one of fixed, legacy_2019, got ['fixed']. Use tune.grid_search([...]) for several",
        ),
    ],
)
def test_a_value_out_of_range(key, value, text):
    assert problems(**{key: value}) == [f"{key} {text}."]


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("dataset_name", "MNITS", f"Did you mean 'MNIST' or 'KMNIST' or 'EMNIST'? Available: {', '.join(DATASETS)}."),
        ("rules", "legacy", "Did you mean 'legacy_2019'? Available: fixed, legacy_2019."),
        ("sparse_type", "random", "Available: exact, exact_per_output, bernoulli, brf, csti."),
    ],
)
def test_a_name_that_is_in_no_table(key, value, text):
    assert problems(**{key: value}) == [f"Unknown {key} {value!r}. {text}"]


def test_legacy_rules_are_those_of_one_model():
    assert problems(rules="legacy_2019", model="SET") == [
        "rules='legacy_2019' reproduces a notebook that trained model='DSNNMixedHeb' only, got 'SET'. "
        "Set model='DSNNMixedHeb' or rules='fixed'."
    ]


def test_mask_updates_are_counted_in_epochs_or_in_steps():
    assert problems(pruning_interval=2, pruning_interval_steps=100, pruning_end=0.5, pruning_end_step=300) == [
        "pruning_interval must be left out with pruning_interval_steps=100, got 2. Leave out one of them.",
        "pruning_end must be left out with pruning_end_step=300, got 0.5. Leave out one of them.",
    ]
    assert problems(rules="legacy_2019", pruning_interval_steps=100) == [
        "pruning_interval_steps must be left out with rules='legacy_2019', which updated masks after epochs, got 100. "
        "Set pruning_interval or rules='fixed'."
    ]
    assert problems(pruning_interval_steps=0) == ["pruning_interval_steps must be an integer of at least 1, got 0."]
    assert Config(pruning_interval=1, pruning_interval_steps=100, pruning_end_step=300)


def test_k_winners_need_a_winner():
    assert problems(kwinners=True, percent_on=0.01, hidden_sizes=[100, 30]) == [
        "percent_on=0.01 leaves no winner in a layer of 30 units. Raise percent_on."
    ]
    assert Config(percent_on=0.01, hidden_sizes=[100, 30]), "percent_on is not read without kwinners"


def test_the_former_spelling_of_an_engine_is_still_read():
    assert Config(engine="wide") == Config(engine="packed")
    assert Config(engine="wide").engine == "packed"
    assert "wide" not in problems(engine="width")[0]


def test_conflicts_between_keys_are_reported_together():
    study = {"study": "sweep", "sparsities": [0.5, 0.2], "prune_iteratively": True, "retrain_epochs": 1}
    fix = "Raise on_perc, or set layer_densities='erdos_renyi' or"
    assert problems(model="GMP", epochs=1, on_perc=0.001, hidden_sizes=[30, 10], **study) == [
        "model='GMP' would keep its initial density: no mask update is due within epochs=1 "
        "(pruning_interval=1, pruning_end=1.0, "
        "pruning_active=True). Raise epochs or pruning_end, lower pruning_interval, or set pruning_active=True.",
        f"A density of 0.001 leaves no active weight in a layer of 10 x 30. {fix} other hidden_sizes.",
        f"A density of 0.001 leaves no active weight in a layer of 10 x 10. {fix} last_layer_dense=True.",
        "sparsities must rise with prune_iteratively=True, got [0.5, 0.2]. Sort them, or set prune_iteratively=False.",
    ]


def test_rows_that_a_program_adds_to_a_table_are_choices(monkeypatch):
    assert problems(model="Mine")[0].startswith("Unknown model 'Mine'.")
    monkeypatch.setitem(METHODS, "Mine", METHODS["SET"])
    monkeypatch.setitem(DATASETS, "mine", Source(6, 3, lambda folder, download: ()))
    config = Config(model="Mine", dataset_name="mine", on_perc=1.0)
    assert (config.model, config.input_size, config.num_classes) == ("Mine", 6, 3)


def test_a_builder_may_refuse_values_of_its_own(monkeypatch):
    def even(config):
        raise ValueError("Mine needs an even number of epochs")

    monkeypatch.setitem(METHODS, "Mine", even)
    assert problems(model="Mine", input_size=1) == [
        "input_size must be 784 for dataset_name='MNIST', got 1. Leave input_size out.",
        "Mine needs an even number of epochs",
    ]


def test_a_config_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().on_perc = 0.5


def test_every_key_says_what_it_means_in_a_sentence_of_its_own():
    meanings = {name: each.metadata["meaning"] for name, each in keys().items()}
    for name, meaning in meanings.items():
        # A meaning that only repeats the words of the key explains nothing.
        assert set(re.findall("[a-z]+", meaning.lower())) - set(name.split("_")), name
        assert not meaning.endswith(".") and meaning.count("\n") == 0, name
    assert len(set(meanings.values())) == len(meanings)


def test_the_subjects_begin_with_a_key_and_cover_all_keys():
    assert set(SUBJECTS) <= set(keys())
    assert next(iter(SUBJECTS)) == next(iter(keys()))
    in_order = [name for name in keys() if name in SUBJECTS]
    assert in_order == list(SUBJECTS)


IN_FLOAT32 = {
    "dropout", "boost_strength", "boost_strength_factor", "gradient_momentum", "learning_rate", "momentum",
    "weight_decay", "clip_norm", "label_smoothing", "prune_gradient_weight", "l1_drift",
    "weight_temperature",
}  # fmt: skip


# Of these, 1 is not allowed, and a number that float32 rounds to 1 is not allowed either.
BELOW_1 = {"dropout", "gradient_momentum", "momentum", "label_smoothing"}


@pytest.mark.parametrize("name", sorted(IN_FLOAT32))
def test_what_float32_does_not_hold_is_refused(name: str) -> None:
    too_high = [1 - 1e-12] if name in BELOW_1 else [] if name == "boost_strength_factor" else [1e39]
    for value in [1e-50, *too_high]:
        with pytest.raises(ConfigError, match=rf"^{name} must be .*float32"):
            Config(**{name: value})
    assert Config(**{name: 0.1}).values()[name] == 0.1, "a number in params.json keeps its digits"


def test_other_numbers_are_computed_in_float64() -> None:
    others = {name for name, each in keys().items() if isinstance(check_of(each), Number)} - IN_FLOAT32
    # Shares of numbers of weights, units, epochs or pixels, thresholds and parts of the learning rate.
    assert others == {
        "prune_ratio", "last_layer_rate", "val_fraction", "noise_level", "percent_on", "k_inference_factor", "on_perc",
        "initial_density", "salient_share", "overlap_limit", "removal_alpha", "removal_delta", "selection_temperature",
        "brf_randomness", "backward_density",
        "pruning_end", "pruning_es_threshold", "lr_gamma", "lr_final", "warmup_epochs",
    }  # fmt: skip
    assert Config(on_perc=0.1 + 1e-12, noise_level=1e-50).on_perc == 0.1 + 1e-12


def test_a_zero_with_a_sign_is_the_same_trial() -> None:
    assert repr(Config(weight_decay=-0.0).values()) == repr(Config(weight_decay=0.0).values())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 2**63 - 1}, "A trial must have at most 10,000,000 rows"),
        ({"study": "sweep", "retrain_epochs": 10**12}, "Lower epochs or retrain_epochs"),
        ({"study": "ticket", "model": "Dense", "prune_iter": 10**12}, "Lower epochs or prune_iter"),
    ],
)
def test_a_trial_that_would_never_end_is_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        Config(**values)


@pytest.mark.parametrize("value", [b"ab", bytearray(b"ab"), {300: 1}, {300, 100}])
@pytest.mark.parametrize("name", ["hidden_sizes", "lr_milestones", "sparsities", "noise_levels"])
def test_a_list_is_in_order(name, value):
    with pytest.raises(ConfigError, match=f"{name} must be a list"):
        Config.of({name: value})


def test_which_values_are_defaults():
    config = Config(weight_prune_perc=None, dataset_name="digits", rules="fixed", on_perc=0.1)
    assert not is_default(config, "weight_prune_perc") and not is_default(config, "dataset_name")
    followers = ["input_size", "num_classes", "weight_init", "clip_norm", "on_perc", "rules"]
    assert all(is_default(config, name) for name in followers)
    assert not is_default(Config(weight_init="dense_uniform"), "weight_init")
