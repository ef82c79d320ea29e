"""The commits of the protocol `Shards`."""

from __future__ import annotations

from dataclasses import replace

import anyio

from tests.contracts.store_exam.facts import a_watch, commit, forget, ids, leases, moved, unsettled
from watcher.model import Watch
from watcher.ports import Store


class CommitExam:
    async def test_a_commit_writes_watch_and_events(self, store: Store) -> None:
        """A commit changes the watch, and its events are in the outbox of each sink as they were rendered."""
        watch = (await store.admit([a_watch()]))[0]
        change = moved(watch)
        assert not await commit(store, change)
        assert await store.task(watch.key) == change.watch
        for sink in ("bus", "log"):
            (event,) = await unsettled(store, sink)
            assert event.position > 0
            assert replace(event, position=0, shard=0) == change.events[0]

    async def test_fields_of_the_process_are_not_stored(self, store: Store) -> None:
        """The fields of a watch below the line are not stored."""
        watch = (await store.admit([a_watch()]))[0]
        change = moved(watch)
        await commit(store, replace(change, watch=change.watch._replace(seen_at=5.0, failures=3, failing_since=4.0)))
        assert await store.task(watch.key) == change.watch

    async def test_the_same_commit_again_changes_nothing(self, store: Store) -> None:
        """An event whose id is already stored is not stored again, and keeps its position."""
        watch = (await store.admit([a_watch()]))[0]
        change = moved(watch)
        await commit(store, change)
        before = await unsettled(store)
        assert not await commit(store, change)
        assert await unsettled(store) == before

    async def test_an_older_commit_changes_nothing(self, store: Store) -> None:
        """A change older than the stored watch leaves it as it is, and adds no event a second time."""
        watch = (await store.admit([a_watch()]))[0]
        first = moved(watch)
        second = moved(first.watch, "SUCCEEDED", end=True)
        await commit(store, first)
        await commit(store, second)
        assert not await commit(store, first)
        assert await store.task(watch.key) == second.watch
        assert ids(await unsettled(store)) == ids(first.events + second.events)

    async def test_keys_of_erased_tasks_are_returned(self, store: Store) -> None:
        """A commit returns the keys whose watch is gone or is another one, writes nothing for them, and writes the rest."""
        gone, replaced, there = await store.admit([a_watch("gone"), a_watch("replaced"), a_watch("there")])
        await forget(store, gone)
        await forget(store, replaced)
        other = (await store.admit([a_watch("replaced", watch="other")]))[0]
        changes = [moved(gone), moved(replaced), moved(there)]
        assert sorted(await commit(store, *changes)) == sorted([gone.key, replaced.key])
        assert ids(await unsettled(store)) == ids(changes[2].events)
        assert await store.task(other.key) == other

    async def test_many_commits_at_the_same_time(self, store: Store) -> None:
        """Commits that overlap are all there, the events of each task in order."""
        watches = await store.admit([a_watch(f"t{n}") for n in range(50)])
        owned = await leases(store)

        async def live(watch: Watch) -> None:
            for status in "ABC":
                change = moved(watch, status)
                assert not await store.commit([change], owned)
                watch = change.watch

        async with anyio.create_task_group() as tasks:
            for watch in watches:
                tasks.start_soon(live, watch)
        for watch in watches:
            assert [event.to for event in await store.task_events(watch.key)] == ["A", "B", "C"]
        assert len(await unsettled(store)) == 150

    async def test_cancelled_calls_leave_it_usable(self, store: Store) -> None:
        """A call that is cancelled while it waits is done as a whole or not at all, and the next calls work."""
        *watches, last = await store.admit([a_watch(f"t{n}") for n in range(20)])
        owned = await leases(store)
        for watch in watches:
            with anyio.CancelScope() as scope:
                scope.cancel()
                await store.commit([moved(watch)], owned)
        await store.commit([moved(last)], owned)  # the cancelled calls are done by then, so that two reads see the same
        for watch in watches:
            stored = await store.task(watch.key)
            assert stored is not None
            assert len(await store.task_events(watch.key)) == stored.sequence
            assert not await store.commit([moved(watch)], owned)
        assert len(await unsettled(store)) == 20
