"""The cursor of a reader: its positions in the stored events, as a text that the reader stores and sends back.

A reader has one position for each shard, because positions of different shards cannot be compared. The cursor also contains the
identity of the store, because another store has other positions, and a time, because old events are erased.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

MARGIN_S = 3600.0
"""The minimum time for which a cursor is valid, in seconds, even if its event is old."""

_HEAD = struct.Struct(">B8sQ")
"""Version, the first 8 bytes of the store's identity, and the time in milliseconds since the epoch."""
_VERSION = 1
_MAX_LENGTH = 20_000
"""Characters. A cursor for 1,024 shards has about 11,000."""


class ForeignCursorError(ValueError):
    """A cursor of another store, or a cursor older than the retention. The text says which."""


@dataclass(frozen=True, slots=True)
class EventCursor:
    """A decoded cursor. `positions`: by shard, the last position that the reader has seen; a shard without one is missing."""

    store: str
    """The identity of the store, 32 hex digits."""
    seen_until: float
    """The reader has seen all events that were committed before this time, in seconds since the epoch."""
    positions: Mapping[int, int] = field(default_factory=dict)

    def encode(self) -> str:
        """Return the cursor as a text that is safe in a URL, a header, and a file."""
        head = _HEAD.pack(_VERSION, bytes.fromhex(self.store)[:8], max(0, int(self.seen_until * 1000)))
        numbers = b"".join(_varint(shard) + _varint(position) for shard, position in sorted(self.positions.items()))
        return base64.urlsafe_b64encode(head + numbers).rstrip(b"=").decode()


def decode_event_cursor(text: str, store: str, now: float, retention_s: float) -> EventCursor:
    """Decode a cursor. `now` is in seconds since the epoch; `retention_s` is how long the store keeps events.

    Raises ValueError for a text that is not a cursor, and its subclass ForeignCursorError for a cursor that this store cannot continue.
    """
    if len(text) > _MAX_LENGTH:
        raise _no_cursor()
    try:
        content = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        version, identity, at = _HEAD.unpack_from(content)
        numbers = list(_numbers(content[_HEAD.size :]))
        positions = dict(zip(numbers[::2], numbers[1::2], strict=True))
    except (UnicodeEncodeError, binascii.Error, struct.error, ValueError):
        raise _no_cursor() from None
    if version != _VERSION:
        raise _no_cursor()
    if identity != bytes.fromhex(store)[:8]:
        raise ForeignCursorError("the cursor belongs to another store; start again with after=start or after=now")
    if at / 1000 < now - retention_s:
        raise ForeignCursorError(
            "the cursor is older than watch.retention, so events after it may be erased; start again with after=start or after=now"
        )
    return EventCursor(store, at / 1000, positions)


def seen_until(event_at: float, now: float, retention_s: float) -> float:
    """The time for the cursor after an event that was committed at `event_at` and is read `now`, both in seconds since the epoch.

    An event that is older than the retention is kept because its task ended later. The cursor after it is valid for a while, so
    that a reader can continue from page to page.
    """
    return max(event_at, now - retention_s + min(MARGIN_S, retention_s / 2))


def _no_cursor() -> ValueError:
    return ValueError("this is not a cursor; use the `id` of a block in a stream, or `next` of a page, unchanged")


def _varint(number: int) -> bytes:
    """LEB128: seven bits in each byte, the lowest first; the highest bit says that another byte follows."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _numbers(content: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in content:
        number |= (byte & 0x7F) << shift
        shift += 7
        if number >> 63:
            raise ValueError
        if not byte & 0x80:
            yield number
            number = shift = 0
    if shift:
        raise ValueError
