"""Tests that a result is remembered for configurations that agree in the keys that were read, and for no other."""

from dataclasses import replace

import pytest

from dynsparse.config import Config, ConfigError
from dynsparse.data import DATASETS
from dynsparse.methods import METHODS
from dynsparse.planning import by_keys_read
from dynsparse.planning.by_keys_read import ByKeysRead


def test_a_function_is_called_once_for_the_values_that_it_reads():
    calls = []

    def product(config):
        calls.append(config.epochs)
        return config.epochs * config.batch_size

    remembered = ByKeysRead(product)
    assert [remembered(Config(seed=seed, epochs=4, batch_size=10)) for seed in range(3)] == [40] * 3
    assert calls == [4]
    assert remembered(Config(seed=0, epochs=4, batch_size=11)) == 44
    assert calls == [4, 4]


def test_which_keys_are_read_may_depend_on_the_values_of_others():
    remembered = ByKeysRead(lambda config: config.percent_on if config.kwinners else None)
    configs = [Config(kwinners=kwinners, percent_on=on) for kwinners in (False, True) for on in (0.2, 0.3)]
    assert [remembered(config) for config in configs * 2] == [None, None, 0.2, 0.3] * 2


def test_a_result_of_none_is_remembered():
    calls = []
    remembered = ByKeysRead(lambda config: calls.append(config.epochs))
    assert remembered(Config()) is None and remembered(Config(seed=1)) is None
    assert len(calls) == 1


def test_a_conflict_is_found_in_each_trial():
    for seed in range(3):
        with pytest.raises(ConfigError, match="warmup_epochs must be at most epochs=2"):
            Config(seed=seed, epochs=2, warmup_epochs=3)
    assert Config(epochs=3, warmup_epochs=3).warmup_epochs == 3


def test_a_replaced_row_of_a_table_is_another_value(monkeypatch):
    assert Config(input_size=784, dataset_name="MNIST").input_size == 784
    monkeypatch.setitem(DATASETS, "MNIST", replace(DATASETS["MNIST"], input_size=64))
    with pytest.raises(ConfigError, match="input_size must be 64 for dataset_name='MNIST', got 784"):
        Config(input_size=784, dataset_name="MNIST")


def test_a_replaced_method_is_another_value(monkeypatch):
    def refuse(config):
        raise ValueError(f"this method refuses on_perc={config.on_perc:g}")

    assert Config(model="SET", on_perc=0.3).on_perc == 0.3
    monkeypatch.setitem(METHODS, "SET", refuse)
    with pytest.raises(ConfigError, match=r"refuses on_perc=0\.3"):
        Config(model="SET", on_perc=0.3)


def test_only_so_many_results_are_remembered(monkeypatch):
    monkeypatch.setattr(by_keys_read, "MAX_REMEMBERED", 3)
    calls = []
    remembered = ByKeysRead(lambda config: calls.append(config.epochs))
    for epochs in (1, 2, 3, 4, 4, 1):
        remembered(Config(epochs=epochs))
    assert calls == [1, 2, 3, 4, 1]
