"""Memory and SQLite, side by side: whatever is asked of both, in any order, they answer the same."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.store_exam import Kept, a_letter, a_watch, everything, loaded, moved
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.adapters.stores.sqlite import SqliteStore, SqliteStoreSettings

TASKS, WATCHES = st.integers(0, 3), st.integers(0, 1)
SINKS = st.sampled_from(["bus", "log"])
TIMES = st.integers(0, 50).map(float)
NAMES = st.sampled_from(["l0", "l1", "bus-1"])


def the_watch(task: int, watch: int = 0) -> Any:
    return a_watch(f"t{task}", connector=f"vc{task % 2}", watch=f"w{task}-{watch}")


async def admit(store: Kept, task: int, watch: int) -> Any:
    return list(await store.admit([the_watch(task, watch), the_watch(3 - task)]))


async def commit(store: Kept, task: int, at: float, end: bool) -> Any:
    standing = await store.find(the_watch(task).key)
    return list(await store.commit([moved(standing or the_watch(task), f"at {at}", at=at, end=end), moved(the_watch(3, 1), "stale")]))


async def settle(store: Kept, sink: str, which: int) -> Any:
    events = [event for n, event in enumerate(await everything(store, sink)) if which >> n & 1]
    await store.settle(sink, events, [])


async def refuse(store: Kept, sink: str, which: int, at: float) -> Any:
    events = (await everything(store, sink))[which % 4 :][:1]
    await store.settle(sink, [], [replace(a_letter(f"{sink}-{event.id}", event=event), at=at) for event in events])


async def add_dead_letters(store: Kept, name: str, at: float) -> Any:
    await store.add_dead_letters([a_letter(name, at=at)])


async def operate(store: Kept, what: str, name: str, task: int) -> Any:
    if what == "retry":
        return await store.retry([name])
    if what == "purge":
        return await store.purge([name])
    if what == "forget":
        return await store.forget(key=the_watch(task).key)
    return await store.forget(connector=f"vc{task % 2}")


async def requests(store: Kept) -> Any:
    keys, letters = await store.requests()
    return sorted(keys), [replace(letter, position=0) for letter in letters]


async def prune(store: Kept, before: float) -> Any:
    return await store.prune(before)


async def reopen(store: Kept, sinks: list[str]) -> Any:
    await store.close()
    await store.open(sinks)


def call(work: Callable[..., Coroutine[Any, Any, Any]], *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(st.just(work), st.tuples(*arguments))


CALLS = st.one_of(
    call(admit, TASKS, WATCHES),
    call(commit, TASKS, TIMES, st.booleans()),
    call(commit, TASKS, TIMES, st.booleans()),
    call(settle, SINKS, st.integers(0, 31)),
    call(refuse, SINKS, st.integers(0, 3), TIMES),
    call(add_dead_letters, NAMES, TIMES),
    call(operate, st.sampled_from(["retry", "purge", "forget", "connector"]), NAMES, TASKS),
    call(requests),
    call(prune, TIMES),
    call(reopen, st.lists(SINKS, unique=True)),
)


async def state(store: Kept) -> Any:
    tasks = await store.tasks()
    history = [await store.history(watch.key) for watch in tasks]
    outbox = {sink: await everything(store, sink) for sink in ("bus", "log")}
    letters = sorted(await store.letters(), key=lambda letter: letter.id)
    placed = {item.position for items in (*history, *outbox.values(), letters) for item in items}
    rank = {position: n for n, position in enumerate(sorted(placed))}

    def ranked(items: Any) -> list[Any]:
        """Positions promise an order: a store may leave gaps between them."""
        return [replace(item, position=rank[item.position]) for item in items]

    return {
        "tasks": list(tasks),
        "open": await loaded(store),
        "history": [ranked(events) for events in history],
        "outbox": {sink: ranked(events) for sink, events in outbox.items()},
        "backlog": await store.backlog(),
        "letters": ranked(letters),
    }


@given(calls=st.lists(CALLS, min_size=5, max_size=40))
@settings(max_examples=60, deadline=None)
def test_memory_and_sqlite_answer_alike(calls: list[Any]) -> None:
    """Any run of calls gives the same answers and leaves the same state in both stores."""

    async def live(path: str) -> None:
        memory, sqlite = MemoryStore(MemoryStoreSettings()), SqliteStore(SqliteStoreSettings(path=path))
        try:
            for store in (memory, sqlite):
                await store.open(["bus", "log"])
            for work, arguments in calls:
                assert await work(memory, *arguments) == await work(sqlite, *arguments)
                assert await state(memory) == await state(sqlite)
        finally:
            await sqlite.close()

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(live(f"{directory}/watcher.db"))
