"""The engine of "auto" on a CPU, in worked examples, and that it is the same after a resume and fits its neighbours."""

from __future__ import annotations

from typing import Any

import pytest

from dynsparse.config import Config
from dynsparse.engines import EngineChoice, choose, choose_for_config, choose_for_configs
from dynsparse.planning.plan import plan

SMALL, WIDE = (100, 100, 100), (1000, 1000, 500, 200)
DENSE = {"model": "Dense"}


def chosen(**values: Any) -> EngineChoice:
    return choose_for_config(Config.of({"model": "SET", **values}))


@pytest.mark.parametrize(
    ("values", "engine"),
    [
        # 784-100-100-100-10 has 99,400 weights: the limit is 0.6 * 99,400 + 40,000 = 99,640.
        ({"hidden_sizes": SMALL, "on_perc": 1}, "sparse"),
        # 784-300-10 has 238,200 weights: the limit is 182,920, 76.8% of them.
        ({"hidden_sizes": (300,), "on_perc": 0.76}, "sparse"),
        ({"hidden_sizes": (300,), "on_perc": 0.77}, "packed"),
        # The wide network has 2,386,000 weights: the limit is 1,471,600, 61.7% of them.
        ({"hidden_sizes": WIDE, "on_perc": 0.61}, "sparse"),
        ({"hidden_sizes": WIDE, "on_perc": 0.62}, "packed"),
        ({"hidden_sizes": WIDE, **DENSE}, "packed"),
        ({"hidden_sizes": WIDE, "model": "RigL", "on_perc": 0.62}, "packed"),
        # With slow options 0.85 * 2,386,000 + 40,000 = 2,068,100, 86.7% of them.
        ({"hidden_sizes": WIDE, "kwinners": True, "on_perc": 0.86}, "sparse"),
        ({"hidden_sizes": WIDE, "kwinners": True, "on_perc": 0.87}, "packed"),
        ({"hidden_sizes": WIDE, "optim_alg": "Adam", "on_perc": 0.86}, "sparse"),
        ({"hidden_sizes": WIDE, "optim_alg": "AdamW", "on_perc": 0.87}, "packed"),
        ({"hidden_sizes": WIDE, "clip_norm": 1.0, "on_perc": 0.86}, "sparse"),
        ({"hidden_sizes": WIDE, "model": "DSNNMixedHeb", "on_perc": 0.86}, "sparse"),
        ({"hidden_sizes": WIDE, "dropout": 0.1, "on_perc": 0.86}, "sparse"),
        # The packed engine has neither dropout nor batch norm.
        ({"hidden_sizes": WIDE, "dropout": 0.1, "on_perc": 0.87}, "torch"),
        ({"hidden_sizes": WIDE, "batch_norm": True, **DENSE}, "torch"),
        # Layers count with their own density: 784 * 1000 + 0.1 * 10,000 of 794,000 weights are active.
        ({"hidden_sizes": (1000,), "on_perc": 0.1, "first_layer_dense": True}, "packed"),
        # Half of the weights are active at the end, and all at the beginning.
        ({"hidden_sizes": WIDE, "model": "GMP", "on_perc": 0.5}, "sparse"),
        # Their networks become sparse.
        ({"hidden_sizes": WIDE, "model": "Dense", "study": "sweep"}, "sparse"),
        ({"hidden_sizes": WIDE, "model": "Dense", "study": "ticket"}, "sparse"),
        # What the user names is taken.
        ({"hidden_sizes": WIDE, "engine": "sparse", **DENSE}, "sparse"),
        ({"hidden_sizes": SMALL, "engine": "packed", **DENSE}, "packed"),
    ],
    ids=str,
)
def test_the_engine_of_auto_on_a_cpu(values: dict[str, Any], engine: str) -> None:
    assert chosen(**values) == EngineChoice(engine)


def test_what_a_resumed_trial_may_change_does_not_change_its_engine() -> None:
    for values in ({}, {"data_dir": "/elsewhere"}, {"debug_weights": False}, {"debug_sparse": False}, {"seed": 7}):
        assert chosen(hidden_sizes=WIDE, on_perc=0.62, **values).name == "packed"


def test_trials_of_a_grid_have_the_engine_of_their_own_density() -> None:
    configs = [Config(model="SET", hidden_sizes=WIDE, on_perc=density) for density in (0.1, 0.9, 0.6, 1.0)]
    choices = choose_for_configs(configs)
    assert [choice.name for choice in choices] == ["sparse", "packed", "sparse", "packed"]
    # A pack has one engine for all its densities.
    assert choose(plan(configs)).name == "sparse"
