"""Packs the bodies of dead letters for the stores: large ones are compressed, and none is cut, so that each can be retried."""

from __future__ import annotations

import zlib

COMPRESSED_FROM = 64 * 1024
"""Bytes. A longer body is compressed."""


def pack(body: bytes) -> tuple[bytes, int | None]:
    """Return the bytes to keep of a body, and the size of the body; None instead of the size if these bytes are the body."""
    packed = zlib.compress(body) if len(body) > COMPRESSED_FROM else body
    return (packed, len(body)) if len(packed) < len(body) else (body, None)


def unpack(kept: bytes, size: int | None) -> bytes:
    """Return the body from what `pack` returned."""
    return kept if size is None else zlib.decompress(kept)
