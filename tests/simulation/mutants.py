"""Known bugs, planted one at a time: an oracle that does not find them proves nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from sqlite3 import Connection
from typing import Any

import pytest

from watcher import app
from watcher.adapters.stores.memory import MemoryStore
from watcher.adapters.stores.sqlite import SqliteStore, watch_rows
from watcher.core.polling.circuits import CallCircuits, Circuits
from watcher.core.polling.pace import Pace, Permit
from watcher.core.polling.transitions import WatchSettings
from watcher.errors import RemoteError
from watcher.kinds.kind import Kind
from watcher.model import Change, Event, Lease, Message, Observation, Step, Watch
from watcher.ports import Delivered, Outcome, Rejected, Source
from watcher.runtime import delivery, intake, polling
from watcher.runtime.service import Adapters, Watcher
from watcher.runtime.settings import ServiceSettings


class EagerIntake(intake.Intake):
    """Acknowledges before anything is admitted."""

    async def _take_in(self, source: Source, messages: Sequence[Message]) -> None:
        await self._acks.accept(source.name, [(message, ()) for message in messages])
        await self._admit(source.name, [self._read(source.name, message, message.id, plain=source.plain) for message in messages])


class HopefulWorker(delivery.SinkWorker):
    """Moves the cursor before the sink has anything."""

    async def _send(self, batch: Sequence[Event]) -> None:
        await self._store.settle(self.sink.name, batch, [], self._leases.held)
        await super()._send(batch)


class CarelessWorker(delivery.SinkWorker):
    """Counts an event that was not taken as delivered."""

    async def _settle(self, batch: Sequence[Event], outcomes: Sequence[Outcome]) -> None:
        await super()._settle(batch, [Delivered() for _ in outcomes])


class Hasty(Pace):
    """Never waits for a permit."""

    def wait(self, now: float) -> float:
        return 0.0


class Timid(Pace):
    """Throttled once, it asks every two minutes for ever."""

    def throttled(self, permit: Permit, now: float) -> bool:
        self.ceiling = 1 / 120
        return super().throttled(permit, now)

    def _set(self, rate: float, now: float) -> None:
        super()._set(rate, now)
        self.rate = min(self.rate, self.ceiling)


class StubbornCircuits(Circuits):
    """Forgets each refresh that was tried: new credentials are fetched whenever they are rejected."""

    def of(self, target: str, service: str) -> CallCircuits:
        circuits = super().of(target, service)
        circuits.may_refresh = lambda began: True  # type: ignore[method-assign]
        return circuits


class Drowsy(polling.Poller):
    """Never says that a call which came back lets another go sooner."""

    _wakes_at = property(lambda self: -math.inf, lambda self, at: None)  # type: ignore[assignment]


class Talkative(polling.Poller):
    """Labels a metric with the key of a task."""

    def _settle(self, kind: Kind, step: Step, *, gone: bool) -> None:
        self._metrics.ended.labels(step.watch.key, "status").inc()
        super()._settle(kind, step, gone=gone)


class Credulous(polling.Poller):
    """Believes a status that goes backwards."""

    def _decide(self, kind: Kind, watch: Watch, seen: Observation | RemoteError) -> Step:
        if isinstance(seen, Observation) and watch.status is not None and seen.status != watch.status:
            watch = watch._replace(updated_at=None, status="NEWS")
        return super()._decide(kind, watch, seen)


class DeafWorker(delivery.SinkWorker):
    """Does not learn of new events."""

    def wake(self, shard: int, events: Sequence[Event]) -> None:
        if not events:
            super().wake(shard, events)


class Wasteful(delivery.SinkWorker):
    """Drops what its sink refuses."""

    async def _settle(self, batch: Sequence[Event], outcomes: Sequence[Outcome]) -> None:
        await super()._settle(batch, [Delivered() if isinstance(outcome, Rejected) else outcome for outcome in outcomes])


def _impatient(adapters: Adapters, settings: ServiceSettings, **more: Any) -> Watcher:
    """Ends a watch when its task is not found for the first time."""
    return app.assemble(adapters, replace(settings, watch=WatchSettings(not_found_grace=0)), **more)


def assemble_with(**replacements: Any) -> Callable[..., Watcher]:
    """A watcher that is assembled from other classes than those of `watcher.app`."""

    def make(*args: Any, **more: Any) -> Watcher:
        with pytest.MonkeyPatch.context() as patch:
            for name, other in replacements.items():
                patch.setattr(app, name, other)
            return app.assemble(*args, **more)

    return make


def _broken(breaks: Callable[[Watcher, Any], None]) -> Callable[..., Watcher]:
    """A watcher that, with the store it is given, is broken once it is open."""

    def make(adapters: Adapters, *args: Any, **more: Any) -> Watcher:
        watcher = app.assemble(adapters, *args, **more)
        enter = watcher.loops.maintenance.restore

        async def restore() -> None:
            await enter()
            breaks(watcher, adapters.store)

        watcher.loops.maintenance.restore = restore  # type: ignore[method-assign]
        return watcher

    return make


def _put(db: Connection, watches: Sequence[Watch]) -> None:
    """Whatever stands there."""
    for watch in watches:
        standing = watch_rows.find(db, watch.key)
        if standing is not None and standing.id != watch.id:
            db.execute("DELETE FROM watches WHERE key = ?", (watch.key,))
    watch_rows.admit(db, watches)


def _forgetful(watcher: Watcher, store: Any) -> None:
    """Does not know that a task is watched already: every message starts a new watch."""

    async def admit(watches: Sequence[Watch]) -> Sequence[Watch]:
        if isinstance(store, MemoryStore):
            for watch in watches:
                store._admit(watch)
                store._watches[watch.key] = watch
        elif isinstance(store, SqliteStore):
            await store._file.write(partial(_put, watches=watches))
        return watches

    store.admit = admit


def _uncaring(watcher: Watcher, store: Any) -> None:
    """Commits to a watch that was erased."""

    async def commit(changes: Sequence[Change], leases: Mapping[int, Lease]) -> Sequence[str]:
        if isinstance(store, MemoryStore):
            for change in changes:
                store._admit(change.watch)
                store._watches[change.watch.key] = change.watch
                for event in change.events:
                    store._add_event(event)
        elif isinstance(store, SqliteStore):
            await store._file.write(partial(_put, watches=[change.watch for change in changes]))
            await store._file.write(partial(watch_rows.commit, changes=changes))
        return []

    store.commit = commit


def _hurried(watcher: Watcher, store: Any) -> None:
    """Its SQLite store reports a commit, and commits it together with the next one."""
    writer = getattr(getattr(store, "_file", None), "_writer", None)
    if writer is None:
        return
    commit, late = writer._commit, list[Any]()

    def hurry(calls: Sequence[Any]) -> None:
        commit([*late])
        late[:] = calls
        writer._db.execute("BEGIN IMMEDIATE")
        for call in calls:
            call.result = call.work(writer._db)
        writer._db.execute("ROLLBACK")

    writer._commit = hurry


def _unsynced(watcher: Watcher, store: Any) -> None:
    """Its SQLite log is not synced: the last commits are lost with the process."""
    ground = getattr(store, "_ground", None)
    if ground is not None:
        left = ground.left
        ground.left = lambda: {ground.path: left()[ground.path]}


MUTANTS: dict[str, Callable[..., Watcher]] = {
    "ack before commit": assemble_with(Intake=EagerIntake),
    "cursor before send": assemble_with(SinkWorker=HopefulWorker),
    "not taken counts as delivered": assemble_with(SinkWorker=CarelessWorker),
    "no dedupe": _broken(_forgetful),
    "an erased watch is written again": _broken(_uncaring),
    "lost wake-up": assemble_with(SinkWorker=DeafWorker),
    "lost wake-up of the polling loop": assemble_with(Poller=Drowsy),
    "reported before COMMIT": _broken(_hurried),
    "a log that is not synced": _broken(_unsynced),
    "no letter for what is refused": assemble_with(SinkWorker=Wasteful),
    "no pace": assemble_with(Pace=Hasty),
    "a pace that never recovers": assemble_with(Pace=Timid),
    "credentials refreshed again and again": assemble_with(Circuits=StubbornCircuits),
    "a status that goes backwards is believed": assemble_with(Poller=Credulous),
    "not found ends a watch at once": _impatient,
    "a task in the metrics": assemble_with(Poller=Talkative),
}
