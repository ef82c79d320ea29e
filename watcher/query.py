"""What a reader of the store asks for: filters, cursors, and pages. Plain data, shared by the store port and its callers."""

from __future__ import annotations

import math
import re
import struct
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of the items, and the cursor that continues after them; None when there are no more."""

    items: Sequence[T]
    next: str | None = None


def encode_cursor(*fields: float) -> str:
    """The place after an item, by the fields that order the items. The text is opaque, and safe in a URL."""
    return struct.pack(f">{len(fields)}d", *fields).hex()


def decode_cursor(cursor: str, fields: int) -> tuple[float, ...]:
    """The fields of a cursor. Raises ValueError for a text that no page had as its `next`."""
    if re.fullmatch(rf"[0-9a-f]{{{16 * fields}}}", cursor):
        found: tuple[float, ...] = struct.unpack(f">{fields}d", bytes.fromhex(cursor))
        if all(map(math.isfinite, found)):
            return found
    raise ValueError(f"not a cursor: {cursor[:80]!r}; use the `next` of an earlier page, unchanged")


def page(ordered: Iterable[tuple[tuple[float, ...], T]], limit: int) -> Page[T]:
    """The first `limit` items, each given with the fields that order it. Reads one item more, to see whether there is one."""
    found = list(islice(ordered, limit + 1))
    more = len(found) > limit > 0
    return Page([item for _, item in found[:limit]], encode_cursor(*found[limit - 1][0]) if more else None)


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """Which watches to read. A filter that is None matches all."""

    open: bool | None = None
    kind: str | None = None
    status: str | None = None
    search: str | None = None
    """A part of the key, as it is: upper and lower case differ, and no character has a special meaning."""
    after: str | None = None
    """The `next` of the previous page. Raises ValueError in the store when it is not one."""
    limit: int = 1000
    oldest_first: bool = False
    """In order of admission, instead of the newest first. A cursor belongs to one order."""


AGE_BOUNDS_S = (10.0, 60.0, 600.0, 3600.0, 86_400.0, math.inf)
"""The upper bounds of the age classes of open watches, in seconds. A class includes its bound."""


def age_class(age_s: float) -> int:
    """The number of the age class, from 0. An age below 0, after a step of a clock, is in the first one."""
    return bisect_left(AGE_BOUNDS_S, age_s)


@dataclass(frozen=True, slots=True)
class OpenCount:
    """The number of open watches of one kind, one status, and one age class."""

    kind: str
    status: str | None
    upto_s: float
    """The upper bound of the age class, one of `AGE_BOUNDS_S`."""
    watches: int


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events to read, in order of position within each shard."""

    after: Mapping[int, int] = field(default_factory=dict)
    """By shard, the last position that the reader has seen; 0 for a shard that is missing."""
    key: str | None = None
    kind: str | None = None
    terminal: bool | None = None
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class DeadLetterQuery:
    """Which dead letters to read. A filter that is None matches all."""

    key: str | None = None
    id_prefix: str | None = None
    after: str | None = None
    """The `next` of the previous page. Raises ValueError in the store when it is not one."""
    limit: int = 1000
    oldest_first: bool = False
    """In order of time, instead of the newest first. A cursor belongs to one order."""
    bodies: bool = True
    """Whether to read the bodies, which may be large. Without, `body` is empty and `size` is set."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which tasks to erase: the one with this key, or all whose parameter number `param` (from 0) has this value."""

    key: str | None = None
    kind: str | None = None
    """Only tasks of this kind; None: of any kind. For a selection by parameter."""
    param: int = 0
    value: str | None = None

    def matches(self, key: str, kind: str, params: Sequence[str]) -> bool:
        """Whether a task is selected."""
        if self.key is not None:
            return key == self.key
        if self.value is None or self.kind not in (None, kind):
            return False
        return self.param < len(params) and params[self.param] == self.value
