"""Torch modules in the tables, for tests of their engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.own_modules import PATCHES, SmallNet, lenet, plain_mlp

from dynsparse.data import DATASETS
from dynsparse.nn.modules import MODULES


@pytest.fixture
def module_tables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Rows for the networks and images of these tests. Rows that a test adds go with it."""
    monkeypatch.setitem(DATASETS, "patches", PATCHES)
    before = dict(MODULES)
    MODULES.update({"plain": plain_mlp, "small": SmallNet, "lenet": lenet})
    yield
    MODULES.clear()
    MODULES.update(before)
