"""Read TensorBoard's event files."""

from __future__ import annotations

import struct
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event


def scalars(path: Path, tag: str) -> dict[int, float]:
    """Return the values of a scalar by step."""
    content, found = path.read_bytes(), {}
    while content:
        # A record: its length, a checksum of the length, the event, and a checksum of the event.
        [length] = struct.unpack("<Q", content[:8])
        event = Event.FromString(content[12 : 12 + length])
        content = content[12 + length + 4 :]
        for value in event.summary.value:
            if value.tag == tag:
                assert event.step not in found
                found[event.step] = value.simple_value
    return found
