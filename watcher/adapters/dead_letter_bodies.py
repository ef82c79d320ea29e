"""How the stores keep the bodies of dead letters: large ones compressed, and none cut, so that each can be retried."""

from __future__ import annotations

import zlib

COMPRESSED_FROM = 64 * 1024
"""Bytes. A longer body is compressed."""


def pack(body: bytes) -> tuple[bytes, int | None]:
    """What to keep of a body, and its size where that is not what is kept."""
    packed = zlib.compress(body) if len(body) > COMPRESSED_FROM else body
    return (packed, len(body)) if len(packed) < len(body) else (body, None)


def unpack(kept: bytes, size: int | None) -> bytes:
    """The body of what `pack` returned."""
    return kept if size is None else zlib.decompress(kept)
