"""Watches, changes, events and dead letters for the tests of stores, and short forms of the calls under all leases."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from itertools import count
from typing import Any

import pytest

from watcher.model import Change, DeadLetter, Event, Lease, TaskRef, Watch, shard_of
from watcher.ports import Store
from watcher.query import DeadLetterQuery, EventQuery, Selection, TaskQuery


def a_watch(
    task: str = "t1",
    *,
    connector: str = "vc1",
    kind: str = "speaker-search",
    target: str = "default",
    watch: str | None = None,
    **facts: Any,
) -> Watch:
    id_ = watch or f"watch-of-{target}-{kind}-{connector}-{task}"
    return Watch(TaskRef(kind, (connector, task), target), id_, 1000.0, 9000.0)._replace(**facts)


def moved(watch: Watch, status: str = "IN_PROGRESS", *, at: float = 1001.0, end: bool = False) -> Change:
    """The next change of a watch, with the one event that reports it."""
    after = watch._replace(status=status, sequence=watch.sequence + 1, changed_at=at, polls=watch.polls + 3)
    if end:
        after = after._replace(ended_at=at, end_reason="terminal")
    return Change(after, (an_event(after, status, at, end),))


def an_event(watch: Watch, status: str, at: float, end: bool = False) -> Event:
    body = json.dumps({"to": status, "score": "canary-0.91"}).encode()
    return Event(f"{watch.id}-{watch.sequence}", watch.key, watch.ref.kind, "watcher.task.transition.v1", status, end, at, body)


def a_dead_letter(name: str = "d1", *, event: Event | None = None, at: float = 1002.0) -> DeadLetter:
    if event is None:
        return DeadLetter(name, "input", "queue", "parse", "not JSON", b"{", at)
    return DeadLetter(
        name, "event", "bus", "rejected", "too large", event.body, at, key=event.key, position=event.position, shard=event.shard
    )


async def leases(store: Store) -> dict[int, Lease]:
    """All leases, by shard."""
    return {lease.shard: lease for lease in (await store.claim()).leases}


async def commit(store: Store, *changes: Change) -> Collection[str]:
    return await store.commit(changes, await leases(store))


async def settle(store: Store, sink: str, delivered: Sequence[Event] = (), dead_letters: Sequence[DeadLetter] = ()) -> None:
    await store.settle(sink, delivered, dead_letters, await leases(store))


async def committed(store: Store, task: str | Watch = "t1", *statuses: str, connector: str = "vc1") -> Watch:
    """Admit a task and commit these statuses, one after the other. Returns its watch."""
    watch = (await store.admit([task if isinstance(task, Watch) else a_watch(task, connector=connector)]))[0]
    for status in statuses or ("IN_PROGRESS",):
        change = moved(watch, status)
        assert not await commit(store, change)
        watch = change.watch
    return watch


async def unsettled(store: Store, sink: str = "bus") -> list[Event]:
    """All that a sink has not settled, shard by shard, in order within each."""
    return [event for shard in range(store.shards) for event in await store.read_outbox(sink, shard, 0, 10_000)]


async def forget(store: Store, watch: Watch) -> int:
    return await store.forget(Selection(key=watch.key))


async def loaded(store: Store) -> list[Watch]:
    """All open watches, shard by shard."""
    return [watch for lease in (await store.claim()).leases async for watches in store.load(lease) for watch in watches]


async def all_tasks(store: Store, **filters: Any) -> list[Watch]:
    return list((await store.tasks(TaskQuery(**filters))).items)


async def all_events(store: Store, **filters: Any) -> list[Event]:
    return list(await store.events(EventQuery(**filters)))


async def all_dead_letters(store: Store, **filters: Any) -> list[DeadLetter]:
    return list((await store.dead_letters(DeadLetterQuery(**filters))).items)


def ids(facts: Sequence[Event] | Sequence[DeadLetter] | Sequence[Watch]) -> list[str]:
    return [fact.id for fact in facts]


def keys(watches: Sequence[Watch]) -> list[str]:
    return [watch.key for watch in watches]


def in_shard(store: Store, shard: int = 0) -> Iterator[Watch]:
    """Watches of different tasks, all in this shard, without end."""
    watches = (a_watch(f"t{n}") for n in count())
    return (watch for watch in watches if shard_of(watch.key, store.shards) == shard)


def in_two_shards(store: Store) -> tuple[Watch, Watch]:
    """A watch in each of two shards. Skips the test for a store with a single shard."""
    if store.shards == 1:
        pytest.skip("the store has one shard")
    return next(in_shard(store, 0)), next(in_shard(store, 1))
