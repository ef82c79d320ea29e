"""Writes under leases: commits and settlements. A group of them is one transaction, in two round trips.

The first one locks the leases, the watches, and the dead letters, in this order and each in a fixed one, and reads what is
needed to decide which calls are Fenced and which tasks are erased. The second one writes the rest with one statement for
each table, and commits. The locks of the leases come before the positions of the events: so positions grow in the order of
commits within a shard, and no other replica takes a shard while a transaction of its owner is running.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from watcher.adapters.stores.postgres import dead_letter_rows, event_rows
from watcher.adapters.stores.postgres.connections import Connection
from watcher.adapters.stores.postgres.watch_rows import STATE, STATE_ARRAYS, columns, state_columns
from watcher.errors import Fenced
from watcher.model import Change, DeadLetter, Event, Lease, Watch, shard_of


@dataclass(frozen=True, slots=True)
class Commit:
    """Changes, and the leases of the caller."""

    changes: Sequence[Change]
    leases: Mapping[int, Lease]

    def shards(self, shards: int) -> set[int]:
        """The shards that this writes to."""
        return {shard_of(change.watch.key, shards) for change in self.changes}


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a sink is done with, and the leases of the caller."""

    sink: str
    delivered: Sequence[Event]
    dead_letters: Sequence[DeadLetter]
    leases: Mapping[int, Lease]

    def shards(self, shards: int) -> set[int]:
        """The shards that this writes to."""
        return {item.shard for items in (self.delivered, self.dead_letters) for item in items}

    @property
    def settled(self) -> Iterable[event_rows.Settled]:
        """The place of each event."""
        return ((self.sink, item.shard, item.position) for items in (self.delivered, self.dead_letters) for item in items)


OwnerWrite = Commit | Settlement

_LOCK_LEASES = "SELECT shard, owner, epoch FROM shards WHERE shard = ANY(%b::int[]) ORDER BY shard FOR NO KEY UPDATE"
_LOCK_WATCHES = "SELECT n, shard, key, id FROM watches WHERE key = ANY(%b::text[]) ORDER BY n FOR NO KEY UPDATE"
# S608 below: the statements consist of constants and parameters, never of data.
_UPDATE = f"""UPDATE watches w SET ({STATE}) = ({", ".join("v." + name for name in STATE.split(", "))})
    FROM unnest(%b::int8[], {STATE_ARRAYS}) AS v (n, {STATE}) WHERE w.n = v.n AND w.sequence <= v.sequence"""  # noqa: S608
# A position is given after the sort, so events of one watch get theirs in order.
_ADD_EVENTS = """INSERT INTO events (shard, watch, id, type, "to", terminal, at, body)
    SELECT v.shard, v.watch, v.id, v.type, v."to", v.terminal, v.at, v.body
    FROM unnest(%b::int[], %b::int8[], %b::text[], %b::text[], %b::text[], %b::bool[], %b::float8[], %b::bytea[])
        WITH ORDINALITY AS v (shard, watch, id, type, "to", terminal, at, body, number)
    ORDER BY v.number ON CONFLICT (watch, id) DO NOTHING"""

Found = Mapping[tuple[str, str], tuple[int, int]]
"""By key and id of a watch, its number and its shard."""


class OwnerWrites:
    """Writes groups. `me` is the name of this replica, at the time of the group."""

    def __init__(self, shards: int) -> None:
        self.me = ""
        self.shards = shards

    async def write(self, db: Connection, calls: Sequence[OwnerWrite]) -> list[Any]:
        """Write the calls. Returns for each its result, or Fenced: then nothing of it was written."""
        owners, found = await self._lock(db, calls)
        results = [self._decide(call, owners, found) for call in calls]
        valid = [call for call, result in zip(calls, results, strict=True) if not isinstance(result, Fenced)]
        async with db.pipeline():
            await self._commit(db, [call for call in valid if isinstance(call, Commit)], found)
            await self._settle(db, [call for call in valid if isinstance(call, Settlement)])
            await db.execute("COMMIT")
        return results

    async def _lock(self, db: Connection, calls: Sequence[OwnerWrite]) -> tuple[dict[int, tuple[str, int]], Found]:
        shards = sorted({shard for call in calls for shard in call.shards(self.shards)})
        dead_letters = _dead_letters(calls)
        changed = {change.watch.key for call in calls if isinstance(call, Commit) for change in call.changes}
        keys = sorted(changed | {x.key for x in dead_letters if x.key is not None})  # in one statement, so in one order
        async with db.pipeline():
            await db.execute("BEGIN")
            leases = await db.execute(_LOCK_LEASES, (shards,))
            watches = await db.execute(_LOCK_WATCHES, (keys,)) if keys else None
            await dead_letter_rows.lock(db, dead_letters)
        owners = {shard: (owner, epoch) for shard, owner, epoch in await leases.fetchall()}
        rows = await watches.fetchall() if watches is not None else []
        return owners, {(key, id_): (number, shard) for number, shard, key, id_ in rows}

    def _decide(self, call: OwnerWrite, owners: Mapping[int, tuple[str, int]], found: Found) -> Any:
        """The result of a call: Fenced, or the keys of erased tasks, or None."""
        if lost := {shard for shard in call.shards(self.shards) if not self._is_valid(call.leases.get(shard), owners.get(shard))}:
            return Fenced(lost)
        if isinstance(call, Commit):
            return [change.watch.key for change in call.changes if (change.watch.key, change.watch.id) not in found]
        return None

    def _is_valid(self, lease: Lease | None, owner: tuple[str, int] | None) -> bool:
        return lease is not None and owner == (self.me, lease.epoch)

    async def _commit(self, db: Connection, calls: Sequence[Commit], found: Found) -> None:
        newest: dict[int, Watch] = {}
        events: list[tuple[Any, ...]] = []
        for change in (change for call in calls for change in call.changes):
            watch = change.watch
            number, shard = found.get((watch.key, watch.id), (0, 0))
            if not number:
                continue
            if number not in newest or newest[number].sequence <= watch.sequence:
                newest[number] = watch
            events += [(shard, number, e.id, e.type, e.to, e.terminal, float(e.at), e.body) for e in change.events]
        if newest:
            await db.execute(_UPDATE, (list(newest), *state_columns(newest.values())))
        if events:
            await db.execute(_ADD_EVENTS, columns(events))

    async def _settle(self, db: Connection, calls: Sequence[Settlement]) -> None:
        await event_rows.settle(db, (place for call in calls for place in call.settled))
        await dead_letter_rows.add(db, _dead_letters(calls), self.shards)


def _dead_letters(calls: Iterable[OwnerWrite]) -> list[DeadLetter]:
    return [dead_letter for call in calls if isinstance(call, Settlement) for dead_letter in call.dead_letters]
