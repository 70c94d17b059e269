"""Time the grid of 2019 in packs, with its results on the disk, and some of its trials one at a time."""

from __future__ import annotations

import gc
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from dynsparse.config import Config
from dynsparse.data import DATASETS, Arrays, Source
from dynsparse.data.download import missing_files, resolve_data_dir
from dynsparse.io.storage import open_folder
from dynsparse.planning.packs import fill_width, group_into_packs, select_trials, to_device
from dynsparse.results.trial_folder import TrialFolder, folder_name, identity
from dynsparse.training.trainer import Row, Trainer

# The data set that `register_data` registers.
DATA = "benchmark"
SIZES = (784, 100, 100, 100, 10)
BATCH = 128
# The default of a run.
CHECKPOINT_EPOCHS = 5
WRITES_AT_ONCE = 32


def register_data(n_images: int) -> str:
    """Register DATA and return its name: MNIST, or synthetic images of its shape if MNIST is missing.

    Args:
        n_images: the number of training images; there are a sixth as many test images.
    """
    files, folder = DATASETS["MNIST"].files, resolve_data_dir(None)
    if missing_files(files, folder):
        arrays, name = made_up(n_images), "made-up images of MNIST's shape, because MNIST is not there"
    else:
        # Read here, because torchvision may be missing.
        train_x, train_y, test_x, test_y = (read_idx((folder / file).read_bytes()) for file in files)
        arrays, name = (train_x, train_y, test_x, test_y), "MNIST"
    n = n_images, n_images, n_images // 6, n_images // 6
    train_x, train_y, test_x, test_y = (array[:each] for array, each in zip(arrays, n, strict=True))
    DATASETS[DATA] = Source(784, 10, lambda folder, download: (train_x, train_y, test_x, test_y))
    return f"{name}: {len(train_x)} images to train on, {len(test_x)} to test"


def read_idx(content: bytes) -> np.ndarray:
    """Read a file in MNIST's format: the fourth byte is the number of dimensions, and their lengths follow."""
    n_dimensions = content[3]
    shape = np.frombuffer(content, ">u4", n_dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * n_dimensions).reshape(shape).copy()


def made_up(n_images: int) -> Arrays:
    """Return synthetic images: one of ten patterns with noise; four fifths of the pixels are 0, as in MNIST."""
    n = n_images + n_images // 6
    generator = np.random.default_rng(0)
    patterns = generator.integers(1, 256, (10, 784), np.uint8) * (generator.random((10, 784)) < 0.2)
    y = generator.integers(0, 10, n)
    noise = generator.integers(1, 256, (n, 784), np.uint8) * (generator.random((n, 784), np.float32) < 0.2)
    x = np.where(generator.random((n, 784), np.float32) < 0.3, noise, patterns[y])
    return x[:n_images], y[:n_images], x[n_images:], y[n_images:]


def grid_2019(dataset_name: str = DATA, **values: Any) -> list[Config]:
    """Return the 432 configs of experiments/mlp_heb.py, in its order, without Ray."""
    fractions = [0, 0.1, 0.2, 0.3, 0.4, 0.5]
    axes: dict[str, list[Any]] = {
        "kwinners": [True, False],
        "on_perc": [0.05, 0.1, 0.2],
        "hebbian_prune_perc": fractions,
        "weight_prune_perc": fractions,
        "hebbian_grow": [True, False],
    }
    rest = {"dataset_name": dataset_name, "percent_on": 0.3, "noise_level": 0.15, "epochs": 30, **values}
    combinations = itertools.product(*axes.values())
    return [Config.of({**dict(zip(axes, each, strict=True)), **rest}) for each in combinations]


def with_kwinners(width: int, **values: Any) -> list[Config]:
    """Return `width` configs of the grid that can be one pack; they repeat if the grid has fewer."""
    configs = [config for config in grid_2019(**values) if config.kwinners and config.hebbian_grow]
    return [configs[i % len(configs)] for i in range(width)]


