"""The protocol `Outbox`: positions, cursors of sinks, settling, backlogs."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from tests.contracts.store_exam.facts import (
    a_dead_letter,
    all_dead_letters,
    all_events,
    commit,
    committed,
    forget,
    in_shard,
    in_two_shards,
    moved,
    settle,
    unsettled,
)
from watcher.model import Backlog
from watcher.ports import Store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.contracts.store_exam import Storage


class OutboxExam:
    reopened: Callable[..., Awaitable[Store]]

    # --- no sink ---------------------------------------------------------------------------------

    async def test_a_store_without_sinks_keeps_events_for_readers(self, storage: Storage) -> None:
        """Without a sink, events are stored and read, none waits for delivery, and they are erased with their ended tasks."""
        store = storage.store()
        await store.open([])
        try:
            watch = await committed(store)
            await commit(store, moved(watch, "SUCCEEDED", at=1002.0, end=True))
            assert [event.to for event in await all_events(store)] == ["IN_PROGRESS", "SUCCEEDED"]
            assert dict(await store.backlog()) == {}
            assert (await store.prune(before=1003.0)).watches == 1
            assert await all_events(store) == []
        finally:
            await store.close()

    # --- positions -------------------------------------------------------------------------------

    async def test_positions_grow_in_the_order_of_commits(self, store: Store) -> None:
        """Within a shard, positions start above 0 and grow from commit to commit and within one."""
        one, two = await store.admit(list(islice(in_shard(store), 2)))
        first = moved(two)
        await commit(store, first)
        await commit(store, moved(one), moved(first.watch, "SUCCEEDED"))
        events = await unsettled(store)
        assert [(event.key, event.to) for event in events] == [
            (two.key, "IN_PROGRESS"),
            (one.key, "IN_PROGRESS"),
            (two.key, "SUCCEEDED"),
        ]
        assert [event.position for event in events] == sorted({event.position for event in events})
        assert events[0].position > 0

    async def test_positions_of_shards_cannot_be_compared(self, store: Store) -> None:
        """A reader that has seen a position of one shard still gets an event of another shard at a lower position."""
        here, there = in_two_shards(store)
        await committed(store, there, "D", "E")
        await committed(store, here, "A", "B", "C")
        seen = {event.shard: event.position for event in await all_events(store)}
        late = (await all_events(store, key=there.key))[1]
        assert late.position < seen[0]
        assert await all_events(store, after=seen | {1: late.position - 1}) == [late]
        assert list(await store.read_outbox("bus", 1, late.position - 1, 10)) == [late]
        assert [event.to for event in await store.read_outbox("bus", 0, 0, 10)] == ["A", "B", "C"]

    async def test_positions_are_never_given_again(self, store: Store, storage: Storage) -> None:
        """After the newest events of a shard were erased, the next one still comes after every cursor."""
        first, second = islice(in_shard(store), 2)
        await committed(store, first, "A")
        (event,) = await unsettled(store)
        await settle(store, "bus", [event])
        await forget(store, first)
        assert await store.positions() == {}
        store = await self.reopened(storage, store, "bus", "late")
        await committed(store, second, "B")
        assert [event.to for event in await unsettled(store)] == ["B"]
        assert [event.to for event in await unsettled(store, "late")] == ["B"]
        (again,) = await unsettled(store)
        assert again.position > event.position
        assert await store.positions() == {again.shard: again.position}
        await store.close()

    async def test_read_outbox_starts_after_a_position_and_keeps_its_limit(self, store: Store) -> None:
        """`after` and `limit` cut the outbox; the same call again gives the same."""
        await committed(store, next(in_shard(store)), "A", "B", "C", "D")
        events = await unsettled(store)
        assert list(await store.read_outbox("bus", 0, 0, 2)) == events[:2]
        assert list(await store.read_outbox("bus", 0, events[1].position, 1)) == events[2:3]
        assert list(await store.read_outbox("bus", 0, events[3].position, 9)) == []
        assert list(await store.read_outbox("unknown", 0, 0, 9)) == []

    # --- settling --------------------------------------------------------------------------------

    async def test_settled_in_order(self, store: Store) -> None:
        """A settled event is no longer in this sink's outbox, and stays in the other's."""
        await committed(store, "t1", "A", "B")
        first, second = await unsettled(store)
        await settle(store, "bus", [first])
        assert await unsettled(store) == [second]
        assert await unsettled(store, "log") == [first, second]

    async def test_settled_out_of_order(self, store: Store, storage: Storage) -> None:
        """Events settled out of order do not come again, before and after a restart, and the earlier ones do."""
        watches = islice(in_shard(store), 2)
        await committed(store, next(watches), "A", "B", "C", "D")
        one, two, three, four = await unsettled(store)
        await settle(store, "bus", [four, two])
        assert await unsettled(store) == [one, three]
        store = await self.reopened(storage, store)
        assert await unsettled(store) == [one, three]
        await settle(store, "bus", [one])
        assert await unsettled(store) == [three]
        await settle(store, "bus", [three])
        assert await unsettled(store) == []
        await committed(store, next(watches), "E")
        assert [event.to for event in await unsettled(store)] == ["E"]
        await store.close()

    async def test_settling_in_one_shard_leaves_the_others(self, store: Store) -> None:
        """Each sink has a cursor for each shard: a settled event does not settle one of another shard at the same position."""
        for watch in in_two_shards(store):
            await committed(store, watch)
        here, there = await unsettled(store)
        await settle(store, "bus", [there])
        assert await unsettled(store) == [here]

    async def test_rejected_events_are_settled(self, store: Store) -> None:
        """A rejected event becomes a dead letter and leaves the outbox, in one call with delivered ones."""
        await committed(store, "t1", "A", "B")
        first, second = await unsettled(store)
        dead_letter = a_dead_letter(event=second)
        await settle(store, "bus", [first], [dead_letter])
        assert await unsettled(store) == []
        assert await all_dead_letters(store) == [dead_letter]

    async def test_an_erased_event_leaves_no_dead_letter(self, store: Store) -> None:
        """An event that a sink rejects after its task was erased becomes no dead letter, neither at the settlement nor later."""
        watch = await committed(store)
        (event,) = await unsettled(store)
        await forget(store, watch)
        await settle(store, "bus", [], [a_dead_letter(event=event)])
        await store.add_dead_letters([a_dead_letter(event=event)])
        assert await all_dead_letters(store) == []

    async def test_erasing_a_stuck_event_frees_the_later_ones(self, store: Store) -> None:
        """When the event at which a sink is stuck is erased, the later ones settle as always."""
        stuck, other = await store.admit(list(islice(in_shard(store), 2)))
        await committed(store, stuck, "A")
        await committed(store, other, "B", "C")
        _, second, third = await unsettled(store)
        await settle(store, "bus", [second])
        await forget(store, stuck)
        assert (await store.backlog())["bus"].events == 1
        await settle(store, "bus", [third])
        assert (await store.backlog())["bus"] == Backlog(0, None)

    # --- backlogs --------------------------------------------------------------------------------

    async def test_backlog(self, store: Store) -> None:
        """The backlog of a sink counts the events that it has not settled, and says when the oldest was committed."""
        watch = (await store.admit([next(in_shard(store))]))[0]
        first = moved(watch, "A", at=1010.0)
        second = moved(first.watch, "B", at=1020.0)
        third = moved(second.watch, "C", at=1030.0)
        await commit(store, first, second, third)
        events = await unsettled(store)
        await settle(store, "bus", events[:1])
        await settle(store, "log", events[1:2])
        expected = {"bus": Backlog(2, 1020.0), "log": Backlog(2, 1010.0)}
        assert await store.backlog() == expected
        assert await store.count_backlog(0) == expected
        await settle(store, "bus", events[1:])
        assert (await store.backlog())["bus"] == Backlog(0, None)
        assert (await store.count_backlog(0))["bus"] == Backlog(0, None)

    async def test_the_backlog_of_each_shard(self, store: Store) -> None:
        """`count_backlog` counts one shard, `backlog` all of them, with the oldest event of all."""
        here, there = await store.admit(in_two_shards(store))
        first = moved(here, at=1020.0)
        await commit(store, first, moved(first.watch, at=1030.0), moved(there, at=1010.0))
        assert (await store.count_backlog(0))["bus"] == Backlog(2, 1020.0)
        assert (await store.count_backlog(1))["bus"] == Backlog(1, 1010.0)
        assert (await store.backlog())["bus"] == Backlog(3, 1010.0)

    async def test_undelivered(self, store: Store) -> None:
        """The unsettled events of a task are counted for each sink that has any."""
        watch = await committed(store, "t1", "A", "B")
        assert await store.undelivered(watch.key) == {"bus": 2, "log": 2}
        await settle(store, "bus", await unsettled(store, "bus"))
        await settle(store, "log", (await unsettled(store, "log"))[:1])
        assert await store.undelivered(watch.key) == {"log": 1}
        assert await store.undelivered("speaker-search/vc1/none") == {}
