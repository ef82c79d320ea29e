"""Memory, memory with several shards, and SQLite: the same calls in any order have the same answers."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.store_exam.facts import a_dead_letter, a_watch, all_tasks, commit, leases, loaded, moved, settle, unsettled
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.adapters.stores.sqlite import SqliteStore, SqliteStoreSettings
from watcher.errors import Fenced, SinksRemoved
from watcher.model import Event
from watcher.ports import Store
from watcher.query import DeadLetterQuery, EventQuery, Selection, TaskQuery

TASKS, WATCHES = st.integers(0, 3), st.integers(0, 1)
SINKS = st.sampled_from(["bus", "log"])
TIMES = st.integers(0, 50).map(float)
NAMES = st.sampled_from(["d0", "d1", "bus-1"])
KINDS = ["speaker-search", "voice-tone"]
LIMITS = st.integers(1, 3)


def maybe(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from([None, *values])


def the_watch(task: int, watch: int = 0) -> Any:
    return a_watch(f"t{task}", connector=f"vc{task % 2}", kind=KINDS[task // 2], watch=f"w{task}-{watch}")


def unplaced(items: Sequence[Any]) -> list[Any]:
    """Without positions: a store may leave gaps between them, and counts them in each shard."""
    return [replace(item, position=0, shard=0) for item in items]


def by_task(events: Sequence[Event]) -> list[Any]:
    """In order for each task: the order of two tasks depends on their shards."""
    return sorted(unplaced(events), key=lambda event: event.key)


async def admit(store: Store, task: int, watch: int) -> Any:
    return list(await store.admit([the_watch(task, watch), the_watch(3 - task)]))


async def admit_waiting(store: Store, task: int, watch: int, tokens: list[str]) -> Any:
    """An admission with task tokens."""
    watches = [the_watch(task, watch), the_watch(3 - task)]
    return list(await store.admit(watches, {watches[0].key: tokens, watches[1].key: tokens[:1]}))


async def answer(store: Store, task: int, tokens: list[str], done: bool) -> Any:
    """Begin to answer tokens, and drop those that are answered."""
    given = {the_watch(task).key: list(dict.fromkeys(tokens))}
    begun = {key: set(found) for key, found in (await store.begin_answers(given)).items()}
    if done:
        await store.drop_tokens(given)
    known = await store.task_tokens(list(given))
    return {key: still for key, found in begun.items() if (still := found & set(known.get(key, ())))}


async def change(store: Store, task: int, at: float, end: bool) -> Any:
    existing = await store.task(the_watch(task).key)
    return list(await commit(store, moved(existing or the_watch(task), f"at {at}", at=at, end=end), moved(the_watch(3, 1), "stale")))


async def change_without_lease(store: Store, task: int, release: bool) -> Any:
    existing = await store.task(the_watch(task).key)
    reported = await requests(store)  # a replica that takes a shard again is not told of what was erased before
    released = await leases(store) if release else {}
    await store.release(list(released.values()))
    try:
        await store.commit([moved(existing or the_watch(task), "fenced")], released)
    except Fenced:
        return "fenced", reported


async def deliver(store: Store, sink: str, which: int) -> Any:
    events = sorted(await unsettled(store, sink), key=lambda event: event.id)
    await settle(store, sink, [event for n, event in enumerate(events) if which >> n & 1])


async def reject(store: Store, sink: str, which: int, at: float) -> Any:
    events = sorted(await unsettled(store, sink), key=lambda event: event.id)[which % 4 :][:1]
    await settle(store, sink, [], [replace(a_dead_letter(f"{sink}-{event.id}", event=event), at=at) for event in events])


async def add_dead_letters(store: Store, name: str, at: float) -> Any:
    await store.add_dead_letters([a_dead_letter(name, at=at)])


async def operate(store: Store, what: str, name: str) -> Any:
    if what == "retry":
        return await store.retry([name])
    return await store.purge([name])


async def cancel(store: Store, tasks: list[int]) -> Any:
    return await store.cancel([the_watch(task).key for task in tasks])


async def forget(store: Store, selection: Selection) -> Any:
    return await store.forget(selection)


async def requests(store: Store) -> Any:
    found = await store.requests()
    return sorted(found.forgotten), unplaced(found.retries), list(found.cancelled.items())


async def prune(store: Store, before: float, events_before: float | None) -> Any:
    return await store.prune(before, events_before)


async def reopen(store: Store, sinks: list[str], drop: list[str]) -> Any:
    await store.close()
    try:
        answer: Any = await store.open(sinks, drop)
    except SinksRemoved as error:
        await store.close()
        answer = error.left, await store.open(sinks, ["bus", "log"])
    await store.claim()  # each replica of a shared store gets the requests about its own shards
    return answer


async def browse_tasks(store: Store, open_: bool | None, kind: str | None, search: str | None, limit: int) -> Any:
    return await all_pages(store.tasks, TaskQuery(open=open_, kind=kind, search=search, limit=limit))


async def browse_dead_letters(store: Store, task: int | None, prefix: str | None, limit: int) -> Any:
    query = DeadLetterQuery(key=None if task is None else the_watch(task).key, id_prefix=prefix, limit=limit)
    return [unplaced(items) for items in await all_pages(store.dead_letters, query)]


async def browse_events(store: Store, kind: str | None, terminal: bool | None, limit: int) -> Any:
    seen: dict[int, int] = {}
    found: list[Event] = []
    newest = await store.positions()
    while events := await store.events(EventQuery(after=seen, kind=kind, terminal=terminal, limit=limit)):
        found += events
        seen |= {event.shard: event.position for event in events}
    if kind is None and terminal is None:
        assert newest == seen
    return by_task(found)


async def all_pages(find: Callable[[Any], Any], query: Any) -> list[Any]:
    pages = [await find(query)]
    while pages[-1].next is not None:
        pages.append(await find(replace(query, after=pages[-1].next)))
    return [list(page.items) for page in pages]


def call(work: Callable[..., Coroutine[Any, Any, Any]], *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(st.just(work), st.tuples(*arguments))


TOKENS = st.lists(st.sampled_from(["a", "b", "c"]), max_size=3)
SELECTIONS = st.one_of(
    TASKS.map(lambda task: Selection(key=the_watch(task).key)),
    st.builds(Selection, kind=maybe(*KINDS), param=st.integers(0, 1), value=st.sampled_from(["vc0", "vc1", "t0", "t1"])),
)
CALLS = st.one_of(
    call(admit, TASKS, WATCHES),
    call(admit_waiting, TASKS, WATCHES, TOKENS),
    call(answer, TASKS, TOKENS, st.booleans()),
    call(change, TASKS, TIMES, st.booleans()),
    call(change, TASKS, TIMES, st.booleans()),
    call(change_without_lease, TASKS, st.booleans()),
    call(deliver, SINKS, st.integers(0, 31)),
    call(reject, SINKS, st.integers(0, 3), TIMES),
    call(add_dead_letters, NAMES, TIMES),
    call(operate, st.sampled_from(["retry", "purge"]), NAMES),
    call(cancel, st.lists(TASKS, max_size=3)),
    call(forget, SELECTIONS),
    call(requests),
    call(prune, TIMES, st.one_of(st.none(), TIMES)),
    call(reopen, st.lists(SINKS, unique=True), st.lists(SINKS, unique=True)),
    call(browse_tasks, maybe(True, False), maybe(*KINDS), maybe("t1", "vc0", "_", ""), LIMITS),
    call(browse_dead_letters, maybe(*range(4)), maybe("d", "bus-w1"), LIMITS),
    call(browse_events, maybe(*KINDS), maybe(True, False), LIMITS),
)


async def state(store: Store) -> Any:
    tasks = await all_tasks(store)
    return {
        "tasks": tasks,
        "open": sorted(await loaded(store), key=lambda watch: watch.key),
        "count": [await store.count_open(kinds, targets) for kinds in (None, KINDS[:1]) for targets in (None, ["default"])],
        "by state": sorted(map(repr, await store.count_by_state(1020.0))),
        "events": [unplaced(await store.task_events(watch.key)) for watch in tasks],
        "undelivered": [await store.undelivered(watch.key) for watch in tasks],
        "outbox": {sink: by_task(await unsettled(store, sink)) for sink in ("bus", "log")},
        "backlog": {sink: waiting.events for sink, waiting in (await store.backlog()).items()},
        "dead letters": unplaced((await store.dead_letters(DeadLetterQuery())).items),
        "summaries": unplaced((await store.dead_letters(DeadLetterQuery(bodies=False))).items),
        "number": dict(await store.count_dead_letters()),
        "tokens": await store.task_tokens([watch.key for watch in tasks]),
        "late tokens": list(await store.late_tokens(range(store.shards), 100)),
        "open tokens": sorted((await store.open_tokens(range(store.shards), None, 100)).items),
    }


async def order(store: Store) -> Any:
    """What a store with a single shard has in common with every other one."""
    return {sink: unplaced(await unsettled(store, sink)) for sink in ("bus", "log")}, await store.backlog()


async def answer_alike(calls: Sequence[Any], stores: Sequence[Store]) -> None:
    """Carry out the calls on each store, and compare the answers and the contents; also the order, if the first and the last one have
    as many shards."""
    for store in stores:
        await store.open(["bus", "log"])
        await store.claim()
    others = len(stores) - 1
    for work, arguments in calls:
        answers = [await work(store, *arguments) for store in stores]
        assert answers[1:] == [answers[0]] * others
        states = [await state(store) for store in stores]
        assert states[1:] == [states[0]] * others
        if stores[-1].shards == stores[0].shards:
            assert await order(stores[0]) == await order(stores[-1])


@given(calls=st.lists(CALLS, min_size=5, max_size=40))
@settings(max_examples=60, deadline=None)
def test_stores_answer_alike(calls: list[Any]) -> None:
    """Any sequence of calls has the same answers and leaves the same content in each store."""

    async def live(path: str) -> None:
        memory, sqlite = MemoryStore(MemoryStoreSettings()), SqliteStore(SqliteStoreSettings(path=path))
        stores: list[Store] = [memory, MemoryStore(MemoryStoreSettings(), shards=3), sqlite]
        try:
            await answer_alike(calls, stores)
        finally:
            await sqlite.close()

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(live(f"{directory}/watcher.db"))
