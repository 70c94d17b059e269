"""Data for tests of training: a small data set, and one thread to train on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from dynsparse.data import DATASETS, Source


# Before xdist's own, which reads the groups.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where tests are run by several processes, one runs those of a file that share a Ray, or the faults' reference."""
    for item in items:
        if "faults" in item.path.parts:
            item.add_marker(pytest.mark.xdist_group("faults"))
        elif item.get_closest_marker("ray"):
            item.add_marker(pytest.mark.xdist_group(item.location[0]))
    # The longest first: at the end the other process would wait for it.
    items.sort(key=lambda item: item.path.stem != "test_docs")


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The data sets that tests make up are not kept in the user's cache."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Networks this small only wait for a second thread; and threads share a sum out by its size, so a pack differs."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def blobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The data set "blobs": five overlapping blobs in 4 x 8 pixels, 160 examples to train on and 64 to test."""

    def read(folder: Path, download: bool) -> tuple[np.ndarray, ...]:
        generator = np.random.RandomState(0)
        centres, y = generator.randint(0, 128, (5, 32)), np.arange(224) % 5
        x = (centres[y] + generator.randint(0, 128, (224, 32))).astype(np.uint8)
        return x[:160], y[:160], x[160:], y[160:]

    monkeypatch.setitem(DATASETS, "blobs", Source(32, 5, read, image_shape=(1, 4, 8)))
