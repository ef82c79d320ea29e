"""Writes that need no lease: admissions, and dead letters of inputs. Several replicas make them for the same tasks at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from watcher.adapters.stores.postgres import dead_letter_rows, watch_rows
from watcher.adapters.stores.postgres.connections import Connection
from watcher.model import DeadLetter, Watch


@dataclass(frozen=True, slots=True)
class Admission:
    """Watches to add."""

    watches: Sequence[Watch]


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Dead letters to keep."""

    dead_letters: Sequence[DeadLetter]


SharedWrite = Admission | DeadLetters


class SharedWrites:
    """Writes groups. Each kind of call is one transaction. `me` is the name of this replica, which need not be notified."""

    def __init__(self, shards: int, channel: str) -> None:
        self.me = ""
        self.shards = shards
        self._channel = channel

    async def write(self, db: Connection, calls: Sequence[SharedWrite]) -> list[Any]:
        """Write the calls. Returns for each its result."""
        found = await self._admit(db, [call for call in calls if isinstance(call, Admission)])
        dead_letters = [each for call in calls if isinstance(call, DeadLetters) for each in call.dead_letters]
        if dead_letters:
            async with db.pipeline(), db.transaction():
                await dead_letter_rows.lock_watches(db, dead_letters)
                await dead_letter_rows.lock(db, dead_letters)
                await dead_letter_rows.add(db, dead_letters, self.shards)
        return [[found[watch.key] for watch in call.watches] if isinstance(call, Admission) else None for call in calls]

    async def _admit(self, db: Connection, calls: Sequence[Admission]) -> dict[str, Watch]:
        watches: dict[str, Watch] = {}
        for watch in (watch for call in calls for watch in call.watches):
            watches.setdefault(watch.key, watch)
        return await watch_rows.admit(db, watches, self.shards, self.me, self._channel)
