"""Where a researcher's own data come from: a row of `KINDS` for each kind of `dataset_name`, and a file that reads it.

A file here returns the `Content` of a source: features, labels and a hash. What all kinds share is in `data/own.py`.
"""

from __future__ import annotations

import re
from functools import lru_cache

from dynsparse.config.functions import IN_FILE, IN_MODULE
from dynsparse.data.sources.changed_images import read_corrupted, read_permuted
from dynsparse.data.sources.content import Content, Kind, Part, Request, Table
from dynsparse.data.sources.functions import read_function
from dynsparse.data.sources.hugging_face import read_hugging_face
from dynsparse.data.sources.npz import read_npz
from dynsparse.data.sources.openml import read_openml
from dynsparse.data.sources.scikit_learn import read_scikit_learn
from dynsparse.data.sources.tables import read_csv, read_parquet
from dynsparse.data.sources.torchvision_classes import read_torchvision

__all__ = ["KINDS", "Content", "Kind", "Part", "Request", "Table", "kind_of"]

# What `dataset_name` may be besides a row of DATASETS. The first form that matches a name decides.
KINDS: dict[str, Kind] = {
    "FILE.npz": Kind(r"[^:]+\.npz", read_npz, is_file=True),
    "FILE.csv": Kind(r"[^:]+\.csv", read_csv, is_table=True, is_file=True),
    "FILE.parquet": Kind(r"[^:]+\.parquet", read_parquet, is_table=True, is_file=True),
    "sklearn:NAME": Kind(r"sklearn:.*", read_scikit_learn),
    "openml:NUMBER": Kind(r"openml:.*", read_openml, is_table=True),
    "torchvision:CLASS": Kind(r"torchvision:.*", read_torchvision),
    "permuted:NAME": Kind(r"permuted:.*", read_permuted),
    "corrupted:NAME:CORRUPTION": Kind(r"corrupted:.*", read_corrupted),
    "hf:NAME": Kind(r"hf:.+", read_hugging_face, is_table=True),
    "FILE.py:FUNCTION": Kind(IN_FILE, read_function),
    "MODULE:FUNCTION": Kind(IN_MODULE, read_function),
}


@lru_cache(maxsize=1000)
def kind_of(name: str) -> Kind | None:
    """Return the row of KINDS for a name; None if it has none of the forms."""
    return next((kind for kind in KINDS.values() if re.fullmatch(kind.form, name, re.IGNORECASE)), None)
