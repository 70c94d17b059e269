"""Atomic writes: a reader sees the old file or the new one, never a part of it."""

import os
import secrets
from pathlib import Path


def write_file(path: Path, content: bytes) -> None:
    """Write a whole file, which is on the disk when the call returns. An existing file is replaced.

    Raises:
        OSError: if it cannot be written. An old file is then unchanged, and no other file is left.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        # "x" neither overwrites a file nor follows a link that somebody has put there.
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
