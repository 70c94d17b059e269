"""Saved states of versions that saved less than a `Trainer` saves now."""

from __future__ import annotations

from typing import Any

import torch


def with_later_entries(state: dict[str, Any]) -> dict[str, Any]:
    """Return the saved state of one trial with the entries that its version did not save.

    Operations and positions of the training before it are unknown: `flops_train` and `explored` are then NaN.
    """
    unknown = torch.full((1,), torch.nan, dtype=torch.float64)
    counts = {
        "flops": {"total": unknown, "n_examples": unknown},
        "exploration": {"explored": state["engine"]["masks"], "is_known": torch.tensor([False])},
    }
    later = {"counts": counts, "counts_when_kept": counts if "trained" in state["kept"] else {}}
    return {**later, **state}
