"""Augmentation: against crops and flips in numpy, and a trial alone, in a pack and after a resume."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dynsparse.config import Config, ConfigError
from dynsparse.data import DATASETS, Images, Source, load_dataset
from dynsparse.data.augmentation import AUGMENTATIONS, augmentation_numbers
from dynsparse.engines import choose_for_config, start
from dynsparse.nn.modules import MODULES
from dynsparse.planning.plan import plan
from dynsparse.training.trainer import Trainer, TrialError

pytestmark = pytest.mark.usefixtures("one_thread", "images")


def read_images(folder: Path, download: bool) -> tuple[np.ndarray, ...]:
    """Images of 3 x 8 x 10 pixels whose class is the brightest quarter."""
    generator = np.random.default_rng(0)
    x = generator.integers(0, 200, (300, 3, 8, 10)).astype(np.uint8)
    y = np.arange(300) % 4
    for image, of in zip(x, y, strict=True):
        image[:, of // 2 * 4 : of // 2 * 4 + 4, of % 2 * 5 : of % 2 * 5 + 5] += 50
    return x[:200], y[:200], x[200:], y[200:]


def conv() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 6 * 8, 4))


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS, "images", Source(240, 4, read_images, n_train=200, image_shape=(3, 8, 10)))
    monkeypatch.setitem(MODULES, "conv", conv)


def config(**values: Any) -> Config:
    usual = {"dataset_name": "images", "network": "MLP", "model": "SET", "on_perc": 0.5, "hidden_sizes": [16]}
    return Config.of({**usual, "batch_size": 32, "epochs": 3, "augment": "crop_flip", **values})


def by_hand(image: np.ndarray, numbers: np.ndarray, black: float, flips: bool) -> np.ndarray:
    """Crop a padded image to its size, then mirror it."""
    padded = np.pad(image, [(0, 0), (4, 4), (4, 4)], constant_values=black)
    top, left = (int(9 * number) for number in numbers[:2])
    cropped = padded[:, top : top + image.shape[1], left : left + image.shape[2]]
    return cropped[:, :, ::-1] if flips and numbers[2] < 0.5 else cropped


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_images_are_those_of_numpy_for_the_same_numbers(name: str) -> None:
    generator = np.random.default_rng(0)
    images, numbers = generator.random((200, 3, 6, 5), np.float32), generator.random((200, 3), np.float32)
    changed = AUGMENTATIONS[name](torch.from_numpy(images), torch.from_numpy(numbers), -0.5)
    expected = [by_hand(*each, -0.5, name == "crop_flip") for each in zip(images, numbers, strict=True)]
    assert np.array_equal(changed.numpy(), np.stack(expected))


def test_the_largest_number_stays_within_the_padding() -> None:
    largest = torch.full((1, 3), 1 - 2.0**-24)
    image = torch.arange(80.0).view(1, 1, 8, 10)
    assert torch.equal(AUGMENTATIONS["crop"](image, largest, 0.0)[0, 0, :4, :6], image[0, 0, 4:, 4:])


def test_numbers_depend_on_seed_and_epoch() -> None:
    first = augmentation_numbers(20, 3, 1)
    assert torch.equal(augmentation_numbers(10, 3, 1), first[:10])
    assert not any(torch.equal(augmentation_numbers(20, *other), first) for other in [(3, 2), (4, 1)])
    assert first.min() >= 0 and first.max() < 1


@pytest.mark.parametrize("network", ["MLP", "conv"])
def test_an_epoch_trains_on_images_augmented_by_hand(network: str) -> None:
    values = {"network": network, "learning_rate": 0.01}
    [trial] = configs = [config(**values, seed=5)]
    data = load_dataset("images")
    numbers = augmentation_numbers(200, 5, 2).numpy()
    black = float(data.train_x.min())
    assert black == pytest.approx(-data.train.mean * data.train.scale)
    pairs = zip(data.train_x.view(-1, 3, 8, 10).numpy(), numbers, strict=True)
    by_now = np.stack([by_hand(*each, black, True) for each in pairs]).reshape(200, -1)
    order, rates = torch.randperm(200)[None], torch.full((7, 1), 0.01, dtype=torch.float64)
    ours = start(plan(configs))
    ours.train_epoch(ours.prepare([data.train], data.train_y[None]), order, epoch=2, rates=rates)
    plain = start(plan([config(**values, seed=5, augment=None, engine=choose_for_config(trial).name)]))
    plain.train_epoch(plain.prepare([Images(by_now)], data.train_y[None]), order, epoch=2, rates=rates)
    for mine, theirs in zip(ours.weights, plain.weights, strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("network", ["MLP", "conv"])
@pytest.mark.parametrize("seeds", [(1, 1, 1), (1, 2, 3)])
def test_a_trial_is_the_same_alone_in_a_pack_and_after_a_resume(network: str, seeds: tuple[int, ...]) -> None:
    # With shapes that are multiples of 16, a pack rounds like a trial alone.
    values = zip(seeds, (0.01, 0.02, 0.03), strict=True)
    trials = [config(network=network, seed=seed, learning_rate=rate) for seed, rate in values]
    together, alone, resumed = Trainer(trials), Trainer(trials[1:2]), Trainer(trials)
    together.step(), alone.step()
    resumed.load_state_dict(copy.deepcopy(together.state_dict()))
    while not alone.is_done:
        rows, [row] = together.step(), alone.step()
        assert repr(resumed.step()) == repr(rows)
        assert row == pytest.approx(rows[1], abs=1e-5, nan_ok=True)


@pytest.mark.parametrize("engine", ["sparse", "packed"])
def test_engines_without_augmentation_refuse_it_and_auto_takes_another(engine: str) -> None:
    with pytest.raises(ValueError, match=f"engine='{engine}' does not support augment. Use engine='auto'"):
        choose_for_config(config(engine=engine))
    assert choose_for_config(config()) == ("torch", "augment")


def test_only_images_can_be_augmented(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"augment must be None for data that are not images .*, got 'crop_flip' for"):
        config(dataset_name="sklearn:wine", fold=0)
    with pytest.raises(ConfigError, match="Unknown augment 'flip'"):
        config(augment="flip")
    waves = tmp_path / "waves.npz"
    np.savez(waves, x=np.random.default_rng(0).normal(size=(20, 3, 4, 4)), y=np.arange(20) % 2)
    with pytest.raises(TrialError, match="augment must be None for data that are not of type uint8, got float32"):
        Trainer([config(dataset_name=str(waves), fold=0)])
