"""What the engine for torch modules refuses, and modules that cannot be trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from support.module_trials import config
from torch import Tensor, nn

from dynsparse.config import ConfigError
from dynsparse.engines import choose_for_config, start
from dynsparse.engines.module import ModuleEngine
from dynsparse.nn.modules import MODULES
from dynsparse.planning.plan import plan

pytestmark = pytest.mark.usefixtures("one_thread", "module_tables")

# Engines and refusals


@pytest.mark.parametrize("engine", ["sparse", "torch", "packed"])
def test_other_engines_refuse_modules(engine: str) -> None:
    message = (
        f"engine='{engine}' does not support a network that is a torch module. Use engine='auto' or engine='module'"
    )
    with pytest.raises(ValueError, match=message):
        choose_for_config(config(engine=engine))


def test_auto_takes_this_engine_which_refuses_multilayer_perceptrons() -> None:
    assert choose_for_config(config()).name == choose_for_config(config(engine="module")).name == "module"
    assert isinstance(start(plan([config()])), ModuleEngine)
    with pytest.raises(ValueError, match="engine='module' does not support a network that is a multilayer perceptron"):
        choose_for_config(config("MLP", engine="module"))


def two_heads() -> nn.Module:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(144, 5), nn.Linear(144, 5)
            self.b.weight = self.a.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.a(x.flatten(1)) + self.b(x.flatten(1))

    return Tied()


class Around(nn.Module):
    """A linear layer with something done to its inputs or outputs."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.body, self.what = nn.Linear(144, 5), what
        if what == "unreached":
            self.spare = nn.Conv1d(1, 1, 1)

    def forward(self, x: Tensor) -> Any:
        x = x.flatten(1)
        if self.what == "numpy":
            x = x * np.random.rand()
        if self.what == "no gradient":
            with torch.no_grad():
                return self.body(x)
        out = self.body(x)
        return {"tuple": (out, out), "one number": out.sum()}.get(self.what, out)


def other_seed(name: str) -> nn.Module:
    net = nn.Sequential(nn.Flatten(), nn.Linear(144, 5))
    if name == "half":
        net.half()
    if name == "frozen":
        net.requires_grad_(False)
    if name == "parametrized":
        nn.utils.parametrizations.weight_norm(net[1])
    return net


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: 3, r"its function must return a torch\.nn\.Module, got int\. Return one\."),
        (lambda a, b: None, "must have one argument without a default, the settings of the trial, or none, got a, b"),
        (lambda *, width: None, "must have one argument without a default, .* got width. Give the others defaults"),
        (lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(5)), r"1\.weight, 1\.bias have no shape before .* Give"),
        (lambda: nn.Flatten(), "has no Linear, Conv1d or Conv2d layer whose weights require a gradient. Add one"),
        (lambda: other_seed("frozen"), "has no Linear, Conv1d or Conv2d layer whose weights require a gradient"),
        (lambda: other_seed("half"), r"1\.weight, 1\.bias must be float32\. Leave out \.half\(\)"),
        (lambda: other_seed("parametrized"), r"1 have weights that are computed .* Remove the parametrization"),
        (two_heads, r"a and b share a parameter\. Give each its own, or freeze it with requires_grad_\(False\)"),
        (lambda: Around("unreached"), r"spare are never called in the forward pass\. Remove them, or freeze them"),
        (lambda: Around("numpy"), "different results for the same seed and inputs: it draws random numbers from else"),
        (lambda: Around("no gradient"), r"body get no gradient\. Leave out no_grad\(\) and detach\(\)"),
        (lambda: Around("tuple"), "must return one tensor of logits, got tuple. Return the logits alone"),
        (lambda: Around("one number"), r"here of shape \(1, 5\), got torch.float32 of shape \(\) on cpu"),
        (
            lambda: nn.Sequential(nn.Flatten(), nn.Linear(9, 5)),
            r"on inputs \(examples, 1, 12, 12\), fails: RuntimeError",
        ),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(144, 5)).to("meta"), r"must be on the CPU at first\. Leave out"),
    ],
)
def test_a_module_that_cannot_be_trained_is_refused_by_name(function: Any, message: str) -> None:
    MODULES["mine"] = function
    with pytest.raises(ConfigError, match=f"network='mine' on dataset_name='patches': .*{message}"):
        config("mine")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kwinners": True}, "kwinners must be False with network='small', whose function does not read it"),
        ({"dense_layers": ["heads"]}, "Unknown layer in dense_layers 'heads'. Did you mean 'head'?"),
        ({"network_hash": "0123"}, "network_hash must be None for network='small', got '0123'"),
        ({"precision": "bf16", "network": "MLP"}, "precision='bf16' is for networks that are torch modules"),
        ({"network": "smalls"}, "Unknown network 'smalls'. Did you mean 'small'.* For a function of your own, give"),
        ({"network": 3}, "network must be one of MLPHeb, .*, a function, or .* got 3"),
        ({"on_perc": 0.001}, "leaves no active weight in a layer of 4 x 9"),
    ],
)
def test_keys_that_do_not_fit_a_module(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(**values)


def test_trials_whose_modules_differ_in_shape_are_no_pack() -> None:
    MODULES["by seed"] = lambda settings: nn.Sequential(
        nn.Flatten(), nn.Linear(144, 4 + settings.seed), nn.ReLU(), nn.Linear(4 + settings.seed, 5)
    )
    trials = [config("by seed", seed=seed) for seed in (0, 1)]
    with pytest.raises(ValueError, match="cannot be trained as one pack: their networks must have equal shapes"):
        ModuleEngine(plan(trials))
