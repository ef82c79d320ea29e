"""The protocol `Copies`, and the readings in the order in which content is copied."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.contracts.store_exam.facts import (
    a_dead_letter,
    a_watch,
    all_dead_letters,
    all_events,
    all_tasks,
    an_event,
    commit,
    committed,
    ids,
    in_shard,
    loaded,
    moved,
    unsettled,
)
from watcher.adapters.stores.memory import MemoryStore
from watcher.errors import StoreRefused
from watcher.model import Portion, StoredEvent, Watch
from watcher.ports import PortableStore
from watcher.query import DeadLetterQuery, Selection, TaskQuery

if TYPE_CHECKING:
    from tests.contracts.store_exam import Storage

BOTH = frozenset({"bus", "log"})


def ended(name: str = "t1") -> Watch:
    """A watch with a value in every stored field."""
    return a_watch(
        name,
        context='{"call":"ä"}',
        status="SUCCEEDED",
        status_since=1001.25,
        changed_at=1002.5,
        created_at=1000.5,
        started_at=1000.75,
        updated_at=1002.25,
        result_digest="d",
        sequence=2,
        polls=7,
        ended_at=1003.0,
        end_reason="terminal",
        trace="00-1-2-01 a=b",
    )


def events_of(watch: Watch) -> list[StoredEvent]:
    """The events of that watch: the sink `bus` has settled the first one, no sink the second one."""
    first = an_event(watch._replace(sequence=1), "IN_PROGRESS", 1001.0)
    return [StoredEvent(first, frozenset({"log"})), StoredEvent(an_event(watch, "SUCCEEDED", 1002.5, end=True), BOTH)]


async def begun(storage: Storage) -> PortableStore:
    """A store into which a copy has begun, with the sinks `bus` and `log`."""
    store = storage.store()
    await store.open_target()
    assert await store.begin_copy("a", ["bus", "log"]) == ""
    return store


async def completed(storage: Storage, store: PortableStore) -> PortableStore:
    """The same content, opened by its new owner."""
    await store.end_copy()
    if storage.keeps:
        await store.close()
        store = storage.store()
        await store.open(["bus", "log"])
    await store.claim()  # a replica gets the requests about its own shards
    return store


class CopiesExam:
    async def test_a_restored_watch_is_as_it_was(self, storage: Storage) -> None:
        """A restored watch keeps its id and every stored field, open or ended, and the order of admission."""
        watches = [ended("z"), a_watch("y", sequence=0), ended("x")]
        store = await begun(storage)
        await store.restore(Portion(watches=watches), "1")
        store = await completed(storage, store)
        assert await all_tasks(store, oldest_first=True) == watches
        assert await loaded(store) == [watches[1]]
        await store.close()

    async def test_restored_events_wait_for_the_sinks_that_have_not_settled_them(self, storage: Storage) -> None:
        """Events keep their bytes and their order, and each sink has those to settle that it had; new events follow them."""
        store = await begun(storage)
        watch, more = ended(), a_watch("t2")
        first, second = events_of(watch)
        await store.restore(Portion(watches=[watch, more]), "1")
        await store.restore(Portion(events=[first]), "2")
        await store.restore(Portion(events=[second]), "3")
        store = await completed(storage, store)
        stored = await store.task_events(watch.key)
        assert [replace(event, position=0, shard=0) for event in stored] == [first.event, second.event]
        assert ids(await unsettled(store, "bus")) == [second.event.id]
        assert ids(await unsettled(store, "log")) == [first.event.id, second.event.id]
        assert await store.undelivered(watch.key) == {"bus": 1, "log": 2}
        assert {sink: waiting.events for sink, waiting in (await store.backlog()).items()} == {"bus": 1, "log": 2}
        await commit(store, moved(more))
        assert ids(await unsettled(store, "bus"))[-1] in (f"{more.id}-1", second.event.id)
        assert len(await unsettled(store, "bus")) == 2
        await store.close()

    async def test_restored_events_have_growing_positions(self, storage: Storage) -> None:
        """Within a shard, positions grow in the order in which events are restored, across tasks and portions."""
        store = await begun(storage)
        watches = [watch._replace(sequence=2) for watch, _ in zip(in_shard(store), range(3), strict=False)]
        await store.restore(Portion(watches=watches), "1")
        firsts = [StoredEvent(an_event(watch._replace(sequence=1), "A", 1001.0)) for watch in reversed(watches)]
        await store.restore(Portion(events=firsts), "2")
        seconds = [StoredEvent(an_event(watch, "B", 1002.0)) for watch in watches]
        await store.restore(Portion(events=seconds), "3")
        store = await completed(storage, store)
        events = await all_events(store)
        assert ids(events) == [stored.event.id for stored in (*firsts, *seconds)]
        assert [event.position for event in events] == sorted({event.position for event in events})
        assert await unsettled(store, "bus") == []
        await store.close()

    async def test_restored_dead_letters_are_as_they_were(self, storage: Storage) -> None:
        """Dead letters keep reason, time, tries, body and mark, and may belong to an event that is gone."""
        store = await begun(storage)
        watch = ended()
        await store.restore(Portion(watches=[watch], events=events_of(watch)), "1")
        event = (await store.task_events(watch.key))[0]
        letters = [
            replace(a_dead_letter("of-event", event=event, at=3.0), tries=4, retry=True),
            replace(a_dead_letter("of-input", at=4.0), tries=2, body=b"\xff" * 200_000),
            replace(a_dead_letter("of-gone", event=an_event(ended("gone"), "A", 1.0), at=5.0), tries=3),
        ]
        await store.restore(Portion(dead_letters=letters), "2")
        store = await completed(storage, store)
        assert await all_dead_letters(store, oldest_first=True) == letters
        assert ids((await store.requests()).retries) == ["of-event"]
        await store.forget(Selection(kind="speaker-search", param=1, value="gone"))
        assert set(ids(await all_dead_letters(store))) == {"of-event", "of-input"}
        await store.add_dead_letters([a_dead_letter("of-event", event=event)])
        assert {letter.id: letter.tries for letter in await all_dead_letters(store)} == {"of-event": 5, "of-input": 2}
        await store.close()

    async def test_a_restored_cancellation_is_carried_out(self, storage: Storage) -> None:
        """A cancelled watch that had not ended is cancelled in the copy too."""
        store = await begun(storage)
        await store.restore(Portion(watches=[a_watch("t1"), a_watch("t2"), ended("t3")], cancelled=[a_watch("t2").key]), "1")
        assert list(await store.cancelled()) == [a_watch("t2").key]
        store = await completed(storage, store)
        assert dict((await store.requests()).cancelled) == {a_watch("t2").key: a_watch("t2").id}
        await store.close()

    async def test_a_copy_continues_after_its_last_portion(self, storage: Storage) -> None:
        """`begin_copy` again returns the progress of the last portion, keeps what was restored, and refuses other content."""
        store = await begun(storage)
        await store.restore(Portion(watches=[ended()]), "first")
        await store.restore(Portion(events=events_of(ended()), states={"pace": "7"}), "second")
        if storage.keeps:
            await store.close()
            store = storage.store()
            await store.open_target()
        assert await store.begin_copy("a", ["bus", "log"]) == "second"
        assert await store.states() == {"pace": "7"}
        with pytest.raises(StoreRefused, match="unfinished copy of another store"):
            await store.begin_copy("b", ["bus", "log"])
        await store.close()

    async def test_a_complete_copy_can_be_begun_again_until_a_watcher_opens_it(self, storage: Storage) -> None:
        """After `end_copy`, the same copy again finds its last progress, also one of which the end was not reported."""
        if not storage.keeps:
            pytest.skip("the content of this store ends with it")
        store = await begun(storage)
        await store.restore(Portion(watches=[ended()]), "all")
        await store.end_copy()
        await store.close()
        store = storage.store()
        await store.open_target()
        assert await store.begin_copy("a", ["bus", "log"]) == "all"
        store = await completed(storage, store)
        await store.close()
        store = storage.store()
        with pytest.raises(StoreRefused, match="empty store"):
            await store.open_target()
        await store.close()

    async def test_no_watcher_starts_on_an_unfinished_copy(self, storage: Storage) -> None:
        """`open` and `attach_alone` refuse the target from `begin_copy` to `end_copy`, and change nothing."""
        if not storage.keeps:
            pytest.skip("the content of this store ends with it")
        store = await begun(storage)
        await store.restore(Portion(watches=[ended()], events=events_of(ended())), "1")
        await store.close()
        for opening in (lambda store: store.open(["other"], ["bus", "log"]), lambda store: store.attach_alone()):
            store = storage.store()
            with pytest.raises(StoreRefused):
                await opening(store)
            await store.close()
        store = storage.store()
        await store.open_target()
        assert await store.begin_copy("a", []) == "1"
        store = await completed(storage, store)
        assert len(await unsettled(store, "log")) == 2
        await store.close()

    async def test_a_store_with_content_is_no_target(self, store: PortableStore, storage: Storage) -> None:
        """A store that has a watch, or a dead letter, is refused as a target, and keeps it."""
        if not storage.keeps:
            pytest.skip("the content of this store ends with it")
        await store.add_dead_letters([a_dead_letter()])
        for content in ("dead letter", "watch"):
            await store.close()
            store = storage.store()
            with pytest.raises(StoreRefused, match="empty store"):
                await store.open_target()
            await store.close()
            store = storage.store()
            await store.open(["bus", "log"])
            if content == "dead letter":
                await store.purge()
                await store.admit([a_watch()])
        assert len(await all_tasks(store)) == 1
        await store.close()

    async def test_a_copy_replaces_texts_and_sinks(self, store: PortableStore, storage: Storage) -> None:
        """A store on which a watcher has run without leaving content takes the texts and the sinks of the source."""
        if not storage.keeps:
            pytest.skip("the content of this store ends with it")
        watch = await committed(store, "t1", "A")
        await store.forget(Selection(key=watch.key))
        await store.save_state("cadence", "old")
        identity = await store.identity()
        await store.close()
        store = storage.store()
        await store.open_target()
        assert await store.begin_copy("a", ["log", "new"]) == ""
        await store.restore(Portion(watches=[ended()], states={"pace": "7"}), "1")
        await store.restore(Portion(events=[StoredEvent(stored.event, frozenset({"new"})) for stored in events_of(ended())]), "2")
        assert await store.states() == {"pace": "7"}
        assert {sink: waiting.events for sink, waiting in (await store.backlog()).items()} == {"log": 0, "new": 2}
        await store.end_copy()
        await store.close()
        store = storage.store()
        await store.open(["log", "new"])
        assert (await store.requests()).forgotten in ([], ())
        assert await store.identity() != identity
        assert len(await unsettled(store, "new")) == 2
        await store.close()

    async def test_nothing_is_restored_before_a_copy_begins(self, storage: Storage) -> None:
        """`restore` without `begin_copy` is refused."""
        store = storage.store()
        await store.open_target()
        with pytest.raises(StoreRefused, match="no copy"):
            await store.restore(Portion(watches=[ended()]), "1")
        await store.close()

    async def test_attach_alone_changes_nothing(self, store: PortableStore, storage: Storage) -> None:
        """A store that no one uses can be attached alone: all is there to read, and the sinks and their events stay."""
        if not storage.keeps or type(store) is MemoryStore:
            pytest.skip("the content of this store ends with it")
        watch = await committed(store, "t1", "A")
        await store.save_state("pace", "7")
        identity = await store.identity()
        await store.close()
        store = storage.store()
        await store.attach_alone()
        assert await store.states() == {"pace": "7"}
        assert await store.identity() == identity
        assert await all_tasks(store) == [watch]
        assert {sink: waiting.events for sink, waiting in (await store.backlog()).items()} == {"bus": 1, "log": 1}
        await store.close()

    async def test_pages_in_order_of_admission(self, store: PortableStore) -> None:
        """With `oldest_first`, pages of tasks and of dead letters have the opposite order, and their cursors continue it."""
        watches = await store.admit([a_watch(f"t{n}") for n in range(5)])
        letters = [a_dead_letter(f"d{n}", at=100.0 + n // 2) for n in range(5)]
        await store.add_dead_letters(letters)
        for read, query, expected in (
            (store.tasks, TaskQuery(limit=2, oldest_first=True), ids(watches)),
            (store.dead_letters, DeadLetterQuery(limit=2, oldest_first=True), ids(letters)),
        ):
            page = await read(query)
            seen = [ids(page.items)]
            while page.next is not None:
                page = await read(replace(query, after=page.next))
                seen.append(ids(page.items))
            assert seen == [expected[:2], expected[2:4], expected[4:]]
