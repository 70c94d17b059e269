"""The error message for an unknown name: near matches and available names."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

# A table that is longer than this is not listed if there is a near match.
LISTED = 30


# What other libraries and papers call our keys, where the spelling is too different to be found.
ALSO_CALLED = {
    "alpha": "learning_rate",
    "bs": "batch_size",
    "data": "dataset_name",
    "decay": "weight_decay",
    "density": "on_perc",
    "eta": "learning_rate",
    "layers": "hidden_sizes",
    "lr": "learning_rate",
    "method": "model",
    "n_epochs": "epochs",
    "optimizer": "optim_alg",
    "prune_fraction": "weight_prune_perc",
    "scheduler": "lr_schedule",
    "sparsity": "on_perc",
    "wd": "weight_decay",
}


def near_matches(name: object, known: Iterable[str]) -> list[str]:
    """Return up to three known names that a misspelt one may stand for, nearest first. Case does not matter."""
    lower = {each.lower(): each for each in known}
    also = lower.get(ALSO_CALLED.get(str(name).lower(), ""))
    if also is not None:
        return [also]
    return [lower[each] for each in difflib.get_close_matches(str(name).lower(), list(lower), n=3)]


def unknown(kind: str, name: object, known: Collection[str]) -> str:
    """Return the error message for a name that is not in a table.

    Example:
        >>> from dynsparse.config import unknown
        >>> unknown("model", "RigeL", ["Dense", "GMP", "RigL"])
        "Unknown model 'RigeL'. Did you mean 'RigL'? Available: Dense, GMP, RigL."
    """
    near = near_matches(name, known)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    available = f" Available: {', '.join(known)}." if not near or len(known) <= LISTED else ""
    return f"Unknown {kind} {name!r}.{hint}{available}"
