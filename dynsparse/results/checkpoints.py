"""The content of a checkpoint: a checksum, and the state that `torch.save` writes. No code in it is executed."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from typing import Any

import torch


def encode(state: Mapping[str, Any]) -> bytes:
    """Return the content of a checkpoint with this state."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    return _checksum(buffer.getvalue()) + b"\n" + buffer.getvalue()


def decode(content: bytes) -> Any:
    """Return the state in a checkpoint. Raises: ValueError if it is damaged."""
    checksum, _, saved = content.partition(b"\n")
    if _checksum(saved) != checksum:
        raise ValueError("the checksum does not match")
    return load_saved(saved)


def load_saved(saved: bytes) -> Any:
    """Return what `torch.save` has written, with all tensors on the CPU. Raises: ValueError if it is something else."""
    try:
        size = sum(each.file_size for each in zipfile.ZipFile(io.BytesIO(saved)).infolist())
        # torch writes an archive without compression. A compressed one may fill the memory.
        if size > len(saved):
            raise ValueError(f"its parts must not be larger than the file ({len(saved)} bytes), got {size} bytes")
        # This machine may have no GPU, unlike the one that wrote it.
        return torch.load(io.BytesIO(saved), map_location="cpu", weights_only=True)
    except Exception as error:  # For other content, zipfile and torch raise many types of errors.
        raise ValueError(f"it is not what torch.save writes ({type(error).__name__})") from error


def _checksum(saved: bytes) -> bytes:
    return hashlib.sha256(saved).hexdigest().encode()
