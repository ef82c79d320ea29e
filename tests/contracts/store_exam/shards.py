"""The protocol `Shards`: opening and closing, admission, learned state, retention."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from tests.contracts.store_exam.facts import (
    a_dead_letter,
    a_watch,
    all_dead_letters,
    all_tasks,
    commit,
    committed,
    ids,
    in_shard,
    loaded,
    moved,
    settle,
    unsettled,
)
from watcher.errors import SinksRemoved, StoreError
from watcher.model import Leftover, Pruned
from watcher.ports import Store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.contracts.store_exam import Storage


class ShardsExam:
    reopened: Callable[..., Awaitable[Store]]

    # --- opening and closing ---------------------------------------------------------------------

    async def test_check_says_something_short(self, store: Store) -> None:
        """`check` answers in a few words."""
        assert 0 < len(await store.check()) < 80

    async def test_close_twice_and_without_open(self, store: Store, storage: Storage) -> None:
        """A second close, and a close without an open, do nothing."""
        await store.close()
        await store.close()
        await storage.store().close()

    async def test_attach_where_nothing_was_opened(self, storage: Storage) -> None:
        """Before the first owner there is no store to attach to."""
        store = storage.store()
        with pytest.raises(StoreError):
            await store.attach()
        await store.close()

    async def test_a_new_sink_starts_after_the_newest_event(self, store: Store, storage: Storage) -> None:
        """A sink that is new gets no earlier event; a known one continues at its cursor."""
        watches = islice(in_shard(store), 2)
        await committed(store, next(watches), "A", "B")
        await settle(store, "bus", (await unsettled(store))[:1])
        store = await self.reopened(storage, store, "bus", "new", drop=["log"])
        assert await unsettled(store, "new") == []
        await committed(store, next(watches), "C")
        assert [event.to for event in await unsettled(store, "new")] == ["C"]
        assert [event.to for event in await unsettled(store)] == ["B", "C"]
        await store.close()

    async def test_a_removed_sink_is_forgotten(self, store: Store, storage: Storage) -> None:
        """A sink that was missing from one `open` starts as a new one."""
        await committed(store, "t1", "A")
        await settle(store, "log", await unsettled(store, "log"))
        store = await self.reopened(storage, store, "bus")
        assert list(await store.backlog()) == ["bus"]
        store = await self.reopened(storage, store, "bus", "log")
        assert await unsettled(store, "log") == []
        assert len(await unsettled(store)) == 1
        await store.close()

    @pytest.mark.parametrize("rejected", [0, 1, 3])
    async def test_a_removed_sink_with_events_is_refused(self, store: Store, storage: Storage, rejected: int) -> None:
        """Undelivered events of a removed sink, or its dead letters, refuse the opening; nothing is lost by that."""
        await committed(store, "t1", *"ABC")
        events = await unsettled(store)
        await settle(store, "log", events)
        await settle(store, "bus", [], [a_dead_letter(event.id, event=event) for event in events[:rejected]])
        with pytest.raises(SinksRemoved) as refusal:
            await self.reopened(storage, store, "other", "log", drop=["log"])
        assert list(refusal.value.left) == ["bus"]
        assert f"{3 - rejected} undelivered events and {rejected} dead letters" in str(refusal.value)
        store = await self.reopened(storage, store, "bus", "log")
        assert len(await unsettled(store)) == 3 - rejected
        assert len(await all_dead_letters(store)) == rejected
        await store.close()

    async def test_a_dropped_sink_is_forgotten_with_its_events(self, store: Store, storage: Storage) -> None:
        """What was left for a dropped sink is erased and returned; the events and dead letters of others stay."""
        await committed(store, "t1", *"ABC")
        events = await unsettled(store)
        for sink in ("bus", "log"):
            letter = replace(a_dead_letter(f"{sink}-1", event=events[0]), origin=sink)
            await settle(store, sink, [], [letter])
        await store.add_dead_letters([replace(a_dead_letter("input"), origin="bus")])
        if not storage.keeps:
            pytest.skip("the content of this store ends with it")
        await store.close()
        store = storage.store()
        assert await store.open(["log"], ["bus", "unknown"]) == {"bus": Leftover(2, 1)}
        assert set(ids(await all_dead_letters(store))) == {"log-1", "input"}
        assert len(await unsettled(store, "log")) == 2
        store = await self.reopened(storage, store, "log", "bus")
        assert await unsettled(store) == []
        await store.close()

    async def test_restart(self, store: Store, storage: Storage) -> None:
        """Watches, events, dead letters and learned state are there after a restart; `load` gives the open watches only."""
        await committed(store, "open", "A")
        ended = (await store.admit([a_watch("ended")]))[0]
        await commit(store, moved(ended, "SUCCEEDED", end=True))
        await store.add_dead_letters([a_dead_letter()])
        await store.save_state("pace", "7")
        store = await self.reopened(storage, store)
        assert [watch.status for watch in await loaded(store)] == ["A"]
        assert {event.to for event in await unsettled(store)} == {"SUCCEEDED", "A"}
        assert await all_dead_letters(store) == [a_dead_letter()]
        assert await store.load_state("pace") == "7"
        await store.close()

    # --- admission -------------------------------------------------------------------------------

    async def test_an_admitted_watch_is_found(self, store: Store) -> None:
        """An admitted watch is returned, found by its key and loaded, with every field."""
        watch = a_watch("ä/?#", context='{"call":"c-42"}', created_at=1.5, result_digest="d", trace="00-1-2-01 a=b")
        assert list(await store.admit([watch])) == [watch]
        assert await store.task(watch.key) == watch
        assert await loaded(store) == [watch]

    async def test_targets_are_different_tasks(self, store: Store) -> None:
        """The same parameters at another target are another task."""
        here, there = a_watch(), a_watch(target="eu")
        assert list(await store.admit([here, there])) == [here, there]
        assert await store.task(there.key) == there

    async def test_the_earlier_watch_stays(self, store: Store) -> None:
        """Admitting a task again returns its earlier watch, as it is now, beside the new ones."""
        earlier = await committed(store)
        fresh = a_watch("t2")
        assert list(await store.admit([a_watch(watch="other"), fresh])) == [earlier, fresh]
        assert len(await all_tasks(store)) == 2

    async def test_a_task_two_times_in_one_admission(self, store: Store) -> None:
        """A task that occurs two times in one call is one watch: the first."""
        first, second = a_watch(watch="w1"), a_watch(watch="w2")
        assert list(await store.admit([first, second])) == [first, first]

    async def test_an_ended_watch_stays_too(self, store: Store) -> None:
        """Another admission does not open an ended watch again."""
        watch = (await store.admit([a_watch()]))[0]
        ended = moved(watch, "SUCCEEDED", end=True)
        await commit(store, ended)
        assert list(await store.admit([a_watch(watch="other")])) == [ended.watch]
        assert await loaded(store) == []

    async def test_calls_without_content(self, store: Store) -> None:
        """Calls with nothing in them do nothing, also without a lease."""
        assert not await store.admit([])
        assert not await store.commit([], {})
        await store.settle("bus", [], [], {})
        await store.add_dead_letters([])
        await store.release([])

    async def test_load_gives_each_open_watch_of_the_shard(self, store: Store) -> None:
        """Each of some thousand watches comes one time, from its own shard, in several pieces, also while others are committed."""
        watches = [a_watch(f"t{n}") for n in range(2500)]
        await store.admit(watches)
        seen: list[str] = []
        pieces = 0
        for lease in (await store.claim()).leases:
            async for piece in store.load(lease):
                pieces += 1
                seen += [watch.key for watch in piece]
                await commit(store, moved(watches[-pieces]))
        assert pieces > 1
        assert sorted(seen) == sorted(watch.key for watch in watches)

    # --- learned state and dead letters ----------------------------------------------------------

    async def test_state(self, store: Store) -> None:
        """A text is loaded as it was last saved; a name without one gives None."""
        assert await store.load_state("pace") is None
        await store.save_state("pace", "1")
        await store.save_state("pace", "2")
        assert await store.load_state("pace") == "2"

    async def test_the_same_dead_letter_again(self, store: Store) -> None:
        """The same dead letter again counts one more try, and keeps the latest reason and time."""
        await store.add_dead_letters([a_dead_letter()])
        again = replace(a_dead_letter(at=1500.0), reason="shape", detail="a list")
        await store.add_dead_letters([again])
        assert await all_dead_letters(store) == [replace(again, tries=2)]

    # --- retention -------------------------------------------------------------------------------

    async def test_prune(self, store: Store) -> None:
        """Pruning erases watches that ended before then and whose events every sink has settled, with their events."""
        old, young, waiting, open_ = await store.admit([a_watch(name) for name in ("old", "young", "waiting", "open")])
        await commit(store, moved(old, at=10.0, end=True), moved(young, at=20.0, end=True), moved(open_, at=5.0))
        for sink in ("bus", "log"):
            await settle(store, sink, await unsettled(store, sink))
        await commit(store, moved(waiting, at=10.0, end=True))
        await settle(store, "bus", await unsettled(store))
        assert await store.prune(20.0) == Pruned(watches=1)
        assert {watch.ref.params[1] for watch in await all_tasks(store)} == {"young", "waiting", "open"}
        assert list(await store.task_events(old.key)) == []
        await settle(store, "log", await unsettled(store, "log"))
        assert await store.prune(20.0) == Pruned(watches=1)
        assert await store.task(waiting.key) is None
        assert len(await store.task_events(young.key)) == 1

    async def test_prune_many(self, store: Store) -> None:
        """One call erases all that can be erased, however many."""
        watches = await store.admit([a_watch(f"t{n}") for n in range(1200)])
        await commit(store, *[moved(watch, at=10.0, end=True) for watch in watches])
        for sink in ("bus", "log"):
            await settle(store, sink, await unsettled(store, sink))
        assert await store.prune(11.0) == Pruned(watches=1200)
        assert await all_tasks(store) == []

    async def test_prune_dead_letters(self, store: Store) -> None:
        """Pruning erases the dead letters of inputs from before then."""
        await store.add_dead_letters([a_dead_letter("old", at=9.0), a_dead_letter("young", at=10.0)])
        assert await store.prune(10.0) == Pruned(inputs=1)
        assert ids(await all_dead_letters(store)) == ["young"]

    async def test_rejected_events_are_kept(self, store: Store) -> None:
        """The dead letters of events stay, also when their watch is pruned, until a time of their own is given."""
        watch = (await store.admit([a_watch()]))[0]
        await commit(store, moved(watch, at=10.0, end=True))
        for sink, at in ("bus", 20.0), ("log", 30.0):
            events = await unsettled(store, sink)
            await settle(store, sink, [], [a_dead_letter(sink, event=event, at=at) for event in events])
        await store.add_dead_letters([a_dead_letter("input", at=20.0)])
        assert await store.prune(1000.0) == Pruned(watches=1, inputs=1)
        assert ids(await all_dead_letters(store)) == ["log", "bus"]
        assert await store.prune(1000.0, 30.0) == Pruned(events=1)
        assert ids(await all_dead_letters(store)) == ["log"]
        assert await store.prune(1000.0, 1000.0) == Pruned(events=1)

    async def test_prune_many_dead_letters(self, store: Store) -> None:
        """One call erases all old dead letters, however many."""
        await store.add_dead_letters([a_dead_letter(f"d{n}", at=float(n)) for n in range(1300)])
        assert await store.prune(1201.0) == Pruned(inputs=1201)
        assert len(await all_dead_letters(store)) == 99
