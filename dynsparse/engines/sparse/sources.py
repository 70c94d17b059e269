"""The sources of the compiled kernels: their digest, and whether they were compiled before. Does not import Numba."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

_FOLDER = Path(__file__).parent
DIGEST = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(_FOLDER.glob("*.py")))).hexdigest()[:16]


def sparse_engine_is_compiled() -> bool:
    """Return True if the cache on disk has machine code of these sources."""
    cache = Path(os.environ.get("NUMBA_CACHE_DIR") or _FOLDER / "__pycache__")
    return any(cache.rglob(f"*{DIGEST}*.nbc"))
