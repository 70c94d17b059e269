"""Learning-rate schedules: step by step as torch's schedulers, in every engine, alone and in a pack."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.plain_torch import Plain, of_first_trial, plain_scheduler

from dynsparse.config import Config, ConfigError
from dynsparse.nn.lr_schedules import learning_rates
from dynsparse.planning.plan import keys_read
from dynsparse.training.trainer import Trainer

SCHEDULES: list[dict[str, Any]] = [
    {},
    {"warmup_epochs": 2},
    {"lr_schedule": "multistep", "lr_milestones": [2, 4], "lr_gamma": 0.3},
    {"lr_schedule": "multistep", "lr_milestones": [3], "warmup_epochs": 1},
    {"lr_schedule": "cosine"},
    {"lr_schedule": "cosine", "lr_final": 0.1, "warmup_epochs": 0.5},
    {"lr_schedule": "linear", "lr_final": 0.2},
    {"lr_schedule": "linear", "warmup_epochs": 1},
]
ids = {"ids": lambda values: " ".join(map(str, values.values())) or "constant"}


@pytest.mark.parametrize("values", SCHEDULES, **ids)
def test_each_step_has_the_rate_of_torchs_scheduler(values: dict[str, Any]) -> None:
    config, n_batches = Config.of({"epochs": 6, "learning_rate": 0.4, **values}), 10
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=config.learning_rate)
    scheduler, theirs = plain_scheduler(optimizer, config, n_batches), []
    for _ in range(6 * n_batches):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    rates = learning_rates(config)
    assert rates(0, 60, n_batches).tolist() == pytest.approx(theirs, rel=1e-9, abs=1e-12)
    # Any part of the training, such as an epoch after a resume, has the same rates.
    assert rates(23, 17, n_batches).tolist() == rates(0, 60, n_batches)[23:40].tolist()


def test_rates_by_hand() -> None:
    config = Config(learning_rate=1.0, epochs=4, lr_schedule="multistep", lr_milestones=(1, 3), lr_gamma=0.5)
    assert learning_rates(config)(0, 8, 2).tolist() == [1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25]
    config = Config(learning_rate=2.0, epochs=2, lr_schedule="cosine")
    assert learning_rates(config)(0, 4, 2).tolist() == pytest.approx([2.0, 1 + 0.5**0.5, 1.0, 1 - 0.5**0.5])
    # Beyond the last epoch, as in the retraining of a sweep, the rate stays where it ended.
    assert learning_rates(config)(4, 2, 2).tolist() == pytest.approx([0.0, 0.0])


DIGITS = {
    "dataset_name": "digits", "hidden_sizes": [20, 10], "model": "SparseModel", "on_perc": 0.5, "kwinners": False,
    "epochs": 4, "test_noise": False, "batch_size": 200,
}  # fmt: skip


@pytest.mark.parametrize("engine", ["sparse", "torch", "packed"])
@pytest.mark.parametrize(
    "optimizer",
    [{"optim_alg": "SGD"}, {"optim_alg": "SGD", "nesterov": True}, {"optim_alg": "Adam"}, {"optim_alg": "AdamW"}],
    ids=str,
)
def test_training_is_that_of_plain_torch_with_torchs_scheduler(engine: str, optimizer: dict[str, Any]) -> None:
    some = [SCHEDULES[i] for i in (0, 3, 5, 6)]
    configs = [Config.of({**DIGITS, "engine": engine, **optimizer, "weight_decay": 0.01, **values}) for values in some]
    together = Trainer(configs)
    plain = [Plain(config, *of_first_trial(Trainer([config]).parameters())) for config in configs]
    for epoch in range(1, 5):
        together.step()
        for trial, network in enumerate(plain):
            network.train([epoch])
            for ours, theirs in zip(together.parameters()[:2], network.parameters[:2], strict=True):
                for layer, other in zip(ours, theirs, strict=True):
                    torch.testing.assert_close(layer[trial], other, rtol=0, atol=1e-4)
    weights = together.parameters().weights[0]
    assert all((weights[0] - other).abs().max() > 1e-3 for other in weights[1:]), "the schedules differ"


@pytest.mark.parametrize("engine", ["sparse", "torch"])
def test_a_trial_resumes_bit_for_bit_in_the_middle_of_a_schedule(engine: str) -> None:
    values = {**DIGITS, "engine": engine, "model": "SET", "lr_schedule": "cosine", "warmup_epochs": 1.5}
    undisturbed = Trainer([Config.of(values)])
    rows = [undisturbed.step() for _ in range(2)]
    resumed = Trainer([Config.of(values)])
    resumed.load_state_dict(undisturbed.state_dict())
    rest = [undisturbed.step() for _ in range(2)]
    assert repr([resumed.step() for _ in range(2)]) == repr(rest)
    assert rows


@pytest.mark.parametrize(
    "study", [{"study": "ticket"}, {"study": "sweep", "sparsities": [0.5], "retrain_epochs": 1}], ids=str
)
def test_a_schedule_starts_anew_after_each_pruning(study: dict[str, Any]) -> None:
    values = {**DIGITS, "model": "Dense", "network": "MLP", "epochs": 2, "lr_schedule": "cosine", **study}
    trainer = Trainer([Config.of(values)])
    networks = [trainer.parameters()]
    while not trainer.is_done:
        trainer.step()
        networks.append(trainer.parameters())
    # At the final rate of 0 a surviving weight would keep the value that it had before the training, or after it.
    mask, last = networks[-1].masks[0], networks[-1].weights[0]
    assert all((last - before.weights[0])[mask].abs().max() > 1e-3 for before in (networks[0], networks[2]))


def test_a_schedule_reads_its_keys_and_no_others() -> None:
    own = {"lr_milestones", "lr_gamma", "lr_final"}
    for name, read in [("constant", set()), ("multistep", {"lr_milestones", "lr_gamma"}), ("cosine", {"lr_final"})]:
        config = Config.of({"lr_schedule": name, "lr_milestones": [2]})
        assert keys_read(config) & own == read


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"lr_schedule": "multistep"},
            "lr_milestones must name at least one epoch with lr_schedule='multistep', got (). Set lr_milestones, such "
            "as [30, 60], or lr_schedule='constant'.",
        ),
        (
            {"epochs": 3, "warmup_epochs": 4},
            "warmup_epochs must be at most epochs=3, got 4. Lower warmup_epochs or raise epochs.",
        ),
        ({"lr_schedule": "cosin"}, "Unknown lr_schedule 'cosin'. Did you mean 'cosine'?"),
    ],
)
def test_what_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        Config.of(values)
    assert message in str(error.value)
