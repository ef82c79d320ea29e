"""Writes that need no lease: admissions, and dead letters of inputs. Several replicas make them for the same tasks at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from watcher.adapters.stores.postgres import dead_letter_rows, token_rows, watch_rows
from watcher.adapters.stores.postgres.connections import Connection
from watcher.model import DeadLetter, TaskTokens, Watch


@dataclass(frozen=True, slots=True)
class Admission:
    """Watches to add, and tokens that wait for their tasks."""

    watches: Sequence[Watch]
    task_tokens: TaskTokens = field(default_factory=dict, repr=False)


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
        tokens: dict[str, list[str]] = {}
        for key, given in (each for call in calls for each in call.task_tokens.items()):
            tokens.setdefault(key, []).extend(given)
        if not tokens:
            return await watch_rows.admit(db, watches, self.shards, self.me, self._channel)
        async with db.transaction():
            return await self._admit_with(db, watches, tokens)

    async def _admit_with(self, db: Connection, watches: Mapping[str, Watch], tokens: TaskTokens) -> dict[str, Watch]:
        """Add watches and tokens in a transaction."""
        existing: dict[str, Watch] = {}
        missing = dict(watches)
        while missing:  # again only for a task that was erased after it was found to exist, so that its token is kept
            existing |= await watch_rows.admit(db, missing, self.shards, self.me, self._channel)
            waiting = {key: tokens[key] for key in missing if key in tokens}
            kept = await token_rows.add(db, waiting) if waiting else set()
            missing = {key: watches[key] for key in waiting if key not in kept}
        return existing
