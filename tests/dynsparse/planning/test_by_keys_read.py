"""Tests of conflicts between keys: messages are kept from one trial to the next, and must not be kept too long."""

from dataclasses import replace

import pytest

from dynsparse.config import Config, ConfigError
from dynsparse.data import DATASETS
from dynsparse.methods import METHODS
from dynsparse.planning import conflicts


def test_trials_that_differ_only_in_keys_without_conflicts_are_checked_once(monkeypatch):
    calls = []
    monkeypatch.setattr(conflicts, "_kept", {})
    monkeypatch.setattr(conflicts, "_data_set", lambda config: calls.append(config.dataset_name) or [])
    for seed in range(5):
        Config(seed=seed, learning_rate=0.01 * (seed + 1), dataset_name="MNIST")
    Config(dataset_name="FashionMNIST")
    assert calls == ["MNIST", "FashionMNIST"]


def test_a_conflict_is_found_again_in_each_trial():
    for seed in range(3):
        with pytest.raises(ConfigError, match="warmup_epochs must be at most epochs=2"):
            Config(seed=seed, epochs=2, warmup_epochs=3)
    assert Config(epochs=3, warmup_epochs=3).warmup_epochs == 3


def test_a_changed_row_of_a_table_is_checked_anew(monkeypatch):
    assert Config(input_size=784, dataset_name="MNIST").input_size == 784
    monkeypatch.setitem(DATASETS, "MNIST", replace(DATASETS["MNIST"], input_size=64))
    with pytest.raises(ConfigError, match="input_size must be 64 for dataset_name='MNIST', got 784"):
        Config(input_size=784, dataset_name="MNIST")


def test_a_changed_method_is_checked_anew(monkeypatch):
    def refuse(config):
        raise ValueError(f"this method refuses on_perc={config.on_perc:g}")

    assert Config(model="SET", on_perc=0.3).on_perc == 0.3
    monkeypatch.setitem(METHODS, "SET", refuse)
    with pytest.raises(ConfigError, match=r"refuses on_perc=0\.3"):
        Config(model="SET", on_perc=0.3)


def test_only_so_many_messages_are_kept(monkeypatch):
    monkeypatch.setattr(conflicts, "_kept", {})
    monkeypatch.setattr(conflicts, "MOST_KEPT", 3)
    for epochs in range(1, 9):
        Config(epochs=epochs)
    assert [len(each) for each in conflicts._kept.values()] == [2]
