"""Any content, copied between any two kinds of stores, is the same for every reader."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.adapters.stores.test_stores_alike import (
    NAMES,
    SELECTIONS,
    TASKS,
    TIMES,
    TOKENS,
    WATCHES,
    add_dead_letters,
    admit,
    admit_waiting,
    answer,
    call,
    cancel,
    change,
    deliver,
    forget,
    operate,
    prune,
    reject,
    the_watch,
)
from tests.adapters.stores.test_stores_alike import SINKS as SOME_SINK
from tests.copying.places import PLACES, copied, owned, seen
from watcher.core.polling import open_circuits
from watcher.model import TaskRef
from watcher.ports import PortableStore
from watcher.query import Selection
from watcher.runtime import store_reader


async def save_state(store: PortableStore, name: str, text: str) -> None:
    await store.save_state(name, text)


async def grow(store: PortableStore, task: int, statuses: int) -> None:
    """Some statuses in a row, for long outboxes."""
    for n in range(statuses):
        await change(store, task, float(n), False)


REJECTED = st.builds("{}-w{}-0-{}".format, SOME_SINK, TASKS, st.integers(1, 3))
"""Ids of dead letters of events."""
CALLS = st.one_of(
    call(admit, TASKS, WATCHES),
    call(admit_waiting, TASKS, WATCHES, TOKENS),
    call(answer, TASKS, TOKENS, st.booleans()),
    call(change, TASKS, TIMES, st.booleans()),
    call(grow, TASKS, st.integers(1, 8)),
    call(deliver, SOME_SINK, st.integers(0, 2**12)),
    call(reject, SOME_SINK, st.integers(0, 3), TIMES),
    call(add_dead_letters, NAMES, TIMES),
    call(
        operate, st.sampled_from(["retry", "purge"]), st.one_of(NAMES, st.builds("{}-w{}-0-{}".format, SOME_SINK, TASKS, st.integers(1, 3)))
    ),
    call(cancel, st.lists(TASKS, max_size=2)),
    call(forget, SELECTIONS),
    call(prune, TIMES, st.none()),
    call(save_state, st.sampled_from(["pace a", "cadence a", "anything"]), st.text(max_size=5)),
)


@given(
    kinds=st.tuples(st.sampled_from(list(PLACES)), st.sampled_from(list(PLACES))),
    calls=st.lists(CALLS, min_size=10, max_size=40),
    portion=st.integers(1, 5),
    sinks=st.sampled_from([["bus", "log"], ["bus", "log", "new"]]),
)
@settings(max_examples=60, deadline=None)
def test_a_copy_has_the_same_content(kinds: tuple[str, str], calls: list[Any], portion: int, sinks: list[str]) -> None:
    """Tasks, events, what each sink has settled, dead letters with their events, and texts are the same, and the source is unchanged."""

    async def live(directory: str) -> None:
        first, second = (PLACES[kind](Path(directory, name)) for kind, name in zip(kinds, "ab", strict=True))
        async with owned(first) as store:
            for work, arguments in calls[:-5]:
                await work(store, *arguments)
        async with owned(first, sinks) as store:
            for work, arguments in calls[-5:]:
                await work(store, *arguments)
        before = await seen(first, sinks)
        content = await copied(first, second)
        assert await seen(second, sinks) == await seen(first, sinks) == before
        assert content.watches == len(before["tasks"])
        assert content.undelivered == before["backlog"]

    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        for name in "ab":
            Path(directory, name).mkdir()
        for limit in ("WATCHES", "EVENTS", "DEAD_LETTERS", "OUTBOX"):
            patch.setattr(store_reader, limit, portion)
        asyncio.run(live(directory))


@pytest.mark.parametrize("target", PLACES)
async def test_order_across_tasks_is_kept(target: str, tmp_path: Path) -> None:
    """From a store with one shard, the events of each shard of the target have the order of the source."""
    source, copy = PLACES["memory"](tmp_path), PLACES[target](tmp_path)
    async with owned(source) as store:
        for n in range(30):
            await change_new(store, n % 4, n)
        expected = [event.id for event in await store.read_outbox("bus", 0, 0, 1000)]
    await copied(source, copy)
    async with owned(copy) as store:
        for shard in range(store.shards):
            ids = [event.id for event in await store.read_outbox("bus", shard, 0, 1000)]
            assert ids == [id_ for id_ in expected if id_ in ids]


async def change_new(store: PortableStore, task: int, at: int) -> None:
    await admit(store, task, 0)
    await change(store, task, float(at), False)


async def test_what_a_running_watcher_reports_about_itself_is_left_out(tmp_path: Path) -> None:
    """Open circuits and the progress of calls belong to the process that wrote them, not to the next one on another store."""
    source, target = PLACES["sqlite"](tmp_path), PLACES["shared memory"](tmp_path)
    async with owned(source) as store:
        await store.save_state(open_circuits.STATE, "[]", own=True)
        await store.save_state("progress voice", "{}", own=True)
        await store.save_state("pace voice", "3.0")
    await copied(source, target)
    assert (await seen(target))["states"] == {"pace voice": "3.0"}


async def test_dead_letters_of_erased_watches_can_be_erased_by_parameter(tmp_path: Path) -> None:
    """A dead letter whose watch was pruned has the task that its key names, so that it is selected by a parameter."""
    source, target = PLACES["memory"](tmp_path), PLACES["sqlite"](tmp_path)
    async with owned(source) as store:
        await change_new(store, 1, 1)
        await reject(store, "bus", 0, 5.0)
        await deliver(store, "log", 31)
        watch = await store.task(the_watch(1).key)
        assert watch is not None
        assert watch.ref == TaskRef("speaker-search", ("vc1", "t1"))
        await change(store, 1, 2.0, True)
        await deliver(store, "bus", 31)
        await deliver(store, "log", 31)
        assert (await store.prune(10.0)).watches == 1
    await copied(source, target)
    assert len((await seen(target))["dead letters"]) == 1
    async with owned(target) as store:
        await store.forget(Selection(param=0, value="vc1"))
    assert (await seen(target))["dead letters"] == []
