"""The shared store of a fleet story on a real PostgreSQL server."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

from tests.postgres import Database, PostgresServer
from tests.simulation.disk import NO_LIMIT, Content
from tests.simulation.fleet.audit import Audit, End, Owners
from tests.simulation.fleet.link import Link
from tests.simulation.fleet.loop import FreezingLoop
from tests.simulation.fleet.story import LEASE_S, RENEW_S, FleetStory
from tests.simulation.fleet_postgres.outside import Outside
from tests.simulation.fleet_postgres.real_io import RealIo
from tests.simulation.fleet_postgres.store import FleetStore
from tests.simulation.fleet_postgres.wires import FleetConnection, Wire
from tests.simulation.world import EPOCH
from watcher.adapters.stores.postgres import PostgresStore, PostgresStoreSettings, connections
from watcher.errors import StoreUnavailable
from watcher.model import Lease
from watcher.ports import Store
from watcher.query import DeadLetterQuery, Selection

AUDIT = Path(__file__).with_name("audit.sql").read_text()
SLOW_COMMITS = 0.2
"""The share of writes at which the commits of their process begin to be slow."""
COMMITS = 77
"""The first number of the advisory locks that a commit takes."""
OWNERS = "SELECT s.shard, r.name, s.epoch FROM shards s LEFT JOIN replicas r ON r.name = s.owner ORDER BY s.shard"
WAIT_FOR_LOCKS = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

OPERATOR = -1
"""The number of the process of the operator, to whom nothing happens."""


def name_of(process: int) -> str:
    """The name of a process at the server."""
    return "operator" if process == OPERATOR else f"process-{process}"


class PostgresFleet:
    """Implements `Server`. Enter it before the story begins."""

    def __init__(self, server: PostgresServer, fleet: FleetStory, loop: FreezingLoop, slow_commits: float = SLOW_COMMITS) -> None:
        self._database = Database(server, f"story_{secrets.token_hex(6)}")
        self._fleet = fleet
        self._loop = loop
        self._slow_commits = slow_commits
        self._rng = Random(fleet.story.seed + 11)
        self._wires: dict[str, Wire] = {}
        self._stores: dict[int, FleetStore] = {}
        self._since: dict[int, float] = {}
        """By socket, the time of the loop since when its backend waits for a lock."""
        self._set_to = -1.0
        """The time of the loop to which the clock of the database is set."""
        self._broken: list[str] = []
        self._resources = ExitStack()

    def __enter__(self) -> PostgresFleet:
        with ExitStack() as stack:
            stack.callback(self._database.server.execute, f"DROP SCHEMA IF EXISTS {self._database.schema} CASCADE")
            self._outside = stack.enter_context(Outside(PostgresStore(self._database.settings(shards=self._fleet.story.shards))))
            self._outside.create()
            self._db = stack.enter_context(self._database.connection())
            self._db.execute(AUDIT)
            self.io = RealIo(self._loop, self._stuck)
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            connection = type("Connection", (FleetConnection,), {"wire_of": staticmethod(self._wires.get), "listening": self.io.listening})
            patch.setattr(connections, "AsyncConnection", connection)
            settings = self._settings(OPERATOR, None)
            self._operator = FleetStore(self, OPERATOR, settings, lambda: "operator")
            self._resources = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        for wire in self._wires.values():
            for connection in wire.connections:
                connection.pgconn.finish()
        self._resources.close()

    # --- Server ----------------------------------------------------------------------------------

    def store(self, process: int, link: Link) -> Store:
        number = count(1)
        settings = self._settings(process, link)
        self._stores[process] = FleetStore(self, process, settings, lambda: f"{name_of(process)}.{next(number)}")
        return self._stores[process]

    def replica(self, store: Store) -> str:
        assert isinstance(store, FleetStore)
        return store.name

    def owners(self) -> Owners:
        return {shard: (name, epoch) for shard, name, epoch in self._db.execute(OWNERS).fetchall()}

    def content(self) -> Content:
        return self._outside.content()

    def audit(self, now: Callable[[], float]) -> Audit:
        self._audit = PostgresAudit(now, self._released)
        return self._audit

    async def forget(self, selection: Selection) -> int:
        return await self._operator.forget(selection)

    async def cancel(self, keys: Sequence[str]) -> int:
        return await self._operator.cancel(keys)

    async def retry_all(self) -> int:
        while True:
            with suppress(StoreUnavailable):
                letters = await self._operator.dead_letters(DeadLetterQuery(limit=NO_LIMIT))
                return await self._operator.retry([letter.id for letter in letters.items if letter.what == "event"])
            await asyncio.sleep(1)

    def kill(self, process: int) -> None:
        self._wires[name_of(process)].cut()

    async def close(self) -> None:
        for wire in self._wires.values():
            wire.over = True
            wire.cut()
        stores = [*self._stores.values(), self._operator]
        for store in stores:
            store.stop_listening()
        while any(store.busy for store in stores):  # noqa: ASYNC110 - no event marks the last of them
            await asyncio.sleep(0.1)
        self._audit.broken += self._broken + [what for (what,) in self._db.execute("SELECT what FROM audit_broken").fetchall()]

    # --- for stores and connections --------------------------------------------------------------

    def note_broken(self, promise: str) -> None:
        """A promise does not hold."""
        self._broken.append(f"{promise}, at {self._loop.time():.3f}")

    def wire(self, process: int) -> Wire:
        """The way of the connections of this process."""
        return self._wires[name_of(process)]

    def _settings(self, process: int, link: Link | None) -> PostgresStoreSettings:
        name = name_of(process)
        slowest_s = 0.0 if link is None else max(0.02, self._fleet.story.disk_s / 4)
        dsn = make_conninfo(self._database.server.dsn, application_name=name)
        settings = self._database.settings(dsn=dsn, shards=self._fleet.story.shards, lease=LEASE_S, renew=RENEW_S, max_connections=2)
        rng = Random(self._fleet.story.seed * 1000 + process + 700)
        self._wires[name] = wire = Wire(link, rng, slowest_s, lambda: self._loop.is_frozen(process), settings.statement_timeout)
        wire.set_clock, wire.terminate = self._set_clock, self._terminate
        self._lock_timeout = settings.lock_timeout
        return settings

    def _set_clock(self) -> None:
        now = self._loop.time()
        if now != self._set_to:
            self._db.execute("UPDATE clock SET at = to_timestamp(%s)", (EPOCH + now,))
            self._set_to = now

    def _terminate(self, pid: int) -> None:
        self._audit.seen["idle in transaction"] += 1
        self._db.execute("SELECT pg_terminate_backend(%s)", (pid,))

    # --- locks -----------------------------------------------------------------------------------

    def _stuck(self, sockets: set[int]) -> float | None:
        """For how long all of these will wait for locks, in seconds. None: the server works on one, or has sent an answer."""
        connected = [each for wire in self._wires.values() for each in wire.connections if not each.closed]
        pids = {each.pgconn.socket: each.pgconn.backend_pid for each in connected}
        waiting = {pid for (pid,) in self._db.execute(WAIT_FOR_LOCKS).fetchall()}
        now = self._loop.time()
        self._since = {number: self._since.get(number, now) for number in sockets if pids.get(number) in waiting}
        self._audit.seen["lock wait"] += len(self._since)
        if self._since.keys() != sockets:
            return None
        for number, since in list(self._since.items()):
            if now - since >= self._lock_timeout:
                self._audit.seen["lock timeout"] += 1
                self._db.execute("SELECT pg_cancel_backend(%s)", (pids[number],))
                del self._since[number]
                return None
        return min(since + self._lock_timeout - now for since in self._since.values())

    def slow_commit(self, process: int) -> None:
        """Perhaps let the commits of this process take long at the server, from now on and for a while."""
        if self._rng.random() > self._slow_commits or self._loop.time() > self._fleet.calm_at - 5:
            return
        (taken,) = self._db.execute("SELECT pg_try_advisory_lock(%s, %s)", (COMMITS, process)).fetchone()
        if taken:
            self._audit.seen["slow commit"] += 1
            self._loop.call_later(self._rng.uniform(0.05, 0.9 * self._lock_timeout), self._end_slow_commits, process)

    def _end_slow_commits(self, process: int) -> None:
        self._db.execute("SELECT pg_advisory_unlock(%s, %s)", (COMMITS, process))
        self.io.look_again()

    def _released(self) -> set[Lease]:
        return {Lease(shard, epoch) for shard, epoch in self._db.execute("SELECT shard, epoch FROM audit_released").fetchall()}


class PostgresAudit(Audit):
    """As `Audit`, where calls overlap: the store itself notes how a lease ended, and checks each write when it commits."""

    def __init__(self, now: Callable[[], float], released: Callable[[], set[Lease]]) -> None:
        super().__init__(now)
        self._released = released

    def wrote(self, process: int, shards: Any, leases: Any, owners: Owners) -> None:
        for shard in shards:
            if shard not in leases or self._granted.get(Lease(shard, leases[shard].epoch)) != process:
                self._break(f"process {process} wrote to shard {shard} under {leases.get(shard)}, which it was not granted")

    def _note_ends(self, owners: Owners, how: End) -> None:
        current = {Lease(shard, epoch) for shard, (owner, epoch) in owners.items() if owner is not None}
        ended = self._granted.keys() - current - self._ended.keys()
        if ended:
            released = self._released()
            self._ended.update((lease, "released" if lease in released else "lost") for lease in ended)
