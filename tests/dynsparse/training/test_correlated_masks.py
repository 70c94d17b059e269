"""Initial masks from the correlations of the input features."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from dynsparse.config import Config, ConfigError
from dynsparse.data import load_dataset, split
from dynsparse.engines.base import tie_noise
from dynsparse.ops import masks
from dynsparse.planning.plan import plan
from dynsparse.random import Purpose
from dynsparse.training.correlated_masks import absolute_correlations, features_of_units, layer_scores
from dynsparse.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread", "blobs")

BASE: dict[str, Any] = {
    "dataset_name": "digits",
    "hidden_sizes": [130, 20],
    "model": "SparseModel",
    "sparse_type": "csti",
    "on_perc": 0.02,
    "batch_size": 64,
    "epochs": 2,
    "val_fraction": 0.2,
    "seed": 3,
}


def config(**values: Any) -> Config:
    return Config.of({**BASE, **values})


def test_hidden_layers_have_the_highest_correlations_of_the_training_examples() -> None:
    trainer = Trainer([config()])
    found = [mask[0].numpy() for mask in trainer.parameters().masks]

    dataset = load_dataset("digits", None, "standard")
    train, _ = split(dataset, 0.2, 3)
    x = dataset.train.select(train).normalise().double().numpy()
    varies = np.flatnonzero(x.std(0) > 1e-9)
    assert len(varies) < 64
    with np.errstate(invalid="ignore", divide="ignore"):
        correlations = np.abs(np.corrcoef(x.T))
    np.fill_diagonal(correlations, 0)
    # 130 hidden units repeat the features that vary; 20 stand for evenly spaced ones.
    first, second = varies[np.arange(130) % len(varies)], varies[np.arange(20) * len(varies) // 20]
    for mask, of_outputs, of_inputs in ((found[0], first, np.arange(64)), (found[1], second, first)):
        scores = np.nan_to_num(correlations[of_outputs][:, of_inputs])
        n = round(0.02 * scores.size)
        assert mask.sum() == n
        least = np.sort(scores.ravel())[-n]
        assert mask[scores > least + 1e-5].all()
        assert not mask[scores < least - 1e-5].any()
    # The last layer is drawn.
    alone = plan([config(sparse_type="exact")])
    drawn = masks.exact(tie_noise(alone, Purpose.MASK, 2, epoch=0), int(found[2].sum()))[0]
    assert np.array_equal(found[2], drawn.numpy())


def test_a_pack_has_the_masks_of_its_trials_in_every_engine() -> None:
    trials = [{"seed": 3}, {"seed": 4}, {"seed": 3, "on_perc": 0.05}]
    pack = Trainer([config(**trial) for trial in trials]).parameters()
    for place, trial in enumerate(trials):
        for engine in ("torch", "sparse"):
            alone = Trainer([config(**trial, engine=engine)]).parameters()
            for of_pack, of_trial in zip(pack.masks, alone.masks, strict=True):
                assert torch.equal(of_pack[place], of_trial[0])
            for of_pack, of_trial in zip(pack.weights, alone.weights, strict=True):
                torch.testing.assert_close(of_pack[place], of_trial[0])


def test_it_is_drawn_once_and_a_resumed_trial_keeps_its_masks() -> None:
    whole = Trainer([config(model="CHT")])
    rows = [whole.step() for _ in range(2)]
    first = Trainer([config(model="CHT")])
    again = [first.step()]
    rest = Trainer([config(model="CHT")])
    rest.load_state_dict(first.state_dict())
    assert repr([*again, rest.step()]) == repr(rows)


def test_constant_features_have_no_correlation() -> None:
    x = torch.tensor([[1.0, 5.0, 2.0], [2.0, 5.0, 1.0], [3.0, 5.0, 0.0]])
    correlations = absolute_correlations(x)
    assert correlations[:, 1].isnan().all()
    assert layer_scores(correlations, (4, 3), is_first=True).tolist() == [
        pytest.approx(row) for row in ([0, 0, 1], [1, 0, 0], [0, 0, 1], [1, 0, 0])
    ]
    assert features_of_units(torch.tensor([], dtype=torch.int64), 3).tolist() == [0, 0, 0]
    # No feature varies: all scores are 0, and chance decides.
    assert not layer_scores(absolute_correlations(torch.ones(4, 3)), (2, 3), is_first=True).any()


def test_it_is_refused_for_torch_modules() -> None:
    with pytest.raises(ConfigError, match=r"^sparse_type='csti' is for multilayer perceptrons, got network='LeNet5'\."):
        Config(dataset_name="MNIST", network="LeNet5", sparse_type="csti")


def test_a_single_feature_and_a_single_example_have_no_correlations() -> None:
    assert absolute_correlations(torch.tensor([[1.0], [2.0], [4.0]])).tolist() == [[0.0]]
    assert absolute_correlations(torch.tensor([[1.0, 2.0]])).isnan().all()
