"""Gradient clipping and label smoothing: whole trainings in every engine, beside plain torch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.plain_torch import Plain, of_first_trial

from dynsparse.config import Config
from dynsparse.training.trainer import Trainer

DIGITS = {
    "dataset_name": "digits", "hidden_sizes": [20, 10], "model": "SparseModel", "on_perc": 0.5, "kwinners": False,
    "epochs": 3, "test_noise": False, "batch_size": 100, "momentum": 0.9,
}  # fmt: skip


@pytest.mark.parametrize("engine", ["sparse", "torch", "packed"])
@pytest.mark.parametrize(
    "trials",
    [
        # 1000 is never reached; the norms of a few are between .3 and 3.
        [{"clip_norm": 0.3}, {"clip_norm": 1.0}, {"clip_norm": 1000.0}],
        [{"label_smoothing": 0.0}, {"label_smoothing": 0.1}, {"label_smoothing": 0.5}],
        [{"clip_norm": 0.5, "label_smoothing": 0.2}, {"clip_norm": 0.8, "optim_alg": "Adam", "learning_rate": 0.01}],
    ],
    ids=["clip_norm", "label_smoothing", "both"],
)
def test_training_is_that_of_plain_torch(engine: str, trials: list[dict[str, Any]]) -> None:
    configs = [Config.of({**DIGITS, "engine": engine, **trial}) for trial in trials]
    packs = [configs] if len({config.optim_alg for config in configs}) == 1 else [[config] for config in configs]
    results = []
    for pack in packs:
        together = Trainer(pack)
        plain = [Plain(config, *of_first_trial(Trainer([config]).parameters())) for config in pack]
        for epoch in range(1, 4):
            together.step()
            for network in plain:
                network.train([epoch])
        for trial, network in enumerate(plain):
            ours = together.parameters()
            results.append(ours.weights[0][trial])
            for layers, others in zip(ours[:2], network.parameters[:2], strict=True):
                for layer, other in zip(layers, others, strict=True):
                    torch.testing.assert_close(layer[trial], other, rtol=0, atol=1e-4)
    assert all((results[0] - other).abs().max() > 1e-2 for other in results[1:]), "the key has an effect"


@pytest.mark.parametrize("engine", ["sparse", "torch", "packed"])
def test_the_training_loss_has_smoothed_labels_and_the_test_loss_has_not(engine: str) -> None:
    rows = {}
    for smoothing in (0.0, 0.4):
        trainer = Trainer([Config.of({**DIGITS, "engine": engine, "label_smoothing": smoothing, "learning_rate": 0.0})])
        (rows[smoothing],) = trainer.step()
    plain, smooth = rows[0.0], rows[0.4]
    assert plain is not None and smooth is not None
    assert smooth["val_loss"] == plain["val_loss"]
    logits = torch.nn.functional.cross_entropy
    assert smooth["train_loss"] != plain["train_loss"]
    network = Plain(Config.of(DIGITS), *of_first_trial(Trainer([Config.of(DIGITS)]).parameters()))
    expected = logits(network.logits(network.data.train_x), network.data.train_y, label_smoothing=0.4)
    assert smooth["train_loss"] == pytest.approx(expected.item(), rel=1e-5)