def spread(configs: Sequence[Config], n: int) -> list[Config]:
    """Return `n` configs that are spread evenly over the grid."""
    return [configs[len(configs) * i // n] for i in range(n)]


def at_once(action: Callable[..., Any], *arguments: Iterable[Any]) -> list[Any]:
    """Map a function over its arguments in threads: each write waits for the disk, which serves many at once."""
    with ThreadPoolExecutor(WRITES_AT_ONCE) as threads:
        return list(threads.map(action, *arguments))


class Results:
    """The folders of some trials, written as in a run."""

    def __init__(self, configs: Sequence[Config], path: str, names: Sequence[str] | None = None) -> None:
        self._configs = configs
        names = names or [folder_name(config) for config in configs]
        self._folders = [TrialFolder(open_folder(path).sub(name)) for name in names]
        self._rows: list[list[dict[str, Any]]] = [[] for _ in configs]
        at_once(lambda folder, config: folder.create(config, {}), self._folders, configs)

    def append(self, rows: Sequence[Row | None]) -> None:
        """Write a row of each trial."""
        at_once(self._append, range(len(self._folders)), rows)

    def _append(self, i: int, numbers: Row | None) -> None:
        assert numbers is not None, f"the trial {self._configs[i]} has ended early"
        before = len(self._rows[i])
        row = {**numbers, "training_iteration": before + 1, "trial_id": identity(self._configs[i])}
        self._folders[i].append(row)
        self._rows[i].append(row)

    def save_checkpoints(self, n_rows: int, state: Mapping[str, Any], places: Sequence[int]) -> None:
        """Write a checkpoint of each trial, given its place in the state of a pack on the CPU."""

        def save(i: int) -> None:
            self._folders[i].save_checkpoint(n_rows, select_trials(state, [places[i]]))
            self._folders[i].write_csv(self._rows[i])

        at_once(save, range(len(self._folders)))

    def complete(self) -> None:
        """Mark each trial as complete."""
        at_once(TrialFolder.complete, self._folders)


class Pack(NamedTuple):
    """The times of a pack, in seconds."""

    trials: int
    width: int  # with the copies that fill the pack
    engine: str
    building: float  # including its folders
    epochs: list[float]  # training, tests, mask update, rows on the disk; the first epoch warms up
    writing: list[float]  # the part of each epoch that writes rows
    checkpoints: list[float]
    completing: float
    val_acc: float  # mean over the trials after the last epoch

    def whole(self, n_epochs: int) -> float:
        """Return the estimated seconds of a number of epochs, from those that were run."""
        n_checkpoints = n_epochs // CHECKPOINT_EPOCHS
        epochs = self.epochs[0] + (n_epochs - 1) * self.per_epoch
        return self.building + epochs + n_checkpoints * statistics.median(self.checkpoints) + self.completing

    @property
    def per_epoch(self) -> float:
        """Return the median seconds of the epochs after the first."""
        return statistics.median(self.epochs[1:] or self.epochs)


def train_pack(configs: Sequence[Config], n_epochs: int, path: str, until: float) -> Pack:
    """Train the trials as one pack, with a checkpoint at each fifth epoch and after the last.

    Args:
        configs: the trials.
        n_epochs: the number of epochs.
        path: the folder for the results.
        until: the end by `time.monotonic`; no epoch starts that would end later.
    """
    began = time.monotonic()
    filling = fill_width([config.seed for config in configs])
    trainer = Trainer([configs[i] for i in filling])
    places = [filling.index(i) for i in range(len(configs))]
    results = Results(configs, path)
    building = time.monotonic() - began
    epochs: list[float] = []
    writing: list[float] = []
    checkpoints: list[float] = []
    for epoch in range(1, n_epochs + 1):
        started = time.monotonic()
        rows = trainer.step()
        trained = time.monotonic()
        mine = [rows[place] for place in places]
        results.append(mine)
        epochs.append(time.monotonic() - started)
        writing.append(time.monotonic() - trained)
        is_last = epoch == n_epochs or time.monotonic() + 2 * epochs[-1] > until
        if is_last or epoch % CHECKPOINT_EPOCHS == 0:
            started = time.monotonic()
            results.save_checkpoints(epoch, to_device(trainer.state_dict(), "cpu"), places)
            checkpoints.append(time.monotonic() - started)
        if is_last:
            break
    started = time.monotonic()
    results.complete()
    completing = time.monotonic() - started
    accuracy = statistics.mean(float(row["val_acc"]) for row in mine if row is not None)
    engine = type(trainer.engine).__name__
    return Pack(
        len(configs), len(filling), engine, building, epochs, writing, checkpoints, completing, round(accuracy, 4)
    )


def one_at_a_time(configs: Sequence[Config], n_epochs: int, until: float) -> list[float]:
    """Return the seconds of each epoch of trials in the torch engine, one at a time, after `try_out` as warm-up."""
    seconds: list[float] = []
    for config in configs:
        trainer = Trainer([replace(config, engine="torch")])
        trainer.try_out()
        for _ in range(n_epochs):
            if seconds and time.monotonic() + 2 * max(seconds) > until:
                return seconds
            started = time.monotonic()
            trainer.step()
            seconds.append(time.monotonic() - started)
    return seconds


def measure_grid(options: Any, seconds_left: float) -> dict[str, Any]:
    """Time the grid in packs, then some of its trials one at a time; the keys of the result say what was timed."""
    until = time.monotonic() + seconds_left
    # By default a CPU takes the sparse engine, which trains one trial after the other.
    engine = "auto" if options.device.startswith("cuda") else "packed"
    configs = grid_2019(device=options.device, engine=engine)
    configs = configs if options.trials >= len(configs) else spread(configs, options.trials)
    packs = [[configs[i] for i in places] for places in group_into_packs(configs, options.pack)]
    n_epochs = configs[0].epochs if options.whole else min(1 + options.epochs, configs[0].epochs)
    done: list[Pack] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=options.storage) as path:
        for number, pack in enumerate(packs):
            # An engine and its recorded step refer to each other: collecting garbage frees the memory of the last pack.
            gc.collect()
            # A tenth of the time is left for the trials one at a time.
            share = (0.9 * until + 0.1 * began - time.monotonic()) / (len(packs) - number)
            done.append(train_pack(pack, n_epochs, path, time.monotonic() + share))
            print(pack_line(done[-1]), flush=True)
        wall = time.monotonic() - began
    gc.collect()
    alone = one_at_a_time(spread(configs, options.singles), options.single_epochs, until)
    in_pack = sum(pack.per_epoch for pack in done) / len(configs)
    is_whole = all(len(pack.epochs) == configs[0].epochs for pack in done)
    return {
        "trials": len(configs),
        "packs": [pack._asdict() for pack in done],
        "wall_seconds": wall,
        "whole_seconds_measured": wall if is_whole else None,
        "whole_seconds_by_these_epochs": sum(pack.whole(configs[0].epochs) for pack in done),
        "seconds_per_trial_epoch_in_packs": in_pack,
        "seconds_per_trial_epoch_one_at_a_time": statistics.median(alone),
        "epochs_one_at_a_time": alone,
        "ratio": statistics.median(alone) / in_pack,
    }


def pack_line(pack: Pack) -> str:
    return (
        f"pack of {pack.trials} trials, {pack.width} wide, {pack.engine}: built in {pack.building:.1f} s, "
        f"{len(pack.epochs)} epochs, the first {pack.epochs[0]:.2f} s, then {pack.per_epoch:.2f} s each, of which "
        f"{statistics.median(pack.writing):.2f} s writing; a checkpoint {statistics.median(pack.checkpoints):.2f} s; "
        f"val_acc {pack.val_acc}"
    )


def summary(found: dict[str, Any]) -> list[str]:
    """Return the results as sentences."""
    whole, n = found["whole_seconds_measured"], found["trials"]
    if whole is None:
        about = found["whole_seconds_by_these_epochs"]
        said = f"{n} trials of 30 epochs, by these epochs: about {about:.0f} s. Not measured: --whole runs all epochs"
    else:
        said = f"{n} trials of 30 epochs, all run, results on the disk: {whole:.1f} s (at most 120, aim 45 for 432)"
    alone, in_pack = found["seconds_per_trial_epoch_one_at_a_time"], found["seconds_per_trial_epoch_in_packs"]
    return [
        said,
        f"a trial's epoch: {alone * 1000:.1f} ms one at a time in the torch engine, {in_pack * 1000:.2f} ms in packs: "
        f"{found['ratio']:.1f} times as fast (at least 60, aim 150 on a GPU)",
    ]
